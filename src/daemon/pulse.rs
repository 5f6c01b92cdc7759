//! Whether a watch or a worker is alive, and whether it is ready: what those who supervise it want to know.
//!
//! [`Pulse`] listens to everything that is told and remembers the signs of life, [`Vital`]. What follows from them is
//! decided by functions of the signs and of the time: [`Signs::verdict`] and [`Signs::readiness`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::event::{WatchEvent, WatchSink};
use super::vital::{Basis, Vital};
use super::worker::{WorkerEvent, WorkerSink};
use crate::clock::Clock;
use crate::model::PlanName;
use crate::run::Event;

/// The loop turns once a minute at least, and what it does in a turn takes seconds. One that did not turn for so long
/// does not turn any more.
pub const LONGEST_TURN: Duration = Duration::from_mins(5);

/// A run says something with every piece of a pack, every repository that ends, and every wait that begins; a server
/// that does not answer ends a request much earlier. One that was silent for so long, and waits for nothing, is stuck.
pub const LONGEST_SILENCE: Duration = Duration::from_mins(45);

/// Whether it is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The loop turns, and every run comes on or waits for something that it named.
    Alive,
    /// The loop does not turn.
    LoopStuck,
    /// A run neither comes on nor waits.
    RunStuck {
        /// The run's plan.
        plan: PlanName,
    },
}

/// Why it is not ready. The words go to whoever asks, so they name nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// Nothing was read yet.
    Starting,
    /// Nothing is in force: there is nothing to back up.
    NothingInForce,
    /// The file is missing or empty.
    SourceMissing,
    /// The source has not been whole for long.
    SourceStale,
    /// The branch was set back.
    SourceRewound,
    /// A commit lacks the signature that is demanded.
    SourceUnsigned,
    /// The state does not answer.
    StateUnreadable,
    /// It is not even alive.
    Stuck,
    /// Nothing new is begun.
    Stopping,
}

impl NotReady {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::NothingInForce => "nothing-in-force",
            Self::SourceMissing => "source-missing",
            Self::SourceStale => "source-stale",
            Self::SourceRewound | Self::SourceUnsigned => "source-refused",
            Self::StateUnreadable => "state-unreadable",
            Self::Stuck => "stuck",
            Self::Stopping => "stopping",
        }
    }
}

/// The signs of life of a watch or a worker; a handle that everybody who asks shares.
pub struct Pulse {
    clock: Arc<dyn Clock>,
    signs: Mutex<Signs>,
}

/// What was heard.
#[derive(Debug, Clone)]
struct Signs {
    turned: Instant,
    runs: BTreeMap<PlanName, Breath>,
    looked: bool,
    basis: Basis,
    flaw: Option<NotReady>,
    stopping: bool,
}

/// What was heard of the run of a plan.
#[derive(Debug, Clone, Copy)]
struct Breath {
    /// How many go on: one that was lost may still end while its successor is under way.
    runs: usize,
    /// When it said something.
    heard: Instant,
    /// Until when it waits, by what it said.
    waits: Instant,
}

impl Pulse {
    /// One that is about to begin.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let signs = Signs {
            turned: clock.monotonic(),
            runs: BTreeMap::new(),
            looked: false,
            basis: Basis::Nothing,
            flaw: None,
            stopping: false,
        };
        Self { clock, signs: Mutex::new(signs) }
    }

    /// Whether it is alive at this moment.
    pub fn verdict(&self) -> Verdict {
        self.signs().verdict(self.clock.monotonic())
    }

    /// Whether it is ready at this moment.
    pub fn readiness(&self) -> Result<(), NotReady> {
        self.signs().readiness(self.clock.monotonic())
    }

    /// Hears a sign of life.
    fn hear(&self, vital: Vital<'_>) {
        let now = self.clock.monotonic();
        self.signs().hear(vital, now);
    }

    /// Hears what a run tells.
    fn hear_of_run(&self, plan: &PlanName, event: &Event) {
        let now = self.clock.monotonic();
        let waits = waits_until(event).map(|until| self.until(until, now));
        self.signs().breathe(plan, waits, now);
    }

    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().expect("no holder panics")
    }

    /// A wall time as one that never goes back.
    fn until(&self, until: Timestamp, now: Instant) -> Instant {
        let wait = Duration::try_from(until.duration_since(self.clock.now())).unwrap_or_default();
        now.checked_add(wait).unwrap_or(now)
    }
}

