//! The operating system's advisory lock on a file beside the database. The file holds who took it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::super::sqlite::create_directory;
use super::super::{StateError, StatePlace};
use super::{Exclusive, LockBody};

/// A body longer than this was not written by us.
const BODY_LIMIT: u64 = 4096;

/// How often the lock is tried again while somebody only looks at it.
const LOOKS: u32 = 1000;

/// A file whose lock is held.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
}

const fn name(exclusive: Exclusive) -> &'static str {
    match exclusive {
        Exclusive::Applying => "lock",
        Exclusive::Runs => "runs.lock",
    }
}

impl FileLock {
    pub(super) fn acquire(directory: &Path, exclusive: Exclusive, body: &LockBody) -> Result<Self, StateError> {
        create_directory(directory)?;
        let path = directory.join(name(exclusive));
        let failed = |source: io::Error| StateError::Lock { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut looks = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Shared with somebody who only looks whether it is free: that one is done in a moment.
                Err(TryLockError::WouldBlock) if looks < LOOKS && file.try_lock_shared().is_ok() => {
                    looks += 1;
                    file.unlock().map_err(failed)?;
                    std::thread::yield_now();
                }
                Err(TryLockError::WouldBlock) => {
                    let place = StatePlace::File(path.clone());
                    return Err(StateError::Locked { holder: read_body(&file).map(Box::new), place });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let text = serde_json::to_vec(body).expect("strings and numbers are JSON");
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text)).map_err(failed)?;
        Ok(Self { file })
    }

    pub(super) fn is_free(directory: &Path, exclusive: Exclusive) -> bool {
        match File::open(directory.join(name(exclusive))) {
            // Shared, so that two who look do not take each other for a holder.
            Ok(file) => file.try_lock_shared().is_ok_and(|()| file.unlock().is_ok()),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A body that stays behind does no harm: nobody reads it while the lock is free.
        let _ = self.file.set_len(0);
        // Closing is not enough: a child process that was just begun shares the open file until it executes.
        let _closed_next = self.file.unlock();
    }
}

fn read_body(file: &File) -> Option<LockBody> {
    let mut text = Vec::new();
    file.take(BODY_LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
