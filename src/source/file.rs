//! A file of this machine as a source.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::SourceError;
use crate::model::hex;

/// The largest source that is read: 4 MiB.
pub const SOURCE_LIMIT: u64 = 4 << 20;

/// The text of a source, as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// The file. What it names relatively is relative to its directory.
    pub path: PathBuf,
    /// The file as it was named, for messages.
    pub name: String,
    /// What it says.
    pub text: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl SourceText {
    pub(super) fn new(path: &Path, text: String) -> Self {
        let sha256 = hex::encode(&Sha256::digest(&text));
        Self { path: path.to_owned(), name: path.display().to_string(), text, sha256 }
    }

    /// The directory that relative paths in it begin at.
    pub fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(directory) if directory != Path::new("") => directory,
            Some(_) | None => Path::new("."),
        }
    }
}

/// Reads a regular file of at most `limit` bytes of UTF-8; [`SOURCE_LIMIT`] is the limit for sources.
pub fn read_file(path: &Path, limit: u64) -> Result<SourceText, SourceError> {
    let failed = |error: io::Error| {
        if error.kind() == io::ErrorKind::NotFound {
            SourceError::Missing { path: path.to_owned() }
        } else {
            SourceError::Read { path: path.to_owned(), source: error }
        }
    };
    // Asked before opening, because opening a pipe waits for a writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(SourceError::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(SourceError::TooLarge { path: path.to_owned(), limit });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| SourceError::NotText { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
    Ok(SourceText::new(path, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_with_its_digest() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("xopero.kdl");
        fs::write(&path, "abc").unwrap();
        let source = read_file(&path, 3).unwrap();
        assert_eq!(source.text, "abc");
        assert_eq!(source.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(source.directory(), home.path());
    }

    #[test]
    fn anything_else_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("xopero.kdl");
        let read = || read_file(&path, 4).unwrap_err();
        let missing = read();
        assert!(matches!(missing, SourceError::Missing { .. }));
        assert!(missing.hint().unwrap().contains("-f PATH"));
        fs::write(&path, "abcde").unwrap();
        assert!(matches!(read(), SourceError::TooLarge { limit: 4, .. }));
        fs::write(&path, b"ab\xffc").unwrap();
        assert!(matches!(read(), SourceError::NotText { offset: 2, .. }));
        assert!(matches!(read_file(home.path(), 4).unwrap_err(), SourceError::NotAFile { .. }));
    }
}
