//! Many runs, in short.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::wrap::{WIDTH, wrap};
use super::super::{Side, Style, Table, count, shown};
use super::{counts, length, painted};
use crate::model::Waiting;
use crate::run::record::RunRecord;
use crate::state::{ABANDONED, RUNNING};

/// Letters of an id that are shown at least: the time.
const SHORTEST_ID: usize = 10;

/// Renders runs. Within the columns of a terminal each has two lines or three; where there is room, one, with a column
/// for everything.
pub fn list(runs: &[RunRecord], now: Timestamp, width: usize, style: Style) -> String {
    if width <= WIDTH { blocks(runs, now, style) } else { table(runs, now, width, style) }
}

fn blocks(runs: &[RunRecord], now: Timestamp, style: Style) -> String {
    let letters = telling_letters(runs);
    let mut text = String::new();
    for run in runs {
        let id = run.run.to_string();
        let started = run.started.strftime("%Y-%m-%d %H:%M");
        let only = run.only.as_ref().map(|slug| format!(", {slug} only")).unwrap_or_default();
        let took = match took(run, now) {
            Some(took) if run.state == RUNNING => format!(" for {took}"),
            Some(took) => format!(" in {took}"),
            None => String::new(),
        };
        let plan = shown(run.plan.as_str());
        let (id, state) = (style.bold(&id[..letters]), painted(&run.state, style));
        writeln!(text, "{id}  {started}  {plan}{only}: {state}{took}").expect("strings take everything");
        let facts = facts(run);
        text.push_str(&wrap("    ", 4, facts.split(' ')).join("\n"));
        text.push('\n');
    }
    text
}

/// How long a run took, or is taking. When a killed one ended, nobody knows.
fn took(run: &RunRecord, now: Timestamp) -> Option<String> {
    let end = match run.finished {
        Some(finished) => finished,
        None if run.state == ABANDONED => return None,
        None => now,
    };
    Some(super::millis(end.as_millisecond() - run.started.as_millisecond()))
}

fn facts(run: &RunRecord) -> String {
    let mut facts = vec![counts(&run.totals)];
    if let Some(costs) = &run.costs {
        let mut words = vec![count(costs.requests, "request")];
        if costs.rate_limited > 0 {
            words.push(format!("{} refused with 429", costs.rate_limited));
        }
        if costs.exchanges > 0 {
            words.push(count(costs.exchanges, "exchange"));
        }
        if costs.throttled_waits > 0 {
            words.push(format!("throttled for {}", length(costs.throttled_ms)));
        }
        facts.push(words.join(", "));
    }
    facts.extend(run.waiting.as_ref().map(|waiting| waiting_words(waiting, &run.state)));
    facts.extend(run.resumes.map(|resumed| format!("resumes {resumed}")));
    facts.join("; ")
}

/// What waits for budget, or did when the run was killed.
pub(super) fn waiting_words(waiting: &Waiting, state: &str) -> String {
    let Waiting { tasks, since, until } = waiting;
    let tasks = count(*tasks, "task");
    let (since, until) = (since.strftime("%H:%M:%S"), until.strftime("%H:%M:%S"));
    if state == RUNNING {
        format!("{tasks} throttled since {since}, until {until} UTC at least")
    } else {
        format!("{tasks} throttled since {since} when it ended")
    }
}

/// Letters of ids that tell the runs apart. Commands take beginnings.
fn telling_letters(runs: &[RunRecord]) -> usize {
    let ids: Vec<String> = runs.iter().map(|run| run.run.to_string()).collect();
    let common = |one: &str, other: &str| one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    // They are in the order of their ids.
    let longest = ids.windows(2).map(|pair| common(&pair[0], &pair[1]) + 1).max();
    longest.unwrap_or(0).max(SHORTEST_ID)
}

fn table(runs: &[RunRecord], now: Timestamp, width: usize, style: Style) -> String {
    let columns = [
        ("RUN", Side::Whole),
        ("PLAN", Side::Whole),
        ("STARTED (UTC)", Side::Whole),
        ("TOOK", Side::Whole),
        ("OUTCOME", Side::Whole),
        ("NEW", Side::Right),
        ("CHANGED", Side::Right),
        ("UNCHANGED", Side::Right),
        ("FAILED", Side::Right),
        ("REQUESTS", Side::Right),
        ("429", Side::Right),
        ("EXCHANGES", Side::Right),
        ("THROTTLED", Side::Whole),
        ("ONLY", Side::Whole),
        ("RESUMES", Side::Whole),
    ];
    let mut table = Table::new(&columns, width, style);
    for run in runs {
        let cost = |of: fn(&crate::run::record::Costs) -> u64| {
            run.costs.as_ref().map_or_else(|| "-".to_owned(), |costs| of(costs).to_string())
        };
        let throttled = run.costs.as_ref().filter(|costs| costs.throttled_waits > 0);
        table.row([
            run.run.to_string(),
            run.plan.to_string(),
            run.started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            took(run, now).unwrap_or_else(|| "-".to_owned()),
            run.state.clone(),
            run.totals.new.to_string(),
            run.totals.changed.to_string(),
            run.totals.unchanged.to_string(),
            run.totals.failed.to_string(),
            cost(|costs| costs.requests),
            cost(|costs| costs.rate_limited),
            cost(|costs| costs.exchanges),
            throttled.map_or_else(|| "-".to_owned(), |costs| length(costs.throttled_ms)),
            run.only.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            run.resumes.map_or_else(|| "-".to_owned(), |resumed| resumed.to_string()),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, records};
    use super::*;

    const PLAIN: Style = Style { color: false };

    #[test]
    fn a_list_reads_like_this() {
        let text = list(&records(), at("2026-11-23T00:42:00Z"), 80, PLAIN);
        let expected = include_str!("../../../tests/fixtures/ui/runs.txt");
        assert_eq!(text, expected, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let coloured = list(&records(), at("2026-11-23T00:42:00Z"), 80, Style { color: true });
        assert!(coloured.contains("\u{1b}[33mpartial\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn where_there_is_room_a_run_is_one_line() {
        let text = list(&records(), at("2026-11-23T00:42:00Z"), usize::MAX, PLAIN);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("4 min 2 s") && text.contains("UNCHANGED"), "{text}");
    }

    #[test]
    fn runs_of_the_same_moment_are_told_apart() {
        let mut two = records();
        two.truncate(2);
        two[0].run = crate::model::RunId::from_parts(two[1].run.millis(), 99 << 70);
        assert!(telling_letters(&two) > SHORTEST_ID);
        assert_eq!(list(&[], at("2026-11-23T00:42:00Z"), 80, PLAIN), "");
    }
}
