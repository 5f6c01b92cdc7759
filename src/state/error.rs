//! What can go wrong with the state, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::LockBody;
use crate::model::{Generation, Lineage};

/// What the database said.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DatabaseError(#[from] sqlx::Error);

/// A failed attempt on the state. Every variant names the database it happened to.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The location is of a kind that this version cannot open.
    #[error("cannot keep the state in {kind}")]
    Unsupported {
        /// What was asked for, without its user name and password.
        kind: String,
    },
    /// The directory of the database cannot be made.
    #[error("cannot create the state directory {}", path.display())]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database file cannot be made or looked at.
    #[error("cannot reach the file of the state database {}", path.display())]
    CreateDatabase {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the state database {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// The database was written by a newer xopero.
    #[error("the state database {} has schema {found}; this xopero knows schemas up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The schema could not be brought up to date. The database is as it was.
    #[error("cannot bring the state database {} to schema {version}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// The schema that was to be reached.
        version: i64,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// A read or a write failed.
    #[error("cannot {attempt} in the state database {}", path.display())]
    Access {
        /// The file.
        path: PathBuf,
        /// What was attempted, as a verb phrase.
        attempt: &'static str,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// A stored value is not what it should be.
    #[error("{what} in the state database {} is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody else has applied meanwhile.
    #[error("the state {} moved: expected {}, found {}", path.display(), Shown(*expected), Shown(*found))]
    Moved {
        /// The database.
        path: PathBuf,
        /// The generation that the decision was based on.
        expected: Option<Generation>,
        /// The generation that is in force.
        found: Option<Generation>,
    },
    /// A generation of another state was to be recorded.
    #[error("the state {} is of lineage {own}, not {other}", path.display())]
    OtherLineage {
        /// The database.
        path: PathBuf,
        /// Its lineage.
        own: Lineage,
        /// The lineage of what was to be recorded.
        other: Lineage,
    },
    /// Nothing was applied yet.
    #[error("nothing is applied yet: no generation in {}", path.display())]
    NothingApplied {
        /// Where the state would be.
        path: PathBuf,
    },
    /// Another process holds the lock.
    #[error("the state {} is locked{}", path.display(), holder.as_deref().map(|body| format!(" by {body}")).unwrap_or_default())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who, as far as they said.
        holder: Option<Box<LockBody>>,
    },
    /// The lock could not be asked for.
    #[error("cannot lock the state {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No snapshot has this id.
    #[error("no snapshot {text:?} in the state {}", path.display())]
    UnknownSnapshot {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        text: String,
    },
    /// No run has this id.
    #[error("no run {text:?} in the state {}", path.display())]
    UnknownRun {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        text: String,
    },
    /// Several runs begin like this.
    #[error("{text:?} is the beginning of more than one run in the state {}", path.display())]
    AmbiguousRun {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        text: String,
    },
    /// Several snapshots begin like this.
    #[error("{text:?} is the beginning of more than one snapshot in the state {}", path.display())]
    AmbiguousSnapshot {
        /// The database.
        path: PathBuf,
        /// What was asked for.
        text: String,
    },
}

impl StateError {
    /// What the person can do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unsupported { .. } => {
                "use an SQLite file, for example `--state sqlite:.xopero/state.db`; this version cannot keep the \
                 state anywhere else"
            }
            Self::CreateDirectory { .. } | Self::CreateDatabase { .. } | Self::Lock { .. } => {
                "check that this user may write there, or choose another place with `--state sqlite:PATH`"
            }
            Self::Open { .. } | Self::Migrate { .. } | Self::Access { .. } => {
                "check free space and permissions; if the file itself is broken, restore it from a copy"
            }
            Self::Newer { found, .. } => {
                return Some(format!("use a version of xopero that knows state schema {found}, or a newer one"));
            }
            Self::Damaged { .. } => "restore the database from a copy; the backups in the destinations are not touched",
            Self::Moved { .. } => "somebody applied meanwhile: look again with `xopero plan`",
            Self::OtherLineage { .. } => "check `--state`: it names the state of another file",
            Self::NothingApplied { .. } => "look with `xopero plan`, then put the file in force with `xopero apply`",
            Self::Locked { .. } => {
                "wait until it ends; the lock goes away with its process, there is nothing to delete"
            }
            Self::UnknownSnapshot { .. } => "list them with `xopero snapshots`",
            Self::UnknownRun { .. } => "list them with `xopero runs`",
            Self::AmbiguousRun { .. } => "give more characters of the id, as `xopero runs` shows it",
            Self::AmbiguousSnapshot { .. } => "give more characters of the id, as `xopero snapshots` shows it",
        };
        Some(hint.to_owned())
    }
}

struct Shown(Option<Generation>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(generation) => write!(f, "generation {generation}"),
            None => f.write_str("nothing applied"),
        }
    }
}
