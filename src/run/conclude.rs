//! The end of a run: its sums, and the conditions that follow from what was seen on the way.

use jiff::Timestamp;

use super::dispatch::Context;
use super::error::lines;
use super::{BusyServer, DestinationFailure, Ending, Event, Ledger, ProjectFailure, Summary, TaskReport, Totals};
use crate::model::{ConditionKind, ConditionStatus, RepoSlug, RunId, Transition};

/// What concerns the whole run.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) projects_failed: Vec<ProjectFailure>,
    pub(super) destinations_failed: Vec<DestinationFailure>,
    pub(super) servers_busy: Vec<BusyServer>,
    /// Conditions that began or ended before the run did.
    pub(super) transitions: Vec<Transition>,
    pub(super) warnings: Vec<String>,
    pub(super) ledger: Ledger,
}

impl Whole {
    /// Adds up what the tasks cost.
    pub(super) fn add_up(&mut self, context: &Context, tasks: &[TaskReport]) {
        for task in tasks {
            self.ledger.add(&task.ledger);
        }
        self.ledger.close();
        self.ledger.rested_ms = context.credentials.rests.millis(context.clock.now());
    }

    /// Projects that could not be listed, or not all.
    fn unlisted(&self) -> u64 {
        self.projects_failed.len() as u64
    }

    /// The record of the run.
    pub(super) fn sum_up(
        self,
        context: &Context,
        started: Timestamp,
        (only, resumes): (Option<RepoSlug>, Option<RunId>),
        tasks: Vec<TaskReport>,
    ) -> Summary {
        let totals = Totals::of(&tasks);
        Summary {
            run: context.run,
            plan: context.plan_name.clone(),
            generation: context.generation,
            resumes,
            max_duration_ms: context.max_duration.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            out_of_time: context.deadline.ending() == Ending::OutOfTime
                && totals.interrupted + totals.throttled + totals.not_reached + self.unlisted() > 0,
            only,
            started,
            finished: context.clock.now(),
            outcome: totals
                .outcome(self.projects_failed.len() + self.destinations_failed.len(), context.deadline.ending()),
            totals,
            projects_failed: self.projects_failed,
            destinations_failed: self.destinations_failed,
            servers_busy: self.servers_busy,
            warnings: self.warnings,
            ledger: self.ledger,
            tasks,
        }
    }
}

/// Lets the conditions follow from what was seen on the way. A memory that fails is no reason to lose a run.
pub(super) async fn conclude(context: &Context, whole: &mut Whole) {
    let (now, unfinished) = (context.clock.now(), context.deadline.ending() != Ending::Completed);
    let mut sightings = context.credentials.sightings();
    sightings.extend(context.credentials.budgets(&whole.ledger, unfinished, now));
    match context.state.settle_conditions(&sightings, Some(context.generation), now).await {
        Ok(transitions) => {
            for transition in std::mem::take(&mut whole.transitions).into_iter().chain(transitions) {
                whole.warnings.extend(warning(&transition));
                context.events.emit(&Event::ConditionChanged { transition });
            }
        }
        Err(error) => {
            whole.warnings.push(format!("what was observed is not remembered: {}", lines(&error).join(": ")));
        }
    }
}

/// What the summary says of a condition that began: renames and moves. The others have words of their own there.
fn warning(transition: &Transition) -> Option<String> {
    let Transition { kind, condition, .. } = transition;
    let told = match kind {
        ConditionKind::RepoRenamed
        | ConditionKind::RepoMoved
        | ConditionKind::ProjectRenamed
        | ConditionKind::PermissionLost => condition.status == ConditionStatus::True,
        ConditionKind::CredentialExpiring
        | ConditionKind::CredentialRejected
        | ConditionKind::AccountMismatch
        | ConditionKind::Throttled
        | ConditionKind::ListingSuspect
        | ConditionKind::RepoGone
        | ConditionKind::DestinationForeign
        | ConditionKind::ServerUnreachable
        | ConditionKind::SourceStale
        | ConditionKind::SourceRewound
        | ConditionKind::SourceUnsigned
        | ConditionKind::ExecNotAllowed => false,
    };
    told.then(|| condition.message.clone())
}
