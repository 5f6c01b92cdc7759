//! Whether a destination can be written, without leaving anything behind.

use std::io::Write;

use super::{Store, StoreError, keys};

impl Store {
    /// Writes a file that has no name and is gone with the call, where backups would be written. It may block for as
    /// long as the storage does.
    pub fn probe_write(&self) -> Result<(), StoreError> {
        let backups = self.root().join(keys::SERVERS);
        let folder = if backups.is_dir() { backups.as_path() } else { self.root() };
        let written = tempfile::tempfile_in(folder).and_then(|mut file| {
            file.write_all(&[0])?;
            file.sync_data()
        });
        written.map_err(|source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreError::Full { place: self.place().to_owned(), key: "a probe".to_owned() }
            }
            _ => StoreError::ReadOnly { place: self.place().to_owned(), source },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::model::Place;
    use crate::store::Access;

    fn store(folder: &Path) -> Store {
        Store::open(&Place::Local { path: ".".into() }, folder, Access::Write).unwrap()
    }

    #[test]
    fn a_probe_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        store(folder.path()).probe_write().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(folder.path().join("servers")).unwrap();
        store(folder.path()).probe_write().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("servers")).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_went_away_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        folder.close().unwrap();
        assert!(matches!(store.probe_write(), Err(StoreError::ReadOnly { .. })));
    }
}
