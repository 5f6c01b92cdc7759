//! How the queue of a run stands, and what others have done of it.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::super::{RUNNING as UNDER_WAY, StateError, StateStore, TaskRow};
use super::claim::AT_ONCE;
use super::{ENDED, GATHERED, POISONED, QUEUED, RUNNING};
use crate::model::{Generation, ProjectSelector, RepoId, RunId, Uid};

/// Tasks of a run that wait for the same accounts of the same server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The server.
    pub server: Uid,
    /// What declares the project.
    pub project: ProjectSelector,
    /// How many wait.
    pub tasks: u64,
}

/// Whether a run goes on, as its coordinator says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Course {
    /// It is over, or was never begun.
    #[default]
    Over,
    /// It goes on, and nothing of it may be begun: hours are closed, or it ends.
    Held,
    /// Tasks of it may be begun.
    Begins,
}

/// How the queue of a run stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether it goes on.
    pub course: Course,
    /// Whether there are workers in other processes.
    pub accompanied: bool,
    /// What waits, the group of the first task first.
    pub waiting: Vec<Group>,
    /// Tasks that others work on.
    pub elsewhere: u64,
    /// Whether there is something to gather.
    pub gatherable: bool,
}

/// A task that ended elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// What there was to do.
    pub body: String,
    /// How often its owner was lost.
    pub losses: u64,
    /// The record of its end. Nothing, if it was set aside.
    pub row: Option<TaskRow>,
}

/// A run that others may work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRun {
    /// The run.
    pub run: RunId,
    /// The plan.
    pub plan: Uid,
    /// What is in force for it.
    pub generation: Generation,
}

impl StateStore {
    /// Looks how the queue of a run stands for `owner`, who works on it.
    pub async fn look(&self, run: RunId, owner: Uid) -> Result<Look, StateError> {
        self.undisturbed(|| self.look_once(run, owner)).await
    }

