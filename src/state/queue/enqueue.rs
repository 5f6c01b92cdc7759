//! Into the queue and out of it: what only the coordinator of a run does.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::super::{RUNNING as UNDER_WAY, StateError, StateStore};
use super::claim::millis;
use super::{QUEUED, RUNNING};
use crate::crash::{self, CrashPoint};
use crate::model::{ProjectSelector, RepoId, RunId, Uid};

/// Tasks that one statement enters.
const AT_ONCE: usize = 64;

/// Binds of one task.
const COLUMNS: usize = 7;

/// A task for the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedTask {
    /// The server.
    pub server: Uid,
    /// The repository.
    pub repository: RepoId,
    /// What declares its project, and so its credentials.
    pub project: ProjectSelector,
    /// What there is to do.
    pub body: String,
}

impl StateStore {
    /// Puts the tasks of a run into the queue, in their order: all of them, or none. `owner` is its coordinator. Others
    /// get nothing of it until it is opened to them. Tells whether there are any.
    pub async fn enqueue(&self, run: RunId, owner: Uid, tasks: &[QueuedTask]) -> Result<bool, StateError> {
        self.undisturbed(|| self.enqueue_once(run, owner, tasks)).await
    }

    async fn enqueue_once(&self, run: RunId, owner: Uid, tasks: &[QueuedTask]) -> Result<bool, StateError> {
        const ATTEMPT: &str = "enqueue tasks";
        let mut transaction = self.begin(ATTEMPT).await?;
        // What was left by runs that are over is of no use to anybody, unless somebody still works on it.
        let sweep = format!(
            "DELETE FROM queue WHERE state <> '{RUNNING}'
             AND run NOT IN (SELECT id FROM runs WHERE state = '{UNDER_WAY}')"
        );
        sqlx::query(AssertSqlSafe(sweep)).execute(&mut *transaction).await.map_err(self.failed(ATTEMPT))?;
        sqlx::query("INSERT INTO queue_runs (run, owner, open_until) VALUES ($1, $2, 0)")
            .bind(run.to_string())
            .bind(owner.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let others = format!("SELECT COUNT(*) AS others FROM workers WHERE seen_until > {}", self.now_sql());
        let row =
            sqlx::query(AssertSqlSafe(others)).fetch_one(&mut *transaction).await.map_err(self.failed(ATTEMPT))?;
        let others = self.read("the queue", &row).count("others")?;
        for (chunk, some) in tasks.chunks(AT_ONCE).enumerate() {
            let mut query = sqlx::query(AssertSqlSafe(insert(some.len())));
            for (index, task) in some.iter().enumerate() {
                query = query
                    .bind(run.to_string())
                    .bind(task.server.to_string())
                    .bind(task.repository.to_string())
                    .bind(i64::try_from(chunk * AT_ONCE + index).unwrap_or(i64::MAX))
                    .bind(task.project.as_str())
                    .bind(task.body.as_str())
                    .bind(QUEUED);
            }
            query.execute(&mut *transaction).await.map_err(self.failed(ATTEMPT))?;
        }
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::TasksEnqueued);
        Ok(others > 0)
    }

    /// Lets others claim tasks of a run for so long, or not at all any more.
    pub async fn open_to_others(&self, run: RunId, owner: Uid, time: Duration) -> Result<(), StateError> {
        self.undisturbed(|| self.open_once(run, owner, time)).await
    }

    async fn open_once(&self, run: RunId, owner: Uid, time: Duration) -> Result<(), StateError> {
        let statement =
            format!("UPDATE queue_runs SET open_until = {} + $3 WHERE run = $1 AND owner = $2", self.now_sql());
        sqlx::query(AssertSqlSafe(statement))
            .bind(run.to_string())
            .bind(owner.to_string())
            .bind(millis(time))
            .execute(&self.pool)
            .await
            .map_err(self.failed("open a run to other workers"))?;
        Ok(())
    }

    /// Takes the tasks of a run out of the queue that nobody has claimed, and gives them in their order.
    pub async fn withdraw_waiting(&self, run: RunId) -> Result<Vec<String>, StateError> {
        let statement = format!("DELETE FROM queue WHERE run = $1 AND state = '{QUEUED}' RETURNING place, body");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(run.to_string());
        self.withdrawn(&query.fetch_all(&self.pool).await.map_err(self.failed("withdraw tasks"))?)
    }

    /// Takes the tasks of a run back that others than its coordinator work on, and gives them in their order. Whoever
    /// works on them writes nothing any more.
    pub async fn withdraw_elsewhere(&self, run: RunId, owner: Uid) -> Result<Vec<String>, StateError> {
        let statement =
            format!("DELETE FROM queue WHERE run = $1 AND state = '{RUNNING}' AND owner <> $2 RETURNING place, body");
        let query = sqlx::query(AssertSqlSafe(statement)).bind(run.to_string()).bind(owner.to_string());
        self.withdrawn(&query.fetch_all(&self.pool).await.map_err(self.failed("withdraw tasks"))?)
    }

    /// Removes the queue of a run that is over.
    pub(in crate::state) async fn close_queue(
        &self,
        transaction: &mut Transaction<'static, Any>,
        run: RunId,
    ) -> Result<(), StateError> {
        for table in ["queue", "queue_runs"] {
            sqlx::query(AssertSqlSafe(format!("DELETE FROM {table} WHERE run = $1")))
                .bind(run.to_string())
                .execute(&mut **transaction)
                .await
                .map_err(self.failed("close a queue"))?;
        }
        Ok(())
    }

    /// Removes the queues of all runs, whose coordinators are dead, but for what living workers hold.
    pub(in crate::state) async fn clear_queue(
        &self,
        transaction: &mut Transaction<'static, Any>,
    ) -> Result<(), StateError> {
        let left = format!("DELETE FROM queue WHERE state <> '{RUNNING}' OR owner IN (SELECT owner FROM queue_runs)");
        for statement in [left, "DELETE FROM queue_runs".to_owned()] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut **transaction)
                .await
                .map_err(self.failed("clear the queue"))?;
        }
        Ok(())
    }

    fn withdrawn(&self, rows: &[AnyRow]) -> Result<Vec<String>, StateError> {
        let mut bodies = Vec::with_capacity(rows.len());
        for row in rows {
            let read = self.read("a task in the queue", row);
            bodies.push((read.get::<i64>("place")?, read.get::<String>("body")?));
        }
        bodies.sort();
        Ok(bodies.into_iter().map(|(_, body)| body).collect())
    }
}

/// The statement that enters so many tasks.
fn insert(count: usize) -> String {
    let row = |row: usize| {
        let numbers: Vec<String> = (1..=COLUMNS).map(|column| format!("${}", row * COLUMNS + column)).collect();
        format!("({}, '', 0, 0, 0, 0)", numbers.join(", "))
    };
    let rows: Vec<String> = (0..count).map(row).collect();
    format!(
        "INSERT INTO queue (run, server, repository, place, project, body, state, owner, epoch, losses, lease_until,
            not_before) VALUES {}",
        rows.join(", ")
    )
}
