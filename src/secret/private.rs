//! Files with secrets: they belong to this user or to root, and nobody else can read them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use age::secrecy::SecretString;
use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::SecretError;

/// No token or password is longer.
const LARGEST_SECRET: usize = 16 << 10;

/// A file that was read, with its permission bits.
pub(super) struct PrivateFile {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) mode: u32,
}

/// Why a file cannot hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is a directory, a device or a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// Others than the owner can read or write it.
    #[error("it is open to other users (mode {0:04o})")]
    Permissions(u32),
    /// It belongs to another user.
    #[error("it belongs to user {0}, neither to the current user nor to root")]
    Owner(u32),
    /// It is too large to be one.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// It does not say one thing on one line.
    #[error("it does not hold a secret on one line of text")]
    NotOneLine,
}

/// Without waiting for the other end of a pipe: its kind is looked at afterwards.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// All checks are made on the open file, so the path cannot be exchanged in between. Files that systemd protects may
/// have `any_mode`.
pub(super) fn read(file: File, any_mode: bool, largest: usize) -> Result<PrivateFile, PrivateFileError> {
    let metadata = file.metadata().map_err(PrivateFileError::Read)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NotAFile);
    }
    if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(PrivateFileError::Owner(metadata.uid()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 && !any_mode {
        return Err(PrivateFileError::Permissions(mode));
    }
    if metadata.len() > largest as u64 {
        return Err(PrivateFileError::TooLarge(largest));
    }
    // Room for all of it at once: a buffer that grows leaves copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(largest + 1));
    file.take(largest as u64 + 1).read_to_end(&mut bytes).map_err(PrivateFileError::Read)?;
    if bytes.len() > largest {
        return Err(PrivateFileError::TooLarge(largest));
    }
    Ok(PrivateFile { bytes, mode })
}

/// Reads a file that holds a token, a password or a key on one line, and nothing else.
///
/// `protected` is whether systemd keeps others away from it, whatever its mode.
pub fn read_secret_file(path: &Path, protected: bool) -> Result<SecretString, SecretError> {
    let found = open(path).map_err(PrivateFileError::Read).and_then(|file| read(file, protected, LARGEST_SECRET));
    let line = found.and_then(|found| {
        let text = std::str::from_utf8(&found.bytes).map_err(|_| PrivateFileError::NotOneLine)?.trim_end();
        let usable = !text.is_empty() && !text.chars().any(char::is_control);
        if usable { Ok(SecretString::from(text)) } else { Err(PrivateFileError::NotOneLine) }
    });
    line.map_err(|source| SecretError::SecretFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use age::secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_one_line_of_a_file_that_nobody_else_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let write = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let refused = |protected| match read_secret_file(&path, protected) {
            Err(SecretError::SecretFile { source, .. }) => source,
            other => panic!("{other:?}"),
        };
        assert!(matches!(refused(false), PrivateFileError::Read(_)));
        write("s3cr3t\n", 0o600);
        assert_eq!(read_secret_file(&path, false).unwrap().expose_secret(), "s3cr3t");
        write("s3cr3t", 0o640);
        assert!(matches!(refused(false), PrivateFileError::Permissions(0o640)));
        assert_eq!(read_secret_file(&path, true).unwrap().expose_secret(), "s3cr3t");
        for wrong in ["", "\n", "one\ntwo\n", "a\u{7}b"] {
            write(wrong, 0o600);
            assert!(matches!(refused(false), PrivateFileError::NotOneLine), "{wrong:?}");
        }
        write(&"x".repeat(LARGEST_SECRET + 1), 0o600);
        assert!(matches!(refused(false), PrivateFileError::TooLarge(_)));
        let directory = read_secret_file(folder.path(), false).unwrap_err();
        assert!(directory.hint().is_some(), "{directory}");
    }
}
