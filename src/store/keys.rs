//! The key of every object below a destination. Ids and hashes only: no name from a server becomes a path.
//!
//! ```text
//! xopero.json
//! servers/<server-uid>/repos/<repo-id>/packs/<pack-id>.pack.age
//! servers/<server-uid>/repos/<repo-id>/snapshots/<snapshot-id>.json.zst.age
//! runs/<run-id>.json.zst.age
//! ```

use crate::model::{PackId, RepoId, RunId, SnapshotId, Uid};

/// The marker.
pub const MARKER: &str = "xopero.json";

/// The prefix below which everything of the backed-up servers lies.
pub const SERVERS: &str = "servers";

/// The ending of a manifest's key.
pub const MANIFEST_ENDING: &str = ".json.zst.age";

/// The prefix of everything that belongs to one repository.
pub fn repository(server: Uid, repository: RepoId) -> String {
    format!("{SERVERS}/{server}/repos/{repository}")
}

/// A pack.
pub fn pack(server: Uid, repo: RepoId, pack: PackId) -> String {
    format!("{}/packs/{pack}.pack.age", repository(server, repo))
}

/// A manifest.
pub fn manifest(server: Uid, repo: RepoId, snapshot: SnapshotId) -> String {
    format!("{}/snapshots/{snapshot}{MANIFEST_ENDING}", repository(server, repo))
}

/// The snapshot that a key is the manifest of.
pub fn manifest_id(key: &str) -> Option<SnapshotId> {
    let (directory, name) = key.rsplit_once('/')?;
    if !directory.ends_with("/snapshots") {
        return None;
    }
    name.strip_suffix(MANIFEST_ENDING)?.parse().ok()
}

/// The repository that a key belongs to.
pub fn repository_of(key: &str) -> Option<(Uid, RepoId)> {
    let (server, rest) = key.strip_prefix(SERVERS)?.strip_prefix('/')?.split_once("/repos/")?;
    let (repository, _) = rest.split_once('/')?;
    Some((server.parse().ok()?, RepoId(repository.parse().ok()?)))
}

/// The run that a key is the report of.
pub fn run_of(key: &str) -> Option<RunId> {
    key.strip_prefix("runs/")?.split_once('.')?.0.parse().ok()
}

/// The report of a run.
pub fn report(run: RunId) -> String {
    format!("runs/{run}{MANIFEST_ENDING}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_key_tells_its_snapshot() {
        let (server, snapshot) = (Uid::from_parts(1, 2), SnapshotId::from_parts(3, 4));
        let key = manifest(server, RepoId(812), snapshot);
        assert_eq!(manifest_id(&key), Some(snapshot));
        assert_eq!(manifest_id(&report(RunId::from_parts(3, 4))), None);
        assert_eq!(manifest_id(&format!("{key}#1")), None);
    }
}
