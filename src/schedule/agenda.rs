//! What a timetable asks for at an instant: to begin, to wait, or to pass a time over.
//!
//! A time of the schedule is *dealt with* once, by a run or by being passed over; the newest time that was dealt with
//! is all that has to be remembered. Everything else is computed anew whenever it is asked for, so that a clock that
//! jumps, a machine that slept or a changed time-zone database need no care of their own.

use std::time::Duration;

use jiff::{Timestamp, Zoned};

use super::{Schedule, ScheduleError};
use crate::model::{Missed, Overlap, Timetable, Uid, Window};

/// A run that begins so much later than planned is on time: whoever follows the agenda looks once a minute.
const ON_TIME: Duration = Duration::from_mins(2);

/// Runs that make up for missed ones, and those that closed hours held, are put off by their jitter as well, but not for
/// longer than this.
const SPREAD: Duration = Duration::from_mins(10);

/// A time that was dealt with and is so far ahead was told by a clock that was wrong.
const WRONG_CLOCK: Duration = Duration::from_hours(26);

/// More missed times than these are not counted.
const MOST_COUNTED: usize = 100;

/// Missed times are looked for so long before the nearest one that is found backwards: a change of the clock moves
/// times by a day at most.
const LOOK_BACK: Duration = Duration::from_hours(26);

/// The times of a plan, moved by the plan's own share of the jitter.
#[derive(Debug, Clone)]
pub struct Agenda {
    schedule: Schedule,
    missed: Missed,
    overlap: Overlap,
    closed: Vec<Window>,
    offset: Duration,
    spread: Spread,
}

/// How far apart those begin that have waited for the same thing.
#[derive(Debug, Clone, Copy)]
struct Spread {
    most: Duration,
    random: u128,
}

/// A time of the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// As the schedule says, in its time zone.
    pub scheduled: Zoned,
    /// When it begins: with jitter, and after the hours that are closed, at the plan's own turn.
    pub begins: Timestamp,
}

/// How a plan stands with its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The newest time that was dealt with, or that at which the timetable came into force.
    pub dealt_with: Timestamp,
    /// A run of the plan is under way.
    pub under_way: bool,
    /// A time came while a run was under way, and waits for its end.
    pub held: bool,
    /// Nothing is begun before the pause ends; [`Timestamp::MAX`] if no end is known.
    pub paused_until: Option<Timestamp>,
    /// Since when somebody is there to begin runs.
    pub awake_since: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this. [`Timestamp::MAX`] if no time comes.
    Wait {
        /// When to ask again, at the latest.
        until: Timestamp,
    },
    /// A run begins, which deals with this time and all before it.
    Begin {
        /// The time that it is for.
        scheduled: Zoned,
        /// Earlier times that nothing ran at, which it makes up for as well. At most [`MOST_COUNTED`] are counted.
        missed: usize,
        /// It is for a time that was missed.
        late: bool,
    },
    /// The time, and all before it, are dealt with, and nothing begins.
    PassOver {
        /// The newest of them.
        scheduled: Zoned,
        /// Why.
        why: PassedOver,
    },
    /// A run is under way, and the next begins as soon as it ends.
    Hold,
}

/// Why nothing runs at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassedOver {
    /// The run before is still under way.
    StillRunning,
    /// The plan is paused.
    Paused,
    /// Nothing was there to run it, and it is too late to make up for it.
    Missed,
}

impl PassedOver {
    /// The words for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StillRunning => "the run before is still under way",
            Self::Paused => "the plan is paused",
            Self::Missed => "nothing was there to run it, and it is too late to make up for it",
        }
    }
}

impl Agenda {
    /// The agenda of the plan with this identity, which decides how far its runs are put off.
    pub fn new(timetable: &Timetable, plan: Uid) -> Result<Self, ScheduleError> {
        let Timetable { cron, jitter, missed, overlap, not_between } = timetable;
        let random = plan.random();
        Ok(Self {
            schedule: Schedule::parse(cron)?,
            missed: *missed,
            overlap: *overlap,
            closed: not_between.clone(),
            offset: share(*jitter, random),
            spread: Spread { most: SPREAD.min(*jitter), random: random >> 40 },
        })
    }

