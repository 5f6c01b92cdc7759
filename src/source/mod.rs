//! Where the declaration comes from.
//!
//! A source is read once, whole and bounded, and everything after works on that text: what was looked at is what is
//! applied, whatever happens to the file meanwhile. Its SHA-256 goes into the generation. A source that is edited is
//! replaced as a whole, and only if it still says what was read.

mod error;
mod file;
mod replace;

pub use error::SourceError;
pub use file::{SOURCE_LIMIT, SourceText, read_file};
