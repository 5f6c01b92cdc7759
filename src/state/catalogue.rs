//! The catalogue of snapshots, and the chains that the next runs continue.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::queue::Claim;
use super::row::Reader;
use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::{DestinationId, PlanName, ProjectKey, RepoId, RepoSlug, SnapshotId, SnapshotRecord, Uid};

/// Repositories that one statement asks for.
const REPOSITORIES_AT_ONCE: usize = 64;

/// Letters and digits of an id.
const ID_LENGTH: usize = 26;

/// What the next run of one repository into one destination continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// The newest snapshot.
    pub snapshot: SnapshotId,
    /// What the archive needs to continue it, in its own words.
    pub body: Vec<u8>,
    /// Why it must not be continued.
    pub broken: Option<String>,
}

/// What a destination holds of one repository, as one plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRow {
    /// The chain, which all plans share.
    pub chain: ChainRow,
    /// The plan's newest snapshot, and the damage that was found in it.
    pub own: Option<(SnapshotRecord, Option<String>)>,
}

/// How a snapshot stands to the chain that was there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// It builds on the chain. A mark of damage on the chain stays: it may have been set meanwhile.
    Continues,
    /// It is complete by itself, and the first of a new chain.
    Anew,
}

/// Which snapshots are asked for. All of those that fit every field that is given.
#[derive(Debug, Clone, Default)]
pub struct SnapshotFilter {
    /// Of the plan of this name: those that were taken under it, and those of the plan that has the identity, if one
    /// has the name, whatever it was called then.
    pub plan: Option<(PlanName, Option<Uid>)>,
    /// Of the repositories with this slug, in this project if one is named.
    pub repository: Option<(Option<ProjectKey>, RepoSlug)>,
    /// In this destination.
    pub destination: Option<DestinationId>,
}

