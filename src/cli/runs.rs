//! `xopero runs`.

use std::num::NonZeroU32;

use clap::{Args, Subcommand};

use super::{CliError, Context, exit_code};
use crate::clock::Clock;
use crate::model::{Address, PlanName, command_with};
use crate::run::record;
use crate::state::{RunFilter, RunRow, StateStore};
use crate::ui::runs;

/// List the runs that were, newest first
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsArgs {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    /// Only those of this plan, also from before it was renamed
    #[arg(long, value_name = "PLAN")]
    plan: Option<PlanName>,
    /// List at most this many
    #[arg(long, value_name = "N", default_value = "20")]
    limit: NonZeroU32,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    Show(ShowArgs),
}

/// Show one run: accounts, waits, and the repositories that something happened to
#[derive(Debug, Args)]
struct ShowArgs {
    /// The run: the beginning of its id, or `latest`
    #[arg(value_name = "RUN", default_value = LATEST)]
    run: String,
    /// Show every repository
    #[arg(long)]
    all: bool,
}

/// The word for the newest run.
const LATEST: &str = "latest";

/// Runs the command.
pub async fn run(context: &Context, arguments: &RunsArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let state = context.existing_state().await?;
    match &arguments.command {
        Some(RunsCommand::Show(arguments)) => show(context, &state, arguments).await,
        None => list(context, &state, arguments).await,
    }
}

async fn list(context: &Context, state: &StateStore, arguments: &RunsArgs) -> Result<u8, CliError> {
    let output = context.output;
    let plan = match &arguments.plan {
        None => None,
        Some(name) => {
            let in_force = state.applied().await?;
            let uid = in_force.and_then(|applied| applied.uids.get(&Address::plan(name)).copied());
            Some((name.clone(), uid))
        }
    };
    let mut listed = Vec::new();
    let mut found = false;
    let each = |run| {
        found = true;
        if output.is_json() { output.json(&runs::run_line(&run)) } else { listed.push(run) }
    };
    let more = record::runs(state, &RunFilter { plan }, arguments.limit.get(), each).await?;
    if more {
        output.warn(&format!("there are more than {} runs: --limit N shows more", arguments.limit));
    }
    if output.is_json() {
        return Ok(exit_code::DONE);
    }
    if !found {
        // Nothing may be taken for "no runs" that is a typing error.
        if let Some(plan) = &arguments.plan {
            return Err(CliError::new(exit_code::FAILED, format!("no run of a plan \"{plan}\" is remembered"))
                .with_hint("`xopero runs` without --plan lists all"));
        }
        output.say("no runs");
        return Ok(exit_code::DONE);
    }
    let width = if output.is_terminal() { output.width() } else { usize::MAX };
    output.data(&runs::list(&listed, context.clock.now(), width, output.style()));
    let show = command_with("runs show RUN", &context.place_words());
    output.say(&format!("`{show}` shows one with its accounts, waits and failures"));
    Ok(exit_code::DONE)
}

async fn show(context: &Context, state: &StateStore, arguments: &ShowArgs) -> Result<u8, CliError> {
    let output = context.output;
    let idle = state.is_idle().await;
    let row = found(state, &arguments.run).await?;
    let row = row.settled(idle && state.is_idle().await);
    let run = record::detail(state, row).await?;
    if output.is_json() {
        output.json(&runs::run_line(&run.record));
        output.json(&runs::detail_line(&run));
        let each = |task: &record::TaskRecord| {
            if arguments.all || task.is_notable() {
                output.json(&runs::task_line(task));
            }
        };
        record::tasks(state, run.record.run, each).await?;
        return Ok(exit_code::DONE);
    }
    let mut tasks = runs::Shown::new(arguments.all);
    record::tasks(state, run.record.run, |task| tasks.add(task)).await?;
    let terminal = output.is_terminal();
    let width = if terminal { output.width() } else { usize::MAX };
    output.data(&runs::show(&run, &tasks, context.clock.now(), (output.style(), width, terminal)));
    Ok(exit_code::DONE)
}

/// The run that is meant.
async fn found(state: &StateStore, text: &str) -> Result<RunRow, CliError> {
    if text != LATEST {
        return Ok(state.run(text).await?);
    }
    let newest = state.runs_before(&RunFilter::default(), None, 1).await?.pop();
    newest.ok_or_else(|| {
        CliError::new(exit_code::FAILED, "nothing has run yet")
            .with_hint("`xopero run PLAN` takes the backups of a plan")
    })
}
