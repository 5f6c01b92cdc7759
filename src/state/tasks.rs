//! The tasks of runs: one row for each repository of a run, with the state that it is in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::{StateError, StateStore};
use crate::model::{ProjectKey, RepoId, RepoSlug, RunId, TaskState, Uid};

/// Tasks that one statement records: it takes as long as a statement for each of few.
const TASKS_AT_ONCE: usize = 64;

/// The columns of a task, in the order in which they are bound.
const TASK_COLUMNS: usize = 8;

/// Tasks that wait which are looked at: as many as can be under way.
const WAITING_AT_ONCE: i64 = 1024;

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
    /// Remembers how far tasks are, in place of what was known of them: all of them, or none.
    pub async fn record_tasks(&self, tasks: &[TaskRow]) -> Result<(), StateError> {
        self.settle(tasks, &[]).await.map(drop)
    }

    /// The same within a transaction.
    pub(super) async fn insert_tasks(
        &self,
        transaction: &mut Transaction<'static, Any>,
        tasks: &[&TaskRow],
    ) -> Result<(), StateError> {
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
            query.execute(&mut **transaction).await.map_err(self.failed("record tasks"))?;
        }
        Ok(())
    }

    /// Tasks of a run by project and slug: at most `limit` of those that follow `after`.
    pub async fn tasks_after(
        &self,
        run: RunId,
        after: Option<&TaskRow>,
        limit: u32,
    ) -> Result<Vec<TaskRow>, StateError> {
        let repository = after.map(|task| task.repository.to_string()).unwrap_or_default();
        let server = after.map(|task| task.server.to_string()).unwrap_or_default();
        // No key is empty: without a task to follow, all do.
        let rows = sqlx::query(
            "SELECT server, repository, project, slug, state, detail, changed
             FROM tasks WHERE run = $1 AND (project, slug, repository, server) > ($2, $3, $4, $5)
             ORDER BY project, slug, repository, server LIMIT $6",
        )
        .bind(run.to_string())
        .bind(after.map_or("", |task| task.project.as_str()))
        .bind(after.map_or("", |task| task.slug.as_str()))
        .bind(repository)
        .bind(server)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("list tasks"))?;
        rows.iter().map(|row| self.task_of(run, row)).collect()
    }

    /// How many tasks of a run are in each state.
    pub async fn task_counts(&self, run: RunId) -> Result<BTreeMap<String, u64>, StateError> {
        let rows = sqlx::query("SELECT state, COUNT(*) AS tasks FROM tasks WHERE run = $1 GROUP BY state")
            .bind(run.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("count tasks"))?;
        let counted = rows.iter().map(|row| {
            let read = self.read("a count of tasks", row);
            Ok((read.get("state")?, read.count("tasks")?))
        });
        counted.collect()
    }

    /// The tasks of a run that wait for budget, as the state has them: those of a run that was killed, too.
    pub async fn waiting_tasks(&self, run: RunId) -> Result<Vec<TaskState>, StateError> {
        let rows = sqlx::query("SELECT detail FROM tasks WHERE run = $1 AND state = $2 LIMIT $3")
            .bind(run.to_string())
            .bind(TaskState::THROTTLED)
            .bind(WAITING_AT_ONCE)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("look for tasks that wait"))?;
        // A task that ended because it waited for too long has a report in place of this.
        Ok(rows.iter().filter_map(|row| self.read("a task", row).json("detail").ok()).collect())
    }

    pub(super) fn task_of(&self, run: RunId, row: &AnyRow) -> Result<TaskRow, StateError> {
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

    use super::super::runs::tests::{at, start};
    use super::super::store::tests::fresh;
    use super::super::{RUNNING, RunFilter};
    use super::*;

    fn task(run: RunId, number: u64) -> TaskRow {
        TaskRow {
            run,
            server: Uid::from_parts(1, 3),
            repository: RepoId(number),
            project: ProjectKey::new("PAY").unwrap(),
            slug: RepoSlug::new(format!("repo-{number:03}")).unwrap(),
            state: "unchanged".into(),
            detail: json!({"number": number}),
            changed: at(2),
        }
    }

    #[tokio::test]
    async fn a_task_has_one_state() {
        let (_home, store) = fresh().await;
        let run = start(&store, 1).await;
        assert_eq!(store.runs_before(&RunFilter::default(), None, 1).await.unwrap()[0].state, RUNNING);
        let mut task = task(run, u64::MAX);
        store.record_tasks(std::slice::from_ref(&task)).await.unwrap();
        task.state = "done".into();
        task.detail = json!({"bytes": 7});
        store.record_tasks(std::slice::from_ref(&task)).await.unwrap();
        assert_eq!(store.tasks_after(run, None, 10).await.unwrap(), [task.clone()]);
        task.run = RunId::from_parts(77, 7);
        assert!(store.record_tasks(std::slice::from_ref(&task)).await.is_err(), "a task needs its run");
    }

    #[tokio::test]
    async fn many_tasks_are_recorded_together_and_read_in_pages() {
        let (_home, store) = fresh().await;
        let run = start(&store, 1).await;
        let tasks: Vec<_> = (0..2 * TASKS_AT_ONCE as u64 + 3).map(|number| task(run, number)).collect();
        store.record_tasks(&tasks).await.unwrap();
        let mut read: Vec<TaskRow> = Vec::new();
        loop {
            let page = store.tasks_after(run, read.last(), 50).await.unwrap();
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, tasks);
        store.record_tasks(&[]).await.unwrap();
        assert_eq!(store.task_counts(run).await.unwrap(), [("unchanged".to_owned(), tasks.len() as u64)].into());
    }

    #[tokio::test]
    async fn a_task_that_waits_is_found_until_it_goes_on() {
        let (_home, store) = fresh().await;
        let run = start(&store, 1).await;
        let throttled = TaskState::Throttled { since: at(3), until: at(9), reason: "no account has budget".into() };
        let mut waiting = task(run, 1);
        throttled.as_str().clone_into(&mut waiting.state);
        waiting.detail = serde_json::to_value(&throttled).unwrap();
        let mut ended = task(run, 2);
        TaskState::THROTTLED.clone_into(&mut ended.state);
        store.record_tasks(&[waiting.clone(), ended]).await.unwrap();
        assert_eq!(store.waiting_tasks(run).await.unwrap(), [throttled]);
        TaskState::Running.as_str().clone_into(&mut waiting.state);
        waiting.detail = serde_json::to_value(TaskState::Running).unwrap();
        store.record_tasks(&[waiting]).await.unwrap();
        assert_eq!(store.waiting_tasks(run).await.unwrap(), []);
    }
}
