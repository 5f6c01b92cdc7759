//! Writing a source back.

use std::fs;
use std::io;
use std::path::Path;

use super::{SOURCE_LIMIT, SourceError, SourceText, read_file};
use crate::staged::Staged;

impl SourceText {
    /// Replaces the file by `text`, unless it is no longer what was read: whoever edited it meanwhile loses nothing.
    pub fn replace(&self, text: &str) -> Result<(), SourceError> {
        replace_all(&[(self, text)])
    }
}

/// Replaces files, none of them if one was changed meanwhile or cannot be written.
///
/// Each is replaced at once and keeps its mode: a reader sees the old text or the new one. Everything that can fail for
/// a lack of space or rights is done before the first is replaced.
pub fn replace_all(changes: &[(&SourceText, &str)]) -> Result<(), SourceError> {
    let failed = |file: &SourceText| {
        let path = file.path.clone();
        |source| SourceError::Write { path, source }
    };
    for (file, _) in changes {
        if read_file(&file.path, SOURCE_LIMIT)?.sha256 != file.sha256 {
            return Err(SourceError::Changed { path: file.path.clone() });
        }
    }
    let mut staged = Vec::new();
    for (file, text) in changes {
        staged.push((file, stage(&file.path, text).map_err(failed(file))?));
    }
    for (file, new) in staged {
        new.put().map_err(failed(file))?;
    }
    Ok(())
}

/// The new text, beside the file that it is for. A symbolic link stays.
fn stage(path: &Path, text: &str) -> io::Result<Staged> {
    let path = path.canonicalize()?;
    let permissions = fs::metadata(&path)?.permissions();
    Staged::write(&path, text.as_bytes(), Some(permissions))
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

    #[test]
    fn all_files_are_replaced_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, "old").unwrap();
            read_file(&path, SOURCE_LIMIT).unwrap()
        };
        let (one, two) = (read("one"), read("two"));
        fs::write(&two.path, "edited").unwrap();
        assert!(matches!(replace_all(&[(&one, "new"), (&two, "new")]), Err(SourceError::Changed { .. })));
        assert_eq!(fs::read_to_string(&one.path).unwrap(), "old");
        let two = read("two");
        replace_all(&[(&one, "new"), (&two, "newer")]).unwrap();
        assert_eq!(fs::read_to_string(&one.path).unwrap(), "new");
        assert_eq!(fs::read_to_string(&two.path).unwrap(), "newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
