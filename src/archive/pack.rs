//! Packs on their way to a destination and back.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio_util::io::SyncIoBridge;

use super::{ArchiveError, PackEntry};
use crate::crash::{self, CrashPoint};
use crate::model::hex;
use crate::secret::{Identities, PublicKeys, SealingWriter};
use crate::store::{Store, Upload};

/// A pack that is being encrypted and stored. Constant memory: what age emits goes straight to the upload.
///
/// Dropping it, or [`PackWriter::abort`], leaves nothing under its key.
pub struct PackWriter {
    sealing: SealingWriter<Vec<u8>>,
    stored: Storing,
}

/// The encrypted side of a pack writer.
struct Storing {
    upload: Upload,
    hash: Sha256,
    bytes: u64,
}

/// A stored pack, as the manifest needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// Its key below the destination.
    pub key: String,
    /// Bytes of the stored object.
    pub stored_bytes: u64,
    /// SHA-256 of the stored object, in hexadecimal.
    pub stored_sha256: String,
}

impl PackWriter {
    /// Begins a pack under `key`, for the holders of `keys`.
    pub fn begin(store: &Store, key: String, keys: &PublicKeys) -> Result<Self, ArchiveError> {
        let sealing = keys.sealing(Vec::new()).map_err(|source| ArchiveError::Encrypt { source })?;
        let stored = Storing { upload: store.upload(key), hash: Sha256::new(), bytes: 0 };
        Ok(Self { sealing, stored })
    }

    /// Appends bytes of the pack.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.sealing.write_all(bytes).map_err(|source| ArchiveError::Encrypt { source })?;
        let emitted = std::mem::take(&mut *self.sealing.get_mut());
        self.stored.take(emitted).await
    }

    /// Ends the pack. When this returns it is on stable storage under its key.
    pub async fn finish(self) -> Result<StoredPack, ArchiveError> {
        let emitted = self.sealing.finish().map_err(|source| ArchiveError::Encrypt { source })?;
        let mut stored = self.stored;
        stored.take(emitted).await?;
        stored.finish().await
    }

    /// Gives the pack up and returns its space.
    pub async fn abort(self) {
        self.stored.upload.abort().await;
    }
}

impl Storing {
    async fn take(&mut self, emitted: Vec<u8>) -> Result<(), ArchiveError> {
        if !emitted.is_empty() {
            self.hash.update(&emitted);
            self.bytes += emitted.len() as u64;
            self.upload.write(emitted.into()).await?;
        }
        Ok(())
    }

    async fn finish(self) -> Result<StoredPack, ArchiveError> {
        let key = self.upload.key().to_owned();
        self.upload.finish().await?;
        crash::point(CrashPoint::PackStored);
        Ok(StoredPack { key, stored_bytes: self.bytes, stored_sha256: hex::encode(&self.hash.finalize()) })
    }
}

/// Opens a stored pack for reading by blocking code: decrypted, while the stored bytes are counted and hashed.
///
/// Must be called inside a runtime; the reader must be used on a thread that may block. After the end,
/// [`PackReader::check`] tells whether the stored bytes are those of the entry.
pub async fn open_pack(
    store: &Store,
    entry: &PackEntry,
    identities: &Identities,
) -> Result<impl FnOnce() -> Result<PackReader, ArchiveError> + Send + 'static, ArchiveError> {
    let stored = Stored::new(SyncIoBridge::new(store.reader(&entry.key).await?));
    let (entry, identities) = (entry.clone(), identities.clone());
    Ok(move || {
        let watch = stored.clone();
        match identities.opening(stored) {
            Ok(plain) => Ok(PackReader { plain: Box::new(plain), watch, entry }),
            // Damage in the head of the file looks like a foreign key; the stored bytes tell which it is.
            Err(source) => {
                Err(watch.compare(&entry).err().unwrap_or_else(|| ArchiveError::opening(&entry.key, source)))
            }
        }
    })
}

/// A stored pack being read. Yields the pack as git's server sent it.
pub struct PackReader {
    plain: Box<dyn Read + Send>,
    watch: Stored,
    entry: PackEntry,
}

impl PackReader {
    /// What a failure to read from it means: the stored object is not what was written.
    pub fn damaged(&self, error: &io::Error) -> ArchiveError {
        ArchiveError::Damaged { key: self.entry.key.clone(), why: error.to_string() }
    }

    /// Reads what is left and compares the stored bytes with the entry.
    pub fn check(mut self) -> Result<(), ArchiveError> {
        io::copy(&mut self.plain, &mut io::sink()).map_err(|error| self.damaged(&error))?;
        self.watch.compare(&self.entry)
    }
}

impl Read for PackReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.plain.read(buffer)
    }
}

/// The stored bytes, counted and hashed as they pass.
#[derive(Clone)]
struct Stored(Arc<Mutex<Passing>>);

struct Passing {
    reader: Box<dyn Read + Send>,
    hash: Sha256,
    bytes: u64,
}

impl Stored {
    fn new(reader: impl Read + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Passing { reader: Box::new(reader), hash: Sha256::new(), bytes: 0 })))
    }

    /// Reads what is left and compares the stored bytes with the entry.
    fn compare(mut self, entry: &PackEntry) -> Result<(), ArchiveError> {
        let damaged = |why: String| ArchiveError::Damaged { key: entry.key.clone(), why };
        io::copy(&mut self, &mut io::sink()).map_err(|error| damaged(error.to_string()))?;
        let (bytes, sha256) = self.digest();
        if bytes != entry.stored_bytes {
            return Err(damaged(format!("{bytes} bytes are stored, the manifest says {}", entry.stored_bytes)));
        }
        if sha256 != entry.stored_sha256 {
            return Err(damaged("its SHA-256 is not the one in the manifest".into()));
        }
        Ok(())
    }

    fn digest(&self) -> (u64, String) {
        let passing = self.0.lock().expect("no holder panics");
        (passing.bytes, hex::encode(&passing.hash.clone().finalize()))
    }
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut passing = self.0.lock().expect("no holder panics");
        let read = passing.reader.read(buffer)?;
        passing.hash.update(&buffer[..read]);
        passing.bytes += read as u64;
        Ok(read)
    }
}
