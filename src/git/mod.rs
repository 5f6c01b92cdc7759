//! git's smart HTTP protocol, packs, bundles and object-level checks; no `git` process, no local mirror.
//!
//! Terms: a **listing** is the references of a repository at one time; a **pack** is the file format that carries
//! objects; **wants** are object ids that a fetch asks for and **haves** those it need not send again.
//!
//! The parsers read no socket: bytes go in, values come out ([`pkt_line`], [`capabilities`], [`ls_refs`], [`fetch`],
//! [`pack`], [`concatenate`], [`bundle`], [`unadvertised`]). [`remote`] connects them with [`http`](crate::http): every call is one
//! request with one credential. [`index`] and [`connectivity`] prove a pack object by object from a directory.
//!
//! Contract: a success status is not success. A fetch is complete when its last packet was a flush, and a pack is
//! whole when [`PackWalker::finish`] says so.

pub mod bundle;
pub mod capabilities;
pub mod concatenate;
pub mod connectivity;
mod digest;
mod error;
pub mod fetch;
pub mod index;
pub mod ls_refs;
pub mod pack;
pub mod pkt_line;
pub mod remote;
#[cfg(test)]
mod stock;
pub mod unadvertised;

pub use bundle::bundle_header;
pub use capabilities::{Advertisement, Capability, Protocol, ServerFacts};
pub use concatenate::Concatenator;
pub use connectivity::{Connectivity, Missing, Objects};
pub use error::{BundleError, ConnectivityError, GitError, IndexError, PackError, ProtocolError, VerifierError};
pub use fetch::{Depth, FetchRequest};
pub use index::{IndexedPack, index_pack};
pub use ls_refs::new_objects;
pub use pack::{PackLimits, PackSummary, PackWalker};
pub use remote::{Listing, PackStream, Remote};
pub use unadvertised::Unadvertised;