    async fn look_once(&self, run: RunId, owner: Uid) -> Result<Look, StateError> {
        const ATTEMPT: &str = "look at the queue";
        let statement = format!(
            "SELECT (SELECT COUNT(*) FROM queue_runs WHERE run = $1) AS open,
                (SELECT COUNT(*) FROM queue_runs WHERE run = $1 AND open_until > {now}) AS begins,
                (SELECT COUNT(*) FROM workers WHERE seen_until > {now}) AS others",
            now = self.now_sql()
        );
        let row = sqlx::query(AssertSqlSafe(statement))
            .bind(run.to_string())
            .fetch_one(&self.pool)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let read = self.read("the queue", &row);
        let (open, begins, others) = (read.count("open")?, read.count("begins")?, read.count("others")?);
        let statement = format!(
            "SELECT server, project, state, MIN(place) AS place, COUNT(*) AS tasks FROM queue
             WHERE run = $1 AND (state = '{QUEUED}' OR (owner <> $2 AND state IN ('{RUNNING}', '{ENDED}', '{POISONED}')))
             GROUP BY server, project, state ORDER BY 4"
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(run.to_string())
            .bind(owner.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let course = match (open, begins) {
            (0, _) => Course::Over,
            (_, 0) => Course::Held,
            _ => Course::Begins,
        };
        let mut look = Look { course, accompanied: others > 0, ..Look::default() };
        for row in &rows {
            let read = self.read("the queue", row);
            let (state, tasks) = (read.get::<String>("state")?, read.count("tasks")?);
            match state.as_str() {
                QUEUED => {
                    look.waiting.push(Group { server: read.parse("server")?, project: read.parse("project")?, tasks });
                }
                RUNNING => look.elsewhere += tasks,
                _ => look.gatherable = true,
            }
        }
        Ok(look)
    }

    /// Takes note of the tasks of a run that ended elsewhere than at `owner`, its coordinator, or were set aside. Each is
    /// given once.
    pub async fn gather(&self, run: RunId, owner: Uid) -> Result<Vec<Gathered>, StateError> {
        self.undisturbed(|| self.gather_once(run, owner)).await
    }

    async fn gather_once(&self, run: RunId, owner: Uid) -> Result<Vec<Gathered>, StateError> {
        const ATTEMPT: &str = "gather what other workers did";
        let statement = format!(
            "UPDATE queue SET state = '{GATHERED}' WHERE run = $1 AND owner <> $2
               AND state IN ('{ENDED}', '{POISONED}')
             RETURNING server, repository, losses, body"
        );
        let mut transaction = self.begin(ATTEMPT).await?;
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(run.to_string())
            .bind(owner.to_string())
            .fetch_all(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let mut gathered: BTreeMap<(String, String), Gathered> = BTreeMap::new();
        for row in &rows {
            let read = self.read("a task in the queue", row);
            let key = (read.get("server")?, read.get("repository")?);
            gathered.insert(key, Gathered { body: read.get("body")?, losses: read.count("losses")?, row: None });
        }
        let keys: Vec<(String, String)> = gathered.keys().cloned().collect();
        for some in keys.chunks(AT_ONCE) {
            let pairs: Vec<String> =
                (0..some.len()).map(|index| format!("(${}, ${})", 2 * index + 2, 2 * index + 3)).collect();
            let statement = format!(
                "SELECT server, repository, project, slug, state, detail, changed FROM tasks
                 WHERE run = $1 AND (server, repository) IN (VALUES {})",
                pairs.join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(statement)).bind(run.to_string());
            for (server, repository) in some {
                query = query.bind(server.as_str()).bind(repository.as_str());
            }
            for row in &query.fetch_all(&mut *transaction).await.map_err(self.failed(ATTEMPT))? {
                let row = self.task_of(run, row)?;
                if let Some(known) = gathered.get_mut(&(row.server.to_string(), row.repository.to_string())) {
                    known.row = Some(row);
                }
            }
        }
        self.commit(transaction, ATTEMPT).await?;
        Ok(gathered.into_values().collect())
    }

    /// The runs that others than their coordinators may work on.
    pub async fn open_runs(&self) -> Result<Vec<OpenRun>, StateError> {
        let statement = format!(
            "SELECT runs.id, runs.plan, runs.generation FROM runs JOIN queue_runs ON queue_runs.run = runs.id
             WHERE runs.state = '{UNDER_WAY}' AND queue_runs.open_until > {} ORDER BY runs.id",
            self.now_sql()
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("look for runs to work on"))?;
        let open = rows.iter().map(|row| {
            let read = self.read("a run", row);
            let generation = Generation(read.count("generation")?);
            Ok(OpenRun { run: read.parse("id")?, plan: read.parse("plan")?, generation })
        });
        open.collect()
    }

    /// The repositories that somebody works on, and the runs that are under way: what lies unfinished in a destination
    /// and is of none of them was left behind. Whoever let a lease run out has given up what it was for.
    pub async fn living(&self) -> Result<(Vec<(Uid, RepoId)>, Vec<RunId>), StateError> {
        const ATTEMPT: &str = "look for living writers";
        let now = self.now_sql();
        let held = format!("SELECT server, repository FROM queue WHERE state = '{RUNNING}' AND lease_until > {now}");
        let held = sqlx::query(AssertSqlSafe(held)).fetch_all(&self.pool).await.map_err(self.failed(ATTEMPT))?;
        let held = held.iter().map(|row| {
            let read = self.read("a task in the queue", row);
            Ok((read.parse("server")?, RepoId(read.json("repository")?)))
        });
        let runs = sqlx::query("SELECT id FROM runs WHERE state = $1")
            .bind(UNDER_WAY)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let runs = runs.iter().map(|row| self.read("a run", row).parse("id"));
        Ok((held.collect::<Result<_, StateError>>()?, runs.collect::<Result<_, StateError>>()?))
    }
}
