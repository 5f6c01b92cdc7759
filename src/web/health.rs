//! Whether the watch is alive and ready, in one word. Nothing is named: anybody may ask.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::daemon::{Pulse, Verdict};

/// `/healthz` and `/readyz`.
pub(super) fn pages(pulse: Arc<Pulse>) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(pulse)
}

async fn healthz(State(pulse): State<Arc<Pulse>>) -> (StatusCode, &'static str) {
    match pulse.verdict() {
        Verdict::Alive => (StatusCode::OK, "ok\n"),
        Verdict::LoopStuck => (StatusCode::SERVICE_UNAVAILABLE, "loop-stuck\n"),
        Verdict::RunStuck { .. } => (StatusCode::SERVICE_UNAVAILABLE, "run-stuck\n"),
    }
}

async fn readyz(State(pulse): State<Arc<Pulse>>) -> (StatusCode, String) {
    match pulse.readiness() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", why.as_str())),
    }
}
