//! Documents: JSON, compressed with zstd, encrypted with age.

use std::io::{Read, Write};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ArchiveError;
use crate::secret::{Identities, PublicKeys};
use crate::store::Store;

/// The largest stored document that is read, in bytes.
const LARGEST_STORED: u64 = 512 * 1024 * 1024;

/// The largest document after decompression, in bytes: a repository with a million references stays below it.
const LARGEST_PLAIN: u64 = 1024 * 1024 * 1024;

/// The compression level: zstd's own default.
const LEVEL: i32 = 3;

/// Compresses a document, as the state keeps it.
pub fn pack_document(document: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(document).expect("documents are plain data");
    zstd::encode_all(json.as_slice(), LEVEL).expect("compressing in memory cannot fail")
}

/// Reads what [`pack_document`] made. `what` names it in an error.
pub fn unpack_document<T: DeserializeOwned>(packed: &[u8], what: &str) -> Result<T, ArchiveError> {
    let damaged = |why: String| ArchiveError::Damaged { key: what.to_owned(), why };
    let mut json = Vec::new();
    let decoder = zstd::Decoder::new(packed).map_err(|error| damaged(error.to_string()))?;
    let read = decoder.take(LARGEST_PLAIN + 1).read_to_end(&mut json).map_err(|error| damaged(error.to_string()))?;
    if read as u64 > LARGEST_PLAIN {
        return Err(damaged(format!("it is larger than {LARGEST_PLAIN} bytes")));
    }
    serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
}

/// Stores a document under a key that is not taken, for the holders of `keys`. Answers its stored size in bytes.
pub async fn write_document(
    store: &Store,
    key: &str,
    document: &impl Serialize,
    keys: &PublicKeys,
) -> Result<u64, ArchiveError> {
    let sealed = seal(&pack_document(document), keys)?;
    let bytes = sealed.len() as u64;
    store.put_new(key, sealed).await?;
    Ok(bytes)
}

fn seal(packed: &[u8], keys: &PublicKeys) -> Result<Bytes, ArchiveError> {
    let encrypt = |source| ArchiveError::Encrypt { source };
    let mut writer = keys.sealing(Vec::new()).map_err(encrypt)?;
    writer.write_all(packed).map_err(encrypt)?;
    Ok(writer.finish().map_err(encrypt)?.into())
}

/// Reads a stored document.
pub async fn read_document<T: DeserializeOwned>(
    store: &Store,
    key: &str,
    identities: &Identities,
) -> Result<T, ArchiveError> {
    let sealed = store.read(key, LARGEST_STORED).await?;
    let open = |source| ArchiveError::opening(key, source);
    let mut packed = Vec::new();
    let mut reader = identities.opening(sealed.as_ref()).map_err(open)?;
    reader
        .read_to_end(&mut packed)
        .map_err(|error| ArchiveError::Damaged { key: key.to_owned(), why: error.to_string() })?;
    unpack_document(&packed, key)
}
