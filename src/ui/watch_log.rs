//! What a watch tells, as lines of the log.

use tracing::field::display;

use super::telling::{Log, Tone};
use super::watch::words;
use crate::config;
use crate::daemon::{Activation, WatchEvent, WatchSink};
use crate::model::PlanName;
use crate::run::Event;

impl WatchSink for Log {
    fn tell(&self, event: &WatchEvent<'_>) {
        let (text, tone) = words(event, self.options());
        let (plan, run) = match event {
            WatchEvent::RunEnded { plan, summary } => (Some(display(plan)), Some(display(summary.run))),
            WatchEvent::RunBegins { plan, .. }
            | WatchEvent::PassedOver { plan, .. }
            | WatchEvent::RunWaits { plan, .. }
            | WatchEvent::RunFailed { plan, .. } => (Some(display(plan)), None),
            WatchEvent::Activated { sources, activation: Activation::Invalid { diagnostics }, .. } => {
                for diagnostic in diagnostics {
                    let whole = config::to_json(sources, diagnostic);
                    let place = config::place_of(sources, diagnostic);
                    let (file, line, column) =
                        place.map_or((None, None, None), |at| (Some(at.file), Some(at.line), Some(at.column)));
                    let (code, message) = (diagnostic.code, &diagnostic.message);
                    tracing::warn!(code, file, line, column, diagnostic = %whole, "{message}");
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
        self.line_of_run(plan, event);
    }
}
