//! What is remembered of a server's repositories, and which listings are trusted.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::dispatch::Servers;
use crate::model::{ListedRepository, ProjectKey, Remembered, RepoId, Uid};
use crate::state::{StateError, StateStore};

/// What is remembered of one server.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Every repository that was ever on a trusted listing, as it was last.
    pub(super) known: BTreeMap<RepoId, Remembered>,
    /// When each project had its last trusted listing.
    listed: BTreeMap<ProjectKey, Timestamp>,
}

impl Memory {
    /// Recalls what is known of the servers of a run.
    pub(super) async fn load(state: &StateStore, servers: &Servers) -> Result<BTreeMap<Uid, Self>, StateError> {
        let mut memories = BTreeMap::new();
        for server in servers.values() {
            let (known, listed) = (state.remembered(server.uid).await?, state.listed_at(server.uid).await?);
            memories.insert(server.uid, Self { known, listed });
        }
        Ok(memories)
    }

    /// Whether a repository is on the last trusted listing of a project.
    pub(super) fn is_on_trusted(&self, project: &ProjectKey, known: &Remembered) -> bool {
        // Listings are told apart by the millisecond, as the state keeps them.
        let then = |at: &Timestamp| known.seen_at.as_millisecond() == at.as_millisecond();
        known.listed_in == *project && self.listed.get(project).is_some_and(then)
    }

    /// The projects that were ever listed.
    pub(super) fn projects(&self) -> impl Iterator<Item = &ProjectKey> {
        self.listed.keys()
    }

    /// The last trusted listing of a project, with its time; `None` if there is none.
    pub(super) fn trusted(&self, project: &ProjectKey) -> Option<(Timestamp, BTreeMap<RepoId, &ListedRepository>)> {
        let at = *self.listed.get(project)?;
        let on_it = self.known.iter().filter(|(_, known)| self.is_on_trusted(project, known));
        Some((at, on_it.map(|(id, known)| (*id, &known.last)).collect()))
    }
}
