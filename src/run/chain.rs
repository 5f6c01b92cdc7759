//! What a destination has of a repository already.

use crate::archive::{Manifest, unpack_document};
use crate::model::{RepoId, SnapshotRecord, Uid};
use crate::state::StateStore;
use crate::store::{Store, StoreError, keys};

use super::TaskError;
use super::dispatch::DestinationContext;

/// The end of a chain: the newest manifest, with which the next one begins.
#[derive(Debug, Default)]
pub(super) struct Chain {
    manifest: Option<Manifest>,
    /// The newest snapshot of this plan that is not known to be damaged, if its manifest is stored as it was written.
    pub(super) own: Option<SnapshotRecord>,
    /// Why the chain begins anew, if it cannot be continued.
    pub(super) broken: Option<String>,
    /// Why the plan's newest snapshot does not count, if so, though the chain can be continued.
    pub(super) lost: Option<String>,
}

impl Chain {
    /// Looks the chain up in the state, and proves with the destination that it can be continued: its packs are
    /// stored, and whoever can open the next snapshot can open them.
    ///
    /// A broken chain is not an error: the next snapshot begins a new one with everything.
    pub(super) async fn load(
        state: &StateStore,
        destination: &DestinationContext,
        server: Uid,
        repository: RepoId,
        plan: Uid,
    ) -> Result<Self, TaskError> {
        let DestinationContext { id, store, keys: recipients, .. } = destination;
        let Some(row) = state.chain(*id, server, repository).await? else { return Ok(Self::default()) };
        let manifest: Manifest = match unpack_document(&row.body, &keys::manifest(server, repository, row.snapshot)) {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Self { broken: Some(error.to_string()), ..Self::default() }),
        };
        let broken = if row.broken.is_some() {
            row.broken
        } else if manifest.encrypted_to == recipients.names() {
            missing(store, &manifest).await?
        } else {
            Some("what is stored is encrypted to other keys than `encrypt-to` names".to_owned())
        };
        let own = match &broken {
            Some(_) => None,
            None => state.latest_snapshot(plan, *id, server, repository).await?,
        };
        let (own, lost) = match own {
            Some((_, Some(damage))) => (None, Some(damage)),
            Some((own, None)) => match is_stored(store, &own.key, own.manifest_bytes).await? {
                None => (Some(own), None),
                lost => (None, lost),
            },
            None => (None, None),
        };
        Ok(Self { manifest: Some(manifest), own, broken, lost })
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

/// What of the packs that a manifest names is not stored, if anything.
async fn missing(store: &Store, manifest: &Manifest) -> Result<Option<String>, StoreError> {
    for pack in &manifest.git.packs {
        if let Some(why) = is_stored(store, &pack.key, pack.stored_bytes).await? {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Why an object is not stored as it was written, if so, by its size.
async fn is_stored(store: &Store, key: &str, bytes: u64) -> Result<Option<String>, StoreError> {
    match store.size(key).await {
        Ok(found) if found == bytes => Ok(None),
        Ok(found) => Ok(Some(format!("{key} has {found} bytes, {bytes} were stored"))),
        Err(StoreError::Missing { key, .. }) => Ok(Some(format!("{key} is missing"))),
        Err(error) => Err(error),
    }
}
