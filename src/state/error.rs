//! What can go wrong with the state, and what to do about it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::connections::is_away;
use super::{LockBody, StatePlace};
use crate::model::{Generation, Lineage};

/// What the database said, in its own words.
#[derive(Debug)]
pub struct DatabaseError(sqlx::Error);

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            sqlx::Error::Database(error) => f.write_str(error.message()),
            sqlx::Error::Io(error) => error.fmt(f),
            error => error.fmt(f),
        }
    }
}

// What is below it says the same once more.
impl std::error::Error for DatabaseError {}

impl DatabaseError {
    /// Whether the same may work at once: others were in the way, and nothing was done.
    pub(super) fn is_contention(&self) -> bool {
        // Serialisation failure, deadlock.
        matches!(self.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether the database went away.
    pub(super) fn is_away(&self) -> bool {
        is_away(&self.0)
    }

    /// The five letters and digits that PostgreSQL has for a failure.
    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.as_database_error()?.code()
    }

    /// What the person can do about a failure of a server.
    fn server_hint(&self) -> &'static str {
        match (&self.0, self.code().as_deref()) {
            (_, Some("28P01" | "28000")) => {
                "check the user in the address, and where its password comes from: --state-password-file, \
                 XOPERO_STATE, PGPASSWORD or ~/.pgpass"
            }
            (_, Some("3D000")) => "create the database: CREATE DATABASE … OWNER …, then try again",
            (_, Some("42501")) => {
                "xopero needs SELECT, INSERT, UPDATE and DELETE on its tables, and CREATE on its schema to make or \
                 change them"
            }
            (_, Some("42P07")) => {
                "another program has a table of this name: give xopero a database or a schema of its own"
            }
            (_, Some("53300")) => "the server has no connection left: raise max_connections, or close others",
            (sqlx::Error::Tls(_), _) => {
                "the server must prove who it is: let it speak TLS; on a way that nobody else can reach, say \
                 `?sslmode=prefer` in the address"
            }
            (sqlx::Error::Io(error), _) if error.kind() == io::ErrorKind::InvalidData => {
                "name the authority of the server's certificate with `?sslrootcert=FILE` in the address, and the \
                 server as its certificate does; `?sslmode=require` encrypts without asking who it is"
            }
            (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, _) | (_, Some("57P01" | "57P02" | "57P03")) => {
                "check that the server runs and can be reached from here; what was begun is taken up by the next try"
            }
            _ => "the server's log says more; the backups in the destinations are not touched",
        }
    }
}