    /// The first `count` times after `after`, with what they are put off.
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Due> {
        let times = self.schedule.upcoming(self.unshifted(after), count);
        times.into_iter().map(|scheduled| Due { begins: self.planned(self.begins(&scheduled)), scheduled }).collect()
    }

    /// Until when closed hours hold at `now` what could begin at `due`. What they held begins after them at the plan's
    /// own turn: those who wait for the same end do not begin together.
    pub fn held(&self, due: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let opens = self.opens(now);
        let opened = if opens > now { opens } else { self.opened(now).filter(|opened| due < *opened)? };
        let turn = self.turn(opened);
        (now < turn).then_some(turn)
    }

    /// The first instant, at `at` or later, that no closed hours cover.
    fn opens(&self, at: Timestamp) -> Timestamp {
        let mut open = at.to_zoned(self.schedule.zone());
        // Each window ends at most once a day: more rounds than windows mean that they cover all of it.
        for _ in 0..=self.closed.len() {
            match self.closed.iter().find(|window| window.covers(open.time())) {
                Some(window) => open = window.end(&open),
                None => break,
            }
        }
        open.timestamp()
    }

    /// What is to be done at `now`.
    pub fn step(&self, standing: &Standing, now: Timestamp) -> Step {
        let wrong = standing.dealt_with > later(now, WRONG_CLOCK);
        let dealt_with = if wrong { now } else { standing.dealt_with };
        let passed = self.unshifted(now);
        let Some((last, missed)) = self.passed(dealt_with, passed) else {
            let next = self.schedule.next(dealt_with.max(passed));
            return Step::Wait { until: next.map_or(Timestamp::MAX, |next| self.begins(&next)) };
        };
        if standing.paused_until.is_some_and(|until| now < until) {
            return Step::PassOver { scheduled: last, why: PassedOver::Paused };
        }
        if standing.under_way {
            return match self.overlap {
                Overlap::Skip => Step::PassOver { scheduled: last, why: PassedOver::StillRunning },
                Overlap::Queue => Step::Hold,
            };
        }
        let due = self.begins(&last);
        let before_next = |until: Timestamp| {
            let next = self.schedule.next(passed).map_or(Timestamp::MAX, |next| self.begins(&next));
            Step::Wait { until: until.min(next.max(self.opens(now))) }
        };
        if let Some(until) = self.held(due, now) {
            return before_next(until);
        }
        let planned = self.planned(due);
        if standing.held || now <= later(planned, ON_TIME) {
            return Step::Begin { scheduled: last, missed, late: false };
        }
        let worth = match self.missed {
            Missed::Skip => false,
            Missed::RunOnce { within } => now <= later(planned, within),
        };
        if !worth {
            return Step::PassOver { scheduled: last, why: PassedOver::Missed };
        }
        let turn = self.spread.after(standing.awake_since, Duration::MAX);
        if now < turn {
            return before_next(turn);
        }
        Step::Begin { scheduled: last, missed, late: true }
    }

    /// When what could begin at `due` begins.
    fn planned(&self, due: Timestamp) -> Timestamp {
        self.held(due, due).unwrap_or(due)
    }

    /// The end of the closed hours that ended last, at `at` or before, if none cover that.
    fn opened(&self, at: Timestamp) -> Option<Timestamp> {
        let local = at.to_zoned(self.schedule.zone());
        self.closed.iter().filter_map(|window| window.ended(&local)).map(|end| end.timestamp()).max()
    }

    /// When the plan begins that waits for closed hours to end at `opened`: well before the next ones.
    fn turn(&self, opened: Timestamp) -> Timestamp {
        let local = opened.to_zoned(self.schedule.zone());
        let closes = self.closed.iter().filter_map(|window| window.next_from(&local)).min();
        let open = closes.and_then(|closes| Duration::try_from(closes.timestamp().duration_since(opened)).ok());
        self.spread.after(opened, open.unwrap_or(Duration::MAX) / 2)
    }

    fn begins(&self, scheduled: &Zoned) -> Timestamp {
        later(scheduled.timestamp(), self.offset)
    }

