//! A destination as an object store: whole objects in, streams out.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::failures::{note, note_reading};
use super::{Attempt, StoreError, Upload, keys};
use crate::model::{DestinationId, Lineage, Place};

/// Bytes of one part of a large object. A file takes parts of any size; small ones keep several packs under way in
/// little memory.
const PART: usize = 1024 * 1024;

/// What a destination is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To create it where it is missing.
    Prepare,
    /// To add backups.
    Write,
    /// To read backups.
    Read,
}

/// An opened destination. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    place: Arc<str>,
    root: Arc<Path>,
}

impl Store {
    /// Opens a place; a relative directory is one below `base`. Only [`Access::Prepare`] creates it. Places
    /// in object stores cannot be opened in this version.
    pub fn open(place: &Place, base: &Path, access: Access) -> Result<Self, StoreError> {
        let path = match place {
            Place::Local { path } => path,
            Place::S3(_) => return Err(StoreError::NotBuilt { place: place.to_string() }),
        };
        let root = base.join(path);
        let unreachable = |source| StoreError::Unreachable { place: root.display().to_string(), source };
        match access {
            Access::Prepare => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).map_err(unreachable)?;
                // A crash must not take the directory away again from under what is stored in it.
                for directory in root.ancestors().take(2).filter(|directory| directory.is_dir()) {
                    fs::File::open(directory).and_then(|opened| opened.sync_all()).map_err(unreachable)?;
                }
            }
            Access::Write | Access::Read => {
                let found = fs::metadata(&root).map_err(unreachable)?;
                if !found.is_dir() {
                    return Err(unreachable(std::io::ErrorKind::NotADirectory.into()));
                }
            }
        }
        let place: Arc<str> = root.display().to_string().into();
        #[expect(clippy::disallowed_methods, reason = "this is where it is made to sync")]
        let objects = LocalFileSystem::new_with_prefix(&root)
            .map_err(|source| StoreError::sort(&place, "", Attempt::Open, source))?
            .with_fsync(true);
        Ok(Self { objects: Arc::new(objects), place, root: root.into() })
    }

    /// Opens a destination for writing that was bound, and demands its marker.
    pub async fn open_bound(
        place: &Place,
        base: &Path,
        destination: DestinationId,
        lineage: Lineage,
    ) -> Result<Self, StoreError> {
        let opened = match Self::open(place, base, Access::Write) {
            Ok(store) => store.demand(destination, lineage).await.map(|_marker| store),
            Err(error) => Err(error),
        };
        // What the storage said was counted when it said so.
        opened.inspect_err(|error| match error {
            StoreError::Storage { .. } | StoreError::Full { .. } => {}
            error => note(Attempt::Open, error),
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The address as people know it.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Stores a whole object under a key that is not taken.
    pub async fn put_new(&self, key: &str, object: Bytes) -> Result<(), StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let stored = self.objects.put_opts(&Key::from(key), object.into(), options).await;
        stored.map(drop).map_err(|source| self.sort(key, Attempt::Write, source))
    }

    /// Begins a large object. It appears under its key when [`Upload::finish`] returns, and not before.
    pub fn upload(&self, key: String) -> Upload {
        Upload::new(Arc::clone(&self.objects), Arc::clone(&self.place), key, PART)
    }

    /// Reads a whole object of at most `limit` bytes.
    pub async fn read(&self, key: &str, limit: u64) -> Result<Bytes, StoreError> {
        let found = self.objects.get(&Key::from(key)).await.map_err(|source| self.sort(key, Attempt::Read, source))?;
        if found.meta.size > limit {
            return Err(StoreError::TooLarge { place: self.place().to_owned(), key: key.to_owned(), limit });
        }
        found.bytes().await.map_err(|source| self.sort(key, Attempt::Read, source))
    }

    /// Reads an object as a stream.
    pub async fn reader(&self, key: &str) -> Result<impl AsyncRead + Send + Unpin + 'static, StoreError> {
        let found = self.objects.get(&Key::from(key)).await.map_err(|source| self.sort(key, Attempt::Read, source))?;
        Ok(StreamReader::new(found.into_stream().inspect_err(note_reading).map_err(std::io::Error::other)))
    }

    /// The size of an object in bytes.
    pub async fn size(&self, key: &str) -> Result<u64, StoreError> {
        let found = self.objects.head(&Key::from(key)).await;
        found.map(|meta| meta.size).map_err(|source| self.sort(key, Attempt::LookUp, source))
    }

    /// The sizes of many objects in bytes, in order; `None` for one that is missing. One look instead of one for each.
    pub async fn sizes(&self, keys: Vec<String>) -> Result<Vec<Option<u64>>, StoreError> {
        let (root, place) = (Arc::clone(&self.root), Arc::clone(&self.place));
        let look = tokio::task::spawn_blocking(move || {
            let size = |key: String| match fs::metadata(root.join(&key)) {
                Ok(found) => Ok(Some(found.len())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(StoreError::Unreachable { place: place.to_string(), source }),
            };
            keys.into_iter().map(size).collect::<Result<Vec<_>, _>>()
        });
        look.await.expect("looking does not panic").inspect_err(|error| note(Attempt::LookUp, error))
    }

    /// The keys of all manifests, in the order of their keys.
    pub async fn manifests(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let prefix = Key::from(keys::SERVERS);
        let mut listing = self.objects.list(Some(&prefix));
        while let Some(meta) = listing.next().await {
            let key = meta.map_err(|source| self.sort(keys::SERVERS, Attempt::List, source))?.location.to_string();
            if keys::manifest_id(&key).is_some() {
                found.push(key);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Files that never got their key: what killed writers left behind, and what living ones are at. It looks into every
    /// folder: worth it only where a writer did not end in order.
    pub fn unfinished(&self) -> Vec<Unfinished> {
        let mut found = Vec::new();
        // Of the directory itself, nothing else is ours.
        let mut folders: Vec<PathBuf> =
            vec![self.root.join(keys::SERVERS), self.root.join("runs"), self.root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    folders.extend((folder != *self.root).then(|| entry.path()));
                } else if kind.is_file() && is_unfinished(&entry.file_name().to_string_lossy()) {
                    let bytes = entry.metadata().map_or(0, |meta| meta.len());
                    let path = entry.path();
                    let key = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().into_owned();
                    found.push(Unfinished { path, key, bytes });
                }
            }
        }
        found
    }

    /// Removes unfinished files. The caller knows that nobody writes to them. Answers how many bytes came free.
    pub fn remove_unfinished(&self, files: &[Unfinished]) -> Result<u64, StoreError> {
        let mut freed = 0;
        for file in files {
            match fs::remove_file(&file.path) {
                Ok(()) => freed += file.bytes,
                // Its writer has ended meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    let error = StoreError::Unreachable { place: self.place().to_owned(), source };
                    note(Attempt::Remove, &error);
                    return Err(error);
                }
            }
        }
        Ok(freed)
    }

    fn sort(&self, key: &str, attempt: Attempt, source: object_store::Error) -> StoreError {
        StoreError::sort(&self.place, key, attempt, source)
    }
}

/// A file that has not got its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    path: PathBuf,
    key: String,
    bytes: u64,
}

