//! Where the declaration comes from.
//!
//! A source is read once, whole and bounded, and everything after works on that text: what was looked at is what is
//! applied, whatever happens to the file meanwhile. So are the files that it includes, which must lie in its directory
//! or below. The SHA-256 of each goes into the generation. A source that is edited is
//! replaced as a whole, and only if it still says what was read.

mod error;
mod file;
mod replace;
mod tree;

pub use error::SourceError;
pub use file::{SOURCE_LIMIT, SourceText, read_file};
pub use tree::{NamedFiles, SourceTree, read_tree};
