//! Cron expressions.

use croner::Cron as Pattern;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::error::ScheduleError;
use crate::model::Cron;

/// Runs closer to each other than this are refused, in minutes.
const SHORTEST_INTERVAL: u16 = 5;

const MINUTES_OF_DAY: u16 = 24 * 60;

/// A schedule that is known to run.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// As it was written.
    whole: Pattern,
    /// One for each time of day, or the whole if it is an interval.
    patterns: Vec<Pattern>,
    zone: TimeZone,
    zone_name: String,
}

impl Schedule {
    /// Reads five fields and a time zone. Refuses what would never run, run too often, or mean two things.
    pub fn parse(cron: &Cron) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = cron.expression.split_whitespace().collect();
        let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
            return Err(ScheduleError::Fields { fields: fields.len() });
        };
        let zone = zone(&cron.time_zone)?;
        let whole = pattern(&cron.expression)?;
        let days = &whole.pattern;
        if !days.is_dom_wildcard() && !days.is_dow_wildcard() && !days.matches_dom_and_dow() {
            return Err(ScheduleError::AmbiguousDays { day_of_week: day_of_week.to_owned() });
        }
        let (minutes, hours) = (whole.pattern.minutes.values(), whole.pattern.hours.values());
        check_interval(&minutes, &hours)?;
        // The parser takes lists and ranges for intervals, which lose a run where the clock jumps forward and run
        // twice where it is set back. A single time is right in both cases.
        let patterns = if minute.contains('*') || hour.contains('*') {
            vec![whole.clone()]
        } else {
            let times = hours.iter().flat_map(|hour| minutes.iter().map(move |minute| (minute, hour)));
            times
                .map(|(minute, hour)| pattern(&format!("{minute} {hour} {day_of_month} {month} {day_of_week}")))
                .collect::<Result<_, _>>()?
        };
        let schedule = Self { whole, patterns, zone, zone_name: cron.time_zone.clone() };
        if schedule.next(Timestamp::UNIX_EPOCH).is_none() {
            return Err(ScheduleError::NeverRuns { expression: cron.expression.clone() });
        }
        Ok(schedule)
    }

    /// The first run after `after`, not at it.
    pub fn next(&self, after: Timestamp) -> Option<Zoned> {
        let after = after.to_zoned(self.zone.clone());
        self.patterns.iter().filter_map(|pattern| pattern.find_next_occurrence(&after, false).ok()).min()
    }

    /// A run at `at` or before, near the last one. Where the clock changes a later one may be nearer.
    pub fn previous(&self, at: Timestamp) -> Option<Zoned> {
        let at = at.to_zoned(self.zone.clone());
        self.patterns.iter().filter_map(|pattern| pattern.find_previous_occurrence(&at, true).ok()).max()
    }

    /// The zone that it is read in.
    pub fn zone(&self) -> TimeZone {
        self.zone.clone()
    }

    /// The first `count` runs after `after`.
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Zoned> {
        let following = |run: &Zoned| self.next(run.timestamp());
        std::iter::successors(self.next(after), following).take(count).collect()
    }

    /// The schedule in words, with its time zone.
    pub fn describe(&self) -> String {
        format!("{} ({})", self.whole.describe().trim_end_matches('.'), self.zone_name)
    }
}

/// The zone of a schedule's days; UTC without one.
pub fn zone_of(cron: Option<&Cron>) -> TimeZone {
    cron.and_then(|cron| TimeZone::get(&cron.time_zone).ok()).unwrap_or(TimeZone::UTC)
}

fn pattern(expression: &str) -> Result<Pattern, ScheduleError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|error| ScheduleError::Malformed {
        expression: expression.to_owned(),
        reason: reason(&error.to_string()),
    })
}

