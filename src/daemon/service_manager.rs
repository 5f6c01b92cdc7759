//! What the service manager is told: the only file that names `sd_notify`.
//!
//! That a watch or a worker is ready, reloads or stops, in words how it stands, and as long as it is alive the sign that
//! its watchdog waits for. What is said is decided by functions of what was heard; nothing is said without a service
//! manager that listens.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::event::{WatchEvent, WatchSink};
use super::pulse::{NotReady, Pulse, Verdict};
use super::vital::{Basis, Vital};
use super::worker::{WorkerEvent, WorkerSink};
use crate::clock::Clock;
use crate::model::PlanName;
use crate::run::Event;

/// How often it is looked whether there is life, if the watchdog asks for nothing more.
const LOOK: Duration = Duration::from_secs(10);

/// How much longer the stop may take after each sign of life.
const EXTENSION: Duration = Duration::from_mins(1);

/// Reading everything again takes moments, and says nothing if nothing changed.
const RELOADED: Duration = Duration::from_secs(3);

/// Tells the service manager how the watch or the worker stands.
pub struct ServiceManager {
    pulse: Arc<Pulse>,
    clock: Arc<dyn Clock>,
    standing: Mutex<Standing>,
}

/// How it stands, as the service manager was told.
#[derive(Debug, Default)]
struct Standing {
    ready: bool,
    /// Since when everything is read again.
    reloading: Option<Instant>,
    basis: Basis,
    under_way: Vec<PlanName>,
    /// What is wrong, if something is.
    flaw: Option<&'static str>,
    stopping: bool,
    stuck: bool,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Message {
    Ready,
    Reloading,
    Stopping,
    Status(String),
    Alive,
    Extend,
}

impl ServiceManager {
    /// Nothing was said yet.
    pub fn new(pulse: Arc<Pulse>, clock: Arc<dyn Clock>) -> Self {
        Self { pulse, clock, standing: Mutex::default() }
    }

    /// Gives signs of life until it is stopped.
    pub async fn attend(self: Arc<Self>, stop: CancellationToken) {
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        // Twice in the time that is allowed, so that one that comes late does no harm.
        let step = watchdog.map_or(LOOK, |limit| (limit / 2).min(LOOK));
        loop {
            let verdict = self.pulse.verdict();
            let messages = self.standing().look(&verdict, watchdog.is_some(), self.clock.monotonic());
            say(&messages);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(step) => {}
            }
        }
    }

    fn hear(&self, vital: Vital<'_>) {
        let messages = self.standing().hear(vital, self.clock.monotonic());
        say(&messages);
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().expect("no holder panics")
    }
}

impl WatchSink for ServiceManager {
    fn tell(&self, event: &WatchEvent<'_>) {
        if let Some(vital) = event.vital() {
            self.hear(vital);
        }
    }

    fn tell_of_run(&self, _plan: &PlanName, _event: &Event) {}
}

impl WorkerSink for ServiceManager {
    fn tell(&self, _event: &WorkerEvent<'_>) {}

    fn tell_of_run(&self, _plan: &PlanName, _event: &Event) {}

    fn vital(&self, vital: Vital<'_>) {
        self.hear(vital);
    }
}

impl Standing {
    fn hear(&mut self, vital: Vital<'_>, now: Instant) -> Vec<Message> {
        let mut messages = Vec::new();
        let looked = match vital {
            Vital::Found(basis) => {
                self.basis = basis;
                basis != Basis::Nothing
            }
            Vital::Looked(basis) => {
                (self.basis, self.flaw) = (basis, None);
                true
            }
            Vital::Whole => {
                self.flaw = None;
                true
            }
            Vital::Flaw(flaw) => {
                self.flaw = Some(words_for(flaw));
                true
            }
            Vital::RunBegins(plan) => {
                self.under_way.push(plan.clone());
                false
            }
            Vital::RunEnds(plan) => {
                if let Some(place) = self.under_way.iter().position(|other| other == plan) {
                    self.under_way.remove(place);
                }
                false
            }
            Vital::Reloading => {
                self.reloading = Some(now);
                messages.push(Message::Reloading);
                false
            }
            Vital::Draining => {
                self.stopping = true;
                messages.extend([Message::Stopping, Message::Extend]);
                false
            }
            Vital::Turned | Vital::RunLives(_) => return messages,
        };
        if looked && (!self.ready || self.reloading.is_some()) {
            (self.ready, self.reloading) = (true, None);
            messages.push(Message::Ready);
        }
        messages.push(Message::Status(self.words()));
        messages
    }

