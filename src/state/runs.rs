//! Runs of backup plans.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::{AgendaRow, Exclusive, StateError, StateLock, StateStore, agenda};
use crate::crash::{self, CrashPoint};
use crate::model::{DestinationId, Generation, PlanName, RepoSlug, RunId, Uid};

/// The state of a run that was started and not finished.
pub const RUNNING: &str = "running";

/// The state of a run whose process ended before it could finish it.
pub const ABANDONED: &str = "abandoned";

/// The outcome of a run that backed up everything.
pub const DONE: &str = "done";

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
    /// The one repository that it is about, if it is.
    pub only: Option<RepoSlug>,
    /// The run that it goes on with, if it does.
    pub resumes: Option<RunId>,
    /// [`RUNNING`], [`ABANDONED`], or the outcome that it was finished with.
    pub state: String,
    /// When it began, in milliseconds.
    pub started: Timestamp,
    /// When it ended, in milliseconds.
    pub finished: Option<Timestamp>,
    /// What it was finished with.
    pub summary: Option<Value>,
}

impl RunRow {
    /// The run as it is known to be. If nobody holds the lock, what still counts as running has no process any more.
    #[must_use]
    pub fn settled(mut self, idle: bool) -> Self {
        if idle && self.state == RUNNING {
            ABANDONED.clone_into(&mut self.state);
        }
        self
    }
}

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct RunStart<'a> {
    /// Its identity.
    pub id: RunId,
    /// The plan.
    pub plan: Uid,
    /// The plan's name.
    pub plan_name: &'a PlanName,
    /// What is in force.
    pub generation: Generation,
    /// The one repository that it is about, if it is.
    pub only: Option<&'a RepoSlug>,
    /// The run that it goes on with, if it does.
    pub resumes: Option<RunId>,
    /// The time of the schedule that it is for, if it is for one: dealt with from here on.
    pub scheduled: Option<&'a AgendaRow>,
    /// When.
    pub at: Timestamp,
}

/// A destination in which something unfinished may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disorder {
    /// The destination.
    pub destination: DestinationId,
    /// What says so, one for each run that left it.
    left: Vec<String>,
}

/// Which runs are looked for. What is not said fits.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Those of the plan that has this name, or had it.
    pub plan: Option<(PlanName, Option<Uid>)>,
}

/// Letters and digits of an id.
const ID_LENGTH: usize = 26;

impl StateStore {
    /// Remembers that a run began, which writes to `destinations`. Gives those of them that runs before it did not leave in
    /// order, as far as this state knows: something unfinished may lie there. Runs under way count as orderly.
    pub async fn start_run(
        &self,
        run: RunStart<'_>,
        destinations: &[DestinationId],
    ) -> Result<Vec<Disorder>, StateError> {
        self.undisturbed(|| self.start_run_once(run, destinations)).await
    }

