//! What a destination has of a repository already.

use std::collections::BTreeMap;

use crate::archive::{Manifest, unpack_document};
use crate::model::{RepoId, SnapshotRecord, Uid};
use crate::state::{HeldRow, StateStore};
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

/// A chain as the state has it, before the destination was asked.
struct Recalled {
    manifest: Manifest,
    own: Option<(SnapshotRecord, Option<String>)>,
    broken: Option<String>,
}

impl Chain {
    /// Looks chains up in the state, and proves with the destination that they can be continued: their packs are
    /// stored, and whoever can open the next snapshot can open them. In the order of `repositories`, with one look at
    /// the state for each server and one at the destination.
    ///
    /// A broken chain is not an error: the next snapshot begins a new one with everything.
    pub(super) async fn load(
        state: &StateStore,
        destination: &DestinationContext,
        plan: Uid,
        repositories: &[(Uid, RepoId)],
    ) -> Result<Vec<Self>, TaskError> {
        let DestinationContext { id, store, keys: recipients, .. } = destination;
        let mut by_server: BTreeMap<Uid, Vec<RepoId>> = BTreeMap::new();
        for (server, repository) in repositories {
            by_server.entry(*server).or_default().push(*repository);
        }
        let mut rows = Vec::with_capacity(repositories.len());
        for (server, of_server) in by_server {
            let mut held = state.held(plan, *id, server, &of_server).await?;
            rows.extend(of_server.into_iter().map(|repository| ((server, repository), held.remove(&repository))));
        }
        // Manifests of many references take their time.
        let recalled = tokio::task::spawn_blocking(move || {
            let recall = |(repository, row): (_, Option<HeldRow>)| (repository, row.map(|row| recall(repository, row)));
            rows.into_iter().map(recall).collect::<Vec<_>>()
        });
        let recalled = recalled.await.expect("reading what the state holds does not panic");
        let expected: Vec<_> = recalled.iter().flat_map(|(_, chain)| chain).flatten().flat_map(expected).collect();
        let mut changed = changed(store, &expected).await?.into_iter();
        let recipients = recipients.names();
        let mut chains: BTreeMap<_, _> = recalled
            .into_iter()
            .map(|(repository, chain)| (repository, Self::judge(chain, &recipients, &mut changed)))
            .collect();
        Ok(repositories.iter().map(|repository| chains.remove(repository).unwrap_or_default()).collect())
    }

    /// What a chain is worth, given for each of its objects, in order, why it is not stored as it was written, if so.
    fn judge(
        recalled: Option<Result<Recalled, String>>,
        recipients: &[String],
        changed: &mut impl Iterator<Item = Option<String>>,
    ) -> Self {
        let Recalled { manifest, own, broken } = match recalled {
            None => return Self::default(),
            Some(Err(broken)) => return Self { broken: Some(broken), ..Self::default() },
            Some(Ok(recalled)) => recalled,
        };
        let packs: Vec<_> = changed.by_ref().take(manifest.git.packs.len()).collect();
        let own_changed = own.as_ref().and_then(|_| changed.next()).flatten();
        let broken = if broken.is_some() {
            broken
        } else if manifest.encrypted_to == recipients {
            packs.into_iter().flatten().next()
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
        Self { manifest: Some(manifest), own, broken, lost }
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

/// Reads what the state holds, or says why it cannot be continued.
fn recall((server, repository): (Uid, RepoId), row: HeldRow) -> Result<Recalled, String> {
    let HeldRow { chain, own } = row;
    let manifest = unpack_document(&chain.body, &keys::manifest(server, repository, chain.snapshot));
    let manifest = manifest.map_err(|error| error.to_string())?;
    Ok(Recalled { manifest, own, broken: chain.broken })
}

/// The objects of a chain with their sizes: its packs, then the plan's own manifest.
fn expected(chain: &Recalled) -> impl Iterator<Item = (&str, u64)> {
    let packs = chain.manifest.git.packs.iter().map(|pack| (pack.key.as_str(), pack.stored_bytes));
    packs.chain(chain.own.iter().map(|(own, _)| (own.key.as_str(), own.manifest_bytes)))
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