/// What the parser says, as a fragment.
fn reason(said: &str) -> String {
    let said = said.trim_start_matches("Component error: ").trim_end_matches('.').replace(char::is_control, "?");
    let mut chars = said.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn check_interval(minutes: &[u16], hours: &[u16]) -> Result<(), ScheduleError> {
    let mut times: Vec<u16> =
        hours.iter().flat_map(|hour| minutes.iter().map(move |minute| hour * 60 + minute)).collect();
    times.sort_unstable();
    // A whole day, and on into the next.
    let day = times.len();
    let on: Vec<u16> = (0..3).flat_map(|next| times.iter().map(move |time| time + next * MINUTES_OF_DAY)).collect();
    match on.windows(3).take(day).find(|runs| runs[1] - runs[0] < SHORTEST_INTERVAL) {
        None => Ok(()),
        Some(runs) => {
            let shown = |run: u16| format!("{:02}:{:02}", run % MINUTES_OF_DAY / 60, run % 60);
            Err(ScheduleError::TooOften { runs: [shown(runs[0]), shown(runs[1]), shown(runs[2])] })
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    TimeZone::get(name).map_err(|_| {
        let similar = jiff::tz::db()
            .available()
            .map(|known| (strsim::osa_distance(&name.to_lowercase(), &known.as_str().to_lowercase()), known))
            .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| known.to_string());
        ScheduleError::UnknownZone { name: name.to_owned(), similar }
    })
}

/// The names of all time zones, in their order.
pub fn time_zones() -> Vec<String> {
    let mut names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(expression: &str, zone: &str) -> Result<Schedule, ScheduleError> {
        Schedule::parse(&Cron { expression: expression.into(), time_zone: zone.into() })
    }

    fn runs(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let upcoming = schedule(expression, zone).unwrap().upcoming(after.parse().unwrap(), count);
        upcoming.iter().map(|run| run.strftime("%m-%d %H:%M%:::z").to_string()).collect()
    }

    #[test]
    fn the_clock_changes_and_every_run_happens_once() {
        let warsaw = "Europe/Warsaw";
        let cases: &[(&str, &str, &str, &[&str])] = &[
            ("30 2 * * *", warsaw, "2026-03-28T12:00Z", &["03-29 03:00+02", "03-30 02:30+02"]),
            ("0 3 * * *", warsaw, "2026-03-28T12:00Z", &["03-29 03:00+02", "03-30 03:00+02"]),
            ("30 2 * * *", warsaw, "2026-10-24T12:00Z", &["10-25 02:30+02", "10-26 02:30+01"]),
            ("30 2 * * *", warsaw, "2026-10-25T01:10Z", &["10-26 02:30+01"]),
            (
                "*/30 * * * *",
                warsaw,
                "2026-10-24T23:50Z",
                &["10-25 02:00+02", "10-25 02:30+02", "10-25 02:00+01", "10-25 02:30+01", "10-25 03:00+01"],
            ),
            ("*/30 * * * *", warsaw, "2026-03-29T00:20Z", &["03-29 01:30+01", "03-29 03:00+02", "03-29 03:30+02"]),
            ("0 2,14 * * *", warsaw, "2026-03-28T20:00Z", &["03-29 03:00+02", "03-29 14:00+02", "03-30 02:00+02"]),
            ("0 2,14 * * *", warsaw, "2026-10-24T20:00Z", &["10-25 02:00+02", "10-25 14:00+01", "10-26 02:00+01"]),
            ("0,30 2 * * *", warsaw, "2026-03-28T20:00Z", &["03-29 03:00+02", "03-30 02:00+02", "03-30 02:30+02"]),
            ("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", &["03-08 03:00-04", "03-09 02:30-04"]),
            ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", &["11-01 01:30-04", "11-02 01:30-05"]),
            ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", &["10-04 02:30+11", "10-05 02:15+11"]),
            ("0 0 * * *", "Africa/Cairo", "2026-04-22T12:00Z", &["04-23 00:00+02", "04-24 01:00+03", "04-25 00:00+03"]),
            (
                "0 0 * * *",
                "America/Santiago",
                "2026-09-04T12:00Z",
                &["09-05 00:00-04", "09-06 01:00-03", "09-07 00:00-03"],
            ),
            (
                "30 23 * * *",
                "America/Santiago",
                "2026-04-03T12:00Z",
                &["04-03 23:30-03", "04-04 23:30-03", "04-05 23:30-04"],
            ),
            ("30 2 * * *", "Antarctica/Troll", "2026-03-28T12:00Z", &["03-29 03:00+02", "03-30 02:30+02"]),
            (
                "0 2 L * *",
                warsaw,
                "2026-01-15T00:00Z",
                &["01-31 02:00+01", "02-28 02:00+01", "03-31 02:00+02", "04-30 02:00+02"],
            ),
            ("0 2 13 * +5", warsaw, "2026-02-01T00:00Z", &["02-13 02:00+01", "03-13 02:00+01"]),
            ("0 2 * * 0", warsaw, "2026-02-01T12:00Z", &["02-08 02:00+01"]),
            ("0 2 * * 7", warsaw, "2026-02-01T12:00Z", &["02-08 02:00+01"]),
        ];
        for (expression, zone, after, expected) in cases {
            assert_eq!(runs(expression, zone, after, expected.len()), *expected, "{expression} {zone} {after}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let refused = |expression: &str| schedule(expression, "UTC").unwrap_err();
        for malformed in ["0 22-2 * * *", "60 * * * *", "*/0 * * * *", "0 2 * * 8", "0 2 * * \u{1b}", "a b c d e"] {
            let error = refused(malformed);
            assert!(matches!(error, ScheduleError::Malformed { .. }), "{malformed}: {error:?}");
            assert!(error.hint().is_some());
        }
        assert_eq!(refused("0 0 2 * * *"), ScheduleError::Fields { fields: 6 });
        assert_eq!(refused("@daily"), ScheduleError::Fields { fields: 1 });
        assert_eq!(refused(""), ScheduleError::Fields { fields: 0 });
        assert_eq!(refused("0 2 13 * 5"), ScheduleError::AmbiguousDays { day_of_week: "5".into() });
        assert_eq!(refused("0 2 30 2 *"), ScheduleError::NeverRuns { expression: "0 2 30 2 *".into() });
        for (often, expected) in [
            ("* * * * *", ["00:00", "00:01", "00:02"]),
            ("*/4 * * * *", ["00:00", "00:04", "00:08"]),
            ("0,3 2 * * *", ["02:00", "02:03", "02:00"]),
            ("58,2 * * * *", ["00:58", "01:02", "01:58"]),
            ("2,58 0,23 * * *", ["23:58", "00:02", "00:58"]),
        ] {
            assert_eq!(refused(often), ScheduleError::TooOften { runs: expected.map(str::to_owned) }, "{often}");
        }
        for fine in ["*/5 * * * *", "58,3 * * * *", "0 2 29 2 *", "0 2 * * MON-FRI"] {
            assert!(schedule(fine, "UTC").is_ok(), "{fine}");
        }
    }

    #[test]
    fn an_unknown_zone_is_named_with_the_nearest() {
        let error = schedule("0 2 * * *", "Europe/Warsawa").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean \"Europe/Warsaw\"?");
        assert!(schedule("0 2 * * *", "nowhere at all").is_err());
    }

    #[test]
    fn the_description_is_readable() {
        let text = schedule("30 1 * * *", "Europe/Warsaw").unwrap().describe();
        assert!(text.contains("01:30") && text.ends_with("(Europe/Warsaw)"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn runs_follow_each_other(minute in 0..60u8, hours in proptest::collection::vec(0..24u8, 1..4), start in 0..2_000_000_000i64) {
            let hours = hours.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            let schedule = schedule(&format!("{minute} {hours} * * *"), "Australia/Lord_Howe").unwrap();
            let start = Timestamp::from_second(start).unwrap();
            let runs = schedule.upcoming(start, 5);
            prop_assert_eq!(runs.len(), 5);
            prop_assert!(runs[0].timestamp() > start);
            prop_assert!(runs.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
