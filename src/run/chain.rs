//! What a destination has of a repository already.

use crate::archive::{Manifest, unpack_document};
use crate::model::{DestinationId, RepoId, SnapshotId, Uid};
use crate::state::StateStore;
use crate::store::{Store, StoreError, keys};

use super::TaskError;

/// The end of a chain: the newest manifest, with which the next one begins.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The newest manifest of any plan, if everything that it names is stored.
    pub(super) last: Option<Manifest>,
    /// The newest snapshot of this plan.
    pub(super) own: Option<SnapshotId>,
    /// Why the chain begins anew, if it was broken.
    pub(super) broken: Option<String>,
}

impl Chain {
    /// Looks the chain up in the state, and proves with the destination that its objects are stored.
    ///
    /// A broken chain is not an error: the next snapshot begins a new one with everything.
    pub(super) async fn load(
        state: &StateStore,
        store: &Store,
        destination: DestinationId,
        server: Uid,
        repository: RepoId,
        plan: Uid,
    ) -> Result<Self, TaskError> {
        let Some(row) = state.chain(destination, server, repository).await? else { return Ok(Self::default()) };
        let key = keys::manifest(server, repository, row.snapshot);
        let manifest: Manifest = match unpack_document(&row.body, &key) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Self { broken: Some(error.to_string()), ..Self::default() }),
        };
        match missing(store, &manifest, &key).await {
            Ok(None) => {
                let own = state.latest_snapshot(plan, destination, server, repository).await?;
                Ok(Self { last: Some(manifest), own: own.map(|record| record.id), broken: None })
            }
            Ok(Some(why)) => Ok(Self { broken: Some(why), ..Self::default() }),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a manifest names that is not stored, if anything.
async fn missing(store: &Store, manifest: &Manifest, key: &str) -> Result<Option<String>, StoreError> {
    let expected = manifest.git.packs.iter().map(|pack| (pack.key.as_str(), Some(pack.stored_bytes)));
    for (key, bytes) in std::iter::once((key, None)).chain(expected) {
        match store.size(key).await {
            Ok(found) if bytes.is_none_or(|bytes| bytes == found) => {}
            Ok(found) => return Ok(Some(format!("{key} has {found} bytes, {} were stored", bytes.unwrap_or(0)))),
            Err(StoreError::Missing { key, .. }) => return Ok(Some(format!("{key} is missing"))),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
