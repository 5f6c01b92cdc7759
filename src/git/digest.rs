//! The hash over a pack's bytes, in the repository's format.

use sha2::{Digest, Sha256};

use super::error::PackError;
use crate::model::{ObjectFormat, ObjectId};

/// A running checksum. SHA-1 is the one that detects collision attacks.
pub(super) enum PackDigest {
    Sha1(Box<sha1dc::Hasher>),
    Sha256(Box<Sha256>),
}

impl PackDigest {
    pub(super) fn new(format: ObjectFormat) -> Self {
        match format {
            ObjectFormat::Sha1 => Self::Sha1(Box::new(sha1dc::Hasher::new())),
            ObjectFormat::Sha256 => Self::Sha256(Box::new(Sha256::new())),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The checksum; an error if the bytes are half of a forged pair.
    pub(super) fn finish(self) -> Result<ObjectId, PackError> {
        match self {
            Self::Sha1(hasher) => {
                let digest = hasher.finalize().map_err(|_| PackError::Collision)?;
                Ok(ObjectId::Sha1(digest.to_bytes()))
            }
            Self::Sha256(hasher) => Ok(ObjectId::Sha256(hasher.finalize().into())),
        }
    }
}

impl std::fmt::Debug for PackDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PackDigest")
    }
}
