//! Where the state of an estate is, and how it is looked at and changed besides the product.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use sqlx::any::install_default_drivers;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection, Row};
use tempfile::TempDir;
use xopero::state::{StateLocation, Surroundings};

use super::estate::on_runtime;
use crate::postgres::Database;
use crate::support::Home;

/// Where a state is kept.
#[derive(Clone)]
pub enum Keeping {
    /// In a file beside the declaration.
    File,
    /// On a server, which other hosts reach, too.
    Server(Rc<Database>),
}

/// A state as somebody left it.
pub struct Left {
    pub location: StateLocation,
    address: String,
    /// Files are looked at as a copy, so that the next process finds what the dead one left, to the last page of its log.
    _copy: Option<TempDir>,
}

impl Keeping {
    /// Nothing, if no server is named for the tests.
    pub fn server() -> Option<Self> {
        Database::make().map(|database| Self::Server(Rc::new(database)))
    }

    /// Lets the commands of a home find their state there.
    pub fn hold(&self, home: &mut Home) {
        match self {
            Self::File => {}
            Self::Server(database) => drop(home.set(VARIABLE, &database.address(None))),
        }
    }

    /// Waits until nobody is connected any more. A process that is killed hangs up, and what its server is doing for it
    /// at that moment may still come to a good end.
    pub fn come_to_rest(&self) {
        match self {
            Self::File => {}
            Self::Server(database) => database.come_to_rest(),
        }
    }

    /// What is there; nothing where there is no file.
    pub async fn left(&self, home: &Home) -> Option<Left> {
        let (folder, copy) = match self {
            Self::File => {
                let copy = tempfile::tempdir().expect("a temporary folder");
                if !copy_database(home.path(), copy.path()).await {
                    return None;
                }
                (copy.path().to_owned(), Some(copy))
            }
            Self::Server(_) => (home.path().to_owned(), None),
        };
        let text = said(home);
        let location = location(&text, &folder);
        Some(Left { address: address(&location, text), location, _copy: copy })
    }

    /// Makes it what it was before there was any.
    pub fn forget(&self, home: &Home) {
        match self {
            Self::File => {}
            Self::Server(database) => {
                self.come_to_rest();
                let schema = &database.schema;
                database.execute(&format!("DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}"));
            }
        }
        remove_all(&home.path().join(".xopero"));
    }
}

impl Left {
    pub async fn connect(&self) -> AnyConnection {
        connect(&self.address).await
    }
}

/// Says where the state is.
const VARIABLE: &str = "XOPERO_STATE";

fn said(home: &Home) -> String {
    home.variable(VARIABLE).unwrap_or("sqlite:.xopero/state.db").to_owned()
}

fn location(text: &str, folder: &Path) -> StateLocation {
    StateLocation::parse(text, folder, &Surroundings::default()).expect("it is the address of a state")
}

fn address(location: &StateLocation, text: String) -> String {
    match location {
        StateLocation::File { database } => format!("sqlite://{}", database.display()),
        StateLocation::Server { .. } => text,
    }
}

async fn connect(address: &str) -> AnyConnection {
    install_default_drivers();
    AnyConnection::connect(address).await.expect("the database answers")
}

/// The state that the commands of a home use.
pub fn location_of(home: &Home) -> StateLocation {
    location(&said(home), home.path())
}

/// A connection to the state that the commands of a home use, while they may use it.
pub async fn connect_to(home: &Home) -> AnyConnection {
    connect(&address(&location_of(home), said(home))).await
}

/// Changes that state. SQLite waits five seconds for others, as the product does.
fn execute(home: &Home, statement: &'static str) {
    on_runtime(async {
        let mut database = connect_to(home).await;
        sqlx::query(statement).execute(&mut database).await.expect("it can be done");
        database.close().await.expect("it closes");
    });
}

/// Says that all who work on tasks are lost, as the state finds a minute later by itself.
pub fn end_all_leases(home: &Home) {
    execute(home, "UPDATE queue SET lease_until = 0 WHERE state = 'running'");
}

/// The same of workers, while those who began the runs go on.
pub fn end_leases_of_workers(home: &Home) {
    execute(
        home,
        "UPDATE queue SET lease_until = 0 WHERE state = 'running' AND owner NOT IN (SELECT owner FROM queue_runs)",
    );
}

/// Says that nobody is sending a message, as the state finds some minutes later by itself.
pub fn end_takings(home: &Home) {
    execute(home, "UPDATE alerts_outbox SET taken_until = 0");
}

/// Removes a folder, if there is one.
pub fn remove_all(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}

/// Copies the database of a folder, and lets SQLite check it as it was found. False if there is none.
async fn copy_database(from: &Path, to: &Path) -> bool {
    let (from, to) = (from.join(".xopero"), to.join(".xopero"));
    fs::create_dir(&to).expect("the folder is fresh");
    for name in ["state.db", "state.db-wal"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).expect("it can be copied");
        }
    }
    let database = to.join("state.db");
    if !database.exists() {
        return false;
    }
    let mut found = SqliteConnectOptions::new().filename(&database).connect().await.expect("SQLite opens it");
    for (check, good) in [("PRAGMA integrity_check", Some("ok")), ("PRAGMA foreign_key_check", None)] {
        let rows = sqlx::query(check).fetch_all(&mut found).await.expect("it can be checked");
        let said: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(said.iter().map(String::as_str).collect::<Vec<_>>(), good.into_iter().collect::<Vec<_>>());
    }
    found.close().await.expect("it closes");
    true
}
