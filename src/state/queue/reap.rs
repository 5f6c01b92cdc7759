//! Leases that are over.

use std::sync::atomic::Ordering;

use sqlx::AssertSqlSafe;

use super::super::{StateError, StateStore};
use super::claim::{Claim, bind_all, held, millis};
use super::lease::{AfterLoss, after_loss};
use super::{POISONED, QUEUED, RUNNING};
use crate::model::{RunId, Uid};

impl StateStore {
    /// Takes back the tasks whose leases are over: they wait again, or are set aside. Gives their claims.
    pub async fn reap(&self) -> Result<Vec<Claim>, StateError> {
        self.undisturbed(|| self.reap_once()).await
    }

    async fn reap_once(&self) -> Result<Vec<Claim>, StateError> {
        const ATTEMPT: &str = "take back tasks whose workers were lost";
        let now = self.now_sql();
        let over = format!(
            "SELECT run, server, repository, owner, epoch, losses FROM queue
             WHERE state = '{RUNNING}' AND lease_until <= {now}"
        );
        let rows = sqlx::query(AssertSqlSafe(over)).fetch_all(&self.pool).await.map_err(self.failed(ATTEMPT))?;
        let mut reaped = Vec::new();
        for row in &rows {
            let claim = self.claim_of(row)?;
            let losses = self.read("a task in the queue", row).count("losses")?.saturating_add(1);
            let (state, after) = match after_loss(losses) {
                AfterLoss::Again { after } => (QUEUED, after),
                AfterLoss::Poisoned => (POISONED, std::time::Duration::ZERO),
            };
            // It may have been renewed, or reaped by somebody else, since it was looked at.
            let statement = format!(
                "UPDATE queue SET state = $6, owner = '', losses = $7, lease_until = 0, not_before = {now} + $8
                 WHERE {} AND lease_until <= {now}",
                held(1)
            );
            let done = bind_all(sqlx::query(AssertSqlSafe(statement)), &[claim])
                .bind(state)
                .bind(i64::try_from(losses).unwrap_or(i64::MAX))
                .bind(millis(after))
                .execute(&self.pool)
                .await
                .map_err(self.failed(ATTEMPT))?;
            if done.rows_affected() > 0 {
                self.lost.fetch_add(1, Ordering::Relaxed);
                reaped.push(claim);
            }
        }
        Ok(reaped)
    }

    /// Ends the leases of an owner that is known to be lost, so that nobody waits for them. If it is alive, it learns so.
    pub async fn end_leases(&self, owner: Uid) -> Result<u64, StateError> {
        let statement = format!("UPDATE queue SET lease_until = 0 WHERE owner = $1 AND state = '{RUNNING}'");
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(owner.to_string())
            .execute(&self.pool)
            .await
            .map_err(self.failed("end the leases of a worker"))?;
        Ok(done.rows_affected())
    }

    /// The same for all workers of a run but its coordinator.
    pub async fn end_leases_elsewhere(&self, run: RunId) -> Result<u64, StateError> {
        let statement = format!(
            "UPDATE queue SET lease_until = 0 WHERE run = $1 AND state = '{RUNNING}'
               AND owner NOT IN (SELECT owner FROM queue_runs)"
        );
        let done = sqlx::query(AssertSqlSafe(statement))
            .bind(run.to_string())
            .execute(&self.pool)
            .await
            .map_err(self.failed("end the leases of workers"))?;
        Ok(done.rows_affected())
    }
}
