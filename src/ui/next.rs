//! What runs next, for people and for programs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::status::remark;
use super::{Side, Style, Table, millis};
use crate::daemon::{NextRuns, Outlook};
use crate::model::command_with;
use crate::schedule::Due;

/// Renders within `width` columns; what explains is put on lines of at most 80. Times are those of the plan's zone;
/// `options` lead the commands that are told to the same file and state.
pub fn render(runs: &[NextRuns], now: Timestamp, options: &str, style: Style, width: usize) -> String {
    let columns = [
        ("PLAN", Side::Left),
        ("BEGINS", Side::Whole),
        ("IN", Side::Right),
        ("SCHEDULED", Side::Whole),
        ("TIME ZONE", Side::Whole),
    ];
    let mut table = Table::new(&columns, width, style);
    let mut remarks = String::new();
    let mut remark =
        |next: &NextRuns, text: &str, mark| remarks.push_str(&remark(next.plan.as_str(), text, mark, style));
    for next in runs {
        let times = match &next.outlook {
            Outlook::ByHand => {
                let run = command_with(&format!("run {}", next.plan), options);
                remark(next, &format!("has no schedule; start it with `{run}`"), "#");
                &[][..]
            }
            Outlook::Unreadable { why } => {
                remark(next, &format!("its schedule cannot be followed here: {why}"), "!");
                &[]
            }
            Outlook::Paused { reason, until: None, then } => {
                remark(next, &format!("paused without an end: {reason}"), "!");
                &then[..]
            }
            Outlook::Paused { reason, until: Some(_), then } => {
                remark(next, &format!("paused before that: {reason}"), "#");
                &then[..]
            }
            Outlook::Runs { makes_up_for, times } => {
                if let Some(missed) = makes_up_for {
                    let missed = missed.strftime("%Y-%m-%d %H:%M");
                    let watch = command_with("watch", options);
                    remark(next, &format!("nothing ran at {missed}: `{watch}` makes up for it"), "!");
                }
                &times[..]
            }
        };
        for due in times {
            let zone = due.scheduled.time_zone().clone();
            table.row([
                next.plan.to_string(),
                due.begins.to_zoned(zone).strftime("%a %Y-%m-%d %H:%M").to_string(),
                until(due.begins, now),
                due.scheduled.strftime("%H:%M").to_string(),
                due.scheduled.strftime("%Q").to_string(),
            ]);
        }
    }
    let any = runs.iter().any(|next| !times(&next.outlook).is_empty());
    let table = if any { table.render() } else { String::new() };
    let gap = if any && !remarks.is_empty() { "\n" } else { "" };
    format!("{table}{gap}{remarks}")
}

fn times(outlook: &Outlook) -> &[Due] {
    match outlook {
        Outlook::ByHand | Outlook::Unreadable { .. } => &[],
        Outlook::Paused { then: times, .. } | Outlook::Runs { times, .. } => times,
    }
}

/// How long it is until then, roughly.
fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    match left.as_hours() {
        ..1 => format!("{} min", left.as_mins().max(0) + i64::from(left.as_secs() % 60 > 0)),
        1..48 => millis(i64::try_from(left.as_millis()).unwrap_or(i64::MAX)),
        hours => format!("{} days", hours / 24),
    }
}

/// What `xopero next --json` prints after its first line: one line for each plan.
pub fn to_json_lines(runs: &[NextRuns]) -> Vec<Value> {
    let line = |next: &NextRuns| {
        let times: Vec<Value> = times(&next.outlook).iter().map(time).collect();
        let mut line = json!({ "type": "next", "plan": next.plan, "times": times });
        let (state, more) = match &next.outlook {
            Outlook::ByHand => ("by-hand", json!({})),
            Outlook::Unreadable { why } => ("unreadable", json!({ "reason": why })),
            Outlook::Paused { reason, until, .. } => ("paused", json!({ "reason": reason, "paused_until": until })),
            Outlook::Runs { makes_up_for, .. } => {
                ("scheduled", json!({ "makes_up_for": makes_up_for.as_ref().map(|missed| missed.timestamp()) }))
            }
        };
        line["state"] = json!(state);
        for (key, value) in more.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            line[key] = value.clone();
        }
        line
    };
    runs.iter().map(line).collect()
}

fn time(due: &Due) -> Value {
    json!({
        "begins": due.begins,
        "scheduled": due.scheduled.timestamp(),
        "time_zone": due.scheduled.time_zone().iana_name(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cron, Timetable, Uid};
    use crate::schedule::Agenda;

    fn sample() -> Vec<NextRuns> {
        let agenda = |expression: &str, zone: &str| {
            let cron = Cron { expression: expression.into(), time_zone: zone.into() };
            Agenda::new(&Timetable::of(cron), Uid::from_parts(0, 0)).unwrap()
        };
        let times = |expression, zone| agenda(expression, zone).upcoming(now(), 1);
        let next = |plan: &str, outlook| NextRuns { plan: plan.parse().unwrap(), outlook };
        let missed = "2026-11-22T01:30[Europe/Warsaw]".parse().unwrap();
        vec![
            next("hot", Outlook::Runs { makes_up_for: None, times: times("15 * * * *", "UTC") }),
            next("nightly", Outlook::Runs { makes_up_for: Some(missed), times: times("30 1 * * *", "Europe/Warsaw") }),
            next(
                "weekly",
                Outlook::Paused {
                    reason: "the storage is being moved".into(),
                    until: Some("2026-12-01T00:00Z".parse().unwrap()),
                    then: agenda("0 2 * * 0", "UTC").upcoming("2026-12-01T00:00Z".parse().unwrap(), 1),
                },
            ),
            next("by-hand", Outlook::ByHand),
            next("lost", Outlook::Unreadable { why: "there is no time zone \"Mars\"".into() }),
        ]
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:10Z".parse().unwrap()
    }

    #[test]
    fn the_text_fits_and_explains() {
        let text = render(&sample(), now(), "", Style::default(), 80);
        let expected = "\
PLAN     BEGINS                         IN  SCHEDULED  TIME ZONE
hot      Sun 2026-11-22 12:15       15 min  12:15      UTC
nightly  Mon 2026-11-23 01:30  12 h 29 min  01:30      Europe/Warsaw
weekly   Sun 2026-12-06 02:00      13 days  02:00      UTC

  ! nightly: nothing ran at 2026-11-22 01:30: `xopero watch` makes up for it
  # weekly: paused before that: the storage is being moved
  # by-hand: has no schedule; start it with `xopero run by-hand`
  ! lost: its schedule cannot be followed here: there is no time zone \"Mars\"
";
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines.join("\n") + "\n", expected);
    }

    #[test]
    fn programs_are_told_the_same() {
        let lines = to_json_lines(&sample());
        let states: Vec<_> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["scheduled", "scheduled", "paused", "by-hand", "unreadable"]);
        assert_eq!(lines[1]["makes_up_for"], "2026-11-22T00:30:00Z");
        assert_eq!(lines[1]["times"][0]["begins"], "2026-11-23T00:30:00Z");
        assert_eq!(lines[1]["times"][0]["time_zone"], "Europe/Warsaw");
    }
}
