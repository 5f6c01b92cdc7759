//! What is published by somebody who lost the lock is refused.
//!
//! A lock on a server ends with its connection, and its holder hears of it later. Until then it must not move a chain
//! that somebody else works on.

use std::sync::PoisonError;

use sqlx::{Any, Row as _, Transaction};

use super::lock::{Exclusive, LockBody, StateLock, holder_key};
use super::{StateError, StateStore};

impl StateStore {
    /// From here on, publishes only while nobody else has taken the lock on runs that `lock` is.
    pub fn publish_under(&self, lock: &StateLock) {
        *self.fence.lock().unwrap_or_else(PoisonError::into_inner) = lock.token().map(str::to_owned);
    }

    /// Refuses somebody who lost the lock.
    pub async fn hold_lock(&self) -> Result<(), StateError> {
        const ATTEMPT: &str = "look who holds the lock";
        if self.fence().is_none() {
            return Ok(());
        }
        self.undisturbed(|| async {
            let mut transaction = self.begin(ATTEMPT).await?;
            self.demand_lock(&mut transaction, ATTEMPT).await?;
            self.commit(transaction, ATTEMPT).await
        })
        .await
    }

    /// Why a run cannot go on that somebody else has given up in the name of whoever began it.
    pub async fn taken_over(&self) -> StateError {
        let held = self.hold_lock().await;
        held.err().unwrap_or_else(|| StateError::Fenced { place: self.place() })
    }

    fn fence(&self) -> Option<String> {
        self.fence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the transaction of somebody who lost the lock.
    pub(super) async fn demand_lock(
        &self,
        transaction: &mut Transaction<'static, Any>,
        attempt: &'static str,
    ) -> Result<(), StateError> {
        let Some(own) = self.fence() else { return Ok(()) };
        let row = sqlx::query("SELECT value FROM meta WHERE key = $1")
            .bind(holder_key(Exclusive::Runs))
            .fetch_optional(&mut **transaction)
            .await
            .map_err(self.failed(attempt))?;
        let text: Option<String> = row.map(|row| row.try_get(0)).transpose().map_err(self.failed(attempt))?;
        let holder: Option<LockBody> = text.and_then(|text| serde_json::from_str(&text).ok());
        if holder.as_ref().is_some_and(|holder| holder.id == own) {
            return Ok(());
        }
        Err(StateError::LockLost { place: self.place(), holder: holder.map(Box::new) })
    }
}
