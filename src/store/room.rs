//! Whether, and how much, a destination can still take, as far as its file system tells without being changed.

use std::path::Path;

use rustix::fs::{AtFlags, CWD};

use super::keys;
use crate::model::Place;

/// Bytes that can still be stored in a directory of this machine; nobody knows that of an object store. It may take as
/// long as the file system takes to answer.
pub fn free_bytes(place: &Place, base: &Path) -> Option<u64> {
    match place {
        Place::Local { path } => {
            let system = rustix::fs::statvfs(base.join(path)).ok()?;
            Some(system.f_bavail.saturating_mul(system.f_frsize))
        }
        Place::S3(_) => None,
    }
}

/// Whether this user may write where backups would be written; nobody knows that of an object store. It may take as long
/// as the file system takes to answer.
pub fn is_writable(place: &Place, base: &Path) -> Option<bool> {
    match place {
        Place::Local { path } => {
            let root = base.join(path);
            let backups = root.join(keys::SERVERS);
            let folder = if backups.is_dir() { backups } else { root };
            let needed = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            Some(folder.is_dir() && rustix::fs::accessat(CWD, &folder, needed, AtFlags::EACCESS).is_ok())
        }
        Place::S3(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_a_missing_one_is_not_known() {
        let home = tempfile::tempdir().unwrap();
        let place = |path: &str| Place::Local { path: path.to_owned() };
        assert!(free_bytes(&place("."), home.path()).is_some());
        assert_eq!(free_bytes(&place("missing"), home.path()), None);
        assert_eq!(is_writable(&place("."), home.path()), Some(true));
        assert_eq!(is_writable(&place("missing"), home.path()), Some(false));
        std::fs::write(home.path().join("file"), "x").unwrap();
        assert_eq!(is_writable(&place("file"), home.path()), Some(false));
    }
}
