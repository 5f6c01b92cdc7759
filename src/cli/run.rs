//! `xopero run`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::interrupt::Interrupt;
use super::{CliError, Context, env, exit_code};
use crate::archive::sweep_scratch;
use crate::clock::{Clock, SystemClock};
use crate::daemon::Overhearing;
use crate::http::Tally;
use crate::model::{PlanName, ProjectKey, RepoSlug, RunId};
use crate::run::resume::{Found, find};
use crate::run::{Event, EventSink, Execution, Outcome, Turnstile, execute};
use crate::source::{SOURCE_LIMIT, read_file};
use crate::state::Exclusive;
use crate::ui::{EventLines, Progress, Stream, summary};

/// Take the backups of a plan, as it is applied
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan, by its name
    pub plan: PlanName,
    #[command(flatten)]
    pub trust: super::alert::TrustArgs,
    /// Only this repository
    #[arg(long, value_name = "SLUG")]
    pub repository: Option<RepoSlug>,
    /// Believe that what this project no longer lists was removed on purpose; may be repeated
    #[arg(long, value_name = "PROJECT")]
    pub accept_listing: Vec<ProjectKey>,
    /// End after so long, in place of what the plan says: 90s, 30m, 4h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub max_duration: Option<Duration>,
    /// Go on with the last run, or with this one: what it backed up is not asked for again
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = LATEST, conflicts_with = "repository")]
    pub resume: Option<String>,
}

/// The word for the last run of the plan.
const LATEST: &str = "latest";

/// Runs the command.
pub async fn run(context: &Context, arguments: &RunArgs) -> Result<u8, CliError> {
    let state = context.existing_state().await?;
    let lock = context.lock(Exclusive::Runs, &format!("run {}", arguments.plan), Duration::ZERO).await?;
    state.publish_under(&lock);
    state.abandon_running(context.clock.now()).await?;
    sweep_scratch(&env::temporary());
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
    let resumes = match &arguments.resume {
        None => None,
        Some(text) => {
            let wanted = Some(text.as_str()).filter(|text| *text != LATEST);
            match find(&state, &applied, &arguments.plan, wanted, context.clock.now()).await? {
                Found::Run(run) => Some(run),
                Found::Nothing { run, started } => return Ok(nothing_left(context, &arguments.plan, run, started)),
            }
        }
    };
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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let under = Arc::new(state);
    let alerter = arguments.trust.alerter(context, &under, &clock);
    let identities = context.identities();
    let execution = |identities| Execution {
        applied,
        plan: arguments.plan.clone(),
        only: arguments.repository.clone(),
        accepted: arguments.accept_listing.iter().cloned().collect(),
        resumes,
        scheduled: None,
        max_duration: arguments.max_duration,
        hours: None,
        base: context.base(),
        proxies: env::proxies(),
        tally: Tally::default(),
        state: Arc::clone(&under),
        identities,
        turnstile: Turnstile::new(Arc::clone(&clock)),
        clock,
        events,
        closing: CancellationToken::new(),
        stop: interrupt.token.clone(),
    };
    lock.cancel_if_lost(interrupt.token.clone());
    let overhearing =
        Overhearing { heard: Arc::clone(&alerter.heard), options: context.place_words(), clock: Arc::new(SystemClock) };
    let running = Box::pin(async {
        // Nobody looks on when a timer begins runs: what keeps one from beginning is told like what breaks it off.
        let ended = match identities {
            Ok(identities) => execute(execution(identities)).await.map_err(CliError::from),
            Err(error) => Err(error),
        };
        match &ended {
            Ok(_summary) => overhearing.run_begun(&arguments.plan),
            Err(error) => overhearing.run_failed(&arguments.plan, error.lines(), error.hint()),
        }
        ended
    });
    let summary = alerter.during(running).await?;
    let lost = lock.loss(&under).await;
    drop(lock);
    if !context.output.is_json() {
        context.output.data(&summary::render(
            &summary,
            &context.place_words(),
            context.output.style(),
            context.output.width(),
            context.output.is_terminal(),
        ));
    }
    if let Some(error) = lost {
        return Err(error.into());
    }
    Ok(ended(summary.outcome, summary.is_throttled()))
}

/// The exit code of a run. `throttled` is whether it had to end while work waited for budget.
const fn ended(outcome: Outcome, throttled: bool) -> u8 {
    match outcome {
        Outcome::Done => exit_code::DONE,
        Outcome::Partial if throttled => exit_code::THROTTLED,
        Outcome::Partial => exit_code::PARTIAL,
        Outcome::Failed => exit_code::FAILED,
        Outcome::Interrupted => exit_code::INTERRUPTED,
    }
}

/// Says that the last run did everything.
fn nothing_left(context: &Context, plan: &PlanName, run: RunId, started: Timestamp) -> u8 {
    context.output.begin_json();
    if context.output.is_json() {
        context.output.json(&serde_json::json!({ "type": "nothing_to_resume", "run": run, "started": started }));
    }
    context.output.say(&format!("nothing to resume: run {run} of {started:.0} did all of {plan}"));
    exit_code::DONE
}

/// A duration of the command line: a number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit: 90s, 30m or 4h".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(factor).filter(|seconds| (1..=LONGEST).contains(seconds)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// Whoever lets a run take longer than this, in seconds, means no limit.
const LONGEST: u64 = 365 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_waits_for_budget_has_a_code_of_its_own() {
        assert_eq!(ended(Outcome::Partial, true), exit_code::THROTTLED);
        assert_eq!(ended(Outcome::Partial, false), exit_code::PARTIAL);
        assert_eq!(ended(Outcome::Interrupted, true), exit_code::INTERRUPTED);
        assert_eq!(ended(Outcome::Done, false), exit_code::DONE);
    }

    #[test]
    fn durations_are_numbers_with_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("4h"), Ok(Duration::from_hours(4)));
        for wrong in ["", "4", "h", "0s", "-1h", "1.5h", "99999999999999999999s", "500d", "4 h", "1\u{fc}"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
