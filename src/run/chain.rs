//! What a destination has of a repository already.

use crate::archive::{Manifest, unpack_document};
use crate::model::{DestinationId, RepoId, SnapshotRecord, Uid};
use crate::secret::PublicKeys;
use crate::state::StateStore;
use crate::store::{Store, StoreError, keys};

use super::TaskError;

/// The end of a chain: the newest manifest, with which the next one begins.
#[derive(Debug, Default)]
pub(super) struct Chain {
    manifest: Option<Manifest>,
    /// The newest snapshot of this plan, if its manifest is stored.
    pub(super) own: Option<SnapshotRecord>,
    /// Why the chain begins anew, if it cannot be continued.
    pub(super) broken: Option<String>,
}

impl Chain {
    /// Looks the chain up in the state, and proves with the destination that it can be continued: what it names is
    /// stored, and whoever can open the next snapshot can open it.
    ///
    /// A broken chain is not an error: the next snapshot begins a new one with everything.
    pub(super) async fn load(
        state: &StateStore,
        (destination, store, keys): (DestinationId, &Store, &PublicKeys),
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
        let broken = if row.broken.is_some() {
            row.broken
        } else if manifest.encrypted_to == keys.names() {
            missing(store, &manifest, &key).await?
        } else {
            Some("what is stored is encrypted to other keys than `encrypt-to` names".to_owned())
        };
        let own = match &broken {
            Some(_) => None,
            None => state.latest_snapshot(plan, destination, server, repository).await?,
        };
        let own = match own {
            Some(own) if own.id != manifest.snapshot => match store.size(&own.key).await {
                Ok(_) => Some(own),
                Err(StoreError::Missing { .. }) => None,
                Err(error) => return Err(error.into()),
            },
            own => own,
        };
        Ok(Self { manifest: Some(manifest), own, broken })
    }

    /// The manifest to continue, if the chain can be continued.
    pub(super) fn last(&self) -> Option<&Manifest> {
        self.manifest.as_ref().filter(|_| self.broken.is_none())
    }

    /// The newest manifest, whether or not its objects can be built upon.
    pub(super) fn before(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
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