    /// What is said from time to time.
    fn look(&mut self, verdict: &Verdict, watched: bool, now: Instant) -> Vec<Message> {
        let mut messages = Vec::new();
        let why = match verdict {
            Verdict::Alive => None,
            Verdict::LoopStuck => Some("stuck: the loop does not turn any more".to_owned()),
            Verdict::RunStuck { plan } => Some(format!("stuck: the run of {plan} neither comes on nor waits")),
        };
        if let Some(why) = why {
            if !std::mem::replace(&mut self.stuck, true) {
                tracing::error!("{why}; the watchdog gets no sign of life");
                messages.push(Message::Status(why));
            }
        } else {
            if std::mem::take(&mut self.stuck) {
                messages.push(Message::Status(self.words()));
            }
            messages.extend(watched.then_some(Message::Alive));
            messages.extend(self.stopping.then_some(Message::Extend));
        }
        if self.reloading.is_some_and(|since| now.saturating_duration_since(since) >= RELOADED) {
            self.reloading = None;
            messages.push(Message::Ready);
        }
        messages
    }

    fn words(&self) -> String {
        let runs: BTreeSet<_> = self.under_way.iter().map(PlanName::as_str).collect();
        let runs = runs.into_iter().collect::<Vec<_>>().join(", ");
        let mut words = match (self.basis, runs.as_str()) {
            (Basis::Nothing, "") => "nothing is in force".to_owned(),
            (Basis::Nothing, runs) => format!("nothing is in force; {runs} under way"),
            (Basis::Generation(generation), "") => format!("generation {generation} is in force"),
            (Basis::Generation(generation), runs) => format!("generation {generation} is in force; {runs} under way"),
            (Basis::State, "") => "waiting for runs".to_owned(),
            (Basis::State, runs) => format!("works on {runs}"),
        };
        if let Some(flaw) = self.flaw {
            words = format!("{words}; {flaw}");
        }
        if self.stopping { format!("stopping; {words}") } else { words }
    }
}

/// What is wrong, in words.
const fn words_for(flaw: NotReady) -> &'static str {
    match flaw {
        NotReady::SourceMissing => "the file is missing or empty",
        NotReady::SourceStale => "the source cannot be read",
        NotReady::SourceRewound => "the branch was set back and is not followed",
        NotReady::SourceUnsigned => "a commit lacks the signature that is demanded",
        NotReady::StateUnreadable => "the state does not answer",
        NotReady::Starting => "nothing was read yet",
        NotReady::NothingInForce => "there is nothing to back up",
        NotReady::Stuck => "it does not come on",
        NotReady::Stopping => "it stops",
    }
}

