//! A file or directory that is being made beside its final place.
//!
//! Whoever makes it holds the operating system's lock on it, which ends with the process. So what was left by a process
//! that was killed is known from what somebody else is making: the next one for the same target removes it, because it
//! holds a repository in clear.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::RestoreError;
use crate::clock::random_bits;

/// A path that becomes the target when it is finished, and is removed when it is not.
pub(super) struct Partial {
    path: PathBuf,
    target: PathBuf,
    finished: bool,
    /// Locked as long as it is being made.
    lock: Option<File>,
}

/// What the name of something unfinished ends with.
const ENDING: &str = ".partial";

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
        let beginning = format!(".{}.", name.to_string_lossy());
        sweep(parent, &beginning);
        let path = parent.join(format!("{beginning}{:016x}{ENDING}", random_bits() >> 64));
        Ok(Self { path, target: target.to_owned(), finished: false, lock: None })
    }

    /// Makes it a directory that only this user can read.
    pub(super) fn create_dir(&mut self) -> Result<(), RestoreError> {
        let made = fs::DirBuilder::new().mode(0o700).create(&self.path).and_then(|()| File::open(&self.path));
        let made = made.map_err(|source| self.failed(source))?;
        self.hold(made)
    }

    /// Makes it a file that only this user can read.
    pub(super) fn create_file(&mut self) -> Result<File, RestoreError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path);
        let both = made.and_then(|made| Ok((made.try_clone()?, made)));
        let (lock, file) = both.map_err(|source| self.failed(source))?;
        self.hold(lock)?;
        Ok(file)
    }

    /// Keeps others from removing it. A file system without locks keeps them from it, too: nothing is theirs to remove
    /// without one.
    fn hold(&mut self, made: File) -> Result<(), RestoreError> {
        match made.try_lock() {
            Ok(()) | Err(TryLockError::Error(_)) => {
                self.lock = Some(made);
                Ok(())
            }
            // Somebody took it for abandoned in the moment before.
            Err(TryLockError::WouldBlock) => Err(self.failed(io::ErrorKind::ResourceBusy.into())),
        }
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
        self.lock = None;
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

/// Removes what processes left that were killed while they made something for the same target. What cannot be removed
/// does no harm to what is made now.
fn sweep(parent: &Path, beginning: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let drawn = name.to_str().and_then(|name| name.strip_prefix(beginning)?.strip_suffix(ENDING));
        let is_ours =
            drawn.is_some_and(|drawn| drawn.len() == 16 && drawn.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_ours {
            remove_abandoned(&entry.path());
        }
    }
}

fn remove_abandoned(path: &Path) {
    // Nothing else is opened: to open a pipe would wait for somebody.
    let is_directory = match fs::symlink_metadata(path) {
        // What is another user's is not for us to judge, not even as root.
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => return,
        Ok(found) if found.is_dir() => true,
        Ok(found) if found.is_file() => false,
        Ok(_) | Err(_) => return,
    };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let Ok(found) = OpenOptions::new().read(true).custom_flags(flags).open(path) else { return };
    if found.try_lock().is_err() {
        return;
    }
    let removed = if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    let path = path.display();
    match removed {
        Ok(()) => tracing::warn!(%path, "removed what a restore left unfinished that was cut off"),
        Err(error) => {
            tracing::warn!(%path, %error, "what a restore left unfinished could not be removed; remove it yourself");
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
        let mut partial = Partial::beside(&folder.path().join("ledger.git")).unwrap();
        partial.create_dir().unwrap();
        fs::write(partial.path().join("HEAD"), "x").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let abandoned = [".ledger.git.0123456789abcdef.partial", ".ledger.git.fedcba9876543210.partial"];
        fs::create_dir_all(at(abandoned[0]).join("objects/pack")).unwrap();
        fs::write(at(abandoned[1]), "a bundle").unwrap();
        let others = [
            ".ledger.git.0123456789abcde.partial",
            ".ledger.git.0123456789abcdeg.partial",
            ".other.git.0123456789abcdef.partial",
            "ledger.git.0123456789abcdef.partial",
        ];
        for name in others {
            fs::create_dir(at(name)).unwrap();
        }
        std::os::unix::fs::symlink(at(others[0]), at(".ledger.git.aaaaaaaaaaaaaaaa.partial")).unwrap();
        let mut making = Partial::beside(&at("ledger.git")).unwrap();
        assert!(abandoned.iter().all(|name| !at(name).exists()));
        assert!(others.iter().all(|name| at(name).exists()) && at(".ledger.git.aaaaaaaaaaaaaaaa.partial").exists());
        making.create_dir().unwrap();
        let mut bundle = Partial::beside(&at("ledger.git")).unwrap();
        let _file = bundle.create_file().unwrap();
        let _third = Partial::beside(&at("ledger.git")).unwrap();
        assert!(making.path().exists() && bundle.path().exists(), "somebody is still making them");
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
