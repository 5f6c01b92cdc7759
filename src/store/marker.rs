//! The marker at the root of a destination: its format, its identity, and whose it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Access, Store, StoreError, keys};
use crate::clock::Clock;
use crate::crash::{self, CrashPoint};
use crate::model::{DestinationId, Lineage, Place};

/// The newest format that this version reads and writes.
pub const FORMAT: u32 = 1;

/// The largest marker that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// What `xopero.json` holds. It is public: no secret, no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The version of the layout and of the documents.
    pub format: u32,
    /// The destination's own identity.
    pub destination: DestinationId,
    /// The applied state that writes to it.
    pub lineage: Lineage,
    /// When it was made.
    pub created: Timestamp,
}

/// The one field that every version of the marker has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Marker {
    /// Refuses a destination of another lineage.
    pub fn check_lineage(&self, place: &str, ours: Lineage) -> Result<(), StoreError> {
        if self.lineage == ours {
            Ok(())
        } else {
            Err(StoreError::Foreign { place: place.to_owned(), theirs: self.lineage, ours })
        }
    }
}

/// Makes a place ready to be written by `lineage`: creates the directory and the marker where they are missing.
///
/// A marker that is there stays as it is. One of another lineage is [`StoreError::Foreign`].
pub async fn prepare(
    place: &Place,
    base: &std::path::Path,
    lineage: Lineage,
    clock: &dyn Clock,
) -> Result<Marker, StoreError> {
    let store = Store::open(place, base, Access::Prepare)?;
    let marker = match store.marker().await {
        Ok(marker) => marker,
        Err(StoreError::NoMarker { .. }) => {
            let marker =
                Marker { format: FORMAT, destination: DestinationId::mint(clock), lineage, created: clock.now() };
            let mut text = serde_json::to_vec_pretty(&marker).expect("a marker is plain data");
            text.push(b'\n');
            crash::point(CrashPoint::MarkerDue);
            match store.put_new(keys::MARKER, text.into()).await {
                Ok(()) => marker,
                Err(StoreError::Exists { .. }) => store.marker().await?,
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    };
    crash::point(CrashPoint::MarkerStored);
    marker.check_lineage(store.place(), lineage)?;
    Ok(marker)
}

impl Store {
    /// Reads the marker.
    pub async fn marker(&self) -> Result<Marker, StoreError> {
        let text = self.read(keys::MARKER, LARGEST).await.map_err(|error| match error {
            StoreError::Missing { place, .. } => StoreError::NoMarker { place },
            other => other,
        })?;
        let bad = |source| StoreError::BadMarker { place: self.place().to_owned(), source };
        let Format { format } = serde_json::from_slice(&text).map_err(bad)?;
        if format > FORMAT {
            return Err(StoreError::NewerFormat { place: self.place().to_owned(), found: format, supported: FORMAT });
        }
        serde_json::from_slice(&text).map_err(bad)
    }

    /// Reads the marker and demands that it is the one bound to `destination`, of our `lineage`.
    pub async fn demand(&self, destination: DestinationId, lineage: Lineage) -> Result<Marker, StoreError> {
        let marker = self.marker().await?;
        marker.check_lineage(self.place(), lineage)?;
        if marker.destination == destination {
            Ok(marker)
        } else {
            Err(StoreError::Exchanged { place: self.place().to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn local(path: &std::path::Path) -> Place {
        Place::Local { path: path.to_str().unwrap().to_owned() }
    }

    #[tokio::test]
    async fn preparing_twice_keeps_the_identity() {
        let folder = tempfile::tempdir().unwrap();
        let place = local(&folder.path().join("nas"));
        let ours = Lineage::from_parts(1, 1);
        let first = prepare(&place, folder.path(), ours, &SystemClock).await.unwrap();
        let second = prepare(&place, folder.path(), ours, &SystemClock).await.unwrap();
        assert_eq!(first, second);
        let other = prepare(&place, folder.path(), Lineage::from_parts(1, 2), &SystemClock).await;
        assert!(matches!(other, Err(StoreError::Foreign { .. })), "{other:?}");
    }

    #[tokio::test]
    async fn an_unmounted_destination_is_not_a_fresh_start() {
        let folder = tempfile::tempdir().unwrap();
        let place = local(folder.path());
        let store = Store::open(&place, folder.path(), Access::Write).unwrap();
        let demanded = store.demand(DestinationId::from_parts(1, 1), Lineage::from_parts(1, 1)).await;
        assert!(matches!(demanded, Err(StoreError::NoMarker { .. })), "{demanded:?}");
    }

    #[tokio::test]
    async fn a_newer_format_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("xopero.json"), r#"{"format":2,"shape":"other"}"#).unwrap();
        let store = Store::open(&local(folder.path()), folder.path(), Access::Read).unwrap();
        assert!(matches!(store.marker().await, Err(StoreError::NewerFormat { found: 2, .. })));
    }
}
