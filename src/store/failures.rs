//! What failed at destinations, counted since the process began.
//!
//! A failure is counted where it happens, also if somebody tries again or goes on without. That an object is not there
//! yet, where that is the question, is none.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;

/// What was tried at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// To open it, and to find its marker.
    Open,
    /// To read an object.
    Read,
    /// To write one.
    Write,
    /// To look whether one is there.
    LookUp,
    /// To list them.
    List,
    /// To remove what was left unfinished.
    Remove,
}

impl Attempt {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Open, Self::Read, Self::Write, Self::LookUp, Self::List, Self::Remove];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::LookUp => "look-up",
            Self::List => "list",
            Self::Remove => "remove",
        }
    }
}

/// As a verb.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookUp => f.write_str("look up"),
            Self::Open | Self::Read | Self::Write | Self::List | Self::Remove => f.write_str(self.as_str()),
        }
    }
}

/// Why it failed, as far as it tells somebody what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// There is no room.
    Full,
    /// This user may not, or nobody may.
    Denied,
    /// What must be there is not: an object, the marker, or the directory itself.
    Missing,
    /// It is another destination than was applied.
    Foreign,
    /// Anything else.
    Other,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Full, Self::Denied, Self::Missing, Self::Foreign, Self::Other];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Denied => "denied",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Other => "other",
        }
    }

    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::Full,
            StoreError::NoMarker { .. } | StoreError::Missing { .. } => Self::Missing,
            StoreError::Foreign { .. } | StoreError::Exchanged { .. } => Self::Foreign,
            StoreError::Unreachable { source, .. } | StoreError::ReadOnly { source, .. } => Self::of_io(source.kind()),
            StoreError::Storage { source, .. } => Self::of_storage(source),
            StoreError::BadMarker { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::NotBuilt { .. }
            | StoreError::Exists { .. }
            | StoreError::TooLarge { .. } => Self::Other,
        }
    }

    /// The class of an error of the storage itself.
    pub(super) fn of_storage(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Self::Denied,
            other => io_kind(other).map_or(Self::Other, Self::of_io),
        }
    }

    fn of_io(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied,
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            _ => Self::Other,
        }
    }
}

/// What the operating system said, if it is among the causes.
fn io_kind(error: &object_store::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

/// How often each attempt failed for each reason.
struct Failures([[AtomicU64; Class::ALL.len()]; Attempt::ALL.len()]);

/// Those of this process.
static FAILURES: Failures = Failures::new();

impl Failures {
    const fn new() -> Self {
        Self([const { [const { AtomicU64::new(0) }; Class::ALL.len()] }; Attempt::ALL.len()])
    }

    fn note(&self, attempt: Attempt, class: Class) {
        self.0[attempt as usize][class as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self) -> Vec<(Attempt, Class, u64)> {
        let count = |attempt: Attempt, class: Class| self.0[attempt as usize][class as usize].load(Ordering::Relaxed);
        let of = |attempt| Class::ALL.map(|class| (attempt, class, count(attempt, class)));
        Attempt::ALL.into_iter().flat_map(of).collect()
    }
}

/// Counts a failure.
pub(super) fn note(attempt: Attempt, error: &StoreError) {
    FAILURES.note(attempt, Class::of(error));
}

/// Counts a failure of an object that was already being read.
pub(super) fn note_reading(error: &object_store::Error) {
    FAILURES.note(Attempt::Read, Class::of_storage(error));
}

/// How often each attempt failed for each reason in this process, also those that never did.
pub fn failures() -> Vec<(Attempt, Class, u64)> {
    FAILURES.counts()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(kind: io::ErrorKind) -> StoreError {
        let source = object_store::Error::Generic { store: "x", source: Box::new(io::Error::from(kind)) };
        StoreError::Storage { place: "nas".into(), key: "x".into(), attempt: Attempt::Write, source: Box::new(source) }
    }

    #[test]
    fn a_failure_is_told_by_what_helps() {
        let unreachable = |kind| StoreError::Unreachable { place: "nas".into(), source: io::Error::from(kind) };
        for (error, class) in [
            (storage(io::ErrorKind::ReadOnlyFilesystem), Class::Denied),
            (storage(io::ErrorKind::TimedOut), Class::Other),
            (unreachable(io::ErrorKind::NotFound), Class::Missing),
            (unreachable(io::ErrorKind::PermissionDenied), Class::Denied),
            (StoreError::NoMarker { place: "nas".into() }, Class::Missing),
            (StoreError::Exchanged { place: "nas".into() }, Class::Foreign),
            (StoreError::Full { place: "nas".into(), key: "x".into() }, Class::Full),
        ] {
            assert_eq!(Class::of(&error), class, "{error:?}");
        }
    }

    #[test]
    fn each_is_counted_where_it_belongs_and_all_are_told() {
        let failures = Failures::new();
        for attempt in Attempt::ALL {
            for class in Class::ALL {
                for _ in 0..=(attempt as usize * 10 + class as usize) {
                    failures.note(attempt, class);
                }
            }
        }
        let counts = failures.counts();
        assert_eq!(counts.len(), 30);
        for (attempt, class, count) in counts {
            assert_eq!(count, (attempt as usize * 10 + class as usize + 1) as u64, "{attempt} {class:?}");
        }
    }
}
