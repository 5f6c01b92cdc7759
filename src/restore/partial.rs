//! A file or directory that is being made beside its final place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::RestoreError;
use crate::clock::random_bits;

/// A path that becomes the target when it is finished, and is removed when it is not.
pub(super) struct Partial {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Partial {
    /// Picks the place beside `target`, which must not exist or be an empty directory.
    pub(super) fn beside(target: &Path) -> Result<Self, RestoreError> {
        let write = |source| RestoreError::Write { path: target.to_owned(), source };
        match fs::symlink_metadata(target) {
            Ok(found) => {
                let empty = found.is_dir() && fs::read_dir(target).map_err(write)?.next().is_none();
                if !empty {
                    return Err(RestoreError::Occupied { path: target.to_owned() });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(write(error)),
        }
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(write)?;
        let name = target.file_name().ok_or_else(|| write(io::ErrorKind::InvalidFilename.into()))?;
        let path = parent.join(format!(".{}.{:016x}.partial", name.to_string_lossy(), random_bits() >> 64));
        Ok(Self { path, target: target.to_owned(), finished: false })
    }

    /// Makes it a directory that only this user can read.
    pub(super) fn create_dir(&self) -> Result<(), RestoreError> {
        fs::DirBuilder::new().mode(0o700).create(&self.path).map_err(|source| self.failed(source))
    }

    /// Where it is being made.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts everything on stable storage and moves it to its target.
    pub(super) fn finish(mut self) -> Result<(), RestoreError> {
        let moved = sync_tree(&self.path)
            .and_then(|()| fs::rename(&self.path, &self.target))
            .and_then(|()| sync_parent(&self.target));
        moved.map_err(|source| self.failed(source))?;
        self.finished = true;
        Ok(())
    }

    fn failed(&self, source: io::Error) -> RestoreError {
        RestoreError::Write { path: self.target.clone(), source }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let removed = if self.path.is_dir() { fs::remove_dir_all(&self.path) } else { fs::remove_file(&self.path) };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an unfinished restore could not be removed");
        }
    }
}

fn sync_tree(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let partial = Partial::beside(&folder.path().join("ledger.git")).unwrap();
        partial.create_dir().unwrap();
        fs::write(partial.path().join("HEAD"), "x").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_occupied_target_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("ledger.git");
        fs::create_dir(&target).unwrap();
        assert!(Partial::beside(&target).is_ok());
        fs::write(target.join("HEAD"), "x").unwrap();
        assert!(matches!(Partial::beside(&target), Err(RestoreError::Occupied { .. })));
        assert!(matches!(Partial::beside(&target.join("HEAD")), Err(RestoreError::Occupied { .. })));
    }
}
