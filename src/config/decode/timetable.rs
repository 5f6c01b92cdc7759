//! The `schedule` node of a plan.

use std::time::Duration;

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report};
use super::value::{duration, duration_of, time_of_day};
use crate::model::{Cron, Missed, Overlap, Timetable, Window};
use crate::schedule::{Schedule, ScheduleError};

/// Runs that are put off for longer than this are another schedule.
const LONGEST_JITTER: Duration = Duration::from_hours(24);

/// A schedule with what it says about jitter, missed runs and overlaps.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<Timetable> {
    let cron = cron(node, report);
    let jitter = node.child("jitter").map_or(Some(Duration::ZERO), |given| jitter(given, report));
    let missed = node.child("missed").map_or(Some(Missed::default()), |given| missed(given, report));
    let overlap = match node.child("overlap").map(Node::text) {
        None => Some(Overlap::default()),
        Some(word) => word
            .and_then(|(word, _)| [Overlap::Skip, Overlap::Queue].into_iter().find(|overlap| overlap.as_str() == word)),
    };
    let not_between = closed(node, report);
    Some(Timetable { cron: cron?, jitter: jitter?, missed: missed?, overlap: overlap?, not_between: not_between? })
}

/// The hours in which nothing is begun, in their order. They must leave some.
fn closed(node: &Node, report: &mut Report) -> Option<Vec<Window>> {
    let mut windows = Vec::new();
    let mut whole = true;
    for given in node.children_named("not-between") {
        let [from, to] = &given.args[..] else {
            whole = false;
            continue;
        };
        let (Some(start), Some(end)) = (time_of_day(from, report), time_of_day(to, report)) else {
            whole = false;
            continue;
        };
        if start == end {
            report.add(
                Diagnostic::error("xopero::invalid-time", "the hours end when they begin")
                    .at(to.span, "the same time")
                    .help("name the first minute that is closed and the first that is open again"),
            );
            whole = false;
        }
        let window = Window { from: start, to: end };
        if windows.contains(&window) {
            report.add(
                Diagnostic::error("xopero::duplicate", format!("the hours {window} are closed twice"))
                    .at(given.span, "said before")
                    .help("remove one of them"),
            );
            whole = false;
        }
        windows.push(window);
    }
    windows.sort_unstable();
    // If any minute is open, so is one at which some window ends.
    let open = |window: &Window| !windows.iter().any(|other| other.covers(window.to));
    if whole && !windows.is_empty() && !windows.iter().any(open) {
        report.add(
            Diagnostic::error("xopero::invalid-schedule", "the closed hours leave no minute of the day")
                .at(node.span, "never begins")
                .help("take one of the `not-between` out, or make it shorter"),
        );
        return None;
    }
    whole.then_some(windows)
}

fn cron(node: &Node, report: &mut Report) -> Option<Cron> {
    let (expression, span) = node.text()?;
    let zone = node.prop("tz").and_then(Value::text);
    let time_zone = zone.map_or("UTC", |(zone, _)| zone);
    // Written with single spaces, so that spaces alone are not a change.
    let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    let cron = Cron { expression, time_zone: time_zone.to_owned() };
    match Schedule::parse(&cron) {
        Ok(_) => Some(cron),
        Err(error) => {
            let place = match (&error, zone) {
                (ScheduleError::UnknownZone { .. }, Some((_, zone))) => zone,
                _ => span,
            };
            report.add(
                Diagnostic::error("xopero::invalid-schedule", error.to_string())
                    .at(place, error.label())
                    .maybe_help(error.hint()),
            );
            None
        }
    }
}

fn jitter(node: &Node, report: &mut Report) -> Option<Duration> {
    let found = duration(node, Duration::from_secs(1), report)?;
    if found > LONGEST_JITTER {
        report.add(
            Diagnostic::error("xopero::invalid-duration", "runs can be put off for a day at most")
                .at(node.args[0].span, "longer than 24 hours")
                .help("another schedule may be what is meant"),
        );
        return None;
    }
    Some(found)
}

fn missed(node: &Node, report: &mut Report) -> Option<Missed> {
    let (word, _) = node.text()?;
    let within = node.prop("within");
    if word == Missed::Skip.as_str() {
        if let Some(within) = within {
            report.add(
                Diagnostic::error("xopero::extra-property", "`missed \"skip\"` makes up for nothing")
                    .at(within.span, "no time to look back on")
                    .at(node.args[0].span, "missed runs are passed over")
                    .help("remove `within`, or write missed \"run-once\""),
            );
        }
        return Some(Missed::Skip);
    }
    if word != Missed::default().as_str() {
        return None;
    }
    match within {
        None => Some(Missed::default()),
        Some(_) => {
            duration_of(within, "within", Duration::from_mins(1), report).map(|within| Missed::RunOnce { within })
        }
    }
}
