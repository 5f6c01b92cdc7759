//! What follows from a verification: it is remembered, and nothing is built upon what is damaged.

use jiff::Timestamp;

use crate::archive::{ArchiveError, Manifest, unpack_document};
use crate::model::DestinationId;
use crate::state::StateStore;
use crate::store::{Store, keys};

use super::RestoreError;

/// Records what a verification came to. If the snapshot is damaged and the chain that the next run would continue holds
/// the same packs, the chain is marked as well, and the next run takes everything of the repository anew: tells whether
/// it does.
pub async fn record_verification(
    state: &StateStore,
    store: &Store,
    manifest: &Manifest,
    whole: bool,
    at: Timestamp,
) -> Result<bool, RestoreError> {
    if !whole {
        state.mark_damaged(manifest.snapshot, &why(manifest)).await?;
    }
    let destination = store.marker().await.map_err(ArchiveError::from)?.destination;
    let begins_anew = if whole { false } else { break_chain(state, destination, manifest).await? };
    state.record_verification(manifest.plan.uid, destination, whole, at).await?;
    Ok(begins_anew)
}

fn why(manifest: &Manifest) -> String {
    format!("verifying snapshot {} found damage", manifest.snapshot)
}

async fn break_chain(
    state: &StateStore,
    destination: DestinationId,
    manifest: &Manifest,
) -> Result<bool, RestoreError> {
    let (server, repository) = (manifest.server.uid, manifest.repository.id);
    let Some(row) = state.chain(destination, server, repository).await? else { return Ok(false) };
    let end: Manifest = unpack_document(&row.body, &keys::manifest(server, repository, row.snapshot))?;
    if end.chain() != manifest.chain() {
        return Ok(false);
    }
    Ok(state.break_chain(destination, server, repository, &why(manifest)).await?)
}
