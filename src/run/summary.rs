//! What a run came to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ledger, TaskReport, TaskResult};
use crate::model::{DestinationName, Generation, PlanName, ProjectSelector, RepoSlug, RunId, ServerName};
use crate::state::DONE;

/// A project, or a pattern of projects, whose repositories could not, or not all, be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectFailure {
    /// The project.
    pub project: ProjectSelector,
    /// The error with its causes, one line each.
    pub error: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Until when no account has budget, if the run had to end while the listing waited for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Timestamp>,
}

/// A destination that could not be used at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationFailure {
    /// The destination.
    pub destination: DestinationName,
    /// The error with its causes, one line each.
    pub error: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A server that was busy or in maintenance for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusyServer {
    /// The server.
    pub server: ServerName,
    /// How often everybody waited.
    pub rests: u64,
    /// Milliseconds in which it served nobody.
    pub waited_millis: u64,
    /// The fewest requests at once that it was given.
    pub lowest: u32,
    /// What it said last.
    pub why: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every repository in scope is backed up.
    Done,
    /// Some are not.
    Partial,
    /// None is.
    Failed,
    /// It was stopped.
    Interrupted,
}

impl Outcome {
    /// The word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => DONE,
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to do.
    Completed,
    /// Somebody asked it to stop.
    Interrupted,
    /// Somebody asked it to begin nothing more.
    Drained,
    /// It took as long as it may.
    OutOfTime,
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// The plan.
    pub plan: PlanName,
    /// The applied generation.
    pub generation: Generation,
    /// The run that it goes on with, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumes: Option<RunId>,
    /// How long it was allowed to take, in milliseconds, if that was limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
    /// Whether it had to end because that time was over, with something left to do.
    #[serde(skip_serializing_if = "is_not")]
    pub out_of_time: bool,
    /// The one repository that it was about, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<RepoSlug>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Sums over the repositories.
    pub totals: Totals,
    /// Projects that could not, or not all, be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub projects_failed: Vec<ProjectFailure>,
    /// Destinations that nothing could be written to, while others took the backups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations_failed: Vec<DestinationFailure>,
    /// Servers that were busy or in maintenance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers_busy: Vec<BusyServer>,
    /// Warnings that concern the whole run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the run cost, all requests included.
    pub ledger: Ledger,
    /// Every repository in scope, by project and slug.
    #[serde(skip)]
    pub tasks: Vec<TaskReport>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_not(out_of_time: &bool) -> bool {
    !*out_of_time
}

impl Summary {
    /// Whether the run had to end while work waited for budget.
    pub fn is_throttled(&self) -> bool {
        self.totals.throttled > 0 || self.projects_failed.iter().any(|failed| failed.throttled_until.is_some())
    }

    /// Adds destinations that failed after the sums were made.
    pub(super) fn add_failures(&mut self, failed: Vec<DestinationFailure>) {
        if !failed.is_empty() && self.outcome == Outcome::Done {
            self.outcome = Outcome::Partial;
        }
        self.destinations_failed.extend(failed);
    }
}

/// Sums over the repositories of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// First backups.
    pub new: u64,
    /// Changed since the last backup.
    pub changed: u64,
    /// Not changed.
    pub unchanged: u64,
    /// Not backed up in at least one destination.
    pub failed: u64,
    /// Those of the failed whose present state another destination holds.
    pub partly: u64,
    /// Under way when the run was stopped.
    pub interrupted: u64,
    /// Waiting for budget when the run had to end.
    pub throttled: u64,
    /// Not begun before the run had to end.
    pub not_reached: u64,
    /// Backed up before by the run that this one goes on with. They count nowhere else.
    pub carried: u64,
    /// Bytes of packs received.
    pub received: u64,
    /// Bytes stored, in all destinations.
    pub stored: u64,
    /// Objects received.
    pub objects: u64,
}

impl Totals {
    /// Sums up.
    pub fn of(tasks: &[TaskReport]) -> Self {
        let mut totals = Self::default();
        for task in tasks {
            totals.add(task);
        }
        totals
    }

    /// Adds one repository.
    pub fn add(&mut self, task: &TaskReport) {
        if task.carried.is_some() {
            self.carried += 1;
            return;
        }
        *self.count_mut(task.result) += 1;
        let held = task.destinations.iter().any(|destination| destination.snapshot.is_some());
        self.partly += u64::from(task.result == TaskResult::Failed && held);
        self.received += task.received;
        self.stored += task.stored;
        self.objects += task.objects;
    }

