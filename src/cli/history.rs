//! `xopero history`.

use clap::Args;
use serde_json::json;

use super::{CliError, Context, exit_code, plan};
use crate::model::{Applied, Generation};
use crate::reconcile::history::{Entry, entries};
use crate::state::StateStore;
use crate::ui::history;

/// Show what was applied, when and by whom
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Show what this generation changed
    #[arg(value_name = "GENERATION")]
    pub generation: Option<Generation>,
    /// Number of generations, newest first
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "generation")]
    pub limit: u32,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &HistoryArgs) -> Result<u8, CliError> {
    context.output.begin_json();
    let state = context.existing_state().await?;
    let newest = state.applied().await?.ok_or_else(|| state.location().nothing_applied())?.generation;
    if let Some(number) = arguments.generation {
        one(context, &state, number, newest).await?;
        return Ok(exit_code::DONE);
    }
    // One more, to compare the last with.
    let remembered = state.history(arguments.limit.saturating_add(1)).await?;
    let mut rows = entries(&remembered);
    rows.truncate(usize::try_from(arguments.limit).unwrap_or(usize::MAX));
    if context.output.is_json() {
        for entry in &rows {
            context.output.json(&line(entry, newest));
        }
    } else {
        let width = if context.output.is_terminal() { context.output.width() } else { usize::MAX };
        context.output.data(&history::table(&rows, width, context.output.style()));
        context
            .output
            .say(&format!("Generation {newest} is in force. `xopero history NUMBER` shows what one changed,"));
        context.output.say("`xopero rollback NUMBER` puts one in force again.");
    }
    Ok(exit_code::DONE)
}

async fn one(context: &Context, state: &StateStore, number: Generation, newest: Generation) -> Result<(), CliError> {
    let applied = remembered(state, number).await?;
    let before = match number.0.checked_sub(1) {
        Some(before) => state.generation(Generation(before)).await?,
        None => None,
    };
    let (entry, changes) = Entry::new(&applied, before.as_ref());
    if context.output.is_json() {
        context.output.json(&line(&entry, newest));
    } else {
        context.output.data(&history::heading(&entry));
    }
    match changes {
        Some(changes) => plan::show(context, &changes, None),
        None => context.output.say("What it changed is not known: the generation before it is no longer remembered"),
    }
    Ok(())
}

/// A generation that must be remembered.
pub(super) async fn remembered(state: &StateStore, number: Generation) -> Result<Applied, CliError> {
    match state.generation(number).await? {
        Some(applied) => Ok(applied),
        None => Err(CliError::new(exit_code::FAILED, format!("generation {number} is not remembered"))
            .with_hint("`xopero history` lists those that are; the last 50 are kept")),
    }
}

fn line(entry: &Entry, newest: Generation) -> serde_json::Value {
    json!({
        "type": "generation",
        "generation": entry.generation,
        "in_force": entry.generation == newest,
        "applied_at": entry.applied_at,
        "applied_by": entry.applied_by,
        "source": entry.source,
        "rollback_of": entry.rollback_of,
        "allowed": entry.allowed,
        "plan_id": entry.plan_id,
        "counts": entry.counts,
    })
}
