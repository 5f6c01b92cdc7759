//! The command line: one file per command.
//!
//! A command parses its arguments, calls one function of an engine and renders the result; rules live below. Every
//! failure passes through [`mod@error`], every exit code stands in [`exit_code`], every variable in [`mod@env`].

mod agree;
mod alert;
mod apply;
mod context;
mod credential;
mod edit;
pub mod env;
mod error;
pub mod exit_code;
mod export;
mod fmt;
mod git;
mod hangup;
mod history;
mod hook;
mod hygiene;
mod init;
mod input;
mod interrupt;
mod locate;
mod log;
mod look;
mod lsp;
mod next;
mod plan;
mod recipients;
mod restore;
mod rollback;
mod run;
mod runs;
mod schema;
mod secrets;
mod serving;
mod snapshots;
mod state;
mod state_location;
mod status;
mod validate;
mod verify;
mod watch;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use context::{Context, GlobalArgs};
pub use error::CliError;

/// So long a command that is over waits for calls of the system that do not come back.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Declarative backups for Bitbucket Data Center
#[derive(Debug, Parser)]
#[command(name = "xopero", version = version(), arg_required_else_help = true, max_term_width = 80)]
struct Cli {
    #[command(flatten, next_help_heading = "Options of every command")]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Validate(validate::ValidateArgs),
    Fmt(fmt::FmtArgs),
    Schema(schema::SchemaArgs),
    Lsp(lsp::LspArgs),
    Plan(plan::PlanArgs),
    Apply(apply::ApplyArgs),
    History(history::HistoryArgs),
    Rollback(rollback::RollbackArgs),
    Status(status::StatusArgs),
    Run(run::RunArgs),
    Next(next::NextArgs),
    Runs(runs::RunsArgs),
    Watch(watch::WatchArgs),
    Worker(worker::WorkerArgs),
    Snapshots(snapshots::SnapshotsArgs),
    State(state::StateArgs),
    Verify(verify::VerifyArgs),
    Restore(restore::RestoreArgs),
    Export(export::ExportArgs),
    Credential(credential::CredentialArgs),
    Secrets(secrets::SecretsArgs),
    Alert(alert::AlertArgs),
    Recipients(recipients::RecipientsArgs),
    Hook(hook::HookArgs),
}

/// The version with the commit that it was built from.
const fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("XOPERO_COMMIT"), ")")
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    main_from(std::env::args_os())
}

/// Runs a command line, program name first.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    hygiene::begin();
    let parsed = env::without_empty(Cli::command()).try_get_matches_from(arguments).and_then(|matches| {
        let typed = matches.value_source("state") == Some(ValueSource::CommandLine);
        Ok((Cli::from_arg_matches(&matches)?, typed))
    });
    let (cli, state_typed) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let asked_for = !error.use_stderr();
            let _reader_gone = error.print();
            return ExitCode::from(if asked_for { exit_code::DONE } else { exit_code::USAGE });
        }
    };
    log::start(cli.global.log_format, &cli.global.log_level);
    let context = Context::new(&cli.global, state_typed);
    #[cfg(debug_assertions)]
    if let Some(Err(why)) = env::text(env::CRASH_AT).map(|text| crate::crash::arm(&text)) {
        let error = CliError::usage(format!("{}: {why}", env::CRASH_AT));
        error.tell(context.output);
        return ExitCode::from(error.code());
    }
    // What waits shares one thread: workers would wake each other for every answer of a server. What computes or
    // blocks takes a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(dispatch(&context, cli.command));
            // A file system that does not answer holds nobody back.
            runtime.shutdown_timeout(LEFT_BEHIND);
            ended
        }
        Err(error) => Err(CliError::new(exit_code::FAILED, format!("cannot start to wait for events: {error}"))),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.tell(context.output);
            ExitCode::from(error.code())
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<u8, CliError> {
    match command {
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Validate(arguments) => validate::run(context, &arguments).await,
        Command::Fmt(arguments) => fmt::run(context, &arguments),
        Command::Schema(arguments) => Ok(schema::run(context, &arguments)),
        Command::Lsp(arguments) => lsp::run(context, &arguments),
        Command::Plan(arguments) => plan::run(context, &arguments).await,
        Command::Apply(arguments) => apply::run(context, &arguments).await,
        Command::History(arguments) => history::run(context, &arguments).await,
        Command::Rollback(arguments) => rollback::run(context, &arguments).await,
        Command::Status(arguments) => status::run(context, &arguments).await,
        Command::Run(arguments) => run::run(context, &arguments).await,
        Command::Next(arguments) => next::run(context, &arguments).await,
        Command::Runs(arguments) => runs::run(context, &arguments).await,
        Command::Watch(arguments) => watch::run(context, &arguments).await,
        Command::Worker(arguments) => worker::run(context, &arguments).await,
        Command::Snapshots(arguments) => snapshots::run(context, &arguments).await,
        Command::State(arguments) => state::run(context, &arguments).await,
        Command::Verify(arguments) => verify::run(context, &arguments).await,
        Command::Restore(arguments) => restore::run(context, &arguments).await,
        Command::Export(arguments) => export::run(context, &arguments).await,
        Command::Credential(arguments) => credential::run(context, &arguments).await,
        Command::Secrets(arguments) => secrets::run(context, &arguments).await,
        Command::Alert(arguments) => alert::run(context, &arguments).await,
        Command::Recipients(arguments) => recipients::run(context, &arguments),
        Command::Hook(arguments) => hook::run(context, &arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_fits() {
        let mut cli = Cli::command();
        cli.build();
        let mut commands: Vec<clap::Command> = vec![cli];
        while let Some(mut command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let help = command.render_long_help().to_string();
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        }
    }
}
