//! Temporary room in which packs are unpacked in clear.
//!
//! It is gone when its owner is dropped. A process that is killed drops nothing: so its owner holds the operating
//! system's lock on it, which ends with the process, and a room that nobody holds is removed by the next command that
//! comes along. A file system without locks tells nobody that somebody is dead: there it stays.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::TempDir;

/// How the names of such rooms begin.
const PREFIX: &str = "xopero-verify-";

/// How many letters and digits are drawn for the rest of a name.
const DRAWN: usize = 16;

/// A directory that only this user can read, for as long as it is wanted.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    /// Held until the directory is gone.
    _lock: File,
}

impl Scratch {
    /// Makes one below `parent`, after what killed processes left there is removed.
    pub fn below(parent: &Path) -> io::Result<Self> {
        sweep_scratch(parent);
        loop {
            let name = &mut tempfile::Builder::new();
            let name = name.prefix(PREFIX).rand_bytes(DRAWN).permissions(Permissions::from_mode(0o700));
            let directory = name.tempdir_in(parent)?;
            if let Some(lock) = hold(directory.path())? {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Locks a directory that was just made. Nothing, if somebody took it for abandoned before it was locked.
fn hold(path: &Path) -> io::Result<Option<File>> {
    let made = match open(path) {
        Ok(made) => made,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match made.try_lock() {
        Ok(()) | Err(TryLockError::Error(_)) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
    }
    let held = made.metadata()?;
    let is_there = fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino()));
    Ok(is_there.then_some(made))
}

/// Opens a directory, and nothing that a name leads away to.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Removes what processes of this user left below `parent` that were killed. What cannot be removed does no harm to
/// what is done next.
pub fn sweep_scratch(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let drawn = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)).map(str::to_owned);
        let is_ours =
            drawn.is_some_and(|drawn| drawn.len() == DRAWN && drawn.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if is_ours {
            remove_abandoned(&entry.path());
        }
    }
}

fn remove_abandoned(path: &Path) {
    let Ok(found) = open(path) else { return };
    // What is another user's is not for us to judge, not even as root.
    let is_mine = found.metadata().is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
    if !is_mine || found.try_lock().is_err() {
        return;
    }
    // Removed under its lock: whoever has made it this moment sees that it is gone.
    let removed = fs::remove_dir_all(path);
    let path = path.display();
    match removed {
        Ok(()) => tracing::warn!(%path, "removed what a verification left in clear that was killed"),
        Err(error) => {
            tracing::warn!(%path, %error, "what a verification left in clear cannot be removed; remove it yourself");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_room_is_private_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::below(folder.path()).unwrap();
        fs::write(scratch.path().join("x.pack"), "clear").unwrap();
        assert_eq!(fs::metadata(scratch.path()).unwrap().mode() & 0o777, 0o700);
        drop(scratch);
        assert_eq!(count(folder.path()), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let abandoned = at("xopero-verify-0123456789abcDEF");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join("x.pack"), "clear").unwrap();
        let elsewhere = at("precious");
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("x"), "mine").unwrap();
        symlink(&elsewhere, at("xopero-verify-aaaaaaaaaaaaaaaa")).unwrap();
        fs::write(at("xopero-verify-bbbbbbbbbbbbbbbb"), "a file").unwrap();
        for name in ["xopero-verify-0123456789abcde", "xopero-verify-0123456789abcd.f", "xopero-other-0123456789abcdef"]
        {
            fs::create_dir(at(name)).unwrap();
        }
        let before = count(folder.path());
        let living = Scratch::below(folder.path()).unwrap();
        let other = Scratch::below(folder.path()).unwrap();
        assert!(!abandoned.exists() && living.path().exists() && other.path().exists());
        assert_eq!(count(folder.path()), before - 1 + 2);
        assert!(elsewhere.join("x").exists());
    }

    #[test]
    fn many_at_once_do_not_remove_each_others() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let scratch = Scratch::below(folder.path()).unwrap();
                        fs::write(scratch.path().join("x.pack"), "clear").unwrap();
                    }
                });
            }
        });
        assert_eq!(count(folder.path()), 0);
    }
}
