//! Proving a snapshot: stored bytes, decryption, every object, every reference.
//!
//! Four findings, each a stronger statement than the one before:
//!
//! 1. every pack is stored with the size and SHA-256 of the manifest;
//! 2. it decrypts, and is a whole pack with the trailer and the number of objects of the manifest;
//! 3. every delta resolves and every object hashes to its name;
//! 4. every object that can be reached from a reference is there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{ArchiveError, Manifest, PackEntry, open_pack};
use crate::crash::{self, CrashPoint};
use crate::git::{IndexError, IndexedPack, Objects, index_pack};
use crate::model::Head;
use crate::secret::Identities;
use crate::store::Store;

/// Something that is wrong with a stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object of the archive, or the git object, that it is about.
    pub what: String,
    /// What is wrong.
    pub why: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Packs whose stored bytes, decryption and objects are as the manifest says.
    pub packs: u64,
    /// Stored bytes that were read.
    pub bytes: u64,
    /// Objects in those packs.
    pub objects: u64,
    /// References that resolve.
    pub references: u64,
    /// Distinct objects that can be reached from them.
    pub reached: u64,
    /// What is wrong. Empty means that the snapshot is proven.
    pub findings: Vec<Finding>,
}

/// Verifies a snapshot down to its last object. Packs are unpacked below `scratch`, which must be private to this
/// user; the caller removes it. Damage is a finding; an error means that the check could not be carried out.
pub async fn verify(
    store: &Store,
    manifest: &Manifest,
    identities: &Identities,
    scratch: &Path,
    stop: Arc<AtomicBool>,
) -> Result<Verification, ArchiveError> {
    let mut result = Verification::default();
    let mut indexed = Vec::new();
    for entry in &manifest.git.packs {
        match materialize(store, manifest, entry, identities, scratch, Arc::clone(&stop)).await {
            Ok(pack) => {
                result.packs += 1;
                result.bytes += entry.stored_bytes;
                result.objects += u64::from(pack.objects);
                indexed.push(pack);
            }
            Err(error) if error.is_damage() => {
                let why = match error {
                    ArchiveError::Damaged { why, .. } => why,
                    other => other.to_string(),
                };
                result.findings.push(Finding { what: entry.key.clone(), why });
            }
            Err(error) => return Err(error),
        }
    }
    crash::point(CrashPoint::PacksUnpacked);
    if !result.findings.is_empty() {
        // What a damaged pack holds cannot be reached: that says nothing more.
        return Ok(result);
    }
    let format = manifest.git.object_format;
    let references = manifest.git.references.clone();
    let connectivity = tokio::task::spawn_blocking(move || -> Result<_, ArchiveError> {
        let objects = Objects::open(&indexed, format)?;
        Ok(objects.check(&references.oids(), &stop)?)
    });
    let connectivity = match connectivity.await.expect("the check does not panic") {
        Ok(connectivity) => connectivity,
        Err(error) if error.is_damage() => {
            result.findings.push(Finding { what: "objects".into(), why: error.to_string() });
            return Ok(result);
        }
        Err(error) => return Err(error),
    };
    result.reached = connectivity.reached;
    let unnamed = connectivity.missing_total - connectivity.missing.len() as u64;
    if unnamed > 0 {
        result.findings.push(Finding { what: "objects".into(), why: format!("{unnamed} more are missing") });
    }
    for missing in connectivity.missing {
        result.findings.push(Finding {
            what: missing.oid.to_string(),
            why: match missing.from {
                Some(from) => format!("{from} names it, and it is not in the packs"),
                None => "a reference points at it, and it is not in the packs".into(),
            },
        });
    }
    let heads = u64::from(matches!(manifest.git.references.head, Head::Detached { .. }));
    result.references = manifest.git.references.tips.len() as u64 + heads;
    Ok(result)
}

/// Writes one pack of a snapshot and its index into `directory`, after every check of the first three kinds.
pub(crate) async fn materialize(
    store: &Store,
    manifest: &Manifest,
    entry: &PackEntry,
    identities: &Identities,
    directory: &Path,
    stop: Arc<AtomicBool>,
) -> Result<IndexedPack, ArchiveError> {
    let open = open_pack(store, entry, identities).await?;
    let (format, entry, directory) = (manifest.git.object_format, entry.clone(), directory.to_owned());
    let work = tokio::task::spawn_blocking(move || {
        let damaged = |why: String| ArchiveError::Damaged { key: entry.key.clone(), why };
        let mut reader = open()?;
        let indexed = index_pack(&mut reader, &directory, format, &stop);
        if matches!(indexed, Err(IndexError::Interrupted)) {
            return Err(IndexError::Interrupted.into());
        }
        // Stored bytes that changed are the better explanation of whatever else went wrong.
        reader.check()?;
        let indexed = indexed?.ok_or_else(|| damaged("it holds no objects".into()))?;
        if indexed.checksum.to_string() != entry.pack_checksum || u64::from(indexed.objects) != entry.objects {
            return Err(damaged("it holds another pack than the manifest says".into()));
        }
        Ok(indexed)
    });
    work.await.expect("indexing does not panic")
}
