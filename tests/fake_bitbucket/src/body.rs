//! Answers: a status, headers, and a body that is ready or flows.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::Response;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use crate::health::Ticket;
use crate::log::{Log, Progress};
use crate::socket::Line;

/// The body was broken off on purpose.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was broken off")
    }
}

impl std::error::Error for BrokenOff {}

/// What a flowing body carries.
pub(crate) type Chunk = Result<Bytes, BrokenOff>;

/// Where the bytes of an answer come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// All bytes are here.
    Ready(Bytes),
    /// The bytes come one by one, and the length is not known.
    Flowing(mpsc::Receiver<Chunk>),
}

/// An answer before it is sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) source: Source,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), source: Source::Ready(Bytes::new()) }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn content(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.source = Source::Ready(body.into());
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("the value has string keys only");
        Self::new(status).content("application/json;charset=UTF-8", body)
    }

    /// The error object of Bitbucket with one error in it.
    pub(crate) fn error(status: u16, message: &str, exception: Option<&str>) -> Self {
        let error = json!({"context": null, "message": message, "exceptionName": exception});
        Self::json(status, &json!({ "errors": [error] }))
    }

    pub(crate) fn into_response(self, mut meter: Meter, line: Line) -> Response<MeteredBody> {
        if matches!(&self.source, Source::Ready(bytes) if bytes.is_empty()) {
            meter.finish(Progress::Complete);
        }
        let body = MeteredBody { source: self.source, meter, line, breaking: None };
        let mut response = Response::new(body);
        *response.status_mut() = hyper::StatusCode::from_u16(self.status).expect("a status has three digits");
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).expect("header names are legal");
            let value = HeaderValue::try_from(value).expect("header values are legal");
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// Writes into the log how far an answer has come.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) log: Log,
    pub(crate) sequence: u64,
    pub(crate) bytes: u64,
    pub(crate) over: bool,
    /// Given back when the answer is over.
    pub(crate) ticket: Option<Ticket>,
}

impl Meter {
    fn advance(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let bytes = self.bytes;
        self.log.amend(self.sequence, |entry| entry.response_bytes = bytes);
    }

    fn finish(&mut self, progress: Progress) {
        self.ticket = None;
        if !std::mem::replace(&mut self.over, true) {
            self.log.amend(self.sequence, |entry| entry.progress = progress);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.finish(Progress::ClientGone);
    }
}

/// A body that reports to the log.
#[derive(Debug)]
pub(crate) struct MeteredBody {
    source: Source,
    meter: Meter,
    line: Line,
    /// The number of flushes when it was told to break off.
    breaking: Option<u64>,
}

impl hyper::body::Body for MeteredBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if let Some(flushes) = this.breaking {
            return this.break_off(flushes, context);
        }
        let next = match &mut this.source {
            Source::Ready(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then_some(Ok(bytes))
            }
            Source::Flowing(receiver) => match receiver.poll_recv(context) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(match next {
            Some(Ok(bytes)) => {
                this.meter.advance(bytes.len());
                if this.is_ready_and_empty() {
                    this.meter.finish(Progress::Complete);
                }
                Some(Ok(Frame::data(bytes)))
            }
            Some(Err(BrokenOff)) => {
                let flushes = this.line.flushes();
                this.breaking = Some(flushes);
                return this.break_off(flushes, context);
            }
            None => {
                this.meter.finish(Progress::Complete);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_ready_and_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Ready(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Flowing(_) => SizeHint::default(),
        }
    }
}

impl MeteredBody {
    /// Breaks the connection as soon as everything before was sent.
    fn break_off(&mut self, flushes: u64, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.line.wake_after_flush(context.waker());
        if self.line.flushes() == flushes {
            return Poll::Pending;
        }
        self.meter.finish(Progress::Aborted);
        Poll::Ready(Some(Err(BrokenOff)))
    }

    fn is_ready_and_empty(&self) -> bool {
        matches!(&self.source, Source::Ready(bytes) if bytes.is_empty())
    }
}
