//! When a plan runs by itself.

use std::fmt;
use std::time::Duration;

use jiff::Zoned;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};

/// A schedule as it is written: five cron fields and a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    /// Minute, hour, day of month, month, day of week.
    pub expression: String,
    /// An IANA time zone, `UTC` if the file does not name one.
    pub time_zone: String,
}

/// When a plan runs by itself, and what happens when it cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timetable {
    /// The times.
    #[serde(flatten)]
    pub cron: Cron,
    /// How far runs may be put off, so that plans with the same times do not begin together. Zero for not at all.
    #[serde(default)]
    pub jitter: Duration,
    /// What happens with a time at which nothing could run.
    #[serde(default)]
    pub missed: Missed,
    /// What happens at a time at which the run before is still under way.
    #[serde(default)]
    pub overlap: Overlap,
    /// The hours in which no repository is begun, in the schedule's time zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_between: Vec<Window>,
}

impl Timetable {
    /// The times alone, with everything else as it is where the file does not say it.
    pub fn of(cron: Cron) -> Self {
        Self {
            cron,
            jitter: Duration::ZERO,
            missed: Missed::default(),
            overlap: Overlap::default(),
            not_between: Vec::new(),
        }
    }
}

/// Hours of every day, by the wall clock: from the first time to before the second, over midnight if that is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// When it begins.
    pub from: Time,
    /// When it is over.
    pub to: Time,
}

impl Window {
    /// Whether the wall clock's time is in it.
    pub fn covers(&self, time: Time) -> bool {
        if self.from <= self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }

    /// The first instant at or after `at` at which it is over; `at` itself if that is outside.
    pub fn end(&self, at: &Zoned) -> Zoned {
        if !self.covers(at.time()) {
            return at.clone();
        }
        // Where the clock is set back in the window, its end is the one that comes after.
        (0..=2).filter_map(|days| on(at, days, self.to)).find(|end| end > at).unwrap_or_else(|| at.clone())
    }

    /// When it was over last, at `at` or before.
    pub fn ended(&self, at: &Zoned) -> Option<Zoned> {
        (-2..=0).rev().filter_map(|days| on(at, days, self.to)).find(|end| end <= at)
    }

    /// When it begins next, after `at`.
    pub fn next_from(&self, at: &Zoned) -> Option<Zoned> {
        (0..=2).filter_map(|days| on(at, days, self.from)).find(|from| from > at)
    }
}

/// The time of the wall clock, so many days after the day of `at`.
fn on(at: &Zoned, days: i8, time: Time) -> Option<Zoned> {
    let date = at.date().saturating_add(jiff::Span::new().days(days));
    date.to_datetime(time).to_zoned(at.time_zone().clone()).ok()
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

/// What happens with times at which nothing could run, because nothing was there to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// They are passed over.
    Skip,
    /// One run makes up for all of them, unless the last is longer ago than this.
    RunOnce {
        /// How long ago the last of them may be.
        within: Duration,
    },
}

impl Missed {
    /// How long a missed run is worth making up for, where the file does not say it.
    pub const WITHIN: Duration = Duration::from_hours(12);

    /// The words of the language.
    pub const WORDS: [&'static str; 2] = ["run-once", "skip"];

    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunOnce { .. } => Self::WORDS[0],
            Self::Skip => Self::WORDS[1],
        }
    }
}

impl Default for Missed {
    fn default() -> Self {
        Self::RunOnce { within: Self::WITHIN }
    }
}

/// What happens at a time at which the run before is still under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// Nothing runs at that time.
    #[default]
    Skip,
    /// One run waits until the one before is over.
    Queue,
}

impl Overlap {
    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_over_when_the_wall_clock_says_so() {
        let window = |from: &str, to: &str| Window { from: from.parse().unwrap(), to: to.parse().unwrap() };
        let (day, night) = (window("08:00", "18:00"), window("22:00", "06:00"));
        let autumn = window("01:30", "02:30");
        for (window, at, end) in [
            (day, "2026-11-23T07:59[Europe/Warsaw]", "2026-11-23T07:59[Europe/Warsaw]"),
            (day, "2026-11-23T08:00[Europe/Warsaw]", "2026-11-23T18:00[Europe/Warsaw]"),
            (day, "2026-11-23T18:00[Europe/Warsaw]", "2026-11-23T18:00[Europe/Warsaw]"),
            (night, "2026-11-23T23:00[Europe/Warsaw]", "2026-11-24T06:00[Europe/Warsaw]"),
            (night, "2026-11-24T05:59[Europe/Warsaw]", "2026-11-24T06:00[Europe/Warsaw]"),
            (autumn, "2026-10-25T02:10+02:00[Europe/Warsaw]", "2026-10-25T02:30+02:00[Europe/Warsaw]"),
            (window("02:00", "02:30"), "2026-03-29T03:10[Europe/Warsaw]", "2026-03-29T03:10[Europe/Warsaw]"),
        ] {
            let at: Zoned = at.parse().unwrap();
            assert_eq!(window.end(&at), end.parse::<Zoned>().unwrap(), "{window} at {at}");
        }
        // The second 02:10 of the night in which the clock is set back.
        let again: Zoned = "2026-10-25T02:10+01:00[Europe/Warsaw]".parse().unwrap();
        let end = autumn.end(&again);
        assert!(end > again && !autumn.covers(end.time()), "{end}");
    }

    #[test]
    fn a_state_that_knows_only_the_times_can_be_read() {
        let stored = r#"{"expression":"30 1 * * *","time_zone":"UTC"}"#;
        let cron = Cron { expression: "30 1 * * *".into(), time_zone: "UTC".into() };
        assert_eq!(serde_json::from_str::<Timetable>(stored).unwrap(), Timetable::of(cron));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let cron = Cron { expression: "15 * * * *".into(), time_zone: "Europe/Warsaw".into() };
        let timetable = Timetable {
            jitter: Duration::from_mins(20),
            missed: Missed::Skip,
            overlap: Overlap::Queue,
            ..Timetable::of(cron)
        };
        let stored = serde_json::to_string(&timetable).unwrap();
        assert_eq!(serde_json::from_str::<Timetable>(&stored).unwrap(), timetable);
    }
}
