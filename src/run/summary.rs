//! What a run came to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ledger, TaskReport, TaskResult};
use crate::model::{DestinationName, Generation, PlanName, ProjectSelector, RepoSlug, RunId};
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

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// The plan.
    pub plan: PlanName,
    /// The applied generation.
    pub generation: Generation,
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
    /// Warnings that concern the whole run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the run cost, all requests included.
    pub ledger: Ledger,
    /// Every repository in scope, by project and slug.
    #[serde(skip)]
    pub tasks: Vec<TaskReport>,
}

impl Summary {
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
    /// Not reached before the run was stopped.
    pub interrupted: u64,
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
        }
    }

    /// How a run with these sums ended; `others_failed` counts projects and destinations.
    pub const fn outcome(&self, others_failed: usize, interrupted: bool) -> Outcome {
        let good = self.new + self.changed + self.unchanged + self.partly;
        if interrupted || self.interrupted > 0 {
            Outcome::Interrupted
        } else if self.failed == 0 && others_failed == 0 {
            Outcome::Done
        } else if good > 0 {
            Outcome::Partial
        } else {
            Outcome::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_follows_from_the_sums() {
        let sums = |new, failed| Totals { new, failed, ..Totals::default() };
        assert_eq!(sums(3, 0).outcome(0, false), Outcome::Done);
        assert_eq!(sums(0, 0).outcome(0, false), Outcome::Done);
        assert_eq!(sums(3, 1).outcome(0, false), Outcome::Partial);
        assert_eq!(sums(3, 0).outcome(1, false), Outcome::Partial);
        assert_eq!(sums(0, 1).outcome(0, false), Outcome::Failed);
        assert_eq!(sums(0, 0).outcome(1, false), Outcome::Failed);
        assert_eq!(sums(3, 1).outcome(0, true), Outcome::Interrupted);
        let elsewhere = Totals { failed: 2, partly: 2, ..Totals::default() };
        assert_eq!(elsewhere.outcome(0, false), Outcome::Partial);
    }
}
