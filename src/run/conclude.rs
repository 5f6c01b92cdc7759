//! The end of a run: its sums, and the conditions that follow from what was seen on the way.

use jiff::Timestamp;

use super::dispatch::Context;
use super::error::lines;
use super::{DestinationFailure, Event, Ledger, ProjectFailure, Summary, TaskReport, Totals};
use crate::model::{ConditionKind, ConditionStatus, RepoSlug, Transition};

/// What concerns the whole run.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) projects_failed: Vec<ProjectFailure>,
    pub(super) destinations_failed: Vec<DestinationFailure>,
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
        self.ledger.rested_ms = context.credentials.rests().millis(context.clock.now());
    }

    /// The record of the run.
    pub(super) fn sum_up(
        self,
        context: &Context,
        started: Timestamp,
        only: Option<RepoSlug>,
        tasks: Vec<TaskReport>,
    ) -> Summary {
        let totals = Totals::of(&tasks);
        Summary {
            run: context.run,
            plan: context.plan_name.clone(),
            generation: context.generation,
            only,
            started,
            finished: context.clock.now(),
            outcome: totals
                .outcome(self.projects_failed.len() + self.destinations_failed.len(), context.stop.is_cancelled()),
            totals,
            projects_failed: self.projects_failed,
            destinations_failed: self.destinations_failed,
            warnings: self.warnings,
            ledger: self.ledger,
            tasks,
        }
    }
}

/// Lets the conditions follow from what was seen on the way. A memory that fails is no reason to lose a run.
pub(super) async fn conclude(context: &Context, whole: &mut Whole) {
    let (now, unfinished) = (context.clock.now(), context.stop.is_cancelled());
    let mut sightings = context.credentials.sightings();
    sightings.extend(context.credentials.budgets(&whole.ledger, unfinished, now));
    match context.state.settle_conditions(&sightings, Some(context.generation), now).await {
        Ok(transitions) => {
            for transition in transitions {
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
        | ConditionKind::RepoGone
        | ConditionKind::DestinationForeign
        | ConditionKind::ServerUnreachable => false,
    };
    told.then(|| condition.message.clone())
}
