//! A state for one test, in a file or on a server.
//!
//! Every test that asks for one holds on both engines: on SQLite always, and on the PostgreSQL server that
//! `XOPERO_TEST_POSTGRES` names, by running this program's tests of the room once more.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::server::connect_one;
use super::{StateLocation, StateStore, Surroundings};
use crate::clock::SystemClock;
use crate::model::Uid;

/// Names the server, as an address of a database where schemas can be made.
const SERVER: &str = "XOPERO_TEST_POSTGRES";

/// Says that the states of this process are on the server.
const ON_SERVER: &str = "XOPERO_TEST_STATE_ON_POSTGRES";

/// A folder, and a schema of a server. Both go away with it.
pub(super) struct Home {
    folder: tempfile::TempDir,
    schema: Option<(StateLocation, String)>,
}

impl Home {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a state can be made.
    pub(super) async fn make() -> (Self, StateLocation) {
        let folder = tempfile::tempdir().unwrap();
        if variable(ON_SERVER).is_none() {
            let location = StateLocation::beside(folder.path());
            return (Self { folder, schema: None }, location);
        }
        let server = variable(SERVER).unwrap();
        let at = |text: &str| StateLocation::parse(text, folder.path(), &Surroundings::default()).unwrap();
        let schema = format!("xopero_test_{}", Uid::mint(&SystemClock).to_string().to_lowercase());
        let (whole, separator) = (at(&server), if server.contains('?') { '&' } else { '?' });
        execute(&whole, &format!("CREATE SCHEMA {schema}")).await;
        let location = at(&format!("{server}{separator}options=-csearch_path%3D{schema}"));
        (Self { folder, schema: Some((whole, schema)) }, location)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let Some((server, schema)) = self.schema.take() else { return };
        // A runtime cannot wait within another one.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            // The runtime of the test stands still, so a transaction that it left is not given up by itself.
            let end = format!(
                "SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held
                    JOIN pg_class ON pg_class.oid = held.relation
                    JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
                 WHERE nspname = '{schema}' AND held.pid <> pg_backend_pid();
                 DROP SCHEMA {schema} CASCADE"
            );
            runtime.block_on(execute(&server, &end));
        });
        dropped.join().unwrap();
    }
}

/// A state where the environment says.
pub(super) async fn fresh() -> (Home, StateStore) {
    let (home, location) = Home::make().await;
    let store = StateStore::open(&location, &SystemClock).await.unwrap();
    (home, store)
}

/// A state in a file.
pub(super) async fn fresh_file() -> (tempfile::TempDir, StateStore) {
    let home = tempfile::tempdir().unwrap();
    let store = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
    (home, store)
}

/// Does something on a server, besides any state.
pub(super) async fn execute(location: &StateLocation, statement: &str) {
    sqlx::any::install_default_drivers();
    let StateLocation::Server { server, .. } = location else { panic!("it is a file") };
    let mut connection = connect_one(server).await.unwrap();
    connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "what tests run on is said in the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
fn every_test_of_the_state_holds_on_postgresql_too() {
    if variable(ON_SERVER).is_some() {
        return;
    }
    // Straight to the stream: what a test prints is only shown if it fails.
    let mut talk = std::io::stderr();
    if variable(SERVER).is_none() {
        writeln!(talk, "NOT RUN on PostgreSQL: {SERVER} names no server").unwrap();
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).arg("state::").env(ON_SERVER, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "on PostgreSQL:\n{told}{}", String::from_utf8_lossy(&output.stderr));
    let result = told.lines().find(|line| line.starts_with("test result: ok. ")).unwrap();
    writeln!(talk, "on PostgreSQL: {result}").unwrap();
}
