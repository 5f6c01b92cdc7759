//! Opening the database, and the ways in that the other files use.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sqlx::any::{AnyRow, install_default_drivers};
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::connections::{Connections, is_away};
use super::engine::Engine;
use super::row::Reader;
use super::schema::migrate;
use super::{StateError, StateLocation, StatePlace, server, sqlite};
use crate::clock::Clock;
use crate::model::Lineage;

/// The open state. Clones share its connections.
#[derive(Debug, Clone)]
pub struct StateStore {
    pub(super) pool: Connections,
    pub(super) engine: Engine,
    location: StateLocation,
    place: StatePlace,
    lineage: Lineage,
    /// Whose lock stands behind what is published.
    pub(super) fence: Arc<Mutex<Option<String>>>,
    /// Leases that were found to be over.
    pub(super) lost: Arc<AtomicU64>,
}

impl StateStore {
    /// Opens the state, and creates it where there is none.
    pub async fn open(location: &StateLocation, clock: &dyn Clock) -> Result<Self, StateError> {
        if let StateLocation::File { database } = location {
            sqlite::create_directory(location.directory())?;
            sqlite::create(database)?;
        }
        let opened = Self::connect(location, Lineage::mint(clock), Absent::Create).await?;
        Ok(opened.expect("it was created if there was none"))
    }

    /// Opens the state if there is one. Creates nothing.
    pub async fn open_existing(location: &StateLocation, clock: &dyn Clock) -> Result<Option<Self>, StateError> {
        if let StateLocation::File { database } = location
            && !sqlite::exists(database)?
        {
            return Ok(None);
        }
        Self::connect(location, Lineage::mint(clock), Absent::Leave).await
    }

    async fn connect(location: &StateLocation, minted: Lineage, absent: Absent) -> Result<Option<Self>, StateError> {
        install_default_drivers();
        let place = location.place();
        let (engine, pool, _turn) = match location {
            StateLocation::File { database } => {
                let (pool, turn) = sqlite::connect(database, location.directory()).await?;
                (Engine::Sqlite, pool, Some(turn))
            }
            StateLocation::Server { server, .. } => {
                let failed = |source: sqlx::Error| StateError::Open { place: place.clone(), source: source.into() };
                let pool = server::connect(server).await.map_err(failed)?;
                if absent == Absent::Leave && !server::has_state(&pool).await.map_err(failed)? {
                    return Ok(None);
                }
                (Engine::Postgres, pool, None)
            }
        };
        let lineage = match migrate(&pool, engine, &place, minted).await {
            Ok(lineage) => lineage,
            Err(error) => {
                // Otherwise the server would hear only later that the transaction is given up.
                pool.close().await;
                return Err(error);
            }
        };
        let pool = Connections::of(pool);
        let (fence, lost) = (Arc::default(), Arc::default());
        Ok(Some(Self { pool, engine, location: location.clone(), place, lineage, fence, lost }))
    }

    /// Leases of workers that this process has found to be over, since it opened the state. Of all processes one finds
    /// each.
    pub fn leases_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The identity of this state, minted when it was created.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Where it is.
    pub fn location(&self) -> &StateLocation {
        &self.location
    }

    /// The time by the database's clock, which is the same for all who share it.
    pub async fn now(&self) -> Result<Timestamp, StateError> {
        let statement = format!("SELECT {} AS now", self.engine.now());
        let row = sqlx::query(AssertSqlSafe(statement))
            .fetch_one(&self.pool)
            .await
            .map_err(self.failed("ask for the time"))?;
        self.read("the time", &row).time("now")
    }

    /// Closes the connections. A file then has its write-ahead log folded in.
    pub async fn close(self) {
        self.pool.close().await;
    }

    pub(super) fn place(&self) -> StatePlace {
        self.place.clone()
    }

    pub(super) fn failed(&self, attempt: &'static str) -> impl Fn(sqlx::Error) -> StateError {
        let place = self.place();
        move |source| StateError::Access { place: place.clone(), attempt, source: source.into() }
    }

    pub(super) fn damaged(&self, what: &'static str, problem: impl Display) -> StateError {
        StateError::Damaged { place: self.place(), what, problem: problem.to_string() }
    }

