//! Connections, bounded: so many at a time, each for so long and for so many bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::listen::Bound;
use super::{Listener, guard};

/// Connections at a time. More wait.
const MOST_CONNECTIONS: usize = 32;

/// How long a connection lasts, whatever it does: each is for one request.
const LIFETIME: Duration = Duration::from_secs(20);

/// When no connection can be accepted: there are too many open files.
const LATER: Duration = Duration::from_millis(500);

/// Whoever accepts connections.
pub(super) struct Door {
    listener: Listener,
    places: Arc<Semaphore>,
    lifetime: Duration,
}

impl Door {
    /// A door to what listens.
    pub(super) fn new(listener: Listener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(MOST_CONNECTIONS)), lifetime: LIFETIME }
    }
}

impl serve::Listener for Door {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("never closed");
        let stream = loop {
            let accepted = match &self.listener.0 {
                Bound::Tcp(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
                Bound::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted {
                Ok(stream) => break stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(LATER).await;
                }
            }
        };
        let ends = Box::pin(tokio::time::sleep(self.lifetime));
        (Connection { stream, ends, left: guard::LONGEST_REQUEST, _place: place }, ())
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection. It breaks when its time is over, or when it was sent too much.
pub(super) struct Connection {
    stream: Stream,
    ends: Pin<Box<Sleep>>,
    /// Bytes that may still come.
    left: usize,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.ends.as_mut().poll(context).is_ready() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too large")));
        }
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener as _;
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::web::Listen;

    #[tokio::test]
    async fn a_connection_that_says_nothing_is_over_soon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let mut door = Door::new(Listener::bind(&Listen::Usual, &path).unwrap());
        door.lifetime = Duration::from_millis(10);
        let _silent = UnixStream::connect(&path).await.unwrap();
        let (mut connection, ()) = door.accept().await;
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn so_many_are_served_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let mut door = Door::new(Listener::bind(&Listen::Usual, &path).unwrap());
        let (mut callers, mut accepted) = (Vec::new(), Vec::new());
        for _ in 0..MOST_CONNECTIONS {
            callers.push(UnixStream::connect(&path).await.unwrap());
            accepted.push(door.accept().await);
        }
        callers.push(UnixStream::connect(&path).await.unwrap());
        let more = tokio::time::timeout(Duration::from_millis(20), door.accept()).await;
        assert!(more.is_err(), "one too many is served");
        accepted.pop();
        door.accept().await;
    }
}
