//! What others were in the way of, or what was cut off before it was done, is tried again: here and nowhere else.

use std::time::Duration;

use super::{StateError, StateStore};

/// Every time one of those in each other's way gets through, so this is more than enough for a few processes.
const TRIES: u32 = 16;

/// The longest rest between two tries.
const LONGEST_REST: Duration = Duration::from_millis(64);

/// How often a transaction may be cut off. In between it waits for a connection.
const CUT_OFF: u32 = 3;

impl StateStore {
    /// Does something that is one transaction, and does it again if the database gave it up in favour of others, or went
    /// away before it was committed. SQLite makes everybody wait instead, so there it happens once. What is one
    /// statement alone must bear being done twice: nobody knows whether one that was cut off was done.
    pub(super) async fn undisturbed<T, F>(&self, transaction: impl Fn() -> F) -> Result<T, StateError>
    where
        F: Future<Output = Result<T, StateError>>,
    {
        let mut cut_off = 0;
        for tried in 0..TRIES {
            match transaction().await {
                Err(error) if error.is_cut_off() && cut_off < CUT_OFF => {
                    tracing::warn!(%error, "the state database went away; trying again");
                    cut_off += 1;
                }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::engine::Engine;
    use super::super::tests::fresh;
    use super::*;

    #[tokio::test]
    async fn a_transaction_that_is_cut_off_is_done_again_unless_nobody_knows_whether_it_was_done() {
        const ATTEMPT: &str = "cut off a connection";
        let (_home, store) = fresh().await;
        if store.engine == Engine::Sqlite {
            return;
        }
        for (cut_at_the_end, expected) in [(false, 2), (true, 1)] {
            let tries = Cell::new(0);
            let ended = store
                .undisturbed(|| async {
                    tries.set(tries.get() + 1);
                    let mut transaction = store.begin(ATTEMPT).await?;
                    if tries.get() == 1 {
                        let own = sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()");
                        let own = own.fetch_one(&mut *transaction).await.map_err(store.failed(ATTEMPT))?;
                        sqlx::query("SELECT pg_terminate_backend($1, 60000)")
                            .bind(own)
                            .execute(&store.pool)
                            .await
                            .map_err(store.failed(ATTEMPT))?;
                    }
                    if !cut_at_the_end {
                        let look = sqlx::query("SELECT COUNT(*) FROM meta").fetch_one(&mut *transaction).await;
                        look.map_err(store.failed(ATTEMPT))?;
                    }
                    store.commit(transaction, ATTEMPT).await
                })
                .await;
            assert_eq!(tries.get(), expected);
            match ended {
                Ok(()) => assert!(!cut_at_the_end),
                Err(error) => assert!(cut_at_the_end && matches!(error, StateError::Unconfirmed { .. }), "{error:?}"),
            }
        }
    }
}