impl Signs {
    fn verdict(&self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.turned) >= LONGEST_TURN {
            return Verdict::LoopStuck;
        }
        let silent = |breath: &Breath| now.saturating_duration_since(breath.heard.max(breath.waits));
        let stuck = self.runs.iter().find(|(_, breath)| silent(breath) >= LONGEST_SILENCE);
        stuck.map_or(Verdict::Alive, |(plan, _)| Verdict::RunStuck { plan: plan.clone() })
    }

    fn readiness(&self, now: Instant) -> Result<(), NotReady> {
        if self.verdict(now) != Verdict::Alive {
            Err(NotReady::Stuck)
        } else if self.stopping {
            Err(NotReady::Stopping)
        } else if let Some(flaw) = self.flaw {
            Err(flaw)
        } else if !self.looked {
            Err(NotReady::Starting)
        } else {
            match self.basis {
                Basis::Nothing => Err(NotReady::NothingInForce),
                Basis::Generation(_) | Basis::State => Ok(()),
            }
        }
    }

    fn hear(&mut self, vital: Vital<'_>, now: Instant) {
        match vital {
            Vital::Found(basis) => self.basis = basis,
            Vital::Looked(basis) => (self.looked, self.basis, self.flaw) = (true, basis, None),
            Vital::Flaw(flaw) => (self.looked, self.flaw) = (true, Some(flaw)),
            Vital::Whole => self.flaw = None,
            Vital::Turned => self.turned = now,
            Vital::RunBegins(plan) => {
                let breath = self.runs.entry(plan.clone()).or_insert(Breath { runs: 0, heard: now, waits: now });
                (breath.runs, breath.heard) = (breath.runs + 1, now);
            }
            Vital::RunEnds(plan) => {
                let over = self.runs.get_mut(plan).is_some_and(|breath| {
                    breath.runs -= 1;
                    breath.runs == 0
                });
                if over {
                    self.runs.remove(plan);
                }
            }
            Vital::RunLives(plan) => self.breathe(plan, None, now),
            Vital::Draining => self.stopping = true,
            Vital::Reloading => {}
        }
    }

    fn breathe(&mut self, plan: &PlanName, waits: Option<Instant>, now: Instant) {
        if let Some(breath) = self.runs.get_mut(plan) {
            breath.heard = now;
            breath.waits = breath.waits.max(waits.unwrap_or(now));
        }
    }
}

impl WatchSink for Pulse {
    fn tell(&self, event: &WatchEvent<'_>) {
        if let Some(vital) = event.vital() {
            self.hear(vital);
        }
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.hear_of_run(plan, event);
    }

    fn turned(&self) {
        self.hear(Vital::Turned);
    }

    fn is_alive(&self, plan: &PlanName) {
        self.hear(Vital::RunLives(plan));
    }
}

impl WorkerSink for Pulse {
    fn tell(&self, _event: &WorkerEvent<'_>) {}

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.hear_of_run(plan, event);
    }

    fn vital(&self, vital: Vital<'_>) {
        self.hear(vital);
    }
}

