//! What others were in the way of is tried again, here and nowhere else.

use std::time::Duration;

use super::{StateError, StateStore};

/// Every time one of those in each other's way gets through, so this is more than enough for a few processes.
const TRIES: u32 = 16;

/// The longest rest between two tries.
const LONGEST_REST: Duration = Duration::from_millis(64);

impl StateStore {
    /// Does something that is one transaction, and does it again if the database gave it up in favour of others.
    /// SQLite makes everybody wait instead, so there it happens once.
    pub(super) async fn undisturbed<T, F>(&self, transaction: impl Fn() -> F) -> Result<T, StateError>
    where
        F: Future<Output = Result<T, StateError>>,
    {
        for tried in 0..TRIES {
            match transaction().await {
                Err(error) if error.is_contention() => {
                    tracing::debug!(tried, "a transaction was given up in favour of others");
                    tokio::time::sleep(Duration::from_millis(1 << tried.min(6)).min(LONGEST_REST)).await;
                }
                ended => return ended,
            }
        }
        transaction().await
    }
}
