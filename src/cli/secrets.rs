//! `xopero secrets`.

mod keygen;
mod scan;

use clap::{Args, Subcommand};

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
    Scan(scan::ScanArgs),
}

/// Runs the command.
pub fn run(context: &Context, arguments: &SecretsArgs) -> Result<u8, CliError> {
    match &arguments.command {
        SecretsCommand::Keygen(arguments) => keygen::run(context, arguments),
        SecretsCommand::Scan(arguments) => scan::run(context, arguments),
    }
}
