//! One process at a time changes what is in force, and one takes backups.
//!
//! Each lock is the operating system's advisory lock on a file in `.xopero`: it ends with the process that took it,
//! however that ends. The file holds who took it, for the message that others see, and is never a lock by itself.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StateError;
use super::store::create_directory;

/// A body longer than this was not written by us.
const BODY_LIMIT: u64 = 4096;

/// How often somebody who waits looks again. The lock tells nobody when it becomes free, and waiting for it in the
/// operating system could not be given up.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How often the lock is tried again while somebody only looks at it.
const LOOKS: u32 = 1000;

/// Who holds the lock, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockBody {
    /// Tells two holders apart that have the same process number.
    pub id: String,
    /// `user@host`.
    pub who: String,
    /// The process.
    pub pid: u32,
    /// The command: `apply`, `run nightly`.
    pub operation: String,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Display for LockBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: _, who, pid, operation, since } = self;
        write!(f, "{who} (process {pid}, `{operation}`, since {since:.0})")
    }
}

/// What a lock keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusive {
    /// Changing what is in force. It is held for moments; runs go on with what was in force when they began.
    Applying,
    /// Taking backups. A process that takes several at once holds it for all of them.
    Runs,
}

impl Exclusive {
    const fn file(self) -> &'static str {
        match self {
            Self::Applying => "lock",
            Self::Runs => "runs.lock",
        }
    }
}

/// A lock, held as long as this value lives.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes a lock of the state in `directory`, or tells who holds it. Never waits.
    pub fn acquire(directory: &Path, exclusive: Exclusive, body: &LockBody) -> Result<Self, StateError> {
        create_directory(directory)?;
        let path = directory.join(exclusive.file());
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
                    return Err(StateError::Locked { holder: read_body(&file).map(Box::new), path });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        let text = serde_json::to_vec(body).expect("strings and numbers are JSON");
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(&text)).map_err(failed)?;
        Ok(Self { file })
    }
}

impl StateLock {
    /// The same, but waits for `wait` until the holder is done. `waiting` is called once, with what is known of the
    /// holder, if there is something to wait for. `body` is made anew for each attempt: the lock is held since then.
    pub async fn acquire_within(
        directory: &Path,
        exclusive: Exclusive,
        body: impl Fn() -> LockBody,
        wait: Duration,
        waiting: impl FnOnce(Option<&LockBody>),
    ) -> Result<Self, StateError> {
        match Self::acquire(directory, exclusive, &body()) {
            Err(StateError::Locked { holder, .. }) if !wait.is_zero() => waiting(holder.as_deref()),
            ended => return ended,
        }
        let free = async {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                match Self::acquire(directory, exclusive, &body()) {
                    Err(StateError::Locked { .. }) => {}
                    ended => return ended,
                }
            }
        };
        match tokio::time::timeout(wait, free).await {
            Ok(ended) => ended,
            Err(_elapsed) => Self::acquire(directory, exclusive, &body()),
        }
    }
}

impl StateLock {
    /// Whether nobody holds a lock of the state in `directory`. What cannot be looked at counts as held.
    pub fn is_free(directory: &Path, exclusive: Exclusive) -> bool {
        match File::open(directory.join(exclusive.file())) {
            // Shared, so that two who look do not take each other for a holder.
            Ok(file) => file.try_lock_shared().is_ok_and(|()| file.unlock().is_ok()),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

impl Drop for StateLock {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn body(operation: &str) -> LockBody {
        LockBody {
            id: "1".into(),
            who: "ada@vault".into(),
            pid: 7,
            operation: operation.into(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_second_one_learns_who_was_first() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".xopero");
        let first = StateLock::acquire(&directory, Exclusive::Runs, &body("apply")).unwrap();
        let error = StateLock::acquire(&directory, Exclusive::Runs, &body("run nightly")).unwrap_err();
        assert!(matches!(&error, StateError::Locked { holder: Some(holder), .. } if **holder == body("apply")));
        assert!(error.to_string().contains("ada@vault (process 7, `apply`, since 1970-01-01T00:00:00Z)"), "{error}");
        assert!(!StateLock::is_free(&directory, Exclusive::Runs));
        drop(first);
        assert!(StateLock::is_free(&directory, Exclusive::Runs));
        StateLock::acquire(&directory, Exclusive::Runs, &body("run nightly")).unwrap();
    }

    #[tokio::test]
    async fn who_waits_gets_the_lock_when_it_is_free_and_gives_up_in_time() {
        let home = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(home.path(), Exclusive::Runs, &body("run nightly")).unwrap();
        let acquire = |told, wait| {
            StateLock::acquire_within(
                home.path(),
                Exclusive::Runs,
                || body("apply"),
                wait,
                move |holder: Option<&LockBody>| {
                    let _test_ended = tokio::sync::oneshot::Sender::send(told, holder.cloned());
                },
            )
        };
        let (told, _) = tokio::sync::oneshot::channel();
        let error = acquire(told, Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(&error, StateError::Locked { holder: Some(holder), .. } if **holder == body("run nightly")));

        let (told, holder) = tokio::sync::oneshot::channel();
        let free = async {
            assert_eq!(holder.await.unwrap(), Some(body("run nightly")));
            drop(first);
        };
        let (second, ()) = tokio::join!(acquire(told, Duration::from_mins(1)), free);
        second.unwrap();
    }

    #[test]
    fn what_is_in_force_can_change_during_a_run() {
        let home = tempfile::tempdir().unwrap();
        let _run = StateLock::acquire(home.path(), Exclusive::Runs, &body("run nightly")).unwrap();
        StateLock::acquire(home.path(), Exclusive::Applying, &body("apply")).unwrap();
    }

    #[test]
    fn what_a_crash_left_in_the_file_does_not_lock() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("lock"), "{\"id\":\"half").unwrap();
        StateLock::acquire(home.path(), Exclusive::Runs, &body("apply")).unwrap();
    }
}
