//! What the state remembers of a snapshot: enough to list it without opening its manifest.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{DestinationId, RunId, SnapshotId, Uid};
use super::names::{DestinationName, PlanName, ProjectKey, RepoId, RepoSlug};

/// One row of the snapshot catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// Its identity.
    pub id: SnapshotId,
    /// The run that made it.
    pub run: RunId,
    /// The plan it belongs to.
    pub plan: Uid,
    /// The plan's name at that time.
    pub plan_name: PlanName,
    /// The destination that holds it.
    pub destination: DestinationId,
    /// The destination's name at that time.
    pub destination_name: DestinationName,
    /// The server it was taken from.
    pub server: Uid,
    /// The repository.
    pub repository: RepoId,
    /// The project's key at that time.
    pub project: ProjectKey,
    /// The repository's slug at that time.
    pub slug: RepoSlug,
    /// When it was taken.
    pub created: Timestamp,
    /// Number of references.
    pub references: u64,
    /// Number of packs, old and new.
    pub packs: u64,
    /// Stored bytes of all its packs.
    pub bytes: u64,
    /// Why it is not trusted to replace the one before: the source was empty or shrunken.
    pub suspect: Option<String>,
    /// Digest of what the manifest says, without what differs from snapshot to snapshot of equal content.
    pub content: String,
    /// The manifest's key below the destination.
    pub key: String,
    /// Bytes of the stored manifest.
    pub manifest_bytes: u64,
}
