//! How much a destination can still take.

use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_room_and_a_missing_one_is_not_known() {
        let home = tempfile::tempdir().unwrap();
        let place = |path: &str| Place::Local { path: path.to_owned() };
        assert!(free_bytes(&place("."), home.path()).is_some());
        assert_eq!(free_bytes(&place("missing"), home.path()), None);
    }
}
