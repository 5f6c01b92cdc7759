//! The connections of the database: the way that every statement takes.
//!
//! A server that is started again is away for a moment, and so is one behind a network that was interrupted. A
//! statement that finds no connection has done nothing, so it waits for one. One that was cut off in the middle is for
//! [`StateStore::undisturbed`](super::StateStore) to judge.

use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Either, Error, Execute, Executor, SqlStr, Transaction};

/// How long a statement waits for a connection, so long also for a server that is started again.
pub(super) const FOR_A_CONNECTION: Duration = Duration::from_secs(30);

/// The rest after the first try. It doubles each time.
const FIRST_REST: Duration = Duration::from_millis(20);

/// The longest rest between two tries.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The rests between tries, [`FOR_A_CONNECTION`] at most altogether.
fn rests() -> impl Iterator<Item = Duration> {
    let growing = std::iter::successors(Some(FIRST_REST), |rest| Some((*rest * 2).min(LONGEST_REST)));
    growing.scan(Duration::ZERO, |altogether, rest| {
        *altogether += rest;
        (*altogether <= FOR_A_CONNECTION).then_some(rest)
    })
}

/// The connections of one process. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pool: AnyPool,
}

impl Connections {
    pub(super) const fn of(pool: AnyPool) -> Self {
        Self { pool }
    }

    /// Begins a transaction. One that was cut off while it began has done nothing.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<Transaction<'static, Any>, Error> {
        patiently(rests(), || self.pool.begin_with(statement)).await
    }

    /// Closes them.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    async fn acquire(&self) -> Result<PoolConnection<Any>, Error> {
        patiently(rests(), || self.pool.acquire()).await
    }
}

/// Tries something that does nothing if it fails, with rests, until the server is there again.
async fn patiently<T, F>(rests: impl Iterator<Item = Duration>, attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for rest in rests {
        match attempt().await {
            Err(error) if is_away(&error) => {
                tracing::debug!(%error, "the state database is away");
                tokio::time::sleep(rest).await;
            }
            ended => return ended,
        }
    }
    attempt().await.map_err(|error| if is_away(&error) { gone(&error) } else { error })
}

/// What is told of a server that did not come back, which nobody waits for again.
fn gone(error: &Error) -> Error {
    let why = format!("not there for {} seconds: {error}", FOR_A_CONNECTION.as_secs());
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, why))
}

/// Whether a server, or the way to it, is away: it was stopped, is being started, or the connection broke.
pub(super) fn is_away(error: &Error) -> bool {
    match error {
        // A certificate that does not fit stays so, and so does a socket that is another user's.
        Error::Io(error) => !matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied | io::ErrorKind::TimedOut
        ),
        // Stopped by its administrator, crashed, not there yet; an idle connection that was taken away.
        Error::Database(error) => {
            matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03" | "57P05" | "08006"))
        }
        _ => false,
    }
}

impl<'c> Executor<'c> for &'_ Connections {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let connections = self.clone();
        let steps = async move {
            let mut connection = connections.acquire().await?;
            // What is asked of a state is bounded by whoever asks.
            let steps: Vec<_> = connection.fetch_many(query).try_collect().await?;
            Ok::<_, Error>(stream::iter(steps).map(Ok))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let connections = self.clone();
        async move { connections.acquire().await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        let connections = self.clone();
        async move { connections.acquire().await?.prepare_with(sql, parameters).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn io_error(kind: io::ErrorKind) -> Error {
        Error::Io(io::Error::from(kind))
    }

    /// What comes of something that fails so often, where it is tried six times, and how often it was tried.
    async fn tried(error: impl Fn() -> Error, fails: u32) -> (Result<u32, Error>, u32) {
        let tries = Cell::new(0);
        let rests = std::iter::repeat_n(Duration::ZERO, 5);
        let ended = patiently(rests, || async {
            tries.set(tries.get() + 1);
            if tries.get() <= fails { Err(error()) } else { Ok(tries.get()) }
        })
        .await;
        (ended, tries.get())
    }

    #[tokio::test]
    async fn who_finds_no_server_tries_again() {
        // A socket that is gone, a port that nobody listens at, a connection that breaks while it is made.
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused, io::ErrorKind::UnexpectedEof] {
            let (ended, tries) = tried(|| io_error(kind), 5).await;
            assert_eq!((ended.unwrap(), tries), (6, 6), "{kind}");
            let (ended, tries) = tried(|| io_error(kind), 6).await;
            assert!(ended.is_err_and(|error| !is_away(&error)) && tries == 6, "{kind}");
        }
    }

    #[tokio::test]
    async fn what_stays_as_it_is_is_told_at_once() {
        for error in [|| io_error(io::ErrorKind::InvalidData), || Error::RowNotFound, || Error::PoolTimedOut] {
            let (ended, tries) = tried(error, u32::MAX).await;
            assert!(ended.is_err() && tries == 1);
        }
    }

    #[test]
    fn patience_is_as_long_as_it_says_and_begins_with_haste() {
        let rests: Vec<Duration> = rests().collect();
        let altogether: Duration = rests.iter().sum();
        assert!(altogether <= FOR_A_CONNECTION && altogether + LONGEST_REST > FOR_A_CONNECTION, "{altogether:?}");
        assert!(rests.is_sorted() && rests[0] == FIRST_REST && rests[10] == LONGEST_REST, "{rests:?}");
    }
}
