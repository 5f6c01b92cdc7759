//! How a task ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ledger, TaskName};
use crate::model::{DestinationName, RepoId, RunId, SnapshotId};

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskResult {
    /// The first backup of this repository in one of the destinations.
    New,
    /// References or objects changed since the last backup.
    Changed,
    /// The last backup still says what the server says.
    Unchanged,
    /// There is no backup of the repository's present state in at least one destination.
    Failed,
    /// It was under way when the run was stopped.
    Interrupted,
    /// It waited for budget when the run had to end.
    Throttled,
    /// It was not begun before the run had to end.
    NotReached,
}

impl TaskResult {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::New, Self::Changed, Self::Unchanged, Self::Failed, Self::Interrupted, Self::Throttled, Self::NotReached];

    /// Whether the repository is backed up: a run that goes on need not ask for it again.
    pub const fn is_good(self) -> bool {
        match self {
            Self::New | Self::Changed | Self::Unchanged => true,
            Self::Failed | Self::Interrupted | Self::Throttled | Self::NotReached => false,
        }
    }

    /// Whether the task is over for its run. What had to stop before can be done by another worker.
    pub(super) const fn is_final(self) -> bool {
        match self {
            Self::New | Self::Changed | Self::Unchanged | Self::Failed => true,
            Self::Interrupted | Self::Throttled | Self::NotReached => false,
        }
    }

    /// The word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Throttled => "throttled",
            Self::NotReached => "not-reached",
        }
    }
}

/// One repository of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Which repository, for people.
    #[serde(flatten)]
    pub name: TaskName,
    /// Which repository.
    pub repository: RepoId,
    /// How it ended.
    pub result: TaskResult,
    /// The run that took this backup, if not this one but one that it goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried: Option<RunId>,
    /// Until when no account has budget, if that is why it is not backed up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Timestamp>,
    /// Why it failed: the error with its causes, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Per destination, what holds.
    pub destinations: Vec<DestinationResult>,
    /// References of the repository.
    pub references: u64,
    /// Objects received.
    pub objects: u64,
    /// Bytes of packs received.
    pub received: u64,
    /// Bytes stored, in all destinations.
    pub stored: u64,
    /// `v2`, `v1` or `v0`, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Why the new snapshot is not trusted to replace the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<String>,
    /// Things that went differently from the plan, without harm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What it cost.
    pub ledger: Ledger,
}

/// What one destination holds of a repository after its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationResult {
    /// The destination.
    pub destination: DestinationName,
    /// The snapshot that says what the server says.
    pub snapshot: Option<SnapshotId>,
    /// Whether it was made by this run.
    pub written: bool,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
