//! Making destinations ready, so that a declaration which comes into force can be run.

use std::collections::BTreeMap;
use std::path::Path;

use super::ReconcileError;
use crate::clock::Clock;
use crate::model::{Declaration, DestinationId, DestinationName, Lineage, Place};
use crate::state::StateStore;
use crate::store::{Access, Store, StoreError, prepare};

/// Makes destinations ready that are new, and remembers who they are.
///
/// One that is bound already is not prepared again, so that a disk which is not mounted is never mistaken for a new
/// destination: the run demands it. But one that turns out to be somebody else's is refused at once. Gives those that
/// turned out to be ours.
pub(super) async fn bind_destinations(
    store: &StateStore,
    declaration: &Declaration,
    base: &Path,
    clock: &dyn Clock,
) -> Result<Vec<DestinationName>, ReconcileError> {
    let mut taken: BTreeMap<DestinationId, &DestinationName> = BTreeMap::new();
    let mut ours = Vec::new();
    for (name, destination) in &declaration.destinations {
        let (id, proven) = if let Some(bound) = store.destination_id(name, &destination.place).await? {
            (bound, is_ours(&destination.place, base, bound, store.lineage()).await?)
        } else {
            (prepare(&destination.place, base, store.lineage(), clock).await?.destination, true)
        };
        ours.extend(proven.then(|| name.clone()));
        if let Some(other) = taken.insert(id, name) {
            return Err(ReconcileError::SamePlace { one: other.clone(), other: name.clone() });
        }
        store.bind_destination(name, &destination.place, id).await?;
    }
    Ok(ours)
}

/// Refuses a bound destination whose marker is another one. One that cannot be looked at is left to the run: nobody
/// knows whose it is.
async fn is_ours(place: &Place, base: &Path, bound: DestinationId, lineage: Lineage) -> Result<bool, ReconcileError> {
    let Ok(opened) = Store::open(place, base, Access::Write) else { return Ok(false) };
    match opened.demand(bound, lineage).await {
        Err(error @ (StoreError::Foreign { .. } | StoreError::Exchanged { .. })) => Err(error.into()),
        looked => Ok(looked.is_ok()),
    }
}
