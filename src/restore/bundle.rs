//! A snapshot as one file that `git clone` accepts: a bundle without prerequisites.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::RestoreError;
use super::partial::Partial;
use crate::archive::{ArchiveError, Manifest, open_pack};
use crate::git::{Concatenator, PackError, bundle_header};
use crate::secret::Identities;
use crate::store::Store;

/// Bytes that are copied at a time.
const STEP: usize = 256 * 1024;

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Bytes of the file.
    pub bytes: u64,
    /// References in it.
    pub references: u64,
}

/// Writes a snapshot as a bundle to `target`, which must not exist. Stored bytes and pack checksums are verified on
/// the way; the objects inside are for `git bundle verify` or `xopero verify` to judge.
pub async fn export(
    store: &Store,
    manifest: &Manifest,
    identities: &Identities,
    target: &Path,
    stop: Arc<AtomicBool>,
) -> Result<Exported, RestoreError> {
    let git = &manifest.git;
    let header = bundle_header(git.object_format, &git.references)?;
    let total = u32::try_from(manifest.objects())
        .map_err(|_| ArchiveError::Pack(PackError::Limit { limit: u64::from(u32::MAX), what: "objects" }))?;
    let mut partial = Partial::beside(target)?;
    let (packs, store, identities) = (git.packs.clone(), store.clone(), identities.clone());
    let runtime = tokio::runtime::Handle::current();
    let (target, format, references) = (target.to_owned(), git.object_format, git.references.tips.len() as u64);
    let work = tokio::task::spawn_blocking(move || -> Result<Exported, RestoreError> {
        let failed = |source| RestoreError::Write { path: target.clone(), source };
        let file = partial.create_file()?;
        let mut file = Counted { file: BufWriter::with_capacity(STEP, file), bytes: 0 };
        file.write_all(&header).map_err(failed)?;
        let mut concatenator = Concatenator::new(format, total);
        let (mut buffer, mut out) = (vec![0; STEP], Vec::new());
        // One after the other: a long chain has more packs than a process may have open files.
        for entry in &packs {
            let mut reader = runtime.block_on(open_pack(&store, entry, &identities))?()?;
            loop {
                if stop.load(Ordering::Relaxed) {
                    return Err(RestoreError::Stopped);
                }
                let read = reader.read(&mut buffer).map_err(|error| reader.damaged(&error))?;
                if read == 0 {
                    break;
                }
                concatenator.push(&buffer[..read], &mut out).map_err(ArchiveError::Pack)?;
                file.write_all(&out).map_err(failed)?;
                out.clear();
            }
            concatenator.end_pack().map_err(ArchiveError::Pack)?;
            reader.check()?;
        }
        concatenator.finish(&mut out).map_err(ArchiveError::Pack)?;
        file.write_all(&out).and_then(|()| file.flush()).map_err(failed)?;
        let bytes = file.bytes;
        drop(file);
        partial.finish()?;
        Ok(Exported { bytes, references })
    });
    work.await.expect("exporting does not panic")
}

/// A file with the number of bytes that went into it.
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
