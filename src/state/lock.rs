//! One process at a time changes what is in force, and one takes backups.
//!
//! Each lock ends with the process that took it, however that ends: beside an SQLite file it is the operating system's,
//! on a PostgreSQL server it is a session's. What is written down of the holder is for the message that others see, and
//! never a lock by itself.

mod file_lock;
mod server_lock;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{StateError, StateLocation, StateStore};
use file_lock::FileLock;
use server_lock::ServerLock;
pub(super) use server_lock::holder_key;

/// How often somebody who waits looks again. The lock tells nobody when it becomes free, and waiting for it in the
/// operating system could not be given up.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

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

/// A lock, held as long as this value lives.
#[derive(Debug)]
pub struct StateLock {
    held: Held,
}

#[derive(Debug)]
enum Held {
    File { _lock: FileLock },
    Server(ServerLock),
}

impl StateLock {
    /// Takes a lock of the state, or tells who holds it. Never waits for the holder.
    pub async fn acquire(location: &StateLocation, exclusive: Exclusive, body: &LockBody) -> Result<Self, StateError> {
        let held = match location {
            StateLocation::File { .. } => {
                Held::File { _lock: FileLock::acquire(location.directory(), exclusive, body)? }
            }
            StateLocation::Server { server, .. } => {
                Held::Server(ServerLock::acquire(server, &location.place(), exclusive, body).await?)
            }
        };
        Ok(Self { held })
    }

    /// The same, but waits for `wait` until the holder is done. `waiting` is called once, with what is known of the
    /// holder, if there is something to wait for. `body` is made anew for each attempt: the lock is held since then.
    pub async fn acquire_within(
        location: &StateLocation,
        exclusive: Exclusive,
        body: impl Fn() -> LockBody,
        wait: Duration,
        waiting: impl FnOnce(Option<&LockBody>),
    ) -> Result<Self, StateError> {
        match Self::acquire(location, exclusive, &body()).await {
            Err(StateError::Locked { holder, .. }) if !wait.is_zero() => waiting(holder.as_deref()),
            ended => return ended,
        }
        let free = async {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                match Self::acquire(location, exclusive, &body()).await {
                    Err(StateError::Locked { .. }) => {}
                    ended => return ended,
                }
            }
        };
        match tokio::time::timeout(wait, free).await {
            Ok(ended) => ended,
            Err(_elapsed) => Self::acquire(location, exclusive, &body()).await,
        }
    }

    /// Whether nobody holds a lock of a state. What cannot be looked at counts as held.
    pub(super) async fn is_free(store: &StateStore, exclusive: Exclusive) -> bool {
        match store.location() {
            StateLocation::File { .. } => FileLock::is_free(store.location().directory(), exclusive),
            StateLocation::Server { .. } => ServerLock::is_free(&store.pool, exclusive).await,
        }
    }

    /// Cancels `work`, which is done under the lock, if it is lost although it is held. A lock beside a file is never
    /// lost.
    pub fn cancel_if_lost(&self, work: CancellationToken) {
        match &self.held {
            Held::File { .. } => {}
            Held::Server(lock) => lock.cancel_if_lost(work),
        }
    }

    /// How the lock on a state was lost, if it was. Whoever did something under it asks before it lets go.
    pub async fn loss(&self, store: &StateStore) -> Option<StateError> {
        match &self.held {
            Held::File { .. } => None,
            // What the keeper has not noticed yet is written down.
            Held::Server(lock) => match lock.loss() {
                Some(lost) => Some(lost),
                None => store.hold_lock().await.err(),
            },
        }
    }

    /// Which holder this is, where others could take over without this process knowing at once.
    pub(super) fn token(&self) -> Option<&str> {
        match &self.held {
            Held::File { .. } => None,
            Held::Server(lock) => Some(lock.id()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::{fresh, fresh_file};
    use super::*;

    fn body(operation: &str) -> LockBody {
        LockBody {
            id: operation.into(),
            who: "ada@vault".into(),
            pid: 7,
            operation: operation.into(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn the_second_one_learns_who_was_first() {
        let (_home, store) = fresh().await;
        let location = store.location();
        let first = StateLock::acquire(location, Exclusive::Runs, &body("apply")).await.unwrap();
        let error = StateLock::acquire(location, Exclusive::Runs, &body("run nightly")).await.unwrap_err();
        assert!(matches!(&error, StateError::Locked { holder: Some(holder), .. } if **holder == body("apply")));
        assert!(error.to_string().contains("ada@vault (process 7, `apply`, since 1970-01-01T00:00:00Z)"), "{error}");
        assert!(!StateLock::is_free(&store, Exclusive::Runs).await);
        assert!(StateLock::is_free(&store, Exclusive::Applying).await);
        drop(first);
        let second = StateLock::acquire(location, Exclusive::Runs, &body("run nightly")).await.unwrap();
        assert!(!store.is_idle().await);
        drop(second);
        // A server hears of it a moment later.
        while !store.is_idle().await {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_gets_the_lock_when_it_is_free_and_gives_up_in_time() {
        let (_home, store) = fresh().await;
        let first = StateLock::acquire(store.location(), Exclusive::Runs, &body("run nightly")).await.unwrap();
        let acquire = |told, wait| {
            StateLock::acquire_within(
                store.location(),
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

    #[tokio::test]
    async fn what_is_in_force_can_change_during_a_run() {
        let (_home, store) = fresh().await;
        let _run = StateLock::acquire(store.location(), Exclusive::Runs, &body("run nightly")).await.unwrap();
        StateLock::acquire(store.location(), Exclusive::Applying, &body("apply")).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_crash_left_in_the_file_does_not_lock() {
        let (home, store) = fresh_file().await;
        std::fs::write(home.path().join(".xopero/runs.lock"), "{\"id\":\"half").unwrap();
        StateLock::acquire(store.location(), Exclusive::Runs, &body("apply")).await.unwrap();
    }
}
