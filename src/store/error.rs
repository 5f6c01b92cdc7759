//! What can go wrong at a destination.

use std::io;

use super::failures::{self, Attempt, Class};
use super::keys;
use crate::model::Lineage;

/// A failure at a destination. `place` is its address as people know it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory of a local destination cannot be used.
    #[error("cannot use the destination {place}")]
    Unreachable {
        /// The destination.
        place: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Nothing can be written there.
    #[error("cannot write to the destination {place}")]
    ReadOnly {
        /// The destination.
        place: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// This version has no way to that kind of place.
    #[error("this version of xopero cannot use {place}")]
    NotBuilt {
        /// The destination.
        place: String,
    },
    /// There is no marker where one must be.
    #[error("{place} is not a destination: it has no xopero.json")]
    NoMarker {
        /// The destination.
        place: String,
    },
    /// The marker is not one that this version can read.
    #[error("the marker {place}/xopero.json cannot be read")]
    BadMarker {
        /// The destination.
        place: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The destination is written in a newer format.
    #[error("{place} has format {found}; this version of xopero reads up to {supported}")]
    NewerFormat {
        /// The destination.
        place: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// The destination belongs to another applied state.
    #[error("{place} belongs to another lineage ({theirs}); ours is {ours}")]
    Foreign {
        /// The destination.
        place: String,
        /// The lineage in its marker.
        theirs: Lineage,
        /// The lineage of our state.
        ours: Lineage,
    },
    /// The destination is not the one that was bound to this name.
    #[error("{place} is not the destination that was applied: its marker has another id")]
    Exchanged {
        /// The destination.
        place: String,
    },
    /// There is no room left.
    #[error("no space left at {place} while writing {key}")]
    Full {
        /// The destination.
        place: String,
        /// The object.
        key: String,
    },
    /// An object that must be there is not.
    #[error("{key} is missing at {place}")]
    Missing {
        /// The destination.
        place: String,
        /// The object.
        key: String,
    },
    /// An object that must not be there is.
    #[error("{key} exists already at {place}")]
    Exists {
        /// The destination.
        place: String,
        /// The object.
        key: String,
    },
    /// An object is larger than such an object can be.
    #[error("{key} at {place} is larger than {limit} bytes")]
    TooLarge {
        /// The destination.
        place: String,
        /// The object.
        key: String,
        /// The limit.
        limit: u64,
    },
    /// Any other failure of the storage.
    #[error("failed to {attempt} {key} at {place}")]
    Storage {
        /// The destination.
        place: String,
        /// The object.
        key: String,
        /// What was tried.
        attempt: Attempt,
        /// The cause.
        #[source]
        source: Box<object_store::Error>,
    },
}

impl StoreError {
    /// Sorts a storage error by what it means for whoever has to act, and counts it.
    pub(super) fn sort(place: &str, key: &str, attempt: Attempt, source: object_store::Error) -> Self {
        // Whether there is a marker is a question, and this the answer: whoever demands one counts that it lacks.
        let is_marker = key == keys::MARKER;
        let (place, key) = (place.to_owned(), key.to_owned());
        let error = match source {
            object_store::Error::NotFound { .. } if is_marker => return Self::Missing { place, key },
            object_store::Error::AlreadyExists { .. } if is_marker => return Self::Exists { place, key },
            object_store::Error::NotFound { .. } => Self::Missing { place, key },
            object_store::Error::AlreadyExists { .. } => Self::Exists { place, key },
            source if Class::of_storage(&source) == Class::Full => Self::Full { place, key },
            source => Self::Storage { place, key, attempt, source: Box::new(source) },
        };
        failures::note(attempt, &error);
        error
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some("check that the directory exists and belongs to this user".into()),
            Self::ReadOnly { place, .. } => {
                Some(format!("check who owns {place}, and that it is not mounted read-only"))
            }
            Self::NoMarker { place } => Some(format!(
                "is the disk mounted at {place}? If it was replaced for good, declare the destination under a new name \
                 and apply: the next run then takes everything anew"
            )),
            Self::Foreign { .. } => Some(
                "two states must not write to one place: give this plan a directory of its own, or use the state that \
                 made these backups"
                    .into(),
            ),
            Self::Exchanged { .. } => Some(
                "is another disk mounted there? If it was replaced for good, declare the destination under a new name"
                    .into(),
            ),
            Self::Full { place, .. } => {
                Some(format!("free space at {place}; the next run goes on where this one stopped"))
            }
            Self::NotBuilt { .. } => Some("use a `local` destination".into()),
            Self::NewerFormat { .. } => Some("use a newer version of xopero".into()),
            Self::BadMarker { .. } => Some("restore xopero.json from a copy of the destination".into()),
            Self::Missing { .. } | Self::Exists { .. } | Self::TooLarge { .. } | Self::Storage { .. } => None,
        }
    }
}
