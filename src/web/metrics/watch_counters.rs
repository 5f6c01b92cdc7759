//! What a watch does, counted.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::text::{Labels, label};
use crate::daemon::{Activation, WatchEvent, WatchSink};
use crate::model::PlanName;
use crate::run::Event;

/// From a run that had nothing to do to one that takes a weekend, in seconds.
const DURATIONS: [f64; 10] = [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0];

/// Counts what a watch tells.
pub struct WatchCounters {
    apply_errors: Counter,
    drifts: AtomicBool,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for WatchCounters {
    fn default() -> Self {
        Self {
            apply_errors: Counter::default(),
            drifts: AtomicBool::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
        }
    }
}

impl WatchCounters {
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
    }

    fn drift(&self, drifts: bool) {
        self.drifts.store(drifts, Ordering::Relaxed);
    }
}

impl WatchSink for WatchCounters {
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

    fn tell_of_run(&self, _plan: &PlanName, _event: &Event) {}
}