    pub(super) const fn count_mut(&mut self, result: TaskResult) -> &mut u64 {
        match result {
            TaskResult::New => &mut self.new,
            TaskResult::Changed => &mut self.changed,
            TaskResult::Unchanged => &mut self.unchanged,
            TaskResult::Failed => &mut self.failed,
            TaskResult::Interrupted => &mut self.interrupted,
            TaskResult::Throttled => &mut self.throttled,
            TaskResult::NotReached => &mut self.not_reached,
        }
    }

    /// How a run with these sums ended; `others_failed` counts projects and destinations.
    pub const fn outcome(&self, others_failed: usize, ending: Ending) -> Outcome {
        let good = self.new + self.changed + self.unchanged + self.partly + self.carried;
        let left = self.interrupted + self.throttled + self.not_reached;
        match ending {
            Ending::Interrupted => Outcome::Interrupted,
            Ending::Completed | Ending::Drained | Ending::OutOfTime
                if self.failed == 0 && others_failed == 0 && left == 0 =>
            {
                Outcome::Done
            }
            // What gave up because it would only have waited is done by whoever goes on with the run.
            Ending::Drained if left > 0 || others_failed > 0 => Outcome::Interrupted,
            // What was not reached did not fail.
            Ending::OutOfTime => Outcome::Partial,
            Ending::Completed | Ending::Drained if good > 0 || left > 0 => Outcome::Partial,
            Ending::Completed | Ending::Drained => Outcome::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_follows_from_the_sums() {
        let sums = |new, failed| Totals { new, failed, ..Totals::default() };
        let completed = |totals: Totals, others| totals.outcome(others, Ending::Completed);
        assert_eq!(completed(sums(3, 0), 0), Outcome::Done);
        assert_eq!(completed(sums(0, 0), 0), Outcome::Done);
        assert_eq!(completed(sums(3, 1), 0), Outcome::Partial);
        assert_eq!(completed(sums(3, 0), 1), Outcome::Partial);
        assert_eq!(completed(sums(0, 1), 0), Outcome::Failed);
        assert_eq!(completed(sums(0, 0), 1), Outcome::Failed);
        assert_eq!(sums(3, 1).outcome(0, Ending::Interrupted), Outcome::Interrupted);
        assert_eq!(completed(Totals { failed: 2, partly: 2, ..Totals::default() }, 0), Outcome::Partial);
        assert_eq!(completed(Totals { failed: 2, carried: 2, ..Totals::default() }, 0), Outcome::Partial);
    }

    #[test]
    fn a_drained_run_that_left_something_is_gone_on_with() {
        let drained = |totals: Totals, others| totals.outcome(others, Ending::Drained);
        let left = Totals { new: 3, not_reached: 1, ..Totals::default() };
        assert_eq!(drained(left, 0), Outcome::Interrupted);
        assert_eq!(drained(Totals { throttled: 1, ..Totals::default() }, 0), Outcome::Interrupted);
        assert_eq!(drained(Totals::default(), 1), Outcome::Interrupted, "a project was not listed");
        assert_eq!(drained(Totals { new: 3, ..Totals::default() }, 0), Outcome::Done, "everything had begun");
        assert_eq!(drained(Totals { new: 3, failed: 1, ..Totals::default() }, 0), Outcome::Partial);
        assert_eq!(drained(Totals { failed: 1, ..Totals::default() }, 0), Outcome::Failed);
    }

    #[test]
    fn what_is_left_at_the_deadline_did_not_fail() {
        let out_of_time = |totals: Totals, others| totals.outcome(others, Ending::OutOfTime);
        for left in [
            Totals { throttled: 1, ..Totals::default() },
            Totals { not_reached: 7, ..Totals::default() },
            Totals { interrupted: 1, new: 3, ..Totals::default() },
        ] {
            assert_eq!(out_of_time(left, 0), Outcome::Partial, "{left:?}");
        }
        assert_eq!(out_of_time(Totals::default(), 1), Outcome::Partial, "a project was not listed");
        assert_eq!(out_of_time(Totals { new: 3, ..Totals::default() }, 0), Outcome::Done, "it ended just in time");
    }
}