    async fn start_run_once(
        &self,
        run: RunStart<'_>,
        destinations: &[DestinationId],
    ) -> Result<Vec<Disorder>, StateError> {
        const ATTEMPT: &str = "record the start of a run";
        let RunStart { id, plan, plan_name, generation, only, resumes, scheduled, at } = run;
        let number = i64::try_from(generation.0).map_err(|error| self.damaged("a generation", error))?;
        let mut transaction = self.begin(ATTEMPT).await?;
        let mut disorderly = Vec::new();
        for destination in destinations {
            disorderly.extend(self.disorder(&mut transaction, *destination).await?);
            sqlx::query("INSERT INTO meta (key, value) VALUES ($1, '')")
                .bind(writing(*destination, &id.to_string()))
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
        }
        sqlx::query(
            "INSERT INTO runs (id, plan, plan_name, generation, state, started, repository, resumes)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id.to_string())
        .bind(plan.to_string())
        .bind(plan_name.as_str())
        .bind(number)
        .bind(RUNNING)
        .bind(at.as_millisecond())
        .bind(only.map(RepoSlug::as_str))
        .bind(resumes.map(|run| run.to_string()))
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        if let Some(row) = scheduled {
            agenda::deal_with(plan, row).execute(&mut *transaction).await.map_err(self.failed(ATTEMPT))?;
        }
        crash::point(CrashPoint::RunStartWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::RunStarted);
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
        self.undisturbed(|| self.finish_run_once(id, outcome, at, summary, in_order)).await
    }

    async fn finish_run_once(
        &self,
        id: RunId,
        outcome: &str,
        at: Timestamp,
        summary: &Value,
        in_order: &[DestinationId],
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "record the end of a run";
        let mut transaction = self.begin(ATTEMPT).await?;
        let in_order = match self.demand_lock(&mut transaction, ATTEMPT).await {
            Ok(()) => in_order,
            // Somebody else may be at work there.
            Err(StateError::LockLost { .. }) => &[],
            Err(error) => return Err(error),
        };
        // A worker that was lost may have left something wherever it wrote.
        let lost = sqlx::query("SELECT 1 AS lost FROM queue WHERE run = $1 AND losses > 0 LIMIT 1")
            .bind(id.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        for destination in in_order.iter().filter(|_| lost.is_none()) {
            sqlx::query("DELETE FROM meta WHERE key = $1")
                .bind(writing(*destination, &id.to_string()))
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
        self.close_queue(&mut transaction, id).await?;
        crash::point(CrashPoint::RunEndWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::RunEnded);
        Ok(())
    }

    /// What runs that are over left in disorder in a destination, if any did, or if nothing is known of it.
    async fn disorder(
        &self,
        transaction: &mut Transaction<'static, Any>,
        destination: DestinationId,
    ) -> Result<Option<Disorder>, StateError> {
        const ATTEMPT: &str = "look for what runs left unfinished";
        let known = sqlx::query("SELECT 1 AS known FROM meta WHERE key = $1")
            .bind(orderly(destination))
            .fetch_optional(&mut **transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let left = sqlx::query(
            "SELECT key FROM meta WHERE key LIKE $1
               AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.state = $2 AND meta.key LIKE '%/' || runs.id)",
        )
        .bind(writing(destination, "%"))
        .bind(RUNNING)
        .fetch_all(&mut **transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        let left = left.iter().map(|row| self.read("a destination", row).get("key")).collect::<Result<Vec<_>, _>>()?;
        Ok((known.is_none() || !left.is_empty()).then_some(Disorder { destination, left }))
    }

    /// Remembers that a destination was swept: of what was in disorder when this was found, nothing is left.
    pub async fn swept(&self, disorder: &Disorder, by: RunId) -> Result<(), StateError> {
        self.undisturbed(|| self.swept_once(disorder, by)).await
    }

    async fn swept_once(&self, disorder: &Disorder, by: RunId) -> Result<(), StateError> {
        const ATTEMPT: &str = "record that a destination was swept";
        let mut transaction = self.begin(ATTEMPT).await?;
        for key in &disorder.left {
            sqlx::query("DELETE FROM meta WHERE key = $1")
                .bind(key.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
        }
        sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
            .bind(orderly(disorder.destination))
            .bind(by.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        self.commit(transaction, ATTEMPT).await
    }

    /// Marks the runs that still count as running, and clears the queue of what was theirs: nobody goes on with it. What
    /// a living worker of another process has claimed stays its own until it is done. For the holder of the lock only: it
    /// knows that nobody runs them. Gives their number.
    pub async fn abandon_running(&self, at: Timestamp) -> Result<u64, StateError> {
        self.undisturbed(|| self.abandon_running_once(at)).await
    }

    async fn abandon_running_once(&self, at: Timestamp) -> Result<u64, StateError> {
        const ATTEMPT: &str = "mark interrupted runs";
        let mut transaction = self.begin(ATTEMPT).await?;
        let done = sqlx::query("UPDATE runs SET state = $1, finished = $2 WHERE state = $3")
            .bind(ABANDONED)
            .bind(at.as_millisecond())
            .bind(RUNNING)
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        self.clear_queue(&mut transaction).await?;
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::RunsAbandoned);
        Ok(done.rows_affected())
    }

    /// Whether nobody takes backups at this moment. A run begins under the lock and ends under it: one that counts
    /// as running between two moments like that was killed.
    pub async fn is_idle(&self) -> bool {
        StateLock::is_free(self, Exclusive::Runs).await
    }

    /// The runs that fit, newest first: at most `limit` of those that are older than `before`.
    pub async fn runs_before(
        &self,
        filter: &RunFilter,
        before: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StateError> {
        // Ids are sorted by time, and no name is empty: an empty text stands for "any".
        let rows = sqlx::query(
            "SELECT id, plan, plan_name, generation, repository, resumes, state, started, finished, summary FROM runs
             WHERE ($1 = '' OR plan_name = $1 OR plan = $2) AND ($3 = '' OR id < $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(filter.plan.as_ref().map_or("", |(name, _)| name.as_str()))
        .bind(filter.plan.as_ref().and_then(|(_, uid)| *uid).map(|uid| uid.to_string()).unwrap_or_default())
        .bind(before.map(|run| run.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("list runs"))?;
        rows.iter().map(|row| self.run_of(row)).collect()
    }

    /// The run with this id, or the only one whose id begins like this. Case does not matter.
    pub async fn run(&self, text: &str) -> Result<RunRow, StateError> {
        let unknown = || StateError::UnknownRun { place: self.place(), text: text.chars().take(64).collect() };
        let prefix = text.to_ascii_uppercase();
        let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || prefix.is_empty() || prefix.len() > ID_LENGTH {
            return Err(unknown());
        }
        let rows = sqlx::query(
            "SELECT id, plan, plan_name, generation, repository, resumes, state, started, finished, summary FROM runs
             WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT 2",
        )
        .bind(format!("{prefix:0<ID_LENGTH$}"))
        .bind(format!("{prefix:Z<ID_LENGTH$}"))
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("look for a run"))?;
        match rows.as_slice() {
            [] => Err(unknown()),
            [row] => self.run_of(row),
            [_, _, ..] => Err(StateError::AmbiguousRun { place: self.place(), text: text.to_owned() }),
        }
    }

    /// The runs of one plan that ended with an outcome among `states`, newest first.
    pub async fn runs_of(&self, plan: Uid, states: [&str; 2], limit: u32) -> Result<Vec<RunRow>, StateError> {
        let rows = sqlx::query(
            "SELECT id, plan, plan_name, generation, repository, resumes, state, started, finished, summary
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

    pub(super) fn run_of(&self, row: &AnyRow) -> Result<RunRow, StateError> {
        let read = self.read("a run", row);
        let finished: Option<i64> = read.get("finished")?;
        let summary: Option<String> = read.get("summary")?;
        let only: Option<String> = read.get("repository")?;
        let resumes: Option<String> = read.get("resumes")?;
        Ok(RunRow {
            id: read.parse("id")?,
            plan: read.parse("plan")?,
            plan_name: read.parse("plan_name")?,
            generation: Generation(read.count("generation")?),
            only: only.map(|_| read.parse("repository")).transpose()?,
            resumes: resumes.map(|_| read.parse("resumes")).transpose()?,
            state: read.get("state")?,
            started: read.time("started")?,
            finished: finished.map(|_| read.time("finished")).transpose()?,
            summary: summary.map(|_| read.json("summary")).transpose()?,
        })
    }
}

/// Where it is remembered that a destination was looked through once.
fn orderly(destination: DestinationId) -> String {
    format!("orderly/{destination}")
}

/// Where it is remembered that a run writes to a destination. It is taken away when the run ended in order.
fn writing(destination: DestinationId, run: &str) -> String {
    format!("writing/{destination}/{run}")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::store::tests::fresh;
    use super::*;

    pub(in crate::state) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub(in crate::state) async fn start(store: &StateStore, number: u64) -> RunId {
        let id = RunId::from_parts(number, 0);
        let name = PlanName::new("nightly").unwrap();
        let at = at(i64::try_from(number).unwrap());
        let plan = Uid::from_parts(1, 1);
        let run = RunStart {
            id,
            plan,
            plan_name: &name,
            generation: Generation(41),
            only: None,
            resumes: None,
            scheduled: None,
            at,
        };
        store.start_run(run, &[]).await.unwrap();
        id
    }

    #[tokio::test]
    async fn the_next_holder_of_the_lock_marks_what_a_kill_left_running() {
        let (_home, store) = fresh().await;
        let (done, killed) = (start(&store, 1).await, start(&store, 2).await);
        store.finish_run(done, "complete", at(5), &json!({"new": 2}), &[]).await.unwrap();
        let left = store.run(&killed.to_string()).await.unwrap();
        assert!(store.is_idle().await);
        assert_eq!((left.state.as_str(), left.finished), (RUNNING, None));
        assert_eq!((left.clone().settled(false).state, left.settled(true).state), (RUNNING.into(), ABANDONED.into()));
        assert_eq!(store.abandon_running(at(9)).await.unwrap(), 1);
        assert_eq!(store.abandon_running(at(10)).await.unwrap(), 0);
        let runs = store.runs_before(&RunFilter::default(), None, 10).await.unwrap();
        let seen: Vec<_> = runs.iter().map(|run| (run.id, run.state.as_str(), run.finished)).collect();
        assert_eq!(seen, [(killed, ABANDONED, Some(at(9))), (done, "complete", Some(at(5)))]);
        assert_eq!((&runs[0].summary, &runs[1].summary), (&None, &Some(json!({"new": 2}))));
        assert_eq!(store.runs_before(&RunFilter::default(), None, 1).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn runs_are_listed_in_pages_by_plan_and_found_by_the_beginning_of_their_id() {
        let (_home, store) = fresh().await;
        let mut ids = Vec::new();
        for number in 1..=5 {
            ids.push(start(&store, number << 20).await);
        }
        let list = async |filter: RunFilter, before, limit| -> Vec<RunId> {
            store.runs_before(&filter, before, limit).await.unwrap().iter().map(|run| run.id).collect()
        };
        assert_eq!(list(RunFilter::default(), None, 2).await, [ids[4], ids[3]]);
        assert_eq!(list(RunFilter::default(), Some(ids[3]), 9).await, [ids[2], ids[1], ids[0]]);
        let plan = |name: &str, uid| RunFilter { plan: Some((PlanName::new(name).unwrap(), uid)) };
        assert_eq!(list(plan("nightly", None), None, 9).await.len(), 5);
        assert_eq!(list(plan("every-night", Some(Uid::from_parts(1, 1))), None, 9).await.len(), 5, "by identity");
        assert_eq!(list(plan("weekly", Some(Uid::from_parts(1, 2))), None, 9).await.len(), 0);

        let whole = ids[2].to_string();
        assert_eq!(store.run(&whole.to_lowercase()).await.unwrap().id, ids[2]);
        assert_eq!(store.run(&whole[..8]).await.unwrap().id, ids[2]);
        assert!(matches!(store.run(&whole[..2]).await, Err(StateError::AmbiguousRun { .. })));
        for nothing in ["", "7", "0%", "latest", &format!("{whole}0")] {
            assert!(matches!(store.run(nothing).await, Err(StateError::UnknownRun { .. })), "{nothing}");
        }
    }

    #[tokio::test]
    async fn a_run_names_the_one_that_it_resumes() {
        let (_home, store) = fresh().await;
        let (first, id, at) = (start(&store, 1).await, RunId::from_parts(2, 0), at(2));
        let (plan, name) = (Uid::from_parts(1, 1), PlanName::new("nightly").unwrap());
        let run = RunStart {
            id,
            plan,
            plan_name: &name,
            generation: Generation(41),
            only: None,
            resumes: Some(first),
            scheduled: None,
            at,
        };
        store.start_run(run, &[]).await.unwrap();
        assert_eq!(store.run(&id.to_string()).await.unwrap().resumes, Some(first));
        assert_eq!(store.run(&first.to_string()).await.unwrap().resumes, None);
    }

    #[tokio::test]
    async fn a_destination_is_in_order_until_a_run_that_does_not_end() {
        let (_home, store) = fresh().await;
        let (nas, offsite) = (DestinationId::from_parts(1, 1), DestinationId::from_parts(1, 2));
        let name = PlanName::new("nightly").unwrap();
        let begin = async |number, destinations: &[DestinationId]| {
            let plan = Uid::from_parts(1, 1);
            let id = RunId::from_parts(number, 0);
            let generation = Generation(1);
            let run = RunStart {
                id,
                plan,
                plan_name: &name,
                generation,
                only: None,
                resumes: None,
                scheduled: None,
                at: at(1),
            };
            (id, store.start_run(run, destinations).await.unwrap())
        };
        let of = |disorders: &[Disorder]| disorders.iter().map(|one| one.destination).collect::<Vec<_>>();
        let sweep = async |disorders: Vec<Disorder>| {
            for disorder in disorders {
                store.swept(&disorder, RunId::from_parts(9, 0)).await.unwrap();
            }
        };
        let (first, disorders) = begin(1, &[nas, offsite]).await;
        assert_eq!(of(&disorders), [nas, offsite], "nothing is known of what was before");
        sweep(disorders).await;
        store.finish_run(first, "done", at(2), &json!({}), &[nas, offsite]).await.unwrap();
        assert_eq!(begin(2, &[nas, offsite]).await.1, []);
        let (third, disorders) = begin(3, &[offsite]).await;
        assert_eq!(disorders, [], "the second is under way");
        store.finish_run(third, "done", at(3), &json!({}), &[offsite]).await.unwrap();
        store.abandon_running(at(4)).await.unwrap();
        let (fourth, disorders) = begin(4, &[nas, offsite]).await;
        assert_eq!(of(&disorders), [nas, offsite], "the second did not end");
        sweep(disorders[..1].to_vec()).await;
        store.finish_run(fourth, "partial", at(5), &json!({}), &[nas]).await.unwrap();
        let (_, disorders) = begin(5, &[nas, offsite]).await;
        assert_eq!(of(&disorders), [offsite], "it was not swept");
    }
}
