//! Opening the database, and the ways in that the other files use.

use std::fmt::Display;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sqlx::any::{AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor, Row as _, Transaction};

use super::location::{DATABASE, DIRECTORY};
use super::migrations::STEPS;
use super::row::Reader;
use super::{StateError, StateLocation};
use crate::clock::Clock;
use crate::crash::{self, CrashPoint};
use crate::model::Lineage;

/// Takes the write lock at the beginning: a transaction that reads first and writes later could otherwise be
/// refused in the middle by a writer of another process.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// The open state. Clones share one connection.
#[derive(Debug, Clone)]
pub struct StateStore {
    pub(super) pool: AnyPool,
    location: StateLocation,
    lineage: Lineage,
}

impl StateStore {
    /// Opens the state, and creates it where there is none.
    pub async fn open(location: &StateLocation, clock: &dyn Clock) -> Result<Self, StateError> {
        create_directory(location.directory())?;
        let path = location.database();
        // An existing file is not opened here: closing it again would release the locks that other connections of
        // this process hold on it.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => crash::point(CrashPoint::DatabaseMade),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(StateError::CreateDatabase { path: path.to_owned(), source }),
        }
        Self::connect(location, Lineage::mint(clock)).await
    }

    /// Opens the state if there is one. Creates nothing.
    pub async fn open_existing(location: &StateLocation, clock: &dyn Clock) -> Result<Option<Self>, StateError> {
        let path = location.database();
        match path.metadata() {
            Ok(_) => Self::connect(location, Lineage::mint(clock)).await.map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::CreateDatabase { path: path.to_owned(), source }),
        }
    }

    async fn connect(location: &StateLocation, minted: Lineage) -> Result<Self, StateError> {
        install_default_drivers();
        let path = location.database();
        let failed = |source: sqlx::Error| StateError::Open { path: path.to_owned(), source: source.into() };
        let absolute =
            path.canonicalize().map_err(|source| StateError::CreateDatabase { path: path.to_owned(), source })?;
        let address = address(&absolute);
        let _turn = turn(location.directory().join("open.lock")).await?;
        // The pool would try again for half a minute what a plain connection tells at once.
        let mut probe = AnyConnection::connect(&address).await.map_err(failed)?;
        prepare(&mut probe).await.map_err(failed)?;
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(|connection, _| Box::pin(prepare(connection)))
            .connect(&address)
            .await
            .map_err(failed)?;
        // Only after the pool has its connection: the last one to close folds the write-ahead log into the database,
        // which would have to be begun anew.
        probe.close().await.map_err(failed)?;
        let lineage = migrate(&pool, path, minted).await?;
        Ok(Self { pool, location: location.clone(), lineage })
    }

    /// The identity of this state, minted when it was created.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Where it is.
    pub fn location(&self) -> &StateLocation {
        &self.location
    }

    /// Closes the connection and folds the write-ahead log into the database.
    pub async fn close(self) {
        self.pool.close().await;
    }

    pub(super) fn path(&self) -> PathBuf {
        self.location.database().to_owned()
    }

    pub(super) fn failed(&self, attempt: &'static str) -> impl Fn(sqlx::Error) -> StateError {
        let path = self.path();
        move |source| StateError::Access { path: path.clone(), attempt, source: source.into() }
    }

    pub(super) fn damaged(&self, what: &'static str, problem: impl Display) -> StateError {
        StateError::Damaged { path: self.path(), what, problem: problem.to_string() }
    }

    pub(super) fn read<'a>(&'a self, what: &'static str, row: &'a AnyRow) -> Reader<'a> {
        Reader { row, what, path: self.location.database() }
    }

    pub(super) async fn begin(&self, attempt: &'static str) -> Result<Transaction<'static, Any>, StateError> {
        self.pool.begin_with(BEGIN).await.map_err(self.failed(attempt))
    }
}

/// Waits until nobody else opens the state. A database that takes up its write-ahead log refuses others instead of
/// making them wait, so openings go one after the other.
async fn turn(path: PathBuf) -> Result<File, StateError> {
    let lock = path.clone();
    let waited = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock)?;
        file.lock().map(|()| file)
    });
    let file = waited.await.map_err(io::Error::other).and_then(|file| file);
    file.map_err(|source| StateError::Lock { path, source })
}

/// What every connection is told first.
async fn prepare(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in [
        "PRAGMA busy_timeout = 10000",
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "PRAGMA foreign_keys = ON",
    ] {
        connection.execute(pragma).await?;
    }
    Ok(())
}

/// Makes the directory of a state, for its owner only. The usual one lies beside a file that is kept in git: what is in
/// it does not belong there.
pub(super) fn create_directory(path: &Path) -> Result<(), StateError> {
    let failed = |source| StateError::CreateDirectory { path: path.to_owned(), source };
    let is_new = !path.is_dir();
    if is_new {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        crash::point(CrashPoint::DirectoryMade);
    }
    let ignore = path.join(".gitignore");
    // Of a directory that is there already only ours is looked at, for what a kill left undone.
    let is_left = || {
        let says_nothing = ignore.metadata().map_or(true, |found| found.len() == 0);
        path.ends_with(DIRECTORY) && says_nothing && !path.join(DATABASE).exists()
    };
    if is_new || is_left() { std::fs::write(ignore, "*\n").map_err(failed) } else { Ok(()) }
}

