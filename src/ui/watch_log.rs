//! What a watch tells, as lines of the log: for those who collect logs and want fields.

use tracing::field::display;

use super::watch::{Tone, run_words, words};
use crate::config;
use crate::daemon::{Activation, WatchEvent, WatchSink};
use crate::model::PlanName;
use crate::run::Event;

/// Writes to the log what [`super::watch::WatchTalk`] writes for people.
pub struct WatchLog;

impl WatchSink for WatchLog {
    fn tell(&self, event: &WatchEvent<'_>) {
        let (text, tone) = words(event);
        let (plan, run) = match event {
            WatchEvent::RunEnded { plan, summary } => (Some(display(plan)), Some(display(summary.run))),
            WatchEvent::RunBegins { plan, .. }
            | WatchEvent::PassedOver { plan, .. }
            | WatchEvent::RunWaits { plan, .. }
            | WatchEvent::RunFailed { plan, .. } => (Some(display(plan)), None),
            WatchEvent::Activated { sources, activation: Activation::Invalid { diagnostics }, .. } => {
                for diagnostic in diagnostics {
                    let place = config::to_json(sources, diagnostic);
                    tracing::warn!(code = diagnostic.code, diagnostic = %place, "{}", diagnostic.message);
                }
                (None, None)
            }
            WatchEvent::Listening { .. }
            | WatchEvent::Started { .. }
            | WatchEvent::Activated { .. }
            | WatchEvent::SourceMissing { .. }
            | WatchEvent::SourceBack
            | WatchEvent::SourceStale { .. }
            | WatchEvent::SourceRewound { .. }
            | WatchEvent::SourceUnsigned { .. }
            | WatchEvent::Polling { .. }
            | WatchEvent::Trouble { .. }
            | WatchEvent::Reloading
            | WatchEvent::Draining { .. }
            | WatchEvent::Stopped => (None, None),
        };
        match tone {
            Tone::Plain | Tone::Good => tracing::info!(plan, run, "{text}"),
            Tone::Care | Tone::Bad => tracing::warn!(plan, run, "{text}"),
        }
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        // The span of the task around it names the repository and the account.
        if let Some(text) = run_words(event) {
            tracing::info!(%plan, "{text}");
        }
    }
}
