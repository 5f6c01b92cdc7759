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
        let own = state.latest_snapshot(plan, *id, server, repository).await?;
        let mut expected: Vec<(&str, u64)> =
            manifest.git.packs.iter().map(|pack| (pack.key.as_str(), pack.stored_bytes)).collect();
        let packs = expected.len();
        expected.extend(own.iter().map(|(own, _)| (own.key.as_str(), own.manifest_bytes)));
        let mut changed = changed(store, &expected).await?;
        let own_changed = changed.split_off(packs).into_iter().flatten().next();
        let broken = if row.broken.is_some() {
            row.broken
        } else if manifest.encrypted_to == recipients.names() {
            changed.into_iter().flatten().next()
        } else {
            Some("what is stored is encrypted to other keys than `encrypt-to` names".to_owned())
        };
        let (own, lost) = match own {
            Some(_) if broken.is_some() => (None, None),
            Some((_, Some(damage))) => (None, Some(damage)),
            Some((own, None)) if own_changed.is_none() => (Some(own), None),
            Some((_, None)) => (None, own_changed),
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

/// For each object, in order, why it is not stored as it was written, if so, by its size.
async fn changed(store: &Store, expected: &[(&str, u64)]) -> Result<Vec<Option<String>>, StoreError> {
    let found = store.sizes(expected.iter().map(|(key, _)| (*key).to_owned()).collect()).await?;
    let why = |((key, bytes), found): (&(&str, u64), Option<u64>)| match found {
        Some(found) if found == *bytes => None,
        Some(found) => Some(format!("{key} has {found} bytes, {bytes} were stored")),
        None => Some(format!("{key} is missing")),
    };
    Ok(expected.iter().zip(found).map(why).collect())
}
