//! Whether a destination is ours and can be written.

use std::path::Path;

use super::Look;
use super::deadline::Deadline;
use super::verdict::chain;
use crate::model::{Destination, DestinationId, DestinationName, DestinationSeen, DestinationState, Lineage, Place};
use crate::state::StateError;
use crate::store::{Access, Store, StoreError};

/// Looks at a destination. Nothing is created, and nothing stays behind.
pub(super) async fn probe(
    look: &Look<'_>,
    name: &DestinationName,
    declared: &Destination,
    deadline: &Deadline<'_>,
) -> Result<(DestinationName, DestinationSeen), StateError> {
    let (bound, ours) = match look.state {
        Some(state) => (state.destination_id(name, &declared.place).await?, Some(state.lineage())),
        None => (None, None),
    };
    let (place, base) = (declared.place.clone(), look.base.to_owned());
    let (sender, answer) = tokio::sync::oneshot::channel();
    // A disk that hangs keeps its thread for ever; this one is left behind when the process ends.
    let begun = std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
        // Who asked may have gone.
        let _asked = sender.send(judge(&place, &base, bound, ours));
    });
    let answered = match begun {
        Ok(_) => deadline.within(answer).await.and_then(Result::ok),
        Err(_) => None,
    };
    let state = answered.unwrap_or_else(|| DestinationState::Unusable {
        why: format!("{} does not answer", declared.place),
        hint: Some("check that the disk or the share behind it responds".to_owned()),
    });
    Ok((name.clone(), DestinationSeen { observed_at: look.clock.now(), state }))
}

/// What a place is good for, given the marker that it was bound to and the lineage of the state.
fn judge(place: &Place, base: &Path, bound: Option<DestinationId>, ours: Option<Lineage>) -> DestinationState {
    let unusable = |error: &StoreError| DestinationState::Unusable { why: chain(error), hint: error.hint() };
    let store = match Store::open(place, base, Access::Write) {
        Ok(store) => store,
        Err(StoreError::Unreachable { source, .. })
            if bound.is_none() && source.kind() == std::io::ErrorKind::NotFound =>
        {
            return DestinationState::New;
        }
        Err(error) => return unusable(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return DestinationState::Unusable { why: chain(&error), hint: None },
    };
    let marker = match runtime.block_on(store.marker()) {
        Ok(marker) => Some(marker),
        Err(StoreError::NoMarker { .. }) if bound.is_none() => None,
        Err(error) => return unusable(&error),
    };
    if let Some(marker) = marker {
        let place = store.place();
        let claim = match (ours, bound) {
            (Some(ours), _) if marker.lineage != ours => marker.check_lineage(place, ours),
            (Some(_), Some(bound)) if marker.destination != bound => {
                Err(StoreError::Exchanged { place: place.to_owned() })
            }
            (Some(_), _) => Ok(()),
            (None, _) => {
                let why = format!("{place} belongs to the lineage {}, and nothing is applied here", marker.lineage);
                let hint = "use the state that made these backups, or a directory of its own".to_owned();
                return DestinationState::Foreign { why, hint: Some(hint) };
            }
        };
        if let Err(error) = claim {
            return DestinationState::Foreign { why: chain(&error), hint: error.hint() };
        }
    }
    match store.probe_write() {
        Ok(()) if marker.is_some() => DestinationState::Ready,
        Ok(()) => DestinationState::New,
        Err(error) => unusable(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::store::prepare;

    fn place(path: &str) -> Place {
        Place::Local { path: path.to_owned() }
    }

    #[test]
    fn a_place_is_new_ready_foreign_or_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let (ours, theirs) = (Lineage::from_parts(1, 1), Lineage::from_parts(2, 2));
        let judged = |bound, lineage| judge(&place("nas"), base, bound, lineage);
        assert_eq!(judged(None, Some(ours)), DestinationState::New);
        assert!(!base.join("nas").exists(), "looking makes nothing");
        let id = DestinationId::from_parts(1, 1);
        assert!(matches!(judged(Some(id), Some(ours)), DestinationState::Unusable { .. }), "it was there");
        std::fs::create_dir(base.join("nas")).unwrap();
        assert_eq!(judged(None, Some(ours)), DestinationState::New);
        assert!(matches!(judged(Some(id), Some(ours)), DestinationState::Unusable { .. }), "the disk is not mounted");

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let marker = runtime.block_on(prepare(&place("nas"), base, ours, &SystemClock)).unwrap();
        let bound = Some(marker.destination);
        for (bound, lineage) in [(bound, Some(theirs)), (None, Some(theirs)), (Some(id), Some(ours)), (None, None)] {
            let judged = judged(bound, lineage);
            assert!(matches!(judged, DestinationState::Foreign { .. }), "{judged:?}");
        }
        assert_eq!(judged(bound, Some(ours)), DestinationState::Ready);
        assert_eq!(judged(None, Some(ours)), DestinationState::Ready, "made by an apply that did not end");
        assert_eq!(std::fs::read_dir(base.join("nas")).unwrap().count(), 1, "nothing but the marker");
        std::fs::write(base.join("nas/xopero.json"), "x").unwrap();
        assert!(matches!(judged(bound, Some(ours)), DestinationState::Unusable { .. }));
    }
}
