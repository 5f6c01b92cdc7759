//! Object-level proof of a pack: every delta is resolved and every object hashed, which gives the index that git needs.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use gix_features::progress::Discard;
use gix_pack::Bundle;
use gix_pack::bundle::write::Options;

use super::error::{IndexError, VerifierError};
use crate::model::{ObjectFormat, ObjectId};

/// The most memory that one object may take: what a pack declares is not to be trusted.
pub(super) const LARGEST_OBJECT: u64 = 4 << 30;

/// A pack in a directory with its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedPack {
    /// The `pack-<checksum>.pack` file.
    pub pack: PathBuf,
    /// The `pack-<checksum>.idx` file.
    pub index: PathBuf,
    /// Its objects.
    pub objects: u32,
    /// Its checksum.
    pub checksum: ObjectId,
}

/// Writes a pack and its index into `directory`, named as git names them; `None` for a pack without objects, of which
/// nothing is written. Fails if an object is damaged or a delta has its base outside the pack.
///
/// It uses every core, blocks, and maps the pack into memory: run it where blocking is allowed.
pub fn index_pack(
    read: impl Read,
    directory: &Path,
    format: ObjectFormat,
    should_interrupt: &AtomicBool,
) -> Result<Option<IndexedPack>, IndexError> {
    let mut reader = BufReader::with_capacity(128 * 1024, Recording { inner: read, failure: None });
    let options = Options { alloc_limit_bytes: usize::try_from(LARGEST_OBJECT).ok(), ..Options::default() };
    let written = Bundle::write_to_directory(
        &mut reader,
        Some(directory),
        &mut Discard,
        should_interrupt,
        None::<gix_object::find::Never>,
        kind(format),
        options,
    );
    let outcome = match written {
        Ok(outcome) => outcome,
        Err(_) if should_interrupt.load(Ordering::Relaxed) => return Err(IndexError::Interrupted),
        Err(error) => {
            if let Some(cause) = reader.into_inner().failure {
                return Err(IndexError::Read { cause });
            }
            return Err(match error.downcast_any_ref().and_then(of_the_system) {
                Some(cause) => write_error(directory, cause),
                None => IndexError::Damaged { cause: verifier_error(error.iter_errors()) },
            });
        }
    };
    if let Some(keep) = outcome.keep_path {
        // It protects the pack until references exist; whoever asked for the pack decides that.
        fs::remove_file(keep).map_err(|cause| write_error(directory, cause))?;
    }
    let checksum = ObjectId::from_bytes(outcome.index.data_hash.as_slice()).expect("a checksum has a hash's width");
    Ok(outcome.data_path.zip(outcome.index_path).map(|(pack, index)| IndexedPack {
        pack,
        index,
        objects: outcome.index.num_objects,
        checksum,
    }))
}

fn write_error(directory: &Path, cause: io::Error) -> IndexError {
    IndexError::Write { directory: directory.to_owned(), cause }
}

/// An error that the system gave, not the decoder: such as a full disk. Decoders use a few kinds of it for themselves.
fn of_the_system(error: &io::Error) -> Option<io::Error> {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    match error.raw_os_error() {
        Some(code) => Some(io::Error::from_raw_os_error(code)),
        None if matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof) => None,
        None => Some(io::Error::new(error.kind(), error.to_string())),
    }
}

pub(super) const fn kind(format: ObjectFormat) -> gix_hash::Kind {
    match format {
        ObjectFormat::Sha1 => gix_hash::Kind::Sha1,
        ObjectFormat::Sha256 => gix_hash::Kind::Sha256,
    }
}

/// Joins the messages of an error and its causes.
pub(super) fn verifier_error<'a>(errors: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> VerifierError {
    let mut causes: Vec<String> = Vec::new();
    for cause in errors.take(8).map(ToString::to_string) {
        if causes.last() != Some(&cause) {
            causes.push(cause);
        }
    }
    VerifierError(causes.join(": "))
}

/// Remembers why reading failed, so that it is not taken for a damaged pack.
struct Recording<R> {
    inner: R,
    failure: Option<io::Error>,
}

impl<R: Read> Read for Recording<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::git::stock::Stock;

    static GO: AtomicBool = AtomicBool::new(false);

    #[test]
    fn the_index_is_the_one_that_git_makes() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            for pack in [stock.pack(&["--all"]), stock.ref_delta_pack()] {
                let directory = TempDir::new().unwrap();
                let indexed = index_pack(&pack[..], directory.path(), format, &GO).unwrap().unwrap();
                assert_eq!(indexed.objects as usize, stock.count_objects());
                assert_eq!(fs::read(&indexed.pack).unwrap(), pack);
                let copy = Stock::empty(format);
                copy.index_pack(&pack);
                let name = indexed.index.file_name().unwrap();
                let expected = fs::read(copy.path().join("objects/pack").join(name)).unwrap();
                assert_eq!(fs::read(&indexed.index).unwrap(), expected);
                assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
            }
        }
    }

    #[test]
    fn a_thin_pack_and_a_damaged_one_are_refused() {
        let stock = Stock::with_history(ObjectFormat::Sha1);
        let directory = TempDir::new().unwrap();
        let index = |pack: &[u8]| index_pack(pack, directory.path(), ObjectFormat::Sha1, &GO);
        assert!(matches!(index(&stock.thin_pack()), Err(IndexError::Damaged { .. })));
        let pack = stock.pack(&["main"]);
        assert!(matches!(index(&pack[..pack.len() - 30]), Err(IndexError::Damaged { .. })));
        let mut flipped = pack.clone();
        flipped[pack.len() / 2] ^= 0x10;
        assert!(matches!(index(&flipped), Err(IndexError::Damaged { .. })));
        assert!(matches!(index(b""), Err(IndexError::Damaged { .. })));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_empty_pack_writes_nothing() {
        let directory = TempDir::new().unwrap();
        let empty = Stock::empty(ObjectFormat::Sha1).pack(&[]);
        assert_eq!(index_pack(&empty[..], directory.path(), ObjectFormat::Sha1, &GO).unwrap(), None);
    }

    #[test]
    fn who_failed_is_told_apart() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("decryption failed"))
            }
        }
        let directory = TempDir::new().unwrap();
        let error = index_pack(Broken, directory.path(), ObjectFormat::Sha1, &GO).unwrap_err();
        assert!(matches!(&error, IndexError::Read { cause } if cause.to_string() == "decryption failed"), "{error:?}");
        let pack = Stock::with_history(ObjectFormat::Sha1).pack(&["--all"]);
        let missing = directory.path().join("missing");
        let error = index_pack(&pack[..], &missing, ObjectFormat::Sha1, &GO).unwrap_err();
        assert!(matches!(error, IndexError::Write { .. }), "{error:?}");
        let stop = AtomicBool::new(true);
        let error = index_pack(&pack[..], directory.path(), ObjectFormat::Sha1, &stop).unwrap_err();
        assert!(matches!(error, IndexError::Interrupted), "{error:?}");
    }
}
