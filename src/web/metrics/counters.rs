//! What runs do in this process, counted: a watch's own, and those in which a worker takes a share.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::text::{Labels, label};
use crate::daemon::{WatchEvent, WatchSink, WorkerEvent, WorkerSink};
use crate::model::PlanName;
use crate::run::{Event, ExchangeReason};

/// Counts what runs tell.
#[derive(Default)]
pub struct Counters {
    bytes: Family<Labels, Counter>,
    rate_limited: Family<Labels, Counter>,
    throttled: Counter,
    exchanges: Family<Labels, Counter>,
}

impl Counters {
    /// Adds everything that was counted.
    pub(super) fn register(&self, registry: &mut Registry) {
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
            "Requests that went on with another account, by the account that was left, since the process began",
            self.exchanges.clone(),
        );
    }

    fn count(&self, event: &Event) {
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
                    ExchangeReason::NoRoom => "no-room",
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
            | Event::HoursClosed { .. }
            | Event::DeadlineReached { .. }
            | Event::Stopping
            | Event::RunFinished { .. } => {}
        }
    }
}

impl WatchSink for Counters {
    fn tell(&self, _event: &WatchEvent<'_>) {}

    fn tell_of_run(&self, _plan: &PlanName, event: &Event) {
        self.count(event);
    }
}

impl WorkerSink for Counters {
    fn tell(&self, _event: &WorkerEvent<'_>) {}

    fn tell_of_run(&self, _plan: &PlanName, event: &Event) {
        self.count(event);
    }
}