/// A failed attempt on the state. Every variant names the database it happened to.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The location is of a kind that this version cannot open.
    #[error("cannot keep the state in {kind}")]
    Unsupported {
        /// What was asked for, without its user name and password.
        kind: String,
    },
    /// The address of a server cannot be used. It is not shown: it may hold a password.
    #[error("the address of the state database cannot be used: {problem}")]
    Address {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A password was given where others can read it.
    #[error("the address of the state on the command line holds a password, which others on this host can read")]
    PasswordTyped,
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
    #[error("cannot open the state database {place}")]
    Open {
        /// Which one.
        place: StatePlace,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// The database was written by a newer xopero.
    #[error("the state database {place} has schema {found}; this xopero knows schemas up to {known}")]
    Newer {
        /// Which one.
        place: StatePlace,
        /// The schema it has.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// The schema could not be brought up to date. The database is as it was.
    #[error("cannot bring the state database {place} to schema {version}")]
    Migrate {
        /// Which one.
        place: StatePlace,
        /// The schema that was to be reached.
        version: i64,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// A read or a write failed.
    #[error("cannot {attempt} in the state database {place}")]
    Access {
        /// Which one.
        place: StatePlace,
        /// What was attempted, as a verb phrase.
        attempt: &'static str,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// The database went away while something was made to last.
    #[error("cannot tell whether the state database {place} did as it was told: {attempt}")]
    Unconfirmed {
        /// Which one.
        place: StatePlace,
        /// What was attempted, as a verb phrase.
        attempt: &'static str,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// A stored value is not what it should be.
    #[error("{what} in the state database {place} is damaged: {problem}")]
    Damaged {
        /// Which one.
        place: StatePlace,
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody else has applied meanwhile.
    #[error("the state {place} moved: expected {}, found {}", Shown(*expected), Shown(*found))]
    Moved {
        /// Which one.
        place: StatePlace,
        /// The generation that the decision was based on.
        expected: Option<Generation>,
        /// The generation that is in force.
        found: Option<Generation>,
    },
    /// A generation of another state was to be recorded.
    #[error("the state {place} is of lineage {own}, not {other}")]
    OtherLineage {
        /// Which one.
        place: StatePlace,
        /// Its lineage.
        own: Lineage,
        /// The lineage of what was to be recorded.
        other: Lineage,
    },
    /// A state was to be copied where one is already.
    #[error("the state database {place} is not empty")]
    NotEmpty {
        /// Which one.
        place: StatePlace,
    },
    /// Nothing was applied yet.
    #[error("nothing is applied yet: no generation in {place}")]
    NothingApplied {
        /// Where the state would be.
        place: StatePlace,
    },
    /// Another process holds the lock.
    #[error("the state {place} is locked{}", holder.as_deref().map(|body| format!(" by {body}")).unwrap_or_default())]
    Locked {
        /// Which one.
        place: StatePlace,
        /// Who, as far as they said.
        holder: Option<Box<LockBody>>,
    },
    /// The connection that held the lock broke, and somebody else may have worked on the state since.
    #[error("the lock on the state {place} was lost{}", holder.as_deref().map(|body| format!(" to {body}")).unwrap_or_default())]
    LockLost {
        /// Which one.
        place: StatePlace,
        /// Who has taken it, as far as it is known.
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
    /// Whoever was to write does not hold the task any more.
    #[error("the task was given to another worker: its lease in the state database {place} was over")]
    Fenced {
        /// Which one.
        place: StatePlace,
    },
    /// No snapshot has this id.
    #[error("no snapshot {text:?} in the state {place}")]
    UnknownSnapshot {
        /// Which one.
        place: StatePlace,
        /// What was asked for.
        text: String,
    },
    /// No run has this id.
    #[error("no run {text:?} in the state {place}")]
    UnknownRun {
        /// Which one.
        place: StatePlace,
        /// What was asked for.
        text: String,
    },
    /// Several runs begin like this.
    #[error("{text:?} is the beginning of more than one run in the state {place}")]
    AmbiguousRun {
        /// Which one.
        place: StatePlace,
        /// What was asked for.
        text: String,
    },
    /// Several snapshots begin like this.
    #[error("{text:?} is the beginning of more than one snapshot in the state {place}")]
    AmbiguousSnapshot {
        /// Which one.
        place: StatePlace,
        /// What was asked for.
        text: String,
    },
}

impl StateError {
    /// Whether the same may work at once.
    pub(super) fn is_contention(&self) -> bool {
        match self {
            Self::Access { source, .. } => source.is_contention(),
            _ => false,
        }
    }

    /// Whether the database went away before anything was done.
    pub(super) fn is_cut_off(&self) -> bool {
        match self {
            Self::Access { source, .. } => source.is_away(),
            _ => false,
        }
    }

    /// What the person can do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unsupported { .. } => {
                "use an SQLite file, `--state sqlite:.xopero/state.db`, or PostgreSQL, \
                 `--state postgres://USER@HOST/DATABASE`"
            }
            Self::Address { .. } => "write postgres://USER@HOST:PORT/DATABASE, as for psql",
            Self::PasswordTyped => {
                "change that password; then put the new one into a file for `--state-password-file`, into ~/.pgpass, \
                 or the whole address into XOPERO_STATE"
            }
            Self::CreateDirectory { .. } | Self::CreateDatabase { .. } | Self::Lock { .. } => {
                "check that this user may write there, or choose another place with `--state sqlite:PATH`"
            }
            Self::Open { place, source } | Self::Migrate { place, source, .. } | Self::Access { place, source, .. } => {
                match place {
                    StatePlace::File(_) => {
                        "check free space and permissions; if the file itself is broken, restore it from a copy"
                    }
                    StatePlace::Server(_) => source.server_hint(),
                }
            }
            Self::Unconfirmed { source, .. } => source.server_hint(),
            Self::Newer { found, .. } => {
                return Some(format!("use a version of xopero that knows state schema {found}, or a newer one"));
            }
            Self::Damaged { .. } => "restore the database from a copy; the backups in the destinations are not touched",
            Self::Moved { .. } => "somebody applied meanwhile: look again with `xopero plan`",
            Self::OtherLineage { .. } => "check `--state`: it names the state of another file",
            Self::NotEmpty { .. } => "name a database, or a schema of one, that holds no state; nothing was copied",
            Self::NothingApplied { .. } => "look with `xopero plan`, then put the file in force with `xopero apply`",
            Self::Locked { .. } => {
                "wait until it ends; the lock goes away with its process, there is nothing to delete"
            }
            Self::LockLost { .. } => {
                "check that the database can be reached; what is stored is in order, and the next run goes on with it"
            }
            Self::Fenced { .. } => {
                "nothing is lost: the other worker does it; look why this one stood still for so long"
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