    /// The time of the schedule that begins at `at`: jitter moves all of them by the same.
    fn unshifted(&self, at: Timestamp) -> Timestamp {
        at.saturating_sub(self.offset).unwrap_or(Timestamp::MIN)
    }

    /// The newest time after `dealt_with` and not after `now`, and how many others lie between.
    fn passed(&self, dealt_with: Timestamp, now: Timestamp) -> Option<(Zoned, usize)> {
        let first = self.schedule.next(dealt_with).filter(|first| first.timestamp() <= now)?;
        let following = |time: &Zoned| self.schedule.next(time.timestamp()).filter(|next| next.timestamp() <= now);
        let mut counted = std::iter::successors(Some(first), following).take(MOST_COUNTED);
        let mut newest = counted.next()?;
        let mut before = 0;
        for time in counted {
            (newest, before) = (time, before + 1);
        }
        if following(&newest).is_some() {
            // Too many to count: the newest is found from the other side.
            let near = self.schedule.previous(now).map(|near| near.timestamp().saturating_sub(LOOK_BACK));
            let near = near.and_then(Result::ok).unwrap_or(newest.timestamp()).max(newest.timestamp());
            let first = self.schedule.next(near).filter(|first| first.timestamp() <= now);
            newest = std::iter::successors(first, following).last().unwrap_or(newest);
        }
        Some((newest, before))
    }
}

impl Spread {
    /// When somebody begins who has waited for `at`, within `room`.
    fn after(self, at: Timestamp, room: Duration) -> Timestamp {
        later(at, share(self.most.min(room), self.random))
    }
}

