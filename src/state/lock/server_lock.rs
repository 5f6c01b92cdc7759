//! A session's advisory lock on a PostgreSQL server, on a connection of its own: it ends with the connection.
//!
//! Who takes it writes itself down in `meta`, where the name stays until the next holder writes its own. So a holder
//! whose connection broke can take the lock again and know whether somebody else had it in between: if not, nothing
//! was missed; if so, the lock is lost, and what it publishes is refused from the moment the other one has written its
//! name.

use std::time::Duration;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::connections::Connections;
use super::super::server::connect_one;
use super::super::server_address::ServerAddress;
use super::super::{StateError, StatePlace};
use super::{Exclusive, LockBody};

/// How often the holder looks whether it still is one.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long an answer to that may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a holder tries to take a lock again whose connection broke: a server is started again in less.
const GIVE_UP: Duration = Duration::from_mins(1);

/// A process that let go of the lock a moment ago, perhaps this one, still has its connection.
const LETTING_GO: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(80), Duration::from_millis(200)];

/// What the lock of a purpose is for the server: a number that follows from the schema, which holds the state.
const KEY: &str = "hashtextextended('xopero ' || $1 || ' ' || COALESCE(current_schema(), ''), 0)";

/// A lock that is held.
#[derive(Debug)]
pub(super) struct ServerLock {
    id: String,
    place: StatePlace,
    /// What became of it.
    fate: watch::Receiver<Fate>,
    let_go: CancellationToken,
}

/// What becomes of a lock that is held.
#[derive(Debug, Clone)]
enum Fate {
    Held,
    Lost(Option<Box<LockBody>>),
}

/// What came of taking a lock again.
enum Again {
    Held,
    Lost(Option<Box<LockBody>>),
}

/// Keeps a lock, on the connection that has it.
struct Keeper {
    connection: AnyConnection,
    server: ServerAddress,
    exclusive: Exclusive,
    /// What was written down; nothing where there is no state yet.
    written: Option<String>,
}

const fn purpose(exclusive: Exclusive) -> &'static str {
    match exclusive {
        Exclusive::Applying => "applying",
        Exclusive::Runs => "runs",
    }
}

/// Where the holder is written down.
pub(in crate::state) const fn holder_key(exclusive: Exclusive) -> &'static str {
    match exclusive {
        Exclusive::Applying => "lock/applying",
        Exclusive::Runs => "lock/runs",
    }
}

impl ServerLock {
    pub(super) async fn acquire(
        server: &ServerAddress,
        place: &StatePlace,
        exclusive: Exclusive,
        body: &LockBody,
    ) -> Result<Self, StateError> {
        let mut connection = connect_one(server)
            .await
            .map_err(|source| StateError::Open { place: place.clone(), source: source.into() })?;
        let failed = |source: sqlx::Error| StateError::Access {
            place: place.clone(),
            attempt: "take a lock",
            source: source.into(),
        };
        let mut taken = try_lock(&mut connection, exclusive).await.map_err(failed)?;
        for rest in LETTING_GO {
            if taken {
                break;
            }
            tokio::time::sleep(rest).await;
            taken = try_lock(&mut connection, exclusive).await.map_err(failed)?;
        }
        if !taken {
            let holder = holder(&mut connection, exclusive).await.map_err(failed)?.map(Box::new);
            return Err(StateError::Locked { place: place.clone(), holder });
        }
        let written = write(&mut connection, exclusive, body).await.map_err(failed)?;
        let keeper =
            Keeper { connection, server: server.clone(), exclusive, written: written.then(|| body.id.clone()) };
        let let_go = CancellationToken::new();
        let (tell, fate) = watch::channel(Fate::Held);
        tokio::spawn(keeper.keep(let_go.clone(), tell));
        Ok(Self { id: body.id.clone(), place: place.clone(), fate, let_go })
    }

