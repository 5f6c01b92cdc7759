//! Claims: taken, renewed, given back.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use sqlx::error::ErrorKind;

use super::super::{StateError, StateStore};
use super::{QUEUED, RUNNING};
use crate::crash::{self, CrashPoint};
use crate::model::{ProjectSelector, RepoId, RunId, Uid};

/// Claims that one statement names.
pub(super) const AT_ONCE: usize = 64;

/// Binds of one claim.
const COLUMNS: usize = 5;

/// How often a claim is tried that others get in the way of.
const TRIES: u32 = 8;

/// The right to work on one repository for one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// The server.
    pub server: Uid,
    /// The repository.
    pub repository: RepoId,
    /// Who holds it.
    pub owner: Uid,
    /// Which claim of the task it is, counted from 1.
    pub epoch: u64,
}

/// A task that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The claim.
    pub claim: Claim,
    /// What there is to do, in the words of whoever enqueued it.
    pub body: String,
}

impl StateStore {
    /// Claims at most `most` of the tasks of a run that wait for the accounts of a declared project, in their order. A
    /// repository that somebody works on is passed over. Whoever is not the run's coordinator gets something only while
    /// the run is open to others ([`StateStore::open_to_others`]).
    pub async fn claim(
        &self,
        owner: Uid,
        run: RunId,
        project: &ProjectSelector,
        most: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, StateError> {
        self.undisturbed(|| self.claim_once(owner, run, project, most, lease)).await
    }

    async fn claim_once(
        &self,
        owner: Uid,
        run: RunId,
        project: &ProjectSelector,
        most: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, StateError> {
        // Apart, so that no plan of the database reads it twice and takes more than that.
        let (now, skip) = (self.now_sql(), self.skip_locked());
        let statement = format!(
            "WITH next AS MATERIALIZED (
                SELECT waiting.run, waiting.server, waiting.repository FROM queue AS waiting
                WHERE waiting.run = $3 AND waiting.project = $4 AND waiting.state = '{QUEUED}'
                  AND waiting.not_before <= {now}
                  AND EXISTS (SELECT 1 FROM queue_runs WHERE queue_runs.run = waiting.run
                    AND (queue_runs.owner = $1 OR queue_runs.open_until > {now}))
                  AND NOT EXISTS (SELECT 1 FROM queue AS other WHERE other.state = '{RUNNING}'
                    AND other.server = waiting.server AND other.repository = waiting.repository)
                ORDER BY waiting.place LIMIT $5 {skip})
             UPDATE queue SET state = '{RUNNING}', owner = $1, epoch = epoch + 1, lease_until = {now} + $2
             WHERE (run, server, repository) IN (SELECT run, server, repository FROM next)
             RETURNING run, server, repository, owner, epoch, place, body"
        );
        let mut size = i64::try_from(most).unwrap_or(i64::MAX);
        for _ in 0..TRIES {
            let claimed = sqlx::query(AssertSqlSafe(statement.clone()))
                .bind(owner.to_string())
                .bind(millis(lease))
                .bind(run.to_string())
                .bind(project.as_str())
                .bind(size)
                .fetch_all(&self.pool)
                .await;
            match claimed {
                Ok(rows) => {
                    crash::point(CrashPoint::TasksClaimed);
                    return self.claimed(&rows);
                }
                // Somebody claimed one of them for another run at the same time: fewer at once get less in the way.
                Err(error) if is_taken(&error) => size = (size / 2).max(1),
                Err(error) => return Err(self.failed("claim tasks")(error)),
            }
        }
        Ok(Vec::new())
    }

    fn claimed(&self, rows: &[AnyRow]) -> Result<Vec<Claimed>, StateError> {
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let read = self.read("a task in the queue", row);
            let (place, body): (i64, String) = (read.get("place")?, read.get("body")?);
            claimed.push((place, Claimed { claim: self.claim_of(row)?, body }));
        }
        claimed.sort_by_key(|(place, _)| *place);
        Ok(claimed.into_iter().map(|(_, claimed)| claimed).collect())
    }

