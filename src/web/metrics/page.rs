//! `/metrics`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use super::figures::{Catalogue, Figures};
use super::room::{Room, register_failures};
use super::text::{Form, Labels, label};
use super::{Counters, WatchCounters};
use crate::clock::Clock;
use crate::http::Tally;
use crate::run::Turnstile;
use crate::state::{StateError, StateStore};
use crate::store::nameless_bytes;

/// How long what was read from the state is given again.
const FRESH: Duration = Duration::from_secs(5);

/// The same for the number of snapshots.
const CATALOGUE_FRESH: Duration = Duration::from_mins(5);

/// Where figures come from.
pub struct Metrics {
    /// What goes on in this process.
    pub counters: Arc<Counters>,
    /// How its requests were answered.
    pub tally: Tally,
    /// The budgets of its accounts.
    pub turnstile: Turnstile,
    /// The state.
    pub state: Arc<StateStore>,
    /// What a watch tells besides.
    pub watch: Option<OfWatch>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The version with the commit that it was built from.
    pub version: &'static str,
}

/// Where figures come from that only a watch tells.
pub struct OfWatch {
    /// What it does.
    pub counters: Arc<WatchCounters>,
    /// Where relative places begin.
    pub base: PathBuf,
}

struct Shared {
    metrics: Metrics,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    figures: Option<(Instant, Figures)>,
    catalogue: Option<(Instant, Catalogue)>,
    room: Room,
}

/// The page.
pub(in crate::web) fn page(metrics: Metrics) -> Router {
    let shared = Shared { metrics, read: Mutex::default() };
    Router::new().route("/metrics", get(tell)).with_state(Arc::new(shared))
}

async fn tell(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let form = Form::accepted(accept);
    match shared.registry().await {
        Ok(registry) => ([(header::CONTENT_TYPE, form.content_type())], form.text(&registry)).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the figures cannot be read from the state");
            (StatusCode::SERVICE_UNAVAILABLE, "state-unreadable\n").into_response()
        }
    }
}

impl Shared {
    async fn registry(&self) -> Result<Registry, StateError> {
        let Metrics { counters, tally, turnstile, state, watch, clock, version } = &self.metrics;
        let mut registry = Registry::default();
        let build = Family::<Labels, Gauge>::default();
        build.get_or_create(&label("version", version)).set(1);
        registry.register("xopero_build_info", "The version that runs", build);
        counters.register(&mut registry);
        register_requests(tally, &mut registry);
        register_budgets(turnstile, &mut registry);
        register_own(state, &mut registry);
        register_failures(&mut registry);
        let Some(OfWatch { counters, base }) = watch else { return Ok(registry) };
        counters.register(&mut registry);

        let mut read = self.read.lock().await;
        let now = clock.monotonic();
        let old = |at: Instant, fresh| now.saturating_duration_since(at) >= fresh;
        if read.figures.as_ref().is_none_or(|(at, _)| old(*at, FRESH)) {
            read.figures = Some((now, Figures::read(state, clock.now()).await?));
        }
        if read.catalogue.as_ref().is_none_or(|(at, _)| old(*at, CATALOGUE_FRESH)) {
            read.catalogue = Some((now, state.snapshot_counts().await?));
        }
        if let (Some((_, figures)), Some((_, catalogue))) = (&read.figures, &read.catalogue) {
            figures.register(catalogue, &mut registry);
        }
        let Read { figures, room, .. } = &mut *read;
        if let Some((_, figures)) = figures {
            room.register(figures, base, &mut registry).await;
        }
        drop(read);
        Ok(registry)
    }
}

fn register_requests(tally: &Tally, registry: &mut Registry) {
    let requests = Family::<Labels, Counter>::default();
    for (status, count) in tally.counts() {
        let code = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        requests.get_or_create(&label("code", code)).inc_by(count);
    }
    registry.register(
        "xopero_http_requests",
        "Requests of runs to servers, by the status of the answer, since the process began",
        requests,
    );
}

fn register_own(state: &StateStore, registry: &mut Registry) {
    let lost = Counter::<u64>::default();
    lost.inc_by(state.leases_lost());
    registry.register(
        "xopero_leases_lost",
        "Repositories that were taken back from workers that were lost, since the process began",
        lost,
    );
    let nameless = Gauge::<i64>::default();
    nameless.set(i64::try_from(nameless_bytes()).unwrap_or(i64::MAX));
    registry.register("xopero_temp_bytes", "Bytes of packs under way, in all destinations", nameless);
}

fn register_budgets(turnstile: &Turnstile, registry: &mut Registry) {
    let tokens = Family::<Labels, Gauge>::default();
    for level in turnstile.levels() {
        let labels = [label("server", level.holder.server()), label("account", level.holder.account())].concat();
        tokens.get_or_create(&labels).set(i64::try_from(level.available).unwrap_or(i64::MAX));
    }
    registry.register(
        "xopero_credential_tokens_available",
        "Requests that an account may send at this moment, as far as is believed",
        tokens,
    );
}
