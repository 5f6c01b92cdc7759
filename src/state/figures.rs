//! Sums over everything that is remembered, for whoever draws curves of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{StateError, StateStore};
use crate::model::{DestinationId, RunId, Uid};

/// The runs of a plan that are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCount {
    /// The plan.
    pub plan: Uid,
    /// [`RUNNING`](super::RUNNING), [`ABANDONED`](super::ABANDONED), or the outcome.
    pub state: String,
    /// How many.
    pub runs: u64,
}

/// The newest run over all repositories of a plan that is in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestRun {
    /// The plan.
    pub plan: Uid,
    /// The state.
    pub state: String,
    /// When it began.
    pub started: Timestamp,
}

impl StateStore {
    /// How many runs of each plan are in each state.
    pub async fn run_counts(&self) -> Result<Vec<RunCount>, StateError> {
        let rows = sqlx::query("SELECT plan, state, COUNT(*) AS runs FROM runs GROUP BY plan, state")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("count runs"))?;
        let counted = rows.iter().map(|row| {
            let read = self.read("a count of runs", row);
            Ok(RunCount { plan: read.parse("plan")?, state: read.get("state")?, runs: read.count("runs")? })
        });
        counted.collect()
    }

    /// The newest run over all repositories of every plan in every state, without what it was finished with.
    pub async fn newest_whole_runs(&self) -> Result<Vec<NewestRun>, StateError> {
        // Ids are sorted by time.
        let rows = sqlx::query(
            "SELECT plan, state, started FROM runs
             WHERE id IN (SELECT MAX(id) FROM runs WHERE repository IS NULL GROUP BY plan, state) ORDER BY id DESC",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the newest runs"))?;
        let newest = rows.iter().map(|row| {
            let read = self.read("a run", row);
            Ok(NewestRun { plan: read.parse("plan")?, state: read.get("state")?, started: read.time("started")? })
        });
        newest.collect()
    }

    /// How many repositories were in each state in the last run of each plan that went over all of them.
    pub async fn repository_counts(&self) -> Result<BTreeMap<(Uid, String), u64>, StateError> {
        let rows = sqlx::query(
            "SELECT runs.plan AS plan, tasks.state AS state, COUNT(*) AS repositories
             FROM tasks JOIN runs ON runs.id = tasks.run
             WHERE tasks.run IN (SELECT MAX(id) FROM runs WHERE repository IS NULL GROUP BY plan)
             GROUP BY runs.plan, tasks.state",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("count repositories"))?;
        let counted = rows.iter().map(|row| {
            let read = self.read("a count of repositories", row);
            Ok(((read.parse("plan")?, read.get("state")?), read.count("repositories")?))
        });
        counted.collect()
    }

    /// How many repositories of a plan nobody has backed up since this time: they were part of its runs since then, and
    /// ended in none of these states in one that began later.
    pub async fn repositories_behind(
        &self,
        plan: Uid,
        since: Timestamp,
        backed_up: [&'static str; 3],
    ) -> Result<u64, StateError> {
        let [first, second, third] = backed_up;
        let row = sqlx::query(
            "SELECT COUNT(*) AS repositories FROM (
                 SELECT MAX(CASE WHEN tasks.state IN ($3, $4, $5) AND runs.started > $2 THEN 1 ELSE 0 END) AS backed_up
                 FROM tasks JOIN runs ON runs.id = tasks.run
                 WHERE runs.plan = $1 AND runs.started >= $2
                 GROUP BY tasks.server, tasks.repository) AS each
             WHERE backed_up = 0",
        )
        .bind(plan.to_string())
        .bind(since.as_millisecond())
        .bind(first)
        .bind(second)
        .bind(third)
        .fetch_one(&self.pool)
        .await
        .map_err(self.failed("count what is overdue"))?;
        self.read("a count of repositories", &row).count("repositories")
    }

    /// The oldest run of which repositories wait to be claimed.
    pub async fn oldest_waiting(&self) -> Result<Option<RunId>, StateError> {
        // Ids are sorted by time.
        let row = sqlx::query("SELECT run FROM queue WHERE state = 'queued' ORDER BY run LIMIT 1")
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("look for what waits for longest"))?;
        row.map(|row| self.read("a task in the queue", &row).parse("run")).transpose()
    }

    /// How many snapshots each plan has in each destination.
    pub async fn snapshot_counts(&self) -> Result<BTreeMap<(Uid, DestinationId), u64>, StateError> {
        let rows =
            sqlx::query("SELECT plan, destination, COUNT(*) AS snapshots FROM snapshots GROUP BY plan, destination")
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("count snapshots"))?;
        let counted = rows.iter().map(|row| {
            let read = self.read("a count of snapshots", row);
            Ok(((read.parse("plan")?, read.parse("destination")?), read.count("snapshots")?))
        });
        counted.collect()
    }

    /// How many tasks of runs under way are in each state, also if none is: those that ended are not there any more, or
    /// do not count.
    pub async fn queue_counts(&self) -> Result<BTreeMap<String, u64>, StateError> {
        let rows = sqlx::query(
            "SELECT state, COUNT(*) AS tasks FROM queue WHERE state IN ('queued', 'running', 'poisoned') GROUP BY state",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("count what is in the queue"))?;
        let mut counts: BTreeMap<String, u64> =
            ["queued", "running", "poisoned"].map(|state| (state.to_owned(), 0)).into();
        for row in &rows {
            let read = self.read("a count of tasks in the queue", row);
            counts.insert(read.get("state")?, read.count("tasks")?);
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::RunStart;
    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::{Generation, PlanName, RepoSlug, RunId};

    #[tokio::test]
    async fn runs_are_counted_and_the_newest_over_everything_is_found() {
        let (_home, store) = fresh().await;
        let at = |second: u64| Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        let (name, slug) = (PlanName::new("nightly").unwrap(), RepoSlug::new("ledger").unwrap());
        let plan = Uid::from_parts(9, 1);
        for (number, only, state) in
            [(1, None, Some("done")), (2, None, Some("failed")), (3, Some(&slug), Some("done")), (4, None, None)]
        {
            let (id, generation) = (RunId::from_parts(number, 0), Generation(1));
            let at = at(number);
            let run = RunStart { id, plan, plan_name: &name, generation, only, resumes: None, scheduled: None, at };
            store.start_run(run, &[]).await.unwrap();
            if let Some(state) = state {
                store.finish_run(id, state, at, &json!({}), &[]).await.unwrap();
            }
        }
        let counts: BTreeMap<_, _> =
            store.run_counts().await.unwrap().into_iter().map(|count| (count.state, count.runs)).collect();
        assert_eq!(counts, [("done".into(), 2), ("failed".into(), 1), ("running".into(), 1)].into());
        let newest = store.newest_whole_runs().await.unwrap();
        let newest: Vec<_> = newest.iter().map(|run| (run.state.as_str(), run.started)).collect();
        assert_eq!(newest, [("running", at(4)), ("failed", at(2)), ("done", at(1))]);
        assert!(store.repository_counts().await.unwrap().is_empty());
        assert!(store.snapshot_counts().await.unwrap().is_empty());
        let nothing_waits = ["poisoned", "queued", "running"].map(|state| (state.to_owned(), 0)).into();
        assert_eq!(store.queue_counts().await.unwrap(), nothing_waits);
        assert_eq!(store.oldest_waiting().await.unwrap(), None);
        assert_eq!(store.repositories_behind(plan, at(0), ["new", "changed", "unchanged"]).await.unwrap(), 0);
    }
}