    /// Renews all claims of an owner, and gives those that it holds.
    pub async fn renew(&self, owner: Uid, lease: Duration) -> Result<BTreeSet<Claim>, StateError> {
        self.undisturbed(|| self.renew_once(owner, lease)).await
    }

    async fn renew_once(&self, owner: Uid, lease: Duration) -> Result<BTreeSet<Claim>, StateError> {
        let statement = format!(
            "UPDATE queue SET lease_until = {} + $2 WHERE owner = $1 AND state = '{RUNNING}'
             RETURNING run, server, repository, owner, epoch",
            self.now_sql()
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(owner.to_string())
            .bind(millis(lease))
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("renew claims"))?;
        rows.iter().map(|row| self.claim_of(row)).collect()
    }

    /// Gives tasks back that were not begun. What is not held any more stays as it is.
    pub async fn release(&self, claims: &[Claim]) -> Result<(), StateError> {
        self.undisturbed(|| self.release_once(claims)).await
    }

    async fn release_once(&self, claims: &[Claim]) -> Result<(), StateError> {
        const ATTEMPT: &str = "give tasks back";
        for some in claims.chunks(AT_ONCE) {
            let statement =
                format!("UPDATE queue SET state = '{QUEUED}', owner = '', lease_until = 0 WHERE {}", held(some.len()));
            bind_all(sqlx::query(AssertSqlSafe(statement)), some)
                .execute(&self.pool)
                .await
                .map_err(self.failed(ATTEMPT))?;
        }
        Ok(())
    }

    /// Refuses what a worker does that was taken for lost. Only a look: what must not be written without the claim is
    /// written with the proof of it in one transaction.
    pub async fn refuse_stale(&self, claim: &Claim) -> Result<(), StateError> {
        if self.holds(claim).await? { Ok(()) } else { Err(StateError::Fenced { place: self.place() }) }
    }

    /// Whether a claim is held.
    pub async fn holds(&self, claim: &Claim) -> Result<bool, StateError> {
        let statement = format!("SELECT 1 AS held FROM queue WHERE {}", held(1));
        let row = bind_all(sqlx::query(AssertSqlSafe(statement)), std::slice::from_ref(claim))
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("look up a claim"))?;
        Ok(row.is_some())
    }

    pub(super) fn claim_of(&self, row: &AnyRow) -> Result<Claim, StateError> {
        let read = self.read("a task in the queue", row);
        Ok(Claim {
            run: read.parse("run")?,
            server: read.parse("server")?,
            repository: RepoId(read.json("repository")?),
            owner: read.parse("owner")?,
            epoch: read.count("epoch")?,
        })
    }
}

/// The condition that so many claims are held, for [`bind_all`].
pub(in crate::state) fn held(count: usize) -> String {
    let claim = |claim: usize| {
        let numbers: Vec<String> = (1..=COLUMNS).map(|column| format!("${}", claim * COLUMNS + column)).collect();
        format!("({})", numbers.join(", "))
    };
    let claims: Vec<String> = (0..count).map(claim).collect();
    format!("state = '{RUNNING}' AND (run, server, repository, owner, epoch) IN (VALUES {})", claims.join(", "))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Any, <sqlx::Any as sqlx::Database>::Arguments>;

/// Binds what [`held`] names.
pub(in crate::state) fn bind_all<'q>(query: Query<'q>, claims: &[Claim]) -> Query<'q> {
    claims.iter().fold(query, |query, claim| {
        query
            .bind(claim.run.to_string())
            .bind(claim.server.to_string())
            .bind(claim.repository.to_string())
            .bind(claim.owner.to_string())
            .bind(i64::try_from(claim.epoch).unwrap_or(i64::MAX))
    })
}

/// A duration as the database counts.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.kind() == ErrorKind::UniqueViolation)
}