    pub(super) async fn is_free(pool: &Connections, exclusive: Exclusive) -> bool {
        let statement = format!(
            "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND ((CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT)) = {KEY}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(purpose(exclusive)).fetch_one(pool).await;
        row.and_then(|row| row.try_get::<i64, _>(0)).is_ok_and(|holders| holders == 0)
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn cancel_if_lost(&self, work: CancellationToken) {
        let (mut fate, let_go) = (self.fate.clone(), self.let_go.clone());
        tokio::spawn(async move {
            let lost = async {
                if fate.wait_for(|fate| matches!(fate, Fate::Lost(_))).await.is_ok() {
                    work.cancel();
                }
            };
            tokio::select! {
                () = let_go.cancelled() => {}
                () = lost => {}
            }
        });
    }

    pub(super) fn loss(&self) -> Option<StateError> {
        match &*self.fate.borrow() {
            Fate::Held => None,
            Fate::Lost(holder) => Some(StateError::LockLost { place: self.place.clone(), holder: holder.clone() }),
        }
    }
}

impl Drop for ServerLock {
    fn drop(&mut self) {
        self.let_go.cancel();
    }
}

impl Keeper {
    /// Keeps the lock until it is let go or lost.
    async fn keep(mut self, let_go: CancellationToken, tell: watch::Sender<Fate>) {
        loop {
            tokio::select! {
                () = let_go.cancelled() => break,
                () = tokio::time::sleep(HEARTBEAT) => {}
            }
            let beat = tokio::time::timeout(PATIENCE, self.connection.ping());
            let lost = tokio::select! {
                () = let_go.cancelled() => break,
                beat = beat => match beat {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error.to_string(),
                    Err(_elapsed) => "no answer".to_owned(),
                },
            };
            tracing::warn!(why = lost, "the connection that holds a lock on the state broke; taking it again");
            let again = tokio::select! {
                () = let_go.cancelled() => break,
                again = tokio::time::timeout(GIVE_UP, self.take_again()) => again.unwrap_or(Again::Lost(None)),
            };
            match again {
                Again::Held => tracing::info!("the lock on the state is held again; nobody had it in between"),
                Again::Lost(other) => {
                    let _nobody_listens = tell.send(Fate::Lost(other));
                    return;
                }
            }
        }
        // The lock ends with the connection, whether the server hears of it or not.
        let _ends_anyway = tokio::time::timeout(PATIENCE, self.connection.close()).await;
    }

    /// Takes the lock again on a new connection, however long that takes.
    async fn take_again(&mut self) -> Again {
        loop {
            match self.try_again().await {
                Ok(Some(again)) => return again,
                // The server has not noticed yet that the old connection broke, or another holder is about to write
                // its name.
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the lock on the state cannot be taken again yet"),
            }
            tokio::time::sleep(HEARTBEAT).await;
        }
    }

    async fn try_again(&mut self) -> Result<Option<Again>, sqlx::Error> {
        let mut connection = connect_one(&self.server).await?;
        let taken = try_lock(&mut connection, self.exclusive).await?;
        let last = holder(&mut connection, self.exclusive).await?;
        if last.as_ref().map(|body| &body.id) != self.written.as_ref() {
            return Ok(Some(Again::Lost(last.map(Box::new))));
        }
        if taken {
            self.connection = connection;
        }
        Ok(taken.then_some(Again::Held))
    }
}

async fn try_lock(connection: &mut AnyConnection, exclusive: Exclusive) -> Result<bool, sqlx::Error> {
    let statement = format!("SELECT pg_try_advisory_lock({KEY})");
    let row = sqlx::query(sqlx::AssertSqlSafe(statement)).bind(purpose(exclusive)).fetch_one(connection).await?;
    row.try_get(0)
}

/// Writes the holder down. Tells whether there is a place for it: a state that nobody has made yet has none.
async fn write(connection: &mut AnyConnection, exclusive: Exclusive, body: &LockBody) -> Result<bool, sqlx::Error> {
    if !has_table(connection).await? {
        return Ok(false);
    }
    let text = serde_json::to_string(body).expect("strings and numbers are JSON");
    sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
        .bind(holder_key(exclusive))
        .bind(text)
        .execute(connection)
        .await?;
    Ok(true)
}

/// Who wrote itself down last.
async fn holder(connection: &mut AnyConnection, exclusive: Exclusive) -> Result<Option<LockBody>, sqlx::Error> {
    if !has_table(connection).await? {
        return Ok(None);
    }
    let statement = "SELECT value FROM meta WHERE key = $1";
    let found: Option<AnyRow> = sqlx::query(statement).bind(holder_key(exclusive)).fetch_optional(connection).await?;
    let text: Option<String> = found.map(|found| found.try_get(0)).transpose()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

async fn has_table(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT COUNT(to_regclass('meta'))").fetch_one(connection).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}