/// The share of `whole` that random bits pick, whole included, in milliseconds.
fn share(whole: Duration, random: u128) -> Duration {
    let choices = whole.as_millis() + 1;
    Duration::from_millis(u64::try_from((random & u128::from(u64::MAX >> 24)) % choices).unwrap_or(0))
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Cron;

    fn timetable(expression: &str) -> Timetable {
        Timetable::of(Cron { expression: expression.into(), time_zone: "Europe/Warsaw".into() })
    }

    fn agenda(timetable: &Timetable) -> Agenda {
        Agenda::new(timetable, Uid::from_parts(0, 0)).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn standing(dealt_with: &str) -> Standing {
        Standing {
            dealt_with: at(dealt_with),
            under_way: false,
            held: false,
            paused_until: None,
            awake_since: at("2026-01-01T00:00Z"),
        }
    }

    /// What a step comes to, in a few words.
    fn told(step: Step) -> String {
        match step {
            Step::Wait { until } => format!("wait until {until}"),
            Step::Begin { scheduled, missed, late } => {
                format!(
                    "begin {}, {missed} missed, {}",
                    scheduled.strftime("%d %H:%M"),
                    if late { "late" } else { "on time" }
                )
            }
            Step::PassOver { scheduled, why } => format!("pass over {}: {why:?}", scheduled.strftime("%d %H:%M")),
            Step::Hold => "hold".to_owned(),
        }
    }

    #[test]
    fn a_time_is_dealt_with_once() {
        let nightly = agenda(&timetable("30 1 * * *"));
        for (dealt_with, now, expected) in [
            ("2026-11-21T12:00Z", "2026-11-22T00:29Z", "wait until 2026-11-22T00:30:00Z"),
            ("2026-11-21T12:00Z", "2026-11-22T00:30Z", "begin 22 01:30, 0 missed, on time"),
            ("2026-11-21T12:00Z", "2026-11-22T00:31Z", "begin 22 01:30, 0 missed, on time"),
            ("2026-11-22T00:30Z", "2026-11-22T00:31Z", "wait until 2026-11-23T00:30:00Z"),
            ("2026-11-21T12:00Z", "2026-11-22T08:00Z", "begin 22 01:30, 0 missed, late"),
            ("2026-11-18T12:00Z", "2026-11-22T08:00Z", "begin 22 01:30, 3 missed, late"),
            ("2026-11-18T12:00Z", "2026-11-22T13:00Z", "pass over 22 01:30: Missed"),
            // A clock that was set back by an hour, and one that was years ahead.
            ("2026-11-22T00:30Z", "2026-11-21T23:31Z", "wait until 2026-11-23T00:30:00Z"),
            ("2031-01-01T00:00Z", "2026-11-22T08:00Z", "wait until 2026-11-23T00:30:00Z"),
        ] {
            assert_eq!(told(nightly.step(&standing(dealt_with), at(now))), expected, "{dealt_with} {now}");
        }
    }

    #[test]
    fn what_was_missed_is_passed_over_where_the_file_says_so() {
        let skipping = agenda(&Timetable { missed: Missed::Skip, ..timetable("30 1 * * *") });
        let step = skipping.step(&standing("2026-11-20T12:00Z"), at("2026-11-22T08:00Z"));
        assert_eq!(told(step), "pass over 22 01:30: Missed");
    }

    #[test]
    fn years_of_missed_times_are_one_run() {
        let often = agenda(&timetable("*/5 * * * *"));
        let step = often.step(&standing("2020-01-01T00:00Z"), at("2026-11-22T08:03Z"));
        assert_eq!(told(step), "begin 22 09:00, 99 missed, late");
    }

    #[test]
    fn a_run_under_way_is_not_joined_by_another() {
        let now = at("2026-11-22T00:30Z");
        let under_way = Standing { under_way: true, ..standing("2026-11-21T00:30Z") };
        let skip = timetable("30 1 * * *");
        assert_eq!(told(agenda(&skip).step(&under_way, now)), "pass over 22 01:30: StillRunning");
        let queue = agenda(&Timetable { overlap: Overlap::Queue, ..skip });
        assert_eq!(queue.step(&under_way, now), Step::Hold);
        let ended = Standing { held: true, ..standing("2026-11-21T00:30Z") };
        assert_eq!(told(queue.step(&ended, at("2026-11-22T20:00Z"))), "begin 22 01:30, 0 missed, on time");
    }

    #[test]
    fn a_pause_deals_with_the_times_in_it() {
        let nightly = agenda(&timetable("30 1 * * *"));
        let paused = Standing { paused_until: Some(at("2026-11-24T00:00Z")), ..standing("2026-11-20T12:00Z") };
        assert_eq!(told(nightly.step(&paused, at("2026-11-23T00:30Z"))), "pass over 23 01:30: Paused");
        assert_eq!(told(nightly.step(&paused, at("2026-11-24T00:30Z"))), "begin 24 01:30, 3 missed, on time");
    }

    #[test]
    fn closed_hours_put_off_and_lose_nothing() {
        let hourly =
            agenda(&Timetable { not_between: windows(["08:00 18:00", "17:30 20:00"]), ..timetable("0 * * * *") });
        for (dealt_with, now, expected) in [
            ("2026-11-22T06:00Z", "2026-11-22T07:00Z", "wait until 2026-11-22T19:00:00Z"),
            ("2026-11-22T06:00Z", "2026-11-22T19:00Z", "begin 22 20:00, 12 missed, on time"),
        ] {
            assert_eq!(told(hourly.step(&standing(dealt_with), at(now))), expected, "{dealt_with} {now}");
        }
        let next = hourly.upcoming(at("2026-11-22T06:30Z"), 1);
        assert_eq!(next[0].begins, at("2026-11-22T19:00Z"));
    }

    fn windows<const MANY: usize>(hours: [&str; MANY]) -> Vec<Window> {
        let window = |hours: &str| {
            let (from, to) = hours.split_once(' ').unwrap();
            Window { from: from.parse().unwrap(), to: to.parse().unwrap() }
        };
        hours.map(window).to_vec()
    }

    #[test]
    fn those_whom_closed_hours_held_begin_at_their_own_turn() {
        let jitter = Duration::from_mins(20);
        let not_between = windows(["08:00 18:00"]);
        let nightly = Timetable { jitter, not_between, ..timetable("30 12 * * *") };
        // No share of the jitter, and seven minutes of the turn.
        let nightly = Agenda::new(&nightly, Uid::from_parts(0, 420_000 << 40)).unwrap();
        let queued = Standing { held: true, ..standing("2026-11-21T12:00Z") };
        let missed = Standing { awake_since: at("2026-11-22T16:00Z"), ..standing("2026-11-21T12:00Z") };
        for (standing, now, expected) in [
            (standing("2026-11-21T12:00Z"), "2026-11-22T11:30Z", "wait until 2026-11-22T17:07:00Z"),
            (standing("2026-11-21T12:00Z"), "2026-11-22T17:00Z", "wait until 2026-11-22T17:07:00Z"),
            (standing("2026-11-21T12:00Z"), "2026-11-22T17:06Z", "wait until 2026-11-22T17:07:00Z"),
            (standing("2026-11-21T12:00Z"), "2026-11-22T17:07Z", "begin 22 12:30, 0 missed, on time"),
            (queued, "2026-11-22T17:00Z", "wait until 2026-11-22T17:07:00Z"),
            (missed, "2026-11-22T17:00Z", "wait until 2026-11-22T17:07:00Z"),
            (missed, "2026-11-22T17:07Z", "begin 22 12:30, 0 missed, on time"),
        ] {
            assert_eq!(told(nightly.step(&standing, at(now))), expected, "{standing:?} {now}");
        }
        assert_eq!(nightly.upcoming(at("2026-11-22T08:00Z"), 1)[0].begins, at("2026-11-22T17:07Z"));
    }

    #[test]
    fn what_is_under_way_is_held_until_its_turn_and_what_comes_after_the_hours_is_not() {
        let jitter = Duration::from_mins(20);
        let nightly = Timetable { jitter, not_between: windows(["08:00 18:00"]), ..timetable("30 1 * * *") };
        let nightly = Agenda::new(&nightly, Uid::from_parts(0, 420_000 << 40)).unwrap();
        let (began, turn) = (at("2026-11-22T01:00Z"), at("2026-11-22T17:07Z"));
        for (due, now, until) in [
            (began, "2026-11-22T06:59:59Z", None),
            (began, "2026-11-22T07:00Z", Some(turn)),
            (began, "2026-11-22T17:06:59Z", Some(turn)),
            (began, "2026-11-22T17:07Z", None),
            (at("2026-11-22T17:00Z"), "2026-11-22T17:01Z", None),
        ] {
            assert_eq!(nightly.held(due, at(now)), until, "{due} {now}");
        }
    }

    #[test]
    fn a_turn_comes_before_the_next_closed_hours() {
        let jitter = Duration::from_mins(20);
        let not_between = windows(["00:00 23:58"]);
        let nightly = Timetable { jitter, not_between, ..timetable("0 1 * * *") };
        for random in 0..99_u128 {
            let nightly = Agenda::new(&nightly, Uid::from_parts(0, (random * 9_973) << 40)).unwrap();
            let begins = nightly.upcoming(at("2026-11-21T22:59:30Z"), 1)[0].begins;
            assert!(begins >= at("2026-11-22T22:58Z") && begins <= at("2026-11-22T22:59Z"), "{begins}");
        }
    }

    #[test]
    fn those_who_make_up_for_missed_times_do_not_begin_together() {
        let plan = Uid::from_parts(0, u128::MAX);
        let jitter = Duration::from_mins(20);
        let nightly = Agenda::new(&Timetable { jitter, ..timetable("30 1 * * *") }, plan).unwrap();
        let now = at("2026-11-22T08:00Z");
        let woken = Standing { awake_since: now, ..standing("2026-11-20T12:00Z") };
        let Step::Wait { until } = nightly.step(&woken, now) else { panic!("it begins at once") };
        assert!(until > now && until <= later(now, SPREAD), "{until}");
        assert_eq!(told(nightly.step(&woken, until)), "begin 22 01:30, 1 missed, late");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Somebody who looks every minute begins every time once, not before it is due, with the same delay each day.
        #[test]
        fn who_is_always_there_misses_nothing(
            random in any::<u128>(),
            hours in proptest::collection::btree_set(0..24u8, 1..4),
            minute in 0..60u8,
            jitter in 0..7_200u64,
            start in 1_772_000_000..1_780_000_000i64,
        ) {
            let hours = hours.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            let timetable = Timetable { jitter: Duration::from_secs(jitter), ..timetable(&format!("{minute} {hours} * * *")) };
            let agenda = Agenda::new(&timetable, Uid::from_parts(0, random >> 48)).unwrap();
            let start = Timestamp::from_second(start).unwrap();
            let end = later(start, Duration::from_hours(72));
            let mut standing = Standing { dealt_with: agenda.unshifted(start), awake_since: start, ..standing("2026-01-01T00:00Z") };
            let (mut now, mut begun) = (start, Vec::new());
            while now < end {
                match agenda.step(&standing, now) {
                    Step::Wait { until } => {
                        prop_assert!(until > now);
                        now = until.min(later(now, Duration::from_mins(1)));
                    }
                    Step::Begin { scheduled, missed, late } => {
                        prop_assert!(!late && missed == 0);
                        let put_off = now.duration_since(scheduled.timestamp());
                        prop_assert!(!put_off.is_negative() && put_off.as_secs() <= 7_200 + 60);
                        standing.dealt_with = scheduled.timestamp();
                        begun.push(scheduled);
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            let times = agenda.upcoming(start, begun.len() + 1);
            prop_assert!(times.iter().zip(&begun).all(|(due, begun)| due.scheduled == *begun));
            prop_assert!(times.last().is_none_or(|due| due.begins >= end));
        }

        /// Closed hours lose nothing, and what they hold begins when it is said, in hours that are open.
        #[test]
        fn what_closed_hours_hold_begins_when_it_is_said(
            random in any::<u128>(),
            (hour, minute) in (0..24u8, 0..60u8),
            jitter in 0..7_200u64,
            closed in proptest::collection::vec((0..24i8, 0..60i8, 1..400i32), 1..4),
            start in 1_772_000_000..1_780_000_000i64,
        ) {
            let window = |(hour, minute, long): (i8, i8, i32)| {
                let from = jiff::civil::time(hour, minute, 0, 0);
                Window { from, to: from.wrapping_add(jiff::Span::new().minutes(long)) }
            };
            let not_between: Vec<_> = closed.into_iter().map(window).collect();
            let cron = Cron { expression: format!("{minute} {hour} * * *"), time_zone: "UTC".into() };
            let jitter = Duration::from_secs(jitter);
            let timetable = Timetable { jitter, not_between: not_between.clone(), ..Timetable::of(cron) };
            let agenda = Agenda::new(&timetable, Uid::from_parts(0, random >> 48)).unwrap();
            let is_open = |at: Timestamp| !not_between.iter().any(|window| window.covers(at.to_zoned(jiff::tz::TimeZone::UTC).time()));
            let start = Timestamp::from_second(start).unwrap();
            let said = &agenda.upcoming(start, 1)[0];
            prop_assert!(is_open(said.begins), "{}", said.begins);
            let standing = Standing { dealt_with: agenda.unshifted(start), awake_since: start, ..standing("2026-01-01T00:00Z") };
            let mut now = start;
            let begun = loop {
                match agenda.step(&standing, now) {
                    Step::Wait { until } => {
                        prop_assert!(until > now);
                        now = until;
                    }
                    Step::Begin { late, .. } => {
                        prop_assert!(!late);
                        break now;
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            };
            prop_assert_eq!(begun, said.begins);
        }

        /// Whatever was missed, one run is enough, and then nothing is due.
        #[test]
        fn one_run_makes_up_for_everything(away in 3u64..4_000, step in 1u8..12, random in any::<u128>()) {
            let agenda = Agenda::new(&timetable(&format!("*/{} * * * *", step * 5)), Uid::from_parts(0, random >> 48)).unwrap();
            let start = at("2026-10-24T00:00Z");
            let now = later(start, Duration::from_mins(away));
            let mut standing = Standing { dealt_with: start, ..standing("2026-01-01T00:00Z") };
            if let Step::Begin { scheduled, .. } = agenda.step(&standing, now) {
                prop_assert!(scheduled.timestamp() <= now);
                standing.dealt_with = scheduled.timestamp();
            }
            let after = agenda.step(&standing, now);
            prop_assert!(matches!(after, Step::Wait { until } if until > now), "{:?}", after);
        }
    }
}
