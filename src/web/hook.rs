//! A place that others post to.
//!
//! It is reached through a proxy as a rule, so the `Host` says nothing, and there is no login: whoever receives must
//! find out by itself who called, by a signature over the bytes of the body.

use std::sync::Arc;

use axum::Router;
use axum::body::{HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

/// A place that others post to.
#[derive(Clone)]
pub struct Hook {
    /// Its path, such as `/hooks/bitbucket`.
    pub path: &'static str,
    /// Bytes of a body at most.
    pub longest: usize,
    /// Who takes what comes.
    pub receiver: Receiver,
}

/// Who takes what comes. It must not block.
pub type Receiver = Arc<dyn Fn(&Delivery<'_>) -> Received + Send + Sync>;

/// What came.
pub struct Delivery<'a> {
    headers: &'a HeaderMap,
    /// The body, as it came.
    pub body: &'a [u8],
}

impl Delivery<'_> {
    /// A header that came once, if it is visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is acted upon.
    Accepted,
    /// It is genuine, and no reason to do anything.
    Ignored,
    /// Nothing proves where it came from.
    NotGenuine,
    /// It makes no sense.
    Malformed,
}

impl Received {
    const fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Accepted => (StatusCode::ACCEPTED, "accepted\n"),
            Self::Ignored => (StatusCode::OK, "ignored\n"),
            Self::NotGenuine => (StatusCode::UNAUTHORIZED, "not genuine\n"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed\n"),
        }
    }
}

/// The page of a hook.
pub(super) fn page(hook: Hook) -> Router {
    Router::new().route(hook.path, post(receive)).with_state(hook)
}

async fn receive(State(hook): State<Hook>, request: Request) -> (StatusCode, &'static str) {
    let (head, body) = request.into_parts();
    let longest = u64::try_from(hook.longest).unwrap_or(u64::MAX);
    // What says by itself that it is too large is not waited for.
    let told = body.size_hint().lower();
    if told > longest {
        return (StatusCode::PAYLOAD_TOO_LARGE, "too large\n");
    }
    match to_bytes(body, hook.longest).await {
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too large, or cut off\n"),
        Ok(body) => (hook.receiver)(&Delivery { headers: &head.headers, body: &body }).answer(),
    }
}