impl Unfinished {
    /// The key that it was to get, with what the object store adds to it.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Whether a file is one that the object store has not given its key yet: `<name>.age#<number>`, or the marker's.
fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(whole, number)| {
        (whole.ends_with(".age") || whole == keys::MARKER)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> Store {
        Store::open(&Place::Local { path: ".".into() }, folder, Access::Write).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.put_new("servers/x/a.age", Bytes::from_static(b"one")).await.unwrap();
        let again = store.put_new("servers/x/a.age", Bytes::from_static(b"two")).await;
        assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
        assert_eq!(store.read("servers/x/a.age", 10).await.unwrap(), "one");
        assert!(matches!(store.read("servers/x/a.age", 2).await, Err(StoreError::TooLarge { .. })));
        assert!(matches!(store.read("servers/x/b.age", 2).await, Err(StoreError::Missing { .. })));
    }

    #[tokio::test]
    async fn sizes_tell_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.put_new("servers/x/a.age", Bytes::from_static(b"one")).await.unwrap();
        let keys = ["servers/x/a.age", "servers/x/b.age"].map(str::to_owned).to_vec();
        assert_eq!(store.sizes(keys).await.unwrap(), [Some(3), None]);
    }

    #[tokio::test]
    async fn an_upload_appears_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        for size in [10usize, 12 * 1024 * 1024 + 3] {
            let key = format!("servers/{size}.age");
            let mut upload = store.upload(key.clone());
            let content: Vec<u8> = (0..size).map(|index| u8::try_from(index % 251).unwrap()).collect();
            for chunk in content.chunks(700_001) {
                upload.write(Bytes::copy_from_slice(chunk)).await.unwrap();
            }
            assert!(matches!(store.size(&key).await, Err(StoreError::Missing { .. })));
            upload.finish().await.unwrap();
            assert_eq!(store.read(&key, u64::MAX).await.unwrap(), content);
        }
    }

    #[tokio::test]
    async fn sweeping_removes_only_what_was_never_finished() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        store.put_new("servers/x/a.age", Bytes::from_static(b"whole")).await.unwrap();
        let left = ["servers/x/b.age#1", "xopero.json#1"].map(|name| folder.path().join(name));
        for path in &left {
            fs::write(path, b"half").unwrap();
        }
        let foreign = folder.path().join("photos");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("c.age#1"), b"somebody's own").unwrap();
        let found = store.unfinished();
        let mut keys: Vec<_> = found.iter().map(Unfinished::key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["servers/x/b.age#1", "xopero.json#1"]);
        assert_eq!(store.remove_unfinished(&found).unwrap(), 8);
        assert_eq!(store.remove_unfinished(&found).unwrap(), 0, "they are gone already");
        assert!(left.iter().all(|path| !path.exists()) && foreign.join("c.age#1").exists());
        assert_eq!(store.size("servers/x/a.age").await.unwrap(), 5);
    }

    #[test]
    fn a_missing_directory_is_an_error_unless_it_is_prepared() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Local { path: "nas".into() };
        assert!(matches!(Store::open(&place, folder.path(), Access::Write), Err(StoreError::Unreachable { .. })));
        assert!(Store::open(&place, folder.path(), Access::Prepare).is_ok());
        assert!(Store::open(&place, folder.path(), Access::Write).is_ok());
    }
}
