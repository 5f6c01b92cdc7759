//! `xopero credential`.

mod add;
mod check;
mod enable;
mod list;
mod remove;
mod rotate;

use clap::{Args, Subcommand};

use super::edit::{Change, EditArgs, refused};
use super::input::read_secret;
use super::{CliError, Context, exit_code};

/// Manage the credentials in the file
#[derive(Debug, Args)]
pub struct CredentialArgs {
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Debug, Subcommand)]
enum CredentialCommand {
    Add(add::AddArgs),
    Check(check::CheckArgs),
    Rotate(rotate::RotateArgs),
    Remove(remove::RemoveArgs),
    List(list::ListArgs),
    Enable(enable::EnableArgs),
    Disable(enable::DisableArgs),
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &CredentialArgs) -> Result<u8, CliError> {
    match &arguments.command {
        CredentialCommand::Add(arguments) => add::run(context, arguments),
        CredentialCommand::Check(arguments) => check::run(context, arguments).await,
        CredentialCommand::Rotate(arguments) => rotate::run(context, arguments).await,
        CredentialCommand::Remove(arguments) => remove::run(context, arguments),
        CredentialCommand::List(arguments) => list::run(context, arguments),
        CredentialCommand::Enable(arguments) => enable::enable(context, arguments),
        CredentialCommand::Disable(arguments) => enable::disable(context, arguments),
    }
}
