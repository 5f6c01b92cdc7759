//! `xopero secrets`.

mod doctor;
pub mod keygen;
pub mod rekey;
mod scan;
mod set;
mod verify;

use clap::{Args, Subcommand};

use super::edit::{Change, EditArgs, refused};
use super::input::read_secret;
use super::{CliError, Context, env, exit_code};

/// Manage identities and sealed values
#[derive(Debug, Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    Keygen(keygen::KeygenArgs),
    Set(set::SetArgs),
    Rekey(rekey::RekeyArgs),
    Verify(verify::VerifyArgs),
    Scan(scan::ScanArgs),
    Doctor(doctor::DoctorArgs),
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &SecretsArgs) -> Result<u8, CliError> {
    match &arguments.command {
        SecretsCommand::Keygen(arguments) => keygen::run(context, arguments),
        SecretsCommand::Set(arguments) => set::run(context, arguments),
        SecretsCommand::Rekey(arguments) => rekey::run(context, arguments).await,
        SecretsCommand::Verify(arguments) => verify::run(context, arguments),
        SecretsCommand::Scan(arguments) => scan::run(context, arguments),
        SecretsCommand::Doctor(arguments) => doctor::run(context, arguments),
    }
}
