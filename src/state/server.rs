//! A state on a PostgreSQL server.

use std::io;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor, Row as _};

use super::connections::FOR_A_CONNECTION;
use super::engine::Engine;
use super::server_address::ServerAddress;

/// How long a server may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(15);

/// Connections of one process, besides one for each lock that it holds.
const CONNECTIONS: u32 = 4;

/// What every connection is told first. A host that vanished without a word holds nothing for longer than a minute.
const PREPARE: &str = "SET client_min_messages = warning;
    SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s';
    SET tcp_keepalives_idle = 15;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 6";

/// Opens one connection.
pub(super) async fn connect_one(server: &ServerAddress) -> Result<AnyConnection, sqlx::Error> {
    // A lock is taken before any state is opened.
    install_default_drivers();
    let options = server.options()?;
    let connect = async {
        let mut connection = AnyConnection::connect_with(&options).await?;
        prepare(&mut connection).await?;
        Ok(connection)
    };
    tokio::time::timeout(PATIENCE, connect).await.unwrap_or_else(|_elapsed| {
        let why = format!("no answer within {} seconds", PATIENCE.as_secs());
        Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why)))
    })
}

/// Opens the database.
pub(super) async fn connect(server: &ServerAddress) -> Result<AnyPool, sqlx::Error> {
    // The pool would try again for half a minute what a plain connection tells at once.
    connect_one(server).await?.close().await?;
    AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(FOR_A_CONNECTION)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect_with(server.options()?)
        .await
}

/// Whether a state is in the database.
pub(super) async fn has_state(pool: &AnyPool) -> Result<bool, sqlx::Error> {
    let row: AnyRow = sqlx::query(Engine::Postgres.has_schema()).fetch_one(pool).await?;
    Ok(row.try_get::<i64, _>(0)? > 0)
}

async fn prepare(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection.execute(PREPARE).await.map(|_| ())
}
