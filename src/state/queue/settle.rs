//! The record of tasks, written by whoever holds them and by nobody else.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::super::{StateError, StateStore, TaskRow};
use super::ENDED;
use super::claim::{AT_ONCE, Claim, bind_all, held};
use crate::crash::{self, CrashPoint};

/// How far a task is, in the words of whoever claimed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The claim.
    pub claim: Claim,
    /// The record.
    pub row: TaskRow,
    /// Whether the task is over.
    pub ended: bool,
}

impl StateStore {
    /// Records how far tasks are: `free` ones, which nobody has claimed, and those whose claims are held. All of them, or
    /// none. Gives the claims that are not held any more: nothing is recorded of their tasks.
    pub async fn settle(&self, free: &[TaskRow], progress: &[Progress]) -> Result<BTreeSet<Claim>, StateError> {
        self.undisturbed(|| self.settle_once(free, progress)).await
    }

    async fn settle_once(&self, free: &[TaskRow], progress: &[Progress]) -> Result<BTreeSet<Claim>, StateError> {
        const ATTEMPT: &str = "record tasks";
        let mut transaction = self.begin(ATTEMPT).await?;
        let mut kept = BTreeSet::new();
        let of = |ended: bool| -> Vec<Claim> {
            progress.iter().filter(|one| one.ended == ended).map(|one| one.claim).collect()
        };
        // What goes on is written too, so that nobody takes it back before this is committed.
        for (claims, change) in [(of(true), format!("state = '{ENDED}'")), (of(false), "epoch = epoch".to_owned())] {
            for some in claims.chunks(AT_ONCE) {
                let statement = format!(
                    "UPDATE queue SET {change} WHERE {} RETURNING run, server, repository, owner, epoch",
                    held(some.len())
                );
                let rows: Vec<AnyRow> = bind_all(sqlx::query(AssertSqlSafe(statement)), some)
                    .fetch_all(&mut *transaction)
                    .await
                    .map_err(self.failed(ATTEMPT))?;
                for row in &rows {
                    kept.insert(self.claim_of(row)?);
                }
            }
        }
        let held = progress.iter().filter(|one| kept.contains(&one.claim)).map(|one| &one.row);
        let rows: Vec<&TaskRow> = free.iter().chain(held).collect();
        self.insert_tasks(&mut transaction, &rows).await?;
        crash::point(CrashPoint::TasksWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::TasksRecorded);
        Ok(progress.iter().map(|one| one.claim).filter(|claim| !kept.contains(claim)).collect())
    }

    /// Demands within a transaction that a claim is held: until it is committed nobody takes it away.
    pub(in crate::state) async fn demand(
        &self,
        transaction: &mut Transaction<'static, Any>,
        claim: &Claim,
    ) -> Result<(), StateError> {
        let statement = format!("UPDATE queue SET epoch = epoch WHERE {}", held(1));
        let done = bind_all(sqlx::query(AssertSqlSafe(statement)), std::slice::from_ref(claim))
            .execute(&mut **transaction)
            .await
            .map_err(self.failed("demand a claim"))?;
        if done.rows_affected() == 0 { Err(StateError::Fenced { place: self.place() }) } else { Ok(()) }
    }
}