/// Until when a run says that something in it waits.
fn waits_until(event: &Event) -> Option<Timestamp> {
    match event {
        Event::Throttled { until, .. } | Event::RateLimited { until, .. } | Event::ServerBusy { until, .. } => {
            Some(*until)
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
        | Event::CredentialExchanged { .. }
        | Event::Resumed { .. }
        | Event::ServerServes { .. }
        | Event::TaskFinished { .. }
        | Event::HoursClosed { .. }
        | Event::DeadlineReached { .. }
        | Event::Stopping
        | Event::RunFinished { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::daemon::AutoApply;
    use crate::model::Generation;

    const SECOND: Duration = Duration::from_secs(1);

    fn pulse() -> (Pulse, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap()));
        (Pulse::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    fn tell(pulse: &Pulse, event: &WatchEvent<'_>) {
        WatchSink::tell(pulse, event);
    }

    fn plan() -> PlanName {
        "nightly".parse().unwrap()
    }

    /// Lets time pass while the loop turns.
    fn pass(pulse: &Pulse, clock: &ManualClock, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(Duration::from_mins(1));
            clock.advance(step);
            pulse.hear(Vital::Turned);
            left -= step;
        }
    }

    fn begin(pulse: &Pulse) {
        pulse.hear(Vital::RunBegins(&plan()));
    }

    fn started(generation: Option<u64>) -> WatchEvent<'static> {
        let generation = generation.map(Generation);
        WatchEvent::Started { source: "xopero.kdl".into(), generation, level: AutoApply::Safe }
    }

    #[test]
    fn a_loop_that_does_not_turn_is_stuck() {
        let (pulse, clock) = pulse();
        clock.advance(LONGEST_TURN.saturating_sub(SECOND));
        assert_eq!(pulse.verdict(), Verdict::Alive);
        clock.advance(SECOND);
        assert_eq!((pulse.verdict(), pulse.readiness()), (Verdict::LoopStuck, Err(NotReady::Stuck)));
        pulse.hear(Vital::Turned);
        assert_eq!(pulse.verdict(), Verdict::Alive);
    }

    #[test]
    fn a_run_is_stuck_when_it_is_silent_and_waits_for_nothing() {
        let (pulse, clock) = pulse();
        begin(&pulse);
        pass(&pulse, &clock, LONGEST_SILENCE.saturating_sub(SECOND));
        assert_eq!(pulse.verdict(), Verdict::Alive);
        pulse.hear_of_run(&plan(), &Event::Stopping);
        pass(&pulse, &clock, LONGEST_SILENCE.saturating_sub(SECOND));
        assert_eq!(pulse.verdict(), Verdict::Alive, "it said something");
        pulse.hear(Vital::RunLives(&plan()));
        pass(&pulse, &clock, LONGEST_SILENCE);
        assert_eq!(pulse.verdict(), Verdict::RunStuck { plan: plan() });
        tell(&pulse, &WatchEvent::RunFailed { plan: &plan(), error: &[], hint: None });
        assert_eq!(pulse.verdict(), Verdict::Alive);
    }

    #[test]
    fn a_run_that_waits_for_a_limit_is_alive_until_the_wait_is_long_over() {
        let (pulse, clock) = pulse();
        begin(&pulse);
        let wait = Duration::from_hours(6);
        let until = clock.now() + wait;
        let throttled = Event::Throttled { subject: "PAY/ledger".into(), until, reason: "no budget".into() };
        pulse.hear_of_run(&plan(), &throttled);
        pass(&pulse, &clock, (wait + LONGEST_SILENCE).saturating_sub(SECOND));
        assert_eq!(pulse.verdict(), Verdict::Alive);
        pass(&pulse, &clock, SECOND);
        assert_eq!(pulse.verdict(), Verdict::RunStuck { plan: plan() });
    }

    #[test]
    fn it_is_ready_when_something_is_in_force_and_the_source_is_whole() {
        let (pulse, _) = pulse();
        tell(&pulse, &started(None));
        assert_eq!(pulse.readiness(), Err(NotReady::Starting));
        tell(&pulse, &started(Some(7)));
        assert_eq!(pulse.readiness(), Err(NotReady::Starting));
        let file = crate::config::SourceFile { name: "xopero.kdl".into(), text: String::new() };
        let sources = crate::config::Sources::alone(file);
        let activation = crate::daemon::Activation::InSync { generation: None };
        let looked =
            |in_force| WatchEvent::Activated { sources: &sources, activation: &activation, in_force, tip: None };
        tell(&pulse, &looked(None));
        assert_eq!(pulse.readiness(), Err(NotReady::NothingInForce));
        tell(&pulse, &looked(Some(Generation(7))));
        assert_eq!(pulse.readiness(), Ok(()));
        tell(&pulse, &WatchEvent::SourceMissing { path: "xopero.kdl".into(), reason: "it is empty".into() });
        assert_eq!(pulse.readiness(), Err(NotReady::SourceMissing));
        tell(&pulse, &WatchEvent::SourceBack);
        assert_eq!(pulse.readiness(), Ok(()));
        tell(&pulse, &WatchEvent::Draining { runs: 1, patience: SECOND });
        assert_eq!(pulse.readiness(), Err(NotReady::Stopping));
    }

    #[test]
    fn a_worker_is_ready_when_the_state_answers() {
        let (pulse, _) = pulse();
        let tell = |vital| WorkerSink::vital(&pulse, vital);
        assert_eq!(pulse.readiness(), Err(NotReady::Starting));
        tell(Vital::Looked(Basis::State));
        assert_eq!(pulse.readiness(), Ok(()));
        tell(Vital::Flaw(NotReady::StateUnreadable));
        assert_eq!((pulse.readiness(), pulse.verdict()), (Err(NotReady::StateUnreadable), Verdict::Alive));
        tell(Vital::Whole);
        assert_eq!(pulse.readiness(), Ok(()));
    }

    #[test]
    fn a_share_that_ends_late_hides_nothing_of_the_one_after_it() {
        let (pulse, clock) = pulse();
        let plan = plan();
        for vital in [Vital::RunBegins(&plan), Vital::RunBegins(&plan), Vital::RunEnds(&plan)] {
            pulse.hear(vital);
        }
        pass(&pulse, &clock, LONGEST_SILENCE);
        assert_eq!(pulse.verdict(), Verdict::RunStuck { plan: plan.clone() });
        pulse.hear(Vital::RunEnds(&plan));
        pulse.hear(Vital::RunEnds(&plan));
        assert_eq!(pulse.verdict(), Verdict::Alive);
    }
}
