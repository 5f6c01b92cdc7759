//! `xopero state`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::state_location::StateOptions;
use super::{CliError, Context, exit_code};
use crate::state::{Exclusive, StateStore};
use crate::ui::count;

/// Manage where the applied state is
#[derive(Debug, Args)]
pub struct StateArgs {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Debug, Subcommand)]
enum StateCommand {
    Migrate(MigrateArgs),
}

/// Copy the state into another, empty database: from a file to a server, or back
///
/// Nothing is applied and nothing runs meanwhile. Every row is compared before the copy counts. The state that was
/// copied stays as it is: from then on, name the new one wherever you use xopero, and put the old one away.
#[derive(Debug, Args)]
struct MigrateArgs {
    /// Where the state goes: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    to: String,
    /// The file with the password of that server
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &StateArgs) -> Result<u8, CliError> {
    match &arguments.command {
        StateCommand::Migrate(arguments) => migrate(context, arguments).await,
    }
}

async fn migrate(context: &Context, arguments: &MigrateArgs) -> Result<u8, CliError> {
    const OPERATION: &str = "state migrate";
    context.output.begin_json();
    let options = StateOptions {
        address: Some(SecretString::from(arguments.to.clone())),
        typed: true,
        password_file: arguments.to_password_file.clone(),
    };
    let to = options.location(&context.base())?;
    let from = context.location()?;
    if from.place() == to.place() {
        return Err(CliError::usage(format!("the state is in {} already", to.place())));
    }
    let source = context.existing_state().await?;
    let _applying = context.lock(Exclusive::Applying, OPERATION, Duration::ZERO).await?;
    let _runs = context.lock(Exclusive::Runs, OPERATION, Duration::ZERO).await?;
    let target = StateStore::open(&to, &context.clock).await?;
    let _applying_there = context.lock_of(&to, Exclusive::Applying, OPERATION, Duration::ZERO).await?;
    let _runs_there = context.lock_of(&to, Exclusive::Runs, OPERATION, Duration::ZERO).await?;
    let copied = source.copy_into(&target).await?;
    target.close().await;
    if context.output.is_json() {
        let tables: serde_json::Map<_, _> =
            copied.iter().map(|(table, rows)| ((*table).to_owned(), serde_json::json!(rows))).collect();
        context.output.json(&serde_json::json!({
            "type": "state_copied", "from": from.place().to_string(), "to": to.place().to_string(), "rows": tables,
        }));
    } else {
        let rows: u64 = copied.iter().map(|(_, rows)| rows).sum();
        context.output.data(&format!("Copied {} to {}", count(rows, "row"), to.place()));
        context.output.say(&format!(
            "name it from now on, with --state or XOPERO_STATE, on every host; then put {} away",
            from.place()
        ));
    }
    Ok(exit_code::DONE)
}
