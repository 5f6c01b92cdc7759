//! Runs of backup plans, and their tasks.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{StateError, StateStore};
use crate::model::{DestinationId, Generation, PlanName, ProjectKey, RepoId, RepoSlug, RunId, Uid};

/// The state of a run that was started and not finished.
pub const RUNNING: &str = "running";

/// The state of a run whose process ended before it could finish it.
pub const ABANDONED: &str = "abandoned";

/// The outcome of a run that backed up everything.
pub const DONE: &str = "done";

/// Tasks that one statement records: it takes as long as a statement for each of few.
const TASKS_AT_ONCE: usize = 64;

/// The columns of a task, in the order in which they are bound.
const TASK_COLUMNS: usize = 8;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its identity.
    pub id: RunId,
    /// The plan.
    pub plan: Uid,
    /// The plan's name at that time.
    pub plan_name: PlanName,
    /// What was in force.
    pub generation: Generation,
    /// [`RUNNING`], [`ABANDONED`], or the outcome that it was finished with.
    pub state: String,
    /// When it began, in milliseconds.
    pub started: Timestamp,
    /// When it ended, in milliseconds.
    pub finished: Option<Timestamp>,
    /// What it was finished with.
    pub summary: Option<Value>,
}

/// One repository in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// The run.
    pub run: RunId,
    /// The server.
    pub server: Uid,
    /// The repository.
    pub repository: RepoId,
    /// The project's key at that time.
    pub project: ProjectKey,
    /// The repository's slug at that time.
    pub slug: RepoSlug,
    /// How far it is.
    pub state: String,
    /// What there is to know besides.
    pub detail: Value,
    /// When it came into this state, in milliseconds.
    pub changed: Timestamp,
}

