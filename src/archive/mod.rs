//! The archive: what a snapshot is made of, how it is written, read and checked.
//!
//! A snapshot is a manifest and the packs it names. The order of writing is the promise:
//!
//! 1. Packs are streamed to the destination under ids that were minted before the stream began. A pack must have
//!    been walked to its trailer, and must be on stable storage, before anything names it.
//! 2. The manifest must be written after every pack that it names, under a key that is not taken. It is the commit
//!    point: a snapshot exists when its manifest does.
//! 3. The state moves its tips only after the manifest is stored.
//!
//! So at any instant the destination holds the old set of snapshots, or the old set and one more. A manifest is
//! complete by itself: no other document is needed to restore what it names.
//!
//! Documents are JSON, compressed with zstd, encrypted with age; packs are what git's own server sent, encrypted
//! with age. `age -d x.pack.age | git index-pack --stdin` and `age -d s.json.zst.age | zstd -d | jq` open them.

mod document;
mod error;
mod manifest;
mod pack;
mod report;
mod scratch;
mod verify;

pub use document::{pack_document, read_document, unpack_document, write_document};
pub use error::ArchiveError;
pub use manifest::{
    ChainMark, FORMAT, GitPart, Manifest, NotRead, PackEntry, PlanEntry, ProjectEntry, RepositoryEntry, ServerEntry,
    Suspect, ToolEntry, content,
};
pub use pack::{PackReader, PackWriter, StoredPack, open_pack};
pub use report::{Report, ReportedRepository};
pub use scratch::{Scratch, sweep_scratch};
pub use verify::{Finding, Verification, verify};
