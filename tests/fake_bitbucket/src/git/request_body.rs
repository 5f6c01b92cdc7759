//! A request body of which the beginning may have been looked at already.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Incoming};

use crate::log::Log;

/// Gives the bytes of a request body and counts them in the log.
#[derive(Debug)]
pub(crate) struct RequestBody {
    peeked: BytesMut,
    incoming: Incoming,
    over: bool,
    log: Log,
    sequence: u64,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, log: Log, sequence: u64) -> Self {
        Self { peeked: BytesMut::new(), incoming, over: false, log, sequence }
    }

    /// Reads the beginning until `decide` has an answer; it is told whether the body is whole.
    pub(crate) async fn peek<T>(&mut self, decide: impl Fn(&[u8], bool) -> Option<T>) -> Option<T> {
        loop {
            if let Some(answer) = decide(&self.peeked, self.over) {
                return Some(answer);
            }
            if self.over {
                return None;
            }
            match self.receive().await {
                Some(bytes) => self.peeked.extend_from_slice(&bytes),
                None => self.over = true,
            }
        }
    }

    /// The next bytes; nothing at the end or when the client is gone.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if !self.peeked.is_empty() {
            return Some(self.peeked.split().freeze());
        }
        if self.over {
            return None;
        }
        self.receive().await
    }

    /// Everything that is left.
    pub(crate) async fn whole(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes);
        }
        all
    }

    async fn receive(&mut self) -> Option<Bytes> {
        loop {
            let incoming = &mut self.incoming;
            let frame = poll_fn(|context| Pin::new(&mut *incoming).poll_frame(context)).await;
            let Ok(data) = frame?.ok()?.into_data() else {
                continue;
            };
            let count = data.len() as u64;
            self.log.amend(self.sequence, |entry| entry.request_bytes += count);
            return Some(data);
        }
    }
}