impl StateStore {
    /// Remembers that a run began, which writes to `destinations`. Gives those of them whose last run did not end in
    /// order, as far as this state knows: something unfinished may lie there.
    pub async fn start_run(
        &self,
        id: RunId,
        plan: Uid,
        plan_name: &PlanName,
        generation: Generation,
        at: Timestamp,
        destinations: &[DestinationId],
    ) -> Result<Vec<DestinationId>, StateError> {
        const ATTEMPT: &str = "record the start of a run";
        let number = i64::try_from(generation.0).map_err(|error| self.damaged("a generation", error))?;
        let mut transaction = self.begin(ATTEMPT).await?;
        let mut disorderly = Vec::new();
        for destination in destinations {
            let done = sqlx::query("DELETE FROM meta WHERE key = $1")
                .bind(orderly(*destination))
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
            if done.rows_affected() == 0 {
                disorderly.push(*destination);
            }
        }
        sqlx::query(
            "INSERT INTO runs (id, plan, plan_name, generation, state, started) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.to_string())
        .bind(plan.to_string())
        .bind(plan_name.as_str())
        .bind(number)
        .bind(RUNNING)
        .bind(at.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        transaction.commit().await.map_err(self.failed(ATTEMPT))?;
        Ok(disorderly)
    }

    /// Remembers how a run ended, and which destinations it left in order.
    pub async fn finish_run(
        &self,
        id: RunId,
        outcome: &str,
        at: Timestamp,
        summary: &Value,
        in_order: &[DestinationId],
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "record the end of a run";
        let mut transaction = self.begin(ATTEMPT).await?;
        for destination in in_order {
            sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
                .bind(orderly(*destination))
                .bind(id.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
        }
        sqlx::query("UPDATE runs SET state = $1, finished = $2, summary = $3 WHERE id = $4")
            .bind(outcome)
            .bind(at.as_millisecond())
            .bind(summary.to_string())
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        transaction.commit().await.map_err(self.failed(ATTEMPT))
    }

    /// Marks the runs that still count as running. For the holder of the lock only: it knows that nobody runs them.
    /// Gives their number.
    pub async fn abandon_running(&self, at: Timestamp) -> Result<u64, StateError> {
        let done = sqlx::query("UPDATE runs SET state = $1, finished = $2 WHERE state = $3")
            .bind(ABANDONED)
            .bind(at.as_millisecond())
            .bind(RUNNING)
            .execute(&self.pool)
            .await
            .map_err(self.failed("mark interrupted runs"))?;
        Ok(done.rows_affected())
    }

    /// Remembers how far tasks are, in place of what was known of them: all of them, or none.
    pub async fn record_tasks(&self, tasks: &[TaskRow]) -> Result<(), StateError> {
        let failed = || self.failed("record tasks");
        let mut transaction = self.begin("record tasks").await?;
        for some in tasks.chunks(TASKS_AT_ONCE) {
            let mut query = sqlx::query(AssertSqlSafe(insert_tasks(some.len())));
            for task in some {
                query = query
                    .bind(task.run.to_string())
                    .bind(task.server.to_string())
                    .bind(task.repository.to_string())
                    .bind(task.project.as_str())
                    .bind(task.slug.as_str())
                    .bind(task.state.as_str())
                    .bind(task.detail.to_string())
                    .bind(task.changed.as_millisecond());
            }
            query.execute(&mut *transaction).await.map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// The runs that are remembered, newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, StateError> {
        let rows = sqlx::query(
            "SELECT id, plan, plan_name, generation, state, started, finished, summary
             FROM runs ORDER BY started DESC, id DESC LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("list runs"))?;
        rows.iter().map(|row| self.run_of(row)).collect()
    }

    /// The runs of one plan that ended with an outcome among `states`, newest first.
    pub async fn runs_of(&self, plan: Uid, states: [&str; 2], limit: u32) -> Result<Vec<RunRow>, StateError> {
        let rows = sqlx::query(
            "SELECT id, plan, plan_name, generation, state, started, finished, summary
             FROM runs WHERE plan = $1 AND state IN ($2, $3) ORDER BY started DESC, id DESC LIMIT $4",
        )
        .bind(plan.to_string())
        .bind(states[0])
        .bind(states[1])
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("list the runs of a plan"))?;
        rows.iter().map(|row| self.run_of(row)).collect()
    }

    /// The repositories that a run had in scope, each with its server.
    pub async fn scope_of(&self, run: RunId) -> Result<Vec<(Uid, ProjectKey, RepoSlug, RepoId)>, StateError> {
        let rows = sqlx::query("SELECT server, repository, project, slug FROM tasks WHERE run = $1")
            .bind(run.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the scope of a run"))?;
        let scope = rows.iter().map(|row| {
            let read = self.read("a task", row);
            Ok((read.parse("server")?, read.parse("project")?, read.parse("slug")?, RepoId(read.parse("repository")?)))
        });
        scope.collect()
    }

    /// The tasks of a run, by project and slug.
    pub async fn tasks(&self, run: RunId) -> Result<Vec<TaskRow>, StateError> {
        let rows = sqlx::query(
            "SELECT server, repository, project, slug, state, detail, changed
             FROM tasks WHERE run = $1 ORDER BY project, slug, repository",
        )
        .bind(run.to_string())
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("list tasks"))?;
        rows.iter().map(|row| self.task_of(run, row)).collect()
    }

    pub(super) fn run_of(&self, row: &AnyRow) -> Result<RunRow, StateError> {
        let read = self.read("a run", row);
        let finished: Option<i64> = read.get("finished")?;
        let summary: Option<String> = read.get("summary")?;
        Ok(RunRow {
            id: read.parse("id")?,
            plan: read.parse("plan")?,
            plan_name: read.parse("plan_name")?,
            generation: Generation(read.count("generation")?),
            state: read.get("state")?,
            started: read.time("started")?,
            finished: finished.map(|_| read.time("finished")).transpose()?,
            summary: summary.map(|_| read.json("summary")).transpose()?,
        })
    }

    fn task_of(&self, run: RunId, row: &AnyRow) -> Result<TaskRow, StateError> {
        let read = self.read("a task", row);
        Ok(TaskRow {
            run,
            server: read.parse("server")?,
            repository: RepoId(read.json("repository")?),
            project: read.parse("project")?,
            slug: read.parse("slug")?,
            state: read.get("state")?,
            detail: read.json("detail")?,
            changed: read.time("changed")?,
        })
    }
}

/// Where it is remembered that nothing unfinished lies in a destination. A run takes it away until it ended in order.
fn orderly(destination: DestinationId) -> String {
    format!("orderly/{destination}")
}

/// The statement that records so many tasks.
fn insert_tasks(count: usize) -> String {
    let row = |row: usize| {
        let numbers: Vec<String> =
            (1..=TASK_COLUMNS).map(|column| format!("${}", row * TASK_COLUMNS + column)).collect();
        format!("({})", numbers.join(", "))
    };
    let rows: Vec<String> = (0..count).map(row).collect();
    format!(
        "INSERT INTO tasks (run, server, repository, project, slug, state, detail, changed) VALUES {}
         ON CONFLICT (run, server, repository) DO UPDATE SET project = excluded.project, slug = excluded.slug,
            state = excluded.state, detail = excluded.detail, changed = excluded.changed",
        rows.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::store::tests::fresh;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    async fn start(store: &StateStore, number: u64) -> RunId {
        let id = RunId::from_parts(number, 0);
        let name = PlanName::new("nightly").unwrap();
        let second = i64::try_from(number).unwrap();
        store.start_run(id, Uid::from_parts(1, 1), &name, Generation(41), at(second), &[]).await.unwrap();
        id
    }

    #[tokio::test]
    async fn the_next_holder_of_the_lock_marks_what_a_kill_left_running() {
        let (_home, store) = fresh().await;
        let (done, killed) = (start(&store, 1).await, start(&store, 2).await);
        store.finish_run(done, "complete", at(5), &json!({"new": 2}), &[]).await.unwrap();
        assert_eq!(store.abandon_running(at(9)).await.unwrap(), 1);
        assert_eq!(store.abandon_running(at(10)).await.unwrap(), 0);
        let runs = store.runs(10).await.unwrap();
        let seen: Vec<_> = runs.iter().map(|run| (run.id, run.state.as_str(), run.finished)).collect();
        assert_eq!(seen, [(killed, ABANDONED, Some(at(9))), (done, "complete", Some(at(5)))]);
        assert_eq!((&runs[0].summary, &runs[1].summary), (&None, &Some(json!({"new": 2}))));
        assert_eq!(store.runs(1).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_task_has_one_state() {
        let (_home, store) = fresh().await;
        let run = start(&store, 1).await;
        assert_eq!(store.runs(1).await.unwrap()[0].state, RUNNING);
        let mut task = TaskRow {
            run,
            server: Uid::from_parts(1, 3),
            repository: RepoId(u64::MAX),
            project: ProjectKey::new("PAY").unwrap(),
            slug: RepoSlug::new("ledger").unwrap(),
            state: RUNNING.into(),
            detail: json!({}),
            changed: at(2),
        };
        store.record_tasks(std::slice::from_ref(&task)).await.unwrap();
        task.state = "done".into();
        task.detail = json!({"bytes": 7});
        store.record_tasks(std::slice::from_ref(&task)).await.unwrap();
        assert_eq!(store.tasks(run).await.unwrap(), [task.clone()]);
        task.run = RunId::from_parts(77, 7);
        assert!(store.record_tasks(std::slice::from_ref(&task)).await.is_err(), "a task needs its run");
    }

    #[tokio::test]
    async fn a_destination_is_in_order_until_a_run_that_does_not_end() {
        let (_home, store) = fresh().await;
        let (nas, offsite) = (DestinationId::from_parts(1, 1), DestinationId::from_parts(1, 2));
        let name = PlanName::new("nightly").unwrap();
        let begin = async |number, destinations: &[DestinationId]| {
            let plan = Uid::from_parts(1, 1);
            let id = RunId::from_parts(number, 0);
            (id, store.start_run(id, plan, &name, Generation(1), at(1), destinations).await.unwrap())
        };
        let (first, disorderly) = begin(1, &[nas, offsite]).await;
        assert_eq!(disorderly, [nas, offsite], "nothing is known of what was before");
        store.finish_run(first, "done", at(2), &json!({}), &[nas, offsite]).await.unwrap();
        assert_eq!(begin(2, &[nas, offsite]).await.1, []);
        let (third, disorderly) = begin(3, &[offsite]).await;
        assert_eq!(disorderly, [offsite], "the second did not end");
        store.finish_run(third, "done", at(3), &json!({}), &[offsite]).await.unwrap();
        assert_eq!(begin(4, &[nas, offsite]).await.1, [nas], "the third did not write there");
    }

    #[tokio::test]
    async fn many_tasks_are_recorded_together() {
        let (_home, store) = fresh().await;
        let run = start(&store, 1).await;
        let task = |number: u64| TaskRow {
            run,
            server: Uid::from_parts(1, 3),
            repository: RepoId(number),
            project: ProjectKey::new("PAY").unwrap(),
            slug: RepoSlug::new(format!("repo-{number:03}")).unwrap(),
            state: "unchanged".into(),
            detail: json!({"number": number}),
            changed: at(2),
        };
        let tasks: Vec<_> = (0..2 * TASKS_AT_ONCE as u64 + 3).map(task).collect();
        store.record_tasks(&tasks).await.unwrap();
        assert_eq!(store.tasks(run).await.unwrap(), tasks);
        store.record_tasks(&[]).await.unwrap();
    }
}
