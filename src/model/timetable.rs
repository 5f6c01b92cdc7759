//! When a plan runs by itself.

use std::time::Duration;

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
}

impl Timetable {
    /// The times alone, with everything else as it is where the file does not say it.
    pub fn of(cron: Cron) -> Self {
        Self { cron, jitter: Duration::ZERO, missed: Missed::default(), overlap: Overlap::default() }
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
