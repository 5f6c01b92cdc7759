//! What a watch tells, overheard for alerts: only this process knows how the declaration is, and which runs could not
//! begin.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Activation, WatchEvent, WatchSink};
use crate::alert::{Heard, Trouble};
use crate::clock::Clock;
use crate::config::{FirstError, Sources, first_error};
use crate::model::{Address, Occasion, PlanName, command_with};
use crate::run::Event;

/// Whether a change waits for a person.
const APPROVAL: &str = "approval";
/// Whether the declaration says something that can be applied.
const DECLARATION: &str = "declaration";
/// Whether the declaration can be had.
const READING: &str = "reading";

/// Remembers what alerts are about.
pub struct Overhearing {
    /// Who remembers.
    pub heard: Arc<Heard>,
    /// The options of commands that are told, to be about the same file and state.
    pub options: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Overhearing {
    fn command(&self, command: &str) -> String {
        command_with(command, &self.options)
    }

    fn trouble(&self, occasion: Occasion, reason: &str, what: String, next: &str) -> Trouble {
        Trouble::of_declaration(occasion, self.clock.now(), reason, what, next.to_owned())
    }

    fn activated(&self, sources: &Sources, activation: &Activation) {
        let stays = format!("correct it: {}; what is in force stays so", self.command("validate"));
        let (approval, declaration) = match activation {
            Activation::Applied { .. } | Activation::InSync { .. } => (None, None),
            Activation::Pending { plan_id, rails } => {
                let what = if rails.is_empty() { "a change waits for a person".to_owned() } else { rails.join("; ") };
                let next = format!(
                    "read it: {}; then: {}",
                    self.command("plan"),
                    self.command(&format!("apply --approve {plan_id}"))
                );
                (Some(self.trouble(Occasion::Approval, &plan_id.to_string(), what, &next)), None)
            }
            Activation::Refused { rails } => {
                let what = format!("it is refused: {}", rails.join("; "));
                (None, Some(self.trouble(Occasion::Source, "refused", what, &stays)))
            }
            Activation::Invalid { diagnostics } => {
                let first = first_error(sources, diagnostics);
                let what = first.as_ref().map_or_else(|| "it has errors".to_owned(), FirstError::words);
                let trouble = self.trouble(Occasion::Source, "invalid", what, &stays);
                (None, Some(Trouble { place: first.and_then(|first| first.place), ..trouble }))
            }
            // The next activation tells.
            Activation::Busy { .. } | Activation::Failed { .. } => return,
        };
        self.heard.know(APPROVAL, approval);
        self.heard.know(DECLARATION, declaration);
        self.heard.know(READING, None);
    }

    /// Remembers that a run of a plan could be begun.
    pub fn run_begun(&self, plan: &PlanName) {
        self.heard.know(&matter(plan), None);
    }

    /// Remembers that a run of a plan could not be begun, or its end not be recorded.
    pub fn run_failed(&self, plan: &PlanName, error: &[String], hint: Option<&str>) {
        let trouble = Trouble {
            occasion: Occasion::Failed,
            about: Address::plan(plan).to_string(),
            plans: BTreeSet::from([plan.clone()]),
            place: None,
            since: self.clock.now(),
            reason: "not-begun".to_owned(),
            what: error.join(": "),
            next: hint.unwrap_or("look at what xopero wrote when it tried").to_owned(),
        };
        self.heard.know(&matter(plan), Some(trouble));
    }
}

/// Whether runs of a plan can be begun.
fn matter(plan: &PlanName) -> String {
    format!("begin {plan}")
}

impl WatchSink for Overhearing {
    fn tell(&self, event: &WatchEvent<'_>) {
        const FOLLOWED: &str = "what is in force stays so; if the branch is right: xopero plan, then xopero apply";
        match event {
            WatchEvent::Activated { sources, activation, .. } => self.activated(sources, activation),
            WatchEvent::SourceBack => self.heard.know(READING, None),
            WatchEvent::SourceStale { reason, hint, .. } => {
                let next = hint.clone().unwrap_or_else(|| "what is in force stays so".to_owned());
                let what = format!("it cannot be read: {reason}");
                self.heard.know(READING, Some(self.trouble(Occasion::Source, "stale", what, &next)));
            }
            WatchEvent::SourceRewound { applied, tip } => {
                let what = format!("the branch is at {tip}, which does not come from {applied}, which is in force");
                self.heard.know(READING, Some(self.trouble(Occasion::Source, "rewound", what, FOLLOWED)));
            }
            WatchEvent::SourceUnsigned { commit, why } => {
                let what = format!("commit {commit} is not signed as it must be: {why}");
                self.heard.know(READING, Some(self.trouble(Occasion::Source, "unsigned", what, FOLLOWED)));
            }
            WatchEvent::RunBegins { plan, .. } => self.run_begun(plan),
            WatchEvent::RunFailed { plan, error, hint } => self.run_failed(plan, error, hint.as_deref()),
            WatchEvent::RunEnded { .. } | WatchEvent::Reloading => self.heard.wake(),
            // A file that is missing for a moment is told as stale when it stays so.
            WatchEvent::SourceMissing { .. }
            | WatchEvent::Listening { .. }
            | WatchEvent::Started { .. }
            | WatchEvent::Polling { .. }
            | WatchEvent::PassedOver { .. }
            | WatchEvent::RunWaits { .. }
            | WatchEvent::Trouble { .. }
            | WatchEvent::Draining { .. }
            | WatchEvent::Stopped => {}
        }
    }

    fn tell_of_run(&self, _plan: &PlanName, _event: &Event) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::config::{SourceFile, decode};
    use crate::model::FilePlace;

    #[test]
    fn a_broken_file_is_told_with_its_place() {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let overhearing = Overhearing { heard: Arc::default(), options: "-f b.kdl".to_owned(), clock };
        let text = "xopero schema=1\n  servr \"bb\"\n";
        let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text: text.into() });
        let diagnostics = decode(&sources).unwrap_err().diagnostics;
        overhearing.activated(&sources, &Activation::Invalid { diagnostics });
        let known = overhearing.heard.known();
        let trouble = known.values().flatten().next().unwrap();
        assert_eq!(trouble.place, Some(FilePlace { file: "xopero.kdl".into(), line: 2, column: 3 }));
        assert!(trouble.what.starts_with("xopero.kdl:2:3: "), "{}", trouble.what);
        assert!(trouble.next.contains("xopero validate -f b.kdl"), "{}", trouble.next);
        overhearing.activated(&sources, &Activation::InSync { generation: None });
        assert!(overhearing.heard.known().values().all(Option::is_none));
    }
}
