//! Files that take the place of others at once, or not at all.
//!
//! The new content lies beside its place, under a name that begins with [`PREFIX`], until it is on stable storage.
//! Whoever writes it holds the operating system's lock on it meanwhile. One that nobody holds was left by a process
//! that was killed: the next who writes into that directory removes it.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::crash::{self, CrashPoint};

/// How the names of files begin that have not got their place.
pub const PREFIX: &str = ".xopero-new-";

/// A file that is written, and not in its place. Dropping it leaves nothing.
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    place: PathBuf,
}

impl Staged {
    /// Writes what is to be at `place`. Without `permissions` only its owner can read it.
    pub fn write(place: &Path, content: &[u8], permissions: Option<Permissions>) -> io::Result<Self> {
        let directory = directory(place);
        sweep(directory);
        let mut file = locked(directory)?;
        file.write_all(content)?;
        if let Some(permissions) = permissions {
            file.as_file().set_permissions(permissions)?;
        }
        file.as_file().sync_all()?;
        Ok(Self { file, place: place.to_owned() })
    }

    /// Puts it in its place, whatever is there. When this returns, a power cut does not take it back.
    pub fn put(self) -> io::Result<()> {
        crash::point(CrashPoint::FileStaged);
        self.file.persist(&self.place)?;
        crash::point(CrashPoint::FilePut);
        File::open(directory(&self.place))?.sync_all()
    }
}

fn directory(place: &Path) -> &Path {
    match place.parent() {
        Some(directory) if directory != Path::new("") => directory,
        Some(_) | None => Path::new("."),
    }
}

/// A new file whose lock is held.
fn locked(directory: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(directory)?;
        file.as_file().lock()?;
        // Before it was locked, somebody may have taken it for one that was left behind.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes what killed processes left. That it cannot be removed is no reason to write nothing.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            let left = File::open(&path).and_then(|file| file.try_lock().map_err(io::Error::from).map(|()| file));
            // Removed under its lock: whoever has made it this moment sees that it is gone.
            let _still_written = left.and_then(|_locked| fs::remove_file(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn it_is_there_at_once_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("xopero.kdl");
        fs::write(&place, "old").unwrap();
        let staged = Staged::write(&place, b"new", Some(Permissions::from_mode(0o640))).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "old");
        staged.put().unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "new");
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o640);
        drop(Staged::write(&place, b"given up", None).unwrap());
        assert_eq!(names(folder.path()), ["xopero.kdl"]);
    }

    #[test]
    fn what_a_kill_left_goes_and_what_others_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(format!("{PREFIX}killed"));
        fs::write(&left, "half").unwrap();
        fs::write(folder.path().join(".xopero-newer"), "somebody's own").unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        let first = Staged::write(&one, b"1", None).unwrap();
        let second = Staged::write(&other, b"2", None).unwrap();
        assert!(!left.exists());
        first.put().unwrap();
        second.put().unwrap();
        let mut names = names(folder.path());
        names.sort();
        assert_eq!(names, [".xopero-newer", "one", "other"]);
    }

    #[test]
    fn many_at_once_do_not_remove_each_others() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let place = folder.path().join(number.to_string());
                scope.spawn(move || {
                    for _ in 0..20 {
                        Staged::write(&place, b"x", None).unwrap().put().unwrap();
                    }
                });
            }
        });
        assert_eq!(names(folder.path()).len(), 8);
    }
}
