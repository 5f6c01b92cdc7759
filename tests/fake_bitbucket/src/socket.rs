//! A TCP connection that can end in a reset, and that tells when everything was sent.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What the body of an answer and the connection below it tell each other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(Arc<LineState>);

#[derive(Debug, Default)]
struct LineState {
    resets: AtomicBool,
    flushes: AtomicU64,
    waiting: Mutex<Option<Waker>>,
}

impl Line {
    /// Lets the connection end in a reset.
    pub(crate) fn reset(&self) {
        self.0.resets.store(true, Ordering::SeqCst);
    }

    fn resets(&self) -> bool {
        self.0.resets.load(Ordering::SeqCst)
    }

    /// How often all bytes so far were handed to the system.
    pub(crate) fn flushes(&self) -> u64 {
        self.0.flushes.load(Ordering::SeqCst)
    }

    /// Wakes the task after the next flush.
    pub(crate) fn wake_after_flush(&self, waker: &Waker) {
        *self.waiting() = Some(waker.clone());
    }

    fn flushed(&self) {
        self.0.flushes.fetch_add(1, Ordering::SeqCst);
        if let Some(waker) = self.waiting().take() {
            waker.wake();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waker>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection with its line to the answers.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) line: Line,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.resets() {
            // Without it the connection ends in the usual way, which is broken off as well.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It is called when the buffers above are empty.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.line.flushed();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.line.resets() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