    pub(super) fn read<'a>(&'a self, what: &'static str, row: &'a AnyRow) -> Reader<'a> {
        Reader { row, what, place: &self.place }
    }

    /// Begins a transaction whose outcome is as if it had been alone. PostgreSQL may give it up in favour of others:
    /// do it within [`Self::undisturbed`], and end it with [`Self::commit`].
    pub(super) async fn begin(&self, attempt: &'static str) -> Result<Transaction<'static, Any>, StateError> {
        self.pool.begin(self.engine.begin()).await.map_err(self.failed(attempt))
    }

    /// Ends a transaction. If the database went away meanwhile, nobody knows whether it was done.
    pub(super) async fn commit(
        &self,
        transaction: Transaction<'static, Any>,
        attempt: &'static str,
    ) -> Result<(), StateError> {
        transaction.commit().await.map_err(|source| {
            if is_away(&source) {
                StateError::Unconfirmed { place: self.place(), attempt, source: source.into() }
            } else {
                self.failed(attempt)(source)
            }
        })
    }
}

/// What becomes of a state that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    Create,
    Leave,
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sqlx::Executor as _;

    pub(in crate::state) use super::super::tests::{Home, fresh, fresh_file};
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn only_the_owner_can_read_a_file() {
        let (home, store) = fresh_file().await;
        let mode = |name: &str| home.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(".xopero"), mode(".xopero/state.db")), (0o700, 0o600));
        assert_eq!(mode(".xopero/state.db-wal"), 0o600);
        store.close().await;
    }

    #[tokio::test]
    async fn it_keeps_its_lineage() {
        let (_home, store) = fresh().await;
        let (lineage, location) = (store.lineage(), store.location().clone());
        store.close().await;
        let again = StateStore::open_existing(&location, &SystemClock).await.unwrap().unwrap();
        assert_eq!(again.lineage(), lineage);
    }

    #[tokio::test]
    async fn looking_creates_nothing() {
        let (home, location) = Home::make().await;
        for _ in 0..2 {
            assert!(StateStore::open_existing(&location, &SystemClock).await.unwrap().is_none());
        }
        assert!(!home.path().join(".xopero").exists());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_who_create_it_at_the_same_time_get_one_state() {
        let (_home, location) = Home::make().await;
        let open = || {
            let location = location.clone();
            tokio::spawn(async move { StateStore::open(&location, &SystemClock).await.map(|store| store.lineage()) })
        };
        let openings: Vec<_> = (0..8).map(|_| open()).collect();
        let mut lineages = std::collections::BTreeSet::new();
        for opening in openings {
            lineages.insert(opening.await.unwrap().unwrap());
        }
        assert_eq!(lineages.len(), 1);
    }

    #[tokio::test]
    async fn a_transaction_that_is_given_up_leaves_nothing() {
        let (_home, store) = fresh().await;
        let mut transaction = store.begin("test").await.unwrap();
        transaction.execute("INSERT INTO meta (key, value) VALUES ('half', '1')").await.unwrap();
        drop(transaction);
        let half = sqlx::query("SELECT value FROM meta WHERE key = 'half'").fetch_optional(&store.pool).await.unwrap();
        assert!(half.is_none());
    }

    #[tokio::test]
    async fn the_clock_of_the_database_goes_on() {
        let (_home, store) = fresh().await;
        let before = store.now().await.unwrap();
        assert!(before > "2026-01-01T00:00:00Z".parse().unwrap(), "{before}");
        while store.now().await.unwrap() == before {}
        assert!(store.now().await.unwrap() > before);
    }

    #[tokio::test]
    async fn odd_directories_are_no_problem() {
        let home = tempfile::tempdir().unwrap();
        let location = StateLocation::beside(&home.path().join("50% a?b#c&d ü"));
        StateStore::open(&location, &SystemClock).await.unwrap().close().await;
        assert!(home.path().join("50% a?b#c&d ü/.xopero/state.db").exists());
        StateStore::open_existing(&location, &SystemClock).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused_and_left_alone() {
        let (_home, store) = fresh().await;
        store.pool.execute("UPDATE schema_version SET version = 99").await.unwrap();
        let location = store.location().clone();
        store.close().await;
        let error = StateStore::open(&location, &SystemClock).await.unwrap_err();
        assert!(matches!(error, StateError::Newer { found: 99, .. }), "{error}");
        assert!(error.hint().unwrap().contains("99"));
    }

    #[tokio::test]
    async fn what_is_no_database_is_said_to_be_none() {
        let home = tempfile::tempdir().unwrap();
        let location = StateLocation::beside(home.path());
        sqlite::create_directory(location.directory()).unwrap();
        std::fs::write(home.path().join(".xopero/state.db"), "this is not a database, and it is long enough to tell")
            .unwrap();
        let error = StateStore::open(&location, &SystemClock).await.unwrap_err();
        assert!(error.to_string().contains("state.db"), "{error}");
    }
}
