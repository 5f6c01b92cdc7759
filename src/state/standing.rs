//! How things stand: the newest runs and snapshots, without the rest.

use jiff::Timestamp;

use super::runs::RunRow;
use super::{StateError, StateStore};
use crate::model::{DestinationId, PlanName, Uid};

/// What a plan has in a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// The plan.
    pub plan: Uid,
    /// A name that it had.
    pub plan_name: PlanName,
    /// The destination.
    pub destination: DestinationId,
    /// Snapshots.
    pub snapshots: u64,
    /// When the newest was taken.
    pub newest: Timestamp,
}

impl StateStore {
    /// The newest run of every plan in every state that runs have, newest first.
    pub async fn newest_runs(&self) -> Result<Vec<RunRow>, StateError> {
        // Ids are sorted by time.
        let rows = sqlx::query(
            "SELECT id, plan, plan_name, generation, repository, resumes, state, started, finished, summary FROM runs
             WHERE id IN (SELECT MAX(id) FROM runs GROUP BY plan, state) ORDER BY id DESC",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the newest runs"))?;
        rows.iter().map(|row| self.run_of(row)).collect()
    }

    /// What plans have in destinations, those that have left the file too.
    pub async fn holdings(&self) -> Result<Vec<Holding>, StateError> {
        let rows = sqlx::query(
            "SELECT plan, destination, MAX(plan_name) AS plan_name, COUNT(*) AS snapshots, MAX(created) AS newest
             FROM snapshots GROUP BY plan, destination ORDER BY plan, destination",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("count snapshots"))?;
        let holding = rows.iter().map(|row| {
            let read = self.read("what a plan has in a destination", row);
            Ok(Holding {
                plan: read.parse("plan")?,
                plan_name: read.parse("plan_name")?,
                destination: read.parse("destination")?,
                snapshots: read.count("snapshots")?,
                newest: read.time("newest")?,
            })
        });
        holding.collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::RunStart;
    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::{Generation, RunId};

    #[tokio::test]
    async fn the_newest_run_of_each_kind_is_found() {
        let (_home, store) = fresh().await;
        assert!(store.newest_runs().await.unwrap().is_empty() && store.holdings().await.unwrap().is_empty());
        let name = PlanName::new("nightly").unwrap();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        for (number, plan, state) in
            [(1, 1, "done"), (2, 1, "done"), (3, 1, "failed"), (4, 2, "done"), (5, 1, "running")]
        {
            let id = RunId::from_parts(number, 0);
            let second = i64::try_from(number).unwrap();
            let (plan, at) = (Uid::from_parts(9, plan), at(second));
            let run = RunStart {
                id,
                plan,
                plan_name: &name,
                generation: Generation(1),
                only: None,
                resumes: None,
                scheduled: None,
                at,
            };
            store.start_run(run, &[]).await.unwrap();
            if state != "running" {
                store.finish_run(id, state, at, &json!({}), &[]).await.unwrap();
            }
        }
        let runs = store.newest_runs().await.unwrap();
        let seen: Vec<(u64, &str)> = runs.iter().map(|run| (run.id.millis(), run.state.as_str())).collect();
        assert_eq!(seen, [(5, "running"), (4, "done"), (3, "failed"), (2, "done")]);
    }
}