/// The address of a database file. Everything that could mean something in an address is encoded.
fn address(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut address = String::from("sqlite://");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            address.push(char::from(*byte));
        } else {
            write!(address, "%{byte:02X}").expect("strings take everything");
        }
    }
    address + "?mode=rw"
}

/// Brings the schema up to date and gives the lineage, which is `minted` if there was none.
async fn migrate(pool: &AnyPool, path: &Path, minted: Lineage) -> Result<Lineage, StateError> {
    let known = i64::try_from(STEPS.len()).expect("the list of steps is short");
    let failed =
        |source: sqlx::Error| StateError::Migrate { path: path.to_owned(), version: known, source: source.into() };
    let opening = |source: sqlx::Error| StateError::Open { path: path.to_owned(), source: source.into() };

    let mut transaction = pool.begin_with(BEGIN).await.map_err(opening)?;
    transaction
        .execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
        .await
        .map_err(opening)?;
    let row =
        sqlx::query("SELECT version FROM schema_version").fetch_optional(&mut *transaction).await.map_err(opening)?;
    let found: i64 = row.map(|row| row.try_get(0)).transpose().map_err(opening)?.unwrap_or(0);
    if found > known {
        return Err(StateError::Newer { path: path.to_owned(), found, known });
    }
    let taken = usize::try_from(found).unwrap_or(0);
    for step in &STEPS[taken.min(STEPS.len())..] {
        for statement in *step {
            transaction.execute(*statement).await.map_err(failed)?;
        }
    }
    if found != known {
        transaction.execute("DELETE FROM schema_version").await.map_err(failed)?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(known)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    sqlx::query("INSERT INTO meta (key, value) VALUES ('lineage', $1) ON CONFLICT (key) DO NOTHING")
        .bind(minted.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let row = sqlx::query("SELECT value FROM meta WHERE key = 'lineage'")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    let lineage = Reader { row: &row, what: "the lineage", path }.parse("value")?;
    crash::point(CrashPoint::SchemaWritten);
    transaction.commit().await.map_err(failed)?;
    crash::point(CrashPoint::SchemaCommitted);
    Ok(lineage)
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::clock::SystemClock;

    pub(in crate::state) async fn fresh() -> (tempfile::TempDir, StateStore) {
        let home = tempfile::tempdir().unwrap();
        let store = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        (home, store)
    }

    #[tokio::test]
    async fn only_the_owner_can_read_it_and_it_keeps_its_lineage() {
        let (home, store) = fresh().await;
        let mode = |name: &str| home.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(".xopero"), mode(".xopero/state.db")), (0o700, 0o600));
        assert_eq!(mode(".xopero/state.db-wal"), 0o600);
        let (lineage, location) = (store.lineage(), store.location().clone());
        store.close().await;
        let again = StateStore::open_existing(&location, &SystemClock).await.unwrap().unwrap();
        assert_eq!(again.lineage(), lineage);
    }

    #[test]
    fn git_keeps_its_hands_off_a_directory_that_was_half_made() {
        let home = tempfile::tempdir().unwrap();
        let ours = home.path().join(".xopero");
        std::fs::create_dir(&ours).unwrap();
        std::fs::write(ours.join(".gitignore"), "").unwrap();
        create_directory(&ours).unwrap();
        assert_eq!(std::fs::read_to_string(ours.join(".gitignore")).unwrap(), "*\n");
        create_directory(home.path()).unwrap();
        assert!(!home.path().join(".gitignore").exists(), "somebody else's directory");
    }

    #[tokio::test]
    async fn looking_creates_nothing() {
        let home = tempfile::tempdir().unwrap();
        let location = StateLocation::beside(home.path());
        assert!(StateStore::open_existing(&location, &SystemClock).await.unwrap().is_none());
        assert!(!home.path().join(".xopero").exists());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_who_create_it_at_the_same_time_get_one_state() {
        let home = tempfile::tempdir().unwrap();
        let location = StateLocation::beside(home.path());
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
    async fn odd_directories_are_no_problem() {
        let home = tempfile::tempdir().unwrap();
        let location = StateLocation::beside(&home.path().join("50% a?b#c&d ü"));
        StateStore::open(&location, &SystemClock).await.unwrap().close().await;
        assert!(location.database().exists());
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
        create_directory(location.directory()).unwrap();
        std::fs::write(location.database(), "this is not a database, and it is long enough to tell").unwrap();
        let error = StateStore::open(&location, &SystemClock).await.unwrap_err();
        assert!(error.to_string().contains("state.db"), "{error}");
    }
}