impl StateStore {
    /// The chain of a repository in a destination.
    pub async fn chain(
        &self,
        destination: DestinationId,
        server: Uid,
        repository: RepoId,
    ) -> Result<Option<ChainRow>, StateError> {
        let row = sqlx::query(
            "SELECT snapshot, body, broken FROM chains WHERE destination = $1 AND server = $2 AND repository = $3",
        )
        .bind(destination.to_string())
        .bind(server.to_string())
        .bind(repository.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(self.failed("read a chain"))?;
        row.map(|row| chain_row(&self.read("a chain", &row))).transpose()
    }

    /// Marks the chain of a repository in a destination as damaged, so that the next run begins a new one with
    /// everything. Snapshots stay. Tells whether there was one.
    pub async fn break_chain(
        &self,
        destination: DestinationId,
        server: Uid,
        repository: RepoId,
        why: &str,
    ) -> Result<bool, StateError> {
        let statement = "UPDATE chains SET broken = $4 WHERE destination = $1 AND server = $2 AND repository = $3";
        let done = sqlx::query(statement)
            .bind(destination.to_string())
            .bind(server.to_string())
            .bind(repository.to_string())
            .bind(why)
            .execute(&self.pool)
            .await
            .map_err(self.failed("mark a chain as damaged"))?;
        Ok(done.rows_affected() > 0)
    }

    /// Marks a snapshot as damaged, so that no run counts it as held.
    pub async fn mark_damaged(&self, snapshot: SnapshotId, why: &str) -> Result<(), StateError> {
        sqlx::query("UPDATE snapshots SET damaged = $2 WHERE id = $1")
            .bind(snapshot.to_string())
            .bind(why)
            .execute(&self.pool)
            .await
            .map_err(self.failed("mark a snapshot as damaged"))?;
        Ok(())
    }

    /// Lists a snapshot and makes it the end of its chain, both or neither. Its manifest is stored already. Whoever took
    /// it must hold the `claim` of its repository: [`StateError::Fenced`] otherwise, and nothing is changed. The manifest
    /// then stays what it is, whole and named by nothing.
    pub async fn publish(
        &self,
        record: &SnapshotRecord,
        chain: &[u8],
        begins: Begins,
        claim: &Claim,
    ) -> Result<(), StateError> {
        self.undisturbed(|| self.publish_once(record, chain, begins, claim)).await
    }

    async fn publish_once(
        &self,
        record: &SnapshotRecord,
        chain: &[u8],
        begins: Begins,
        claim: &Claim,
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "record a snapshot";
        let body = serde_json::to_string(record).map_err(|error| self.damaged("a new snapshot", error))?;
        let mut transaction = self.begin(ATTEMPT).await?;
        self.demand_lock(&mut transaction, ATTEMPT).await?;
        self.demand(&mut transaction, claim).await?;
        sqlx::query(
            "INSERT INTO snapshots
                (id, created, plan, plan_name, destination, server, repository, project, slug, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(record.id.to_string())
        .bind(record.created.as_millisecond())
        .bind(record.plan.to_string())
        .bind(record.plan_name.as_str())
        .bind(record.destination.to_string())
        .bind(record.server.to_string())
        .bind(record.repository.to_string())
        .bind(record.project.as_str())
        .bind(record.slug.as_str())
        .bind(body)
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        sqlx::query(
            "INSERT INTO chains (destination, server, repository, snapshot, body) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (destination, server, repository)
             DO UPDATE SET snapshot = excluded.snapshot, body = excluded.body,
                broken = CASE WHEN $6 = 1 THEN NULL ELSE chains.broken END",
        )
        .bind(record.destination.to_string())
        .bind(record.server.to_string())
        .bind(record.repository.to_string())
        .bind(record.id.to_string())
        .bind(chain.to_vec())
        .bind(i64::from(begins == Begins::Anew))
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        sqlx::query("UPDATE inventory SET stored = $3 WHERE server = $1 AND repository = $2")
            .bind(record.server.to_string())
            .bind(record.repository.to_string())
            .bind(i64::try_from(record.bytes).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        crash::point(CrashPoint::SnapshotWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::SnapshotRecorded);
        Ok(())
    }

    /// The snapshots that fit, newest first.
    pub async fn snapshots(&self, filter: &SnapshotFilter, limit: u32) -> Result<Vec<SnapshotRecord>, StateError> {
        // No name is empty, so an empty text can stand for "any": it needs no type, which a null would.
        let SnapshotFilter { plan, repository, destination } = filter;
        let (project, slug) = match repository {
            Some((project, slug)) => (project.as_ref().map_or("", ProjectKey::as_str), slug.as_str()),
            None => ("", ""),
        };
        let rows = sqlx::query(
            "SELECT body FROM snapshots
             WHERE ($1 = '' OR plan_name = $1 OR plan = $6) AND ($2 = '' OR project = $2) AND ($3 = '' OR slug = $3)
               AND ($4 = '' OR destination = $4)
             ORDER BY id DESC LIMIT $5",
        )
        .bind(plan.as_ref().map_or("", |(name, _)| name.as_str()))
        .bind(project)
        .bind(slug)
        .bind(destination.map(|id| id.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .bind(plan.as_ref().and_then(|(_, uid)| *uid).map(|uid| uid.to_string()).unwrap_or_default())
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("list snapshots"))?;
        rows.iter().map(|row| self.read("a snapshot", row).json("body")).collect()
    }

    /// Every snapshot, and whether damage was found in it. Nothing, if there are more than `most`.
    pub async fn whole_catalogue(&self, most: u32) -> Result<Option<Vec<(SnapshotRecord, bool)>>, StateError> {
        let rows = sqlx::query("SELECT body, damaged FROM snapshots ORDER BY id LIMIT $1")
            .bind(i64::from(most) + 1)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the catalogue of snapshots"))?;
        if rows.len() > usize::try_from(most).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        let read = |row| {
            let read = self.read("a snapshot", row);
            Ok((read.json("body")?, read.get::<Option<String>>("damaged")?.is_some()))
        };
        rows.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// The snapshot with this id, or the only one whose id begins like this. Case does not matter.
    pub async fn snapshot(&self, text: &str) -> Result<SnapshotRecord, StateError> {
        let unknown = || StateError::UnknownSnapshot { place: self.place(), text: text.chars().take(64).collect() };
        let prefix = text.to_ascii_uppercase();
        let plain = prefix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || prefix.is_empty() || prefix.len() > ID_LENGTH {
            return Err(unknown());
        }
        let rows = sqlx::query("SELECT body FROM snapshots WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT 2")
            .bind(format!("{prefix:0<ID_LENGTH$}"))
            .bind(format!("{prefix:Z<ID_LENGTH$}"))
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("look for a snapshot"))?;
        match rows.as_slice() {
            [] => Err(unknown()),
            [row] => self.read("a snapshot", row).json("body"),
            [_, _, ..] => Err(StateError::AmbiguousSnapshot { place: self.place(), text: text.to_owned() }),
        }
    }

    /// What a destination holds of repositories of one server, as a plan sees it. Those without a chain are left out.
    /// One look instead of one for each.
    pub async fn held(
        &self,
        plan: Uid,
        destination: DestinationId,
        server: Uid,
        repositories: &[RepoId],
    ) -> Result<BTreeMap<RepoId, HeldRow>, StateError> {
        let mut held = BTreeMap::new();
        for some in repositories.chunks(REPOSITORIES_AT_ONCE) {
            let numbers: Vec<String> = (0..some.len()).map(|index| format!("${}", index + 4)).collect();
            let statement = format!(
                "SELECT chains.repository, chains.snapshot, chains.body, chains.broken,
                    snapshots.body AS own, snapshots.damaged
                 FROM chains LEFT JOIN snapshots ON snapshots.id = (
                    SELECT newest.id FROM snapshots AS newest
                    WHERE newest.repository = chains.repository AND newest.server = chains.server
                      AND newest.destination = chains.destination AND newest.plan = $1
                    ORDER BY newest.id DESC LIMIT 1)
                 WHERE chains.destination = $2 AND chains.server = $3 AND chains.repository IN ({})",
                numbers.join(", ")
            );
            let mut query = sqlx::query(AssertSqlSafe(statement))
                .bind(plan.to_string())
                .bind(destination.to_string())
                .bind(server.to_string());
            for repository in some {
                query = query.bind(repository.to_string());
            }
            let rows = query.fetch_all(&self.pool).await.map_err(self.failed("look up what is stored"))?;
            for row in &rows {
                let read = self.read("a chain", row);
                let own: Option<String> = read.get("own")?;
                let own = own.map(|_| Ok::<_, StateError>((read.json("own")?, read.get("damaged")?))).transpose()?;
                held.insert(RepoId(read.parse("repository")?), HeldRow { chain: chain_row(&read)?, own });
            }
        }
        Ok(held)
    }
}

fn chain_row(read: &Reader<'_>) -> Result<ChainRow, StateError> {
    Ok(ChainRow { snapshot: read.parse("snapshot")?, body: read.get("body")?, broken: read.get("broken")? })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::queue::tests::claim_of;
    use super::super::store::tests::fresh;
    use super::super::{Exclusive, LockBody, StateLock};
    use super::*;
    use crate::model::{DestinationName, RunId};

    fn record(at: u64, slug: &str, repository: u64) -> SnapshotRecord {
        SnapshotRecord {
            id: SnapshotId::from_parts(at, u128::from(repository) << 70),
            run: RunId::from_parts(at, 0),
            plan: Uid::from_parts(1, 1),
            plan_name: PlanName::new("nightly").unwrap(),
            destination: DestinationId::from_parts(1, 2),
            destination_name: DestinationName::new("nas").unwrap(),
            server: Uid::from_parts(1, 3),
            repository: RepoId(repository),
            project: ProjectKey::new("PAY").unwrap(),
            slug: RepoSlug::new(slug).unwrap(),
            created: Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap(),
            references: 3,
            packs: 1,
            bytes: u64::MAX,
            suspect: None,
            content: String::new(),
            manifest_bytes: 0,
            key: "servers/x".into(),
        }
    }

    /// Publishes as the holder of a claim.
    async fn publish(
        store: &StateStore,
        record: &SnapshotRecord,
        chain: &[u8],
        begins: Begins,
    ) -> Result<(), StateError> {
        let claim = claim_of(store, record.server, record.repository).await;
        let published = store.publish(record, chain, begins, &claim).await;
        store.release(&[claim]).await.unwrap();
        published
    }

    #[tokio::test]
    async fn who_does_not_hold_the_claim_publishes_nothing() {
        let (_home, store) = fresh().await;
        let record = record(1000, "ledger", 1);
        let stale = claim_of(&store, record.server, record.repository).await;
        store.release(&[stale]).await.unwrap();
        let refused = store.publish(&record, b"one", Begins::Anew, &stale).await.unwrap_err();
        assert!(matches!(refused, StateError::Fenced { .. }), "{refused}");
        assert_eq!(store.chain(record.destination, record.server, record.repository).await.unwrap(), None);
        assert!(store.snapshots(&SnapshotFilter::default(), 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_snapshot_and_its_chain_move_together() {
        let (_home, store) = fresh().await;
        let (first, second) = (record(1000, "ledger", u64::MAX), record(2000, "ledger", u64::MAX));
        let chain = || store.chain(first.destination, first.server, first.repository);
        assert_eq!(chain().await.unwrap(), None);
        publish(&store, &first, b"one", Begins::Anew).await.unwrap();
        publish(&store, &second, b"two", Begins::Continues).await.unwrap();
        assert_eq!(chain().await.unwrap(), Some(ChainRow { snapshot: second.id, body: b"two".to_vec(), broken: None }));

        let error = publish(&store, &first, b"again", Begins::Continues).await.unwrap_err();
        assert!(matches!(error, StateError::Access { .. }), "{error}");
        assert_eq!(chain().await.unwrap().unwrap().body, b"two");

        let (destination, server, repository) = (first.destination, first.server, first.repository);
        assert!(store.break_chain(destination, server, repository, "damaged").await.unwrap());
        assert_eq!(chain().await.unwrap().unwrap().broken.as_deref(), Some("damaged"));
        let third = SnapshotRecord { id: SnapshotId::from_parts(9, 9), ..second.clone() };
        publish(&store, &third, b"three", Begins::Continues).await.unwrap();
        assert!(chain().await.unwrap().unwrap().broken.is_some(), "a run that was under way does not wash it off");
        let fourth = SnapshotRecord { id: SnapshotId::from_parts(9, 10), ..second.clone() };
        publish(&store, &fourth, b"four", Begins::Anew).await.unwrap();
        assert_eq!(chain().await.unwrap().unwrap().broken, None);
        assert!(!store.break_chain(destination, server, RepoId(99), "damaged").await.unwrap());
        let others = (1000..1200).map(RepoId).chain([repository]).collect::<Vec<_>>();
        let held = |plan| store.held(plan, destination, server, &others);
        let chain = chain().await.unwrap().unwrap();
        store.mark_damaged(second.id, "flipped").await.unwrap();
        let own = Some((second, Some("flipped".into())));
        assert_eq!(held(first.plan).await.unwrap(), [(repository, HeldRow { chain: chain.clone(), own })].into());
        let other = held(Uid::from_parts(7, 7)).await.unwrap();
        assert_eq!(other, [(repository, HeldRow { chain, own: None })].into(), "another plan shares the chain");
    }

    #[tokio::test]
    async fn who_lost_the_lock_publishes_nothing() {
        let (_home, store) = fresh().await;
        let body = |id: &str| LockBody {
            id: id.into(),
            who: format!("{id}@vault"),
            pid: 7,
            operation: "run nightly".into(),
            since: Timestamp::UNIX_EPOCH,
        };
        let lock = StateLock::acquire(store.location(), Exclusive::Runs, &body("ada")).await.unwrap();
        store.publish_under(&lock);
        publish(&store, &record(1, "ledger", 1), b"", Begins::Anew).await.unwrap();
        if lock.token().is_none() {
            // Beside a file the lock cannot be lost.
            return;
        }
        drop(lock);
        let _other = StateLock::acquire(store.location(), Exclusive::Runs, &body("bob")).await.unwrap();
        let error = publish(&store, &record(2, "ledger", 1), b"", Begins::Continues).await.unwrap_err();
        assert!(matches!(error, StateError::LockLost { .. }), "{error}");
        assert!(error.to_string().contains("bob@vault"), "{error}");
        assert_eq!(store.snapshots(&SnapshotFilter::default(), 9).await.unwrap().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn tasks_publish_side_by_side() {
        let (_home, store) = fresh().await;
        let publish = |number: u64| {
            let (store, record) = (store.clone(), record(number, "ledger", number));
            tokio::spawn(async move {
                publish(&store, &record, b"tips", Begins::Anew).await?;
                let chain = store.chain(record.destination, record.server, record.repository).await?;
                let mut held = store.held(record.plan, record.destination, record.server, &[record.repository]).await?;
                let latest = held.remove(&record.repository).and_then(|held| held.own);
                let found = store.snapshot(&record.id.to_string()).await?;
                store.snapshots(&SnapshotFilter::default(), 5).await?;
                Ok::<_, StateError>(chain.map(|row| row.snapshot) == Some(record.id) && latest == Some((found, None)))
            })
        };
        let tasks: Vec<_> = (1..=32).map(publish).collect();
        for task in tasks {
            assert!(task.await.unwrap().unwrap());
        }
        assert_eq!(store.snapshots(&SnapshotFilter::default(), 100).await.unwrap().len(), 32);
    }

    #[tokio::test]
    async fn filters_narrow_and_the_newest_comes_first() {
        let (_home, store) = fresh().await;
        for (at, slug, id) in [(1, "ledger", 1), (2, "api", 2), (3, "ledger", 1)] {
            publish(&store, &record(at, slug, id), b"", Begins::Anew).await.unwrap();
        }
        let times = async |filter: SnapshotFilter, limit| -> Vec<i64> {
            let found = store.snapshots(&filter, limit).await.unwrap();
            found.iter().map(|record| record.created.as_millisecond()).collect()
        };
        assert_eq!(times(SnapshotFilter::default(), 10).await, [3, 2, 1]);
        assert_eq!(times(SnapshotFilter::default(), 1).await, [3]);
        let ledger = |project: Option<&str>| SnapshotFilter {
            repository: Some((project.map(|key| ProjectKey::new(key).unwrap()), RepoSlug::new("ledger").unwrap())),
            ..SnapshotFilter::default()
        };
        assert_eq!(times(ledger(None), 10).await, [3, 1]);
        assert_eq!(times(ledger(Some("PAY")), 10).await, [3, 1]);
        assert_eq!(times(ledger(Some("OPS")), 10).await, [0; 0]);
        let plan = |name: &str, uid: Option<Uid>| SnapshotFilter {
            plan: Some((PlanName::new(name).unwrap(), uid)),
            ..Default::default()
        };
        assert_eq!(times(plan("nightly", None), 10).await, [3, 2, 1]);
        assert_eq!(times(plan("hot", None), 10).await, [0; 0]);
        let renamed = record(1, "ledger", 1).plan;
        assert_eq!(times(plan("hot", Some(renamed)), 10).await, [3, 2, 1], "it was called otherwise then");
        assert_eq!(times(plan("nightly", Some(Uid::from_parts(9, 9))), 10).await, [3, 2, 1], "one that had the name");
        let elsewhere =
            SnapshotFilter { destination: Some(DestinationId::from_parts(9, 9)), ..SnapshotFilter::default() };
        assert_eq!(times(elsewhere, 10).await, [0; 0]);
    }

    #[tokio::test]
    async fn a_snapshot_is_found_by_the_beginning_of_its_id() {
        let (_home, store) = fresh().await;
        let (first, second) = (record(1 << 20, "ledger", 1), record(1 << 30, "ledger", 1));
        publish(&store, &first, b"", Begins::Anew).await.unwrap();
        publish(&store, &second, b"", Begins::Anew).await.unwrap();
        let id = first.id.to_string();
        assert_eq!(store.snapshot(&id).await.unwrap(), first);
        assert_eq!(store.snapshot(&id[..12].to_lowercase()).await.unwrap(), first);
        assert!(matches!(store.snapshot("0").await.unwrap_err(), StateError::AmbiguousSnapshot { .. }));
        for absent in ["", "7ZZZ", "%", "ü", &format!("{id}0"), "0' OR '1'='1"] {
            assert!(
                matches!(store.snapshot(absent).await.unwrap_err(), StateError::UnknownSnapshot { .. }),
                "{absent}"
            );
        }
    }
}
