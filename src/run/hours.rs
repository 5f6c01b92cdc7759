//! The hours that a run keeps: nothing is begun in those that are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::schedule::Agenda;

/// When something may be begun. Whoever waited for anything asks again before it begins.
pub(super) struct Hours {
    /// Absent where no hours are kept: a person who starts a run does not wait for them.
    agenda: Option<Agenda>,
    /// When the run began here: what comes after closed hours is not held by them.
    since: Timestamp,
    /// Whether the run's coordinator, who knows its hours, lets others begin nothing.
    shut: AtomicBool,
    clock: Arc<dyn Clock>,
}

impl Hours {
    /// The hours of a run that begins.
    pub(super) fn of(agenda: Option<Agenda>, clock: Arc<dyn Clock>) -> Self {
        Self { agenda, since: clock.now(), shut: AtomicBool::new(false), clock }
    }

    /// Until when at least nothing may be begun, if it may not.
    pub(super) fn closed(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let held = self.agenda.as_ref().and_then(|agenda| agenda.held(self.since, now));
        held.or_else(|| self.shut.load(Ordering::Relaxed).then_some(now))
    }

    /// What the coordinator says, for those who help.
    pub(super) fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::{Cron, Timetable, Uid, Window};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_is_held_from_the_beginning_of_the_hours_to_its_turn_after_them() {
        let cron = Cron { expression: "0 1 * * *".into(), time_zone: "UTC".into() };
        let not_between = vec![Window { from: "08:00".parse().unwrap(), to: "18:00".parse().unwrap() }];
        let timetable = Timetable { jitter: Duration::from_mins(20), not_between, ..Timetable::of(cron) };
        let agenda = Agenda::new(&timetable, Uid::from_parts(0, 420_000 << 40)).unwrap();
        let clock = Arc::new(ManualClock::at(at("2026-11-22T07:59:59Z")));
        let hours = Hours::of(Some(agenda), Arc::<ManualClock>::clone(&clock));
        assert_eq!(hours.closed(), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(hours.closed(), Some(at("2026-11-22T18:07:00Z")));
        clock.advance(Duration::from_hours(10));
        assert_eq!(hours.closed(), Some(at("2026-11-22T18:07:00Z")));
        clock.advance(Duration::from_mins(7));
        assert_eq!(hours.closed(), None);
    }

    #[test]
    fn whoever_helps_begins_nothing_while_the_coordinator_does_not() {
        let clock = Arc::new(ManualClock::at(at("2026-11-22T12:00:00Z")));
        let hours = Hours::of(None, clock);
        assert_eq!(hours.closed(), None);
        hours.shut(true);
        assert!(hours.closed().is_some());
        hours.shut(false);
        assert_eq!(hours.closed(), None);
    }
}
