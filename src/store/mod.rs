//! A declared destination, opened.
//!
//! Keys are made of ids and hashes, never of names ([`keys`]). The marker at the root says whose destination it is
//! ([`marker`]): without the right one nothing is written, so that an unmounted disk or somebody else's directory
//! is an error and never a fresh start. Every write is on stable storage when it returns: files and their
//! directories are synced, and an object appears under its key only when it is whole.

mod error;
mod failures;
pub mod keys;
pub mod marker;
mod opened;
mod probe;
mod room;
mod upload;

pub use error::StoreError;
pub use failures::{Attempt, Class, failures};
pub use marker::prepare;
pub use opened::{Access, Store, Unfinished};
pub use room::{free_bytes, is_writable};
pub use upload::{Upload, nameless_bytes};
