//! A value that asynchronous and synchronous code can wait on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// A value behind a lock; every change wakes everybody who waits for a condition.
#[derive(Debug, Default)]
pub(crate) struct Signal<T> {
    value: Mutex<T>,
    threads: Condvar,
    tasks: Notify,
}

impl<T> Signal<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), threads: Condvar::new(), tasks: Notify::new() }
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let answer = change(&mut self.lock());
        self.threads.notify_all();
        self.tasks.notify_waiters();
        answer
    }

    /// Waits until the condition holds.
    pub(crate) async fn wait(&self, condition: impl Fn(&T) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.tasks.notified());
            changed.as_mut().enable();
            if condition(&self.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// Blocks the thread until the condition holds; gives false when the time is over.
    pub(crate) fn wait_blocking(&self, timeout: Duration, condition: impl Fn(&T) -> bool) -> bool {
        let end = Instant::now() + timeout;
        let mut value = self.lock();
        while !condition(&value) {
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return false;
            };
            let woken = self.threads.wait_timeout(value, left);
            value = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
