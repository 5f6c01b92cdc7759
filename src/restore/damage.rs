//! What follows from damage that was found: nothing is built upon it.

use crate::archive::{ArchiveError, Manifest, unpack_document};
use crate::state::StateStore;
use crate::store::{Store, keys};

use super::RestoreError;

/// Records that a snapshot is damaged. If the chain that the next run would continue holds the same packs, the chain is
/// marked as well, and the next run takes everything of the repository anew: tells whether it does.
pub async fn record_damage(state: &StateStore, store: &Store, manifest: &Manifest) -> Result<bool, RestoreError> {
    let why = format!("verifying snapshot {} found damage", manifest.snapshot);
    state.mark_damaged(manifest.snapshot, &why).await?;
    let (server, repository) = (manifest.server.uid, manifest.repository.id);
    let destination = store.marker().await.map_err(ArchiveError::from)?.destination;
    let Some(row) = state.chain(destination, server, repository).await? else { return Ok(false) };
    let end: Manifest = unpack_document(&row.body, &keys::manifest(server, repository, row.snapshot))?;
    if end.chain() != manifest.chain() {
        return Ok(false);
    }
    Ok(state.break_chain(destination, server, repository, &why).await?)
}
