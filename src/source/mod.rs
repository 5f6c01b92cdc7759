//! Where the declaration comes from.
//!
//! A source is read once, whole and bounded, and everything after works on that text: what was looked at is what is
//! applied, whatever happens to the file meanwhile. So are the files that it includes, which must lie in its directory
//! or below. The SHA-256 of each goes into the generation, and the commit that all of them are of ([`Provenance`]). A
//! source that is edited is replaced as a whole, and only if it still says what was read.
//!
//! A source can be followed: [`watch`] tells of a file that changed, [`branch`] of a branch at a git server, whose
//! commits may have to carry a [`signature`]. Both tell [`SourceEvent`]s, and a [`webhook`] can ask for a look. What they give is a tree of files as above, and
//! nothing is given while a file is missing, empty or half-written.

pub mod branch;
mod commits;
mod error;
mod event;
mod file;
mod git_config;
mod hook;
mod ignore;
mod provenance;
mod replace;
pub mod signature;
mod tree;
mod walk;
pub mod watch;
pub mod webhook;
mod whole;
mod work_tree;

pub use commits::{CommitMessage, Descent, MOST_COMMITS, short_commit};
pub use error::{HistoryError, SourceError};
pub use event::{Snapshot, SourceEvent, Tip};
pub use file::{SOURCE_LIMIT, SourceText, read_file};
pub use hook::{Foreign, Installation, installation, write_hook};
pub use ignore::{with_file_ignored, with_state_ignored};
pub use provenance::{AtCommit, Provenance};
pub use replace::replace_all;
use tree::read_tree_again;
pub use tree::{NamedFiles, SourceTree, Unsaved, read_tree, read_unsaved_tree};
pub use walk::{Walked, walk};
use whole::{Flaw, whole};
pub use work_tree::{Hooks, WorkTree, is_state_ignored};
