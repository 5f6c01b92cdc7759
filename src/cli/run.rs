//! `xopero run`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::interrupt::Interrupt;
use super::{CliError, Context, exit_code};
use crate::clock::SystemClock;
use crate::model::{PlanName, RepoSlug};
use crate::run::{Event, EventSink, Execution, Outcome, execute};
use crate::source::{SOURCE_LIMIT, read_file};
use crate::ui::{EventLines, Progress, Stream, summary};

/// Take the backups of a plan, as it is applied
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan, by its name
    pub plan: PlanName,
    /// Only this repository
    #[arg(long, value_name = "SLUG")]
    pub repository: Option<RepoSlug>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &RunArgs) -> Result<u8, CliError> {
    let state = context.existing_state().await?;
    let lock = context.lock(&format!("run {}", arguments.plan), Duration::ZERO).await?;
    let applied = state.applied().await?.ok_or_else(|| state.location().nothing_applied())?;
    if let Ok(source) = read_file(context.file(), SOURCE_LIMIT)
        && source.sha256 != applied.source.sha256
    {
        context.output.say(&format!(
            "{} differs from generation {}, which is in force; `xopero plan` shows how",
            source.name, applied.generation
        ));
    }
    if let Some(pause) = applied.declaration.plans.get(&arguments.plan).and_then(|plan| plan.paused.as_ref()) {
        // A pause stops the schedule, not the person.
        let until = pause.until.map(|until| format!(" until {until}")).unwrap_or_default();
        let (plan, why) = (&arguments.plan, &pause.reason);
        context.output.say(&format!("{plan} is paused{until} ({why}): its schedule is not followed; this run goes on"));
    }
    let events: Arc<dyn EventSink> = if context.output.is_json() {
        Arc::new(EventLines::begin(Stream::Stdout))
    } else if context.output.draws_progress() {
        Arc::new(Progress::new(context.output.talk_style()))
    } else {
        Arc::new(EventLines::begin(Stream::Stderr))
    };
    let draws = context.output.draws_progress();
    let (confirm, told) = (context.confirm_stop(), Arc::clone(&events));
    // A line that is not drawn by the progress would tear its bars.
    let interrupt = Interrupt::listen(move || if draws { told.emit(&Event::Stopping) } else { confirm() });
    let execution = Execution {
        applied,
        plan: arguments.plan.clone(),
        only: arguments.repository.clone(),
        base: context.base(),
        state: Arc::new(state),
        identities: context.identities()?,
        clock: Arc::new(SystemClock),
        events,
        stop: interrupt.token,
    };
    let summary = execute(execution).await?;
    drop(lock);
    if !context.output.is_json() {
        context.output.data(&summary::render(
            &summary,
            context.output.style(),
            context.output.width(),
            context.output.is_terminal(),
        ));
    }
    Ok(match summary.outcome {
        Outcome::Done => exit_code::DONE,
        Outcome::Partial => exit_code::PARTIAL,
        Outcome::Failed => exit_code::FAILED,
        Outcome::Interrupted => exit_code::INTERRUPTED,
    })
}
