//! The file of a saved plan.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{ReconcileError, SavedPlan};
use crate::staged::Staged;

/// The largest file that is read, in bytes: a plan over some hundred thousand repositories' projects is smaller.
const LARGEST: u64 = 64 << 20;

impl SavedPlan {
    /// Writes the file for its owner only. A reader sees what was there before, or all of it.
    pub fn write(&self, path: &Path) -> Result<(), ReconcileError> {
        let written = Staged::write(path, self.to_json().as_bytes(), None).and_then(Staged::put);
        written.map_err(|source| ReconcileError::WritePlan { path: path.to_owned(), source })
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, ReconcileError> {
        let read = || -> io::Result<Vec<u8>> {
            // Asked before opening, because opening a pipe waits for a writer.
            if !path.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
            }
            let mut text = Vec::new();
            File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
            if text.len() as u64 > LARGEST {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any plan"));
            }
            Ok(text)
        };
        let text = read().map_err(|source| ReconcileError::ReadPlan { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|source| ReconcileError::UnreadablePlan { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::change::{Known, change_set, sample};
    use crate::model::Source;

    #[test]
    fn the_file_is_private_and_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nightly.xplan");
        let set = change_set(None, &sample::declaration(), &Known::default(), jiff::Timestamp::UNIX_EPOCH);
        let source = Source { file: "xopero.kdl".into(), sha256: "aa".into(), files: Vec::new(), commit: None };
        let saved = SavedPlan::new(&set, None, source);
        std::fs::write(&path, "something else").unwrap();
        saved.write(&path).unwrap();
        assert_eq!(SavedPlan::read(&path).unwrap(), saved);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_a_plan_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = SavedPlan::read(&folder.path().join("no.xplan")).unwrap_err();
        assert!(missing.to_string().contains("no.xplan") && missing.hint().is_some());
        assert!(matches!(SavedPlan::read(folder.path()), Err(ReconcileError::ReadPlan { .. })));
        assert!(matches!(
            SavedPlan::new(
                &change_set(None, &sample::declaration(), &Known::default(), jiff::Timestamp::UNIX_EPOCH),
                None,
                Source { file: "x".into(), sha256: "aa".into(), files: Vec::new(), commit: None }
            )
            .write(&folder.path().join("no/such/folder")),
            Err(ReconcileError::WritePlan { .. })
        ));
    }
}
