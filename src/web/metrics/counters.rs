//! What goes on in this process, counted.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::text::{Labels, label};
use crate::daemon::{Activation, WatchEvent, WatchSink};
use crate::model::PlanName;
use crate::run::{Event, ExchangeReason};

/// From a run that had nothing to do to one that takes a weekend, in seconds.
const DURATIONS: [f64; 10] = [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0];

/// Counts what is told.
pub struct Counters {
    apply_errors: Counter,
    drifts: AtomicBool,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    bytes: Family<Labels, Counter>,
    rate_limited: Family<Labels, Counter>,
    throttled: Counter,
    exchanges: Family<Labels, Counter>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            apply_errors: Counter::default(),
            drifts: AtomicBool::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
            bytes: Family::default(),
            rate_limited: Family::default(),
            throttled: Counter::default(),
            exchanges: Family::default(),
        }
    }
}

impl Counters {
    /// Adds everything that was counted.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "xopero_config_apply_errors",
            "Declarations that were invalid, refused or could not be applied, since the process began",
            self.apply_errors.clone(),
        );
        let drift: Gauge = Gauge::default();
        drift.set(i64::from(self.drifts.load(Ordering::Relaxed)));
        registry.register(
            "xopero_config_drift",
            "Whether the declaration says something else than what is in force, or cannot be read",
            drift,
        );
        registry.register(
            "xopero_backup_duration_seconds",
            "How long runs took, since the process began",
            self.durations.clone(),
        );
        registry.register(
            "xopero_backup_bytes",
            "Bytes of packs that were received, and bytes that were stored in all destinations, since the process began",
            self.bytes.clone(),
        );
        registry.register(
            "xopero_rate_limited",
            "Answers 429 that let an account rest, since the process began",
            self.rate_limited.clone(),
        );
        registry.register(
            "xopero_throttled",
            "Waits of tasks and listings because no account had budget, since the process began",
            self.throttled.clone(),
        );
        registry.register(
            "xopero_credential_exchanges",
            "Requests that went on with another account, by the account that had no budget, since the process began",
            self.exchanges.clone(),
        );
    }

    fn drift(&self, drifts: bool) {
        self.drifts.store(drifts, Ordering::Relaxed);
    }
}

impl WatchSink for Counters {
    fn tell(&self, event: &WatchEvent<'_>) {
        match event {
            WatchEvent::Activated { activation, .. } => {
                let (drifts, failed) = match activation {
                    Activation::Applied { .. } | Activation::InSync { .. } => (false, false),
                    Activation::Pending { .. } | Activation::Busy { .. } => (true, false),
                    Activation::Refused { .. } | Activation::Invalid { .. } | Activation::Failed { .. } => (true, true),
                };
                self.drift(drifts);
                self.apply_errors.inc_by(u64::from(failed));
            }
            WatchEvent::SourceMissing { .. }
            | WatchEvent::SourceStale { .. }
            | WatchEvent::SourceRewound { .. }
            | WatchEvent::SourceUnsigned { .. } => self.drift(true),
            WatchEvent::RunEnded { plan, summary } => {
                let millis = summary.finished.as_millisecond() - summary.started.as_millisecond();
                #[expect(clippy::cast_precision_loss, reason = "a bucket is wider than what is lost")]
                let seconds = millis as f64 / 1000.0;
                self.durations.get_or_create(&label("plan", plan)).observe(seconds);
            }
            WatchEvent::Listening { .. }
            | WatchEvent::Started { .. }
            | WatchEvent::SourceBack
            | WatchEvent::Polling { .. }
            | WatchEvent::RunBegins { .. }
            | WatchEvent::PassedOver { .. }
            | WatchEvent::RunWaits { .. }
            | WatchEvent::RunFailed { .. }
            | WatchEvent::Trouble { .. }
            | WatchEvent::Reloading
            | WatchEvent::Draining { .. }
            | WatchEvent::Stopped => {}
        }
    }

    fn tell_of_run(&self, _plan: &PlanName, event: &Event) {
        match event {
            Event::TaskFinished { report } => {
                self.bytes.get_or_create(&label("direction", "received")).inc_by(report.received);
                self.bytes.get_or_create(&label("direction", "stored")).inc_by(report.stored);
            }
            Event::RateLimited { account, .. } => {
                self.rate_limited.get_or_create(&label("account", account)).inc();
            }
            Event::Throttled { .. } => {
                self.throttled.inc();
            }
            Event::CredentialExchanged { from, reason, .. } => {
                let reason = match reason {
                    ExchangeReason::RateLimited => "rate-limited",
                    ExchangeReason::NoBudget => "no-budget",
                };
                let labels = [label("account", from), label("reason", reason)].concat();
                self.exchanges.get_or_create(&labels).inc();
            }
            Event::RunStarted { .. }
            | Event::ProtocolLearned { .. }
            | Event::ProjectsFound { .. }
            | Event::ProjectListed { .. }
            | Event::CredentialRejected { .. }
            | Event::PermissionLost { .. }
            | Event::ConditionChanged { .. }
            | Event::TaskFetching { .. }
            | Event::TaskProgress { .. }
            | Event::Resumed { .. }
            | Event::ServerBusy { .. }
            | Event::ServerServes { .. }
            | Event::DeadlineReached { .. }
            | Event::Stopping
            | Event::RunFinished { .. } => {}
        }
    }
}
