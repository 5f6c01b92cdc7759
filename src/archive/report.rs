//! The report of a run: for every repository the snapshot that holds, also if nothing changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{PlanEntry, ToolEntry};
use crate::model::{Generation, ProjectKey, RepoId, RepoSlug, RunId, SnapshotId};

/// One execution of a backup plan, as one destination keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this document.
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// The applied generation.
    pub generation: Generation,
    /// The plan.
    pub plan: PlanEntry,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// `done`, `partial`, `failed` or `interrupted`.
    pub outcome: String,
    /// Every repository that was in scope, by project and slug.
    pub repositories: Vec<ReportedRepository>,
    /// What wrote it.
    pub tool: ToolEntry,
}

/// One repository in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRepository {
    /// Bitbucket's number of it.
    pub id: RepoId,
    /// Its project's key.
    pub project: ProjectKey,
    /// Its slug.
    pub slug: RepoSlug,
    /// `new`, `changed`, `unchanged`, `failed` or `interrupted`.
    pub result: String,
    /// The snapshot that holds in this destination, new or old.
    pub snapshot: Option<SnapshotId>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
