//! What a source tells to whoever follows it.

use std::path::PathBuf;

use jiff::Timestamp;

use super::SourceTree;

/// Something happened to a source that is followed. What was given last counts until there is something else.
#[derive(Debug)]
pub enum SourceEvent {
    /// It says something else than before, or is read for the first time.
    Changed(Box<SourceTree>),
    /// It says again what was given last, after an event that told of trouble.
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
        /// Why, as a sentence without its full stop.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// The system does not tell of changes: they are noticed when it is looked next.
    Polling {
        /// Why, as a fragment.
        reason: String,
    },
}