/// Says it, all at once. A service manager that does not listen is no reason to stop.
fn say(messages: &[Message]) {
    let mut states = Vec::new();
    for message in messages {
        match message {
            Message::Ready => states.push(NotifyState::Ready),
            Message::Reloading => {
                states.push(NotifyState::Reloading);
                states.extend(NotifyState::monotonic_usec_now());
            }
            Message::Stopping => states.push(NotifyState::Stopping),
            Message::Status(words) => states.push(NotifyState::Status(words)),
            Message::Alive => states.push(NotifyState::Watchdog),
            Message::Extend => {
                let micros = u32::try_from(EXTENSION.as_micros()).expect("a minute fits");
                states.push(NotifyState::ExtendTimeoutUsec(micros));
            }
        }
    }
    if !states.is_empty()
        && let Err(error) = sd_notify::notify(&states)
    {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::model::Generation;

    fn started(generation: Option<u64>) -> Vital<'static> {
        Vital::Found(generation.map(Generation).into())
    }

    fn status(words: &str) -> Message {
        Message::Status(words.to_owned())
    }

    const MISSING: Vital<'_> = Vital::Flaw(NotReady::SourceMissing);

    #[test]
    fn it_is_ready_once_when_something_is_in_force_or_the_file_was_looked_at() {
        let now = SystemClock.monotonic();
        let mut standing = Standing::default();
        assert_eq!(standing.hear(started(Some(7)), now), [Message::Ready, status("generation 7 is in force")]);
        let flaw = "generation 7 is in force; the file is missing or empty";
        assert_eq!(standing.hear(MISSING, now), [status(flaw)], "it is ready once");

        let mut standing = Standing::default();
        assert_eq!(standing.hear(started(None), now), [status("nothing is in force")]);
        assert_eq!(standing.hear(MISSING, now)[0], Message::Ready);
    }

    #[test]
    fn a_reload_ends_with_what_was_read_or_after_a_while() {
        let now = SystemClock.monotonic();
        let mut standing = Standing::default();
        standing.hear(started(Some(7)), now);
        assert_eq!(standing.hear(Vital::Reloading, now)[0], Message::Reloading);
        assert_eq!(standing.look(&Verdict::Alive, false, now), []);
        assert_eq!(standing.look(&Verdict::Alive, false, now + RELOADED), [Message::Ready]);
        standing.hear(Vital::Reloading, now);
        assert_eq!(standing.hear(Vital::Whole, now)[0], Message::Ready);
        assert_eq!(standing.look(&Verdict::Alive, false, now + RELOADED), []);
    }

    #[test]
    fn the_watchdog_gets_signs_of_life_only() {
        let now = SystemClock.monotonic();
        let mut standing = Standing::default();
        assert_eq!(standing.look(&Verdict::Alive, true, now), [Message::Alive]);
        assert_eq!(standing.look(&Verdict::Alive, false, now), []);
        let plan: PlanName = "nightly".parse().unwrap();
        let stuck = Verdict::RunStuck { plan };
        assert_eq!(standing.look(&stuck, true, now), [status("stuck: the run of nightly neither comes on nor waits")]);
        assert_eq!(standing.look(&stuck, true, now), [], "it is told once");
        assert_eq!(standing.look(&Verdict::Alive, true, now), [status("nothing is in force"), Message::Alive]);
    }

    #[test]
    fn a_stop_may_take_longer_as_long_as_there_is_life() {
        let now = SystemClock.monotonic();
        let mut standing = Standing::default();
        let plan: PlanName = "nightly".parse().unwrap();
        standing.hear(Vital::RunBegins(&plan), now);
        let said = standing.hear(Vital::Draining, now);
        let words = status("stopping; nothing is in force; nightly under way");
        assert_eq!(said, [Message::Stopping, Message::Extend, words]);
        assert_eq!(standing.look(&Verdict::Alive, false, now), [Message::Extend]);
        assert!(!standing.look(&Verdict::LoopStuck, false, now).contains(&Message::Extend));
    }

    #[test]
    fn a_worker_says_what_it_works_on() {
        let now = SystemClock.monotonic();
        let mut standing = Standing::default();
        let plan: PlanName = "nightly".parse().unwrap();
        assert_eq!(standing.hear(Vital::Looked(Basis::State), now), [Message::Ready, status("waiting for runs")]);
        assert_eq!(standing.hear(Vital::RunBegins(&plan), now), [status("works on nightly")]);
        assert_eq!(standing.hear(Vital::RunBegins(&plan), now), [status("works on nightly")]);
        let flaw = standing.hear(Vital::Flaw(NotReady::StateUnreadable), now);
        assert_eq!(flaw, [status("works on nightly; the state does not answer")]);
        assert_eq!(standing.hear(Vital::RunEnds(&plan), now).len(), 1);
        assert_eq!(standing.hear(Vital::Whole, now), [status("works on nightly")]);
        assert_eq!(standing.hear(Vital::RunEnds(&plan), now), [status("waiting for runs")]);
    }
}
