//! Writing a source back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::{SOURCE_LIMIT, SourceError, SourceText, read_file};

impl SourceText {
    /// Replaces the file by `text`, unless it is no longer what was read: whoever edited it meanwhile loses nothing.
    pub fn replace(&self, text: &str) -> Result<(), SourceError> {
        if read_file(&self.path, SOURCE_LIMIT)?.sha256 != self.sha256 {
            return Err(SourceError::Changed { path: self.path.clone() });
        }
        replace(&self.path, text).map_err(|source| SourceError::Write { path: self.path.clone(), source })
    }
}

/// Replaces a file at once and keeps its mode: a reader sees the old text or the new one. A symbolic link stays.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".xopero-edit-").tempfile_in(parent)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn replacing_keeps_the_mode_and_the_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real.kdl"), folder.path().join("xopero.kdl"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        read_file(&link, SOURCE_LIMIT).unwrap().replace("new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_somebody_wrote_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xopero.kdl");
        fs::write(&path, "old").unwrap();
        let source = read_file(&path, SOURCE_LIMIT).unwrap();
        fs::write(&path, "edited").unwrap();
        let error = source.replace("new").unwrap_err();
        assert!(matches!(error, SourceError::Changed { .. }) && error.hint().is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "edited");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
