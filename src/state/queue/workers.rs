//! Processes that work on the runs of others.

use std::time::Duration;

use sqlx::AssertSqlSafe;

use super::super::{StateError, StateStore};
use super::claim::millis;
use crate::model::Uid;

impl StateStore {
    /// Says that a worker is there for so long, and `who` it is, for people.
    pub async fn announce_worker(&self, worker: Uid, who: &str, time: Duration) -> Result<(), StateError> {
        let statement = format!(
            "INSERT INTO workers (id, who, seen_until) VALUES ($1, $2, {} + $3)
             ON CONFLICT (id) DO UPDATE SET seen_until = excluded.seen_until",
            self.now_sql()
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(worker.to_string())
            .bind(who)
            .bind(millis(time))
            .execute(&self.pool)
            .await
            .map_err(self.failed("announce a worker"))?;
        Ok(())
    }

    /// Says that a worker goes. Those that went without a word are forgotten with it.
    pub async fn dismiss_worker(&self, worker: Uid) -> Result<(), StateError> {
        let statement = format!("DELETE FROM workers WHERE id = $1 OR seen_until <= {}", self.now_sql());
        sqlx::query(AssertSqlSafe(statement))
            .bind(worker.to_string())
            .execute(&self.pool)
            .await
            .map_err(self.failed("dismiss a worker"))?;
        Ok(())
    }
}
