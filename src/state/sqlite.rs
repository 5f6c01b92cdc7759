//! A state in an SQLite file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor};

use super::location::{DATABASE, DIRECTORY};
use super::{StateError, StatePlace};
use crate::crash::{self, CrashPoint};

/// Makes the file of a database, for its owner only, if there is none.
pub(super) fn create(path: &Path) -> Result<(), StateError> {
    // An existing file is not opened here: closing it again would release the locks that other connections of
    // this process hold on it.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {
            crash::point(CrashPoint::DatabaseMade);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(StateError::CreateDatabase { path: path.to_owned(), source }),
    }
}

/// Whether there is a file.
pub(super) fn exists(path: &Path) -> Result<bool, StateError> {
    match path.metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StateError::CreateDatabase { path: path.to_owned(), source }),
    }
}

/// Opens the file: one connection per process, so that writers queue for it instead of polling a busy database. The
/// file that is given with it keeps others from opening until it is dropped.
pub(super) async fn connect(path: &Path, directory: &Path) -> Result<(AnyPool, File), StateError> {
    let place = || StatePlace::File(path.to_owned());
    let failed = |source: sqlx::Error| StateError::Open { place: place(), source: source.into() };
    let absolute =
        path.canonicalize().map_err(|source| StateError::CreateDatabase { path: path.to_owned(), source })?;
    let address = address(&absolute);
    let turn = turn(directory.join("open.lock")).await?;
    // The pool would try again for half a minute what a plain connection tells at once.
    let mut probe = AnyConnection::connect(&address).await.map_err(failed)?;
    prepare(&mut probe).await.map_err(failed)?;
    let pool = AnyPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect(&address)
        .await
        .map_err(failed)?;
    // Only after the pool has its connection: the last one to close folds the write-ahead log into the database,
    // which would have to be begun anew.
    probe.close().await.map_err(failed)?;
    Ok((pool, turn))
}

/// Waits until nobody else opens the state. A database that takes up its write-ahead log refuses others instead of
/// making them wait, so openings go one after the other.
async fn turn(path: PathBuf) -> Result<File, StateError> {
    let lock = path.clone();
    let waited = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock)?;
        file.lock().map(|()| file)
    });
    let file = waited.await.map_err(io::Error::other).and_then(|file| file);
    file.map_err(|source| StateError::Lock { path, source })
}

/// What every connection is told first.
async fn prepare(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in [
        "PRAGMA busy_timeout = 10000",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ] {
        connection.execute(pragma).await?;
    }
    Ok(())
}

/// Makes the directory of a state, for its owner only. The usual one lies beside a file that is kept in git: what is in
/// it does not belong there.
pub(super) fn create_directory(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::CreateDirectory { path: path.to_owned(), source };
    let is_new = !path.is_dir();
    if is_new {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        crash::point(CrashPoint::DirectoryMade);
    }
    let ignore = path.join(".gitignore");
    // Of a directory that is there already only ours is looked at, for what a kill left undone.
    let is_left = || {
        let says_nothing = ignore.metadata().map_or(true, |found| found.len() == 0);
        path.ends_with(DIRECTORY) && says_nothing && !path.join(DATABASE).exists()
    };
    if is_new || is_left() { std::fs::write(ignore, "*\n").map_err(failed) } else { Ok(()) }
}

/// The address of a database file. Everything that could mean something in an address is encoded.
fn address(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut address = String::from("sqlite://");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            address.push(char::from(*byte));
        } else {
            write!(address, "%{byte:02X}").expect("strings take everything");
        }
    }
    address + "?mode=rw"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_keeps_its_hands_off_a_directory_that_was_half_made() {
        let home = tempfile::tempdir().unwrap();
        let ours = home.path().join(".xopero");
        std::fs::create_dir(&ours).unwrap();
        std::fs::write(ours.join(".gitignore"), "").unwrap();
        create_directory(&ours).unwrap();
        assert_eq!(std::fs::read_to_string(ours.join(".gitignore")).unwrap(), "*\n");
        create_directory(home.path()).unwrap();
        assert!(!home.path().join(".gitignore").exists(), "somebody else's directory");
    }
}
