//! What a source tells to whoever follows it.

use std::path::PathBuf;

use jiff::Timestamp;

use super::signature::SignatureError;
use super::{AtCommit, SourceTree};

/// What a source says at one time.
#[derive(Debug)]
pub struct Snapshot {
    /// The files.
    pub tree: SourceTree,
    /// The commit they were read from, if they were read from a commit.
    pub tip: Option<Tip>,
}

/// The last commit of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Where it is, and what can be asked about its history.
    pub at: AtCommit,
    /// Who wrote it, as the commit says: a name and an address that nobody has checked.
    pub author: String,
    /// When it was made, as the commit says.
    pub time: Timestamp,
    /// Whose key signed it, if signatures are demanded.
    pub signed_by: Option<String>,
}

/// Something happened to a source that is followed. What was given last counts until there is something else.
#[derive(Debug)]
pub enum SourceEvent {
    /// It says something else than before, or is read for the first time.
    Changed(Box<Snapshot>),
    /// The trouble that was told is over, and it says what was given last.
    Back,
    /// A file is missing, empty or cannot be read. It is told once; nothing is given until all files are whole again.
    Missing {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as a fragment.
        reason: String,
        /// Since when something is wrong.
        since: Timestamp,
    },
    /// What it says is not known for so long that people should look. It is told once.
    Stale {
        /// Why, as a fragment.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
        /// Since when.
        since: Timestamp,
    },
    /// The system does not tell of changes: they are noticed when it is looked next.
    Polling {
        /// Why, as a fragment.
        reason: String,
    },
    /// The branch does not come from what is applied: it was set back, or its history was written anew.
    Rewound {
        /// The commit that is applied.
        applied: String,
        /// The last commit of the branch.
        tip: String,
    },
    /// A commit since the applied one is not signed as it must be.
    Unsigned {
        /// That commit.
        commit: String,
        /// The last commit of the branch.
        tip: String,
        /// What is wrong with its signature.
        why: SignatureError,
    },
}
