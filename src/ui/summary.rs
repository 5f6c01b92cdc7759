//! The end of a run, for people.

use std::fmt::Write as _;

use super::failure::failure;
use super::shown::shown_explanation;
use super::wrap::{paragraph, wrap};
use super::{Side, Style, Table, bytes, count, millis, shown};
use crate::model::command_with;
use crate::run::{Outcome, Summary, TaskReport, TaskResult};

/// Rows of changed repositories that are shown.
const ROWS: usize = 20;

/// Notes of repositories that are shown.
const NOTES: usize = 5;

/// Where what stands behind a label begins.
const LABEL: usize = 16;

macro_rules! line {
    ($text:expr, $($arguments:tt)*) => {
        writeln!($text, $($arguments)*).expect("strings take everything")
    };
}

/// Renders a summary within `width` columns. `options` lead the commands that are told to the same file and state.
/// Explanations are put on lines that fit only for a `terminal`.
pub fn render(summary: &Summary, options: &str, style: Style, width: usize, terminal: bool) -> String {
    let mut text = String::new();
    headline(&mut text, summary, options, style);
    figures(&mut text, summary);
    changed(&mut text, summary, style, width);
    notes(&mut text, summary, style, terminal);
    failures(&mut text, summary, style, terminal);
    if summary.outcome != Outcome::Done || summary.ledger.throttled_waits > 0 {
        let show = command_with(&format!("runs show {}", summary.run), options);
        line!(text, "\n`{show}` shows accounts, waits and failures");
    }
    text
}

fn headline(text: &mut String, summary: &Summary, options: &str, style: Style) {
    let took = millis(summary.finished.as_millisecond() - summary.started.as_millisecond());
    let outcome = match summary.outcome {
        Outcome::Done => style.green("done"),
        Outcome::Partial => style.yellow("partial"),
        Outcome::Failed => style.red("failed"),
        Outcome::Interrupted => style.yellow("interrupted"),
    };
    line!(text, "Plan {}: {outcome} in {took}", summary.plan);
    line!(text, "  run           {}", summary.run);
    let out_of_time = summary.out_of_time;
    if out_of_time {
        let limit = summary.max_duration_ms.map(|limit| millis(i64::try_from(limit).unwrap_or(i64::MAX)));
        line!(text, "  time          it may take {}, and had to end", limit.unwrap_or_default());
    }
    if (out_of_time || summary.outcome == Outcome::Interrupted) && summary.only.is_none() {
        let resume = command_with(&format!("run {} --resume", summary.plan), options);
        line!(text, "  next          `{resume}` goes on with the rest");
    } else if summary.outcome == Outcome::Interrupted {
        line!(text, "  next          run it again: what is stored stays, and is not taken twice");
    }
}

fn figures(text: &mut String, summary: &Summary) {
    let totals = &summary.totals;
    let mut counts = format!(
        "{} new, {} changed, {} unchanged, {} failed",
        totals.new, totals.changed, totals.unchanged, totals.failed
    );
    let left =
        [(totals.interrupted, "interrupted"), (totals.throttled, "throttled"), (totals.not_reached, "not reached")];
    for (count, word) in left.iter().filter(|(count, _)| *count > 0) {
        write!(counts, ", {count} {word}").expect("strings take everything");
    }
    let lines = wrap("  repositories", LABEL, std::iter::once("").chain(counts.split(' ')));
    line!(text, "{}", lines.join("\n"));
    if let Some(run) = summary.resumes {
        line!(text, "  done before   {} by run {run}", totals.carried);
    }
    line!(text, "  received      {} ({} objects)", bytes(totals.received), totals.objects);
    line!(text, "  stored        {}", bytes(totals.stored));
    let ledger = &summary.ledger;
    let mut label = "requests";
    for (account, count) in &ledger.requests {
        let limited = ledger.rate_limited.get(account).copied().unwrap_or(0);
        let limited = if limited > 0 { format!(" ({limited} rate-limited)") } else { String::new() };
        line!(text, "  {label:<12}  {count:>5} as {}{limited}", shown(account.as_str()));
        label = "";
    }
    if ledger.exchanges > 0 {
        let parts = [(ledger.exchanges_ahead, "before a refusal"), (ledger.exchanges_for_room, "for room")];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let parts = if parts.is_empty() { parts } else { format!(" ({parts})") };
        line!(text, "  exchanges     {}{parts}", ledger.exchanges);
    }
    if ledger.paced_ms >= 1000 {
        let waited = i64::try_from(ledger.paced_ms).unwrap_or(i64::MAX);
        line!(text, "  paced         {} for tokens and answers, summed over tasks", millis(waited));
    }
    for busy in &summary.servers_busy {
        let waited = millis(i64::try_from(busy.waited_millis).unwrap_or(i64::MAX));
        let (server, rests) = (shown(busy.server.as_str()), count(busy.rests, "rest"));
        line!(text, "  busy          server {server}: {waited} in {rests}; as few as {} at once", busy.lowest);
    }
    if ledger.throttled_waits > 0 {
        let waited = millis(i64::try_from(ledger.throttled_ms).unwrap_or(i64::MAX));
        let waits = count(ledger.throttled_waits, "wait");
        line!(text, "  throttled     {waits} for budget, {waited} summed over tasks");
    }
}

fn changed(text: &mut String, summary: &Summary, style: Style, width: usize) {
    let written =
        |task: &&TaskReport| task.carried.is_none() && matches!(task.result, TaskResult::New | TaskResult::Changed);
    let total = summary.tasks.iter().filter(written).count();
    if total == 0 {
        return;
    }
    let columns = [
        ("REPOSITORY", Side::Name),
        ("RESULT", Side::Left),
        ("REFS", Side::Right),
        ("OBJECTS", Side::Right),
        ("RECEIVED", Side::Right),
    ];
    let mut table = Table::new(&columns, width, style);
    for task in summary.tasks.iter().filter(written).take(ROWS) {
        table.row([
            task.name.to_string(),
            task.result.as_str().to_owned(),
            task.references.to_string(),
            task.objects.to_string(),
            bytes(task.received),
        ]);
    }
    line!(text, "");
    text.push_str(&table.render());
    if total > ROWS {
        line!(text, "… and {} more", total - ROWS);
    }
}

fn notes(text: &mut String, summary: &Summary, style: Style, terminal: bool) {
    let suspects = summary.tasks.iter().filter_map(|task| Some((&task.name, task.suspect.as_ref()?)));
    let suspects = suspects.map(|(name, why)| format!("{name} is suspect: {why}; earlier snapshots are kept"));
    let mut lines: Vec<String> = summary.warnings.iter().cloned().chain(suspects).collect();
    let mut by_note: std::collections::BTreeMap<&str, Vec<String>> = std::collections::BTreeMap::new();
    for task in &summary.tasks {
        for note in &task.notes {
            by_note.entry(note).or_default().push(task.name.to_string());
        }
    }
    lines.extend(by_note.iter().take(NOTES).map(|(note, names)| match names.as_slice() {
        [name] => format!("{name}: {note}"),
        names => format!("{} repositories: {note}", names.len()),
    }));
    if by_note.len() > NOTES {
        lines.push(format!("{} more kinds of notes are in the record of the run", by_note.len() - NOTES));
    }
    if lines.is_empty() {
        return;
    }
    line!(text, "");
    for note in lines {
        let label = ("note:", style.yellow("note:"));
        line!(text, "{}", paragraph("", (label.0, &label.1), &shown_explanation(&note), terminal));
    }
}

fn failures(text: &mut String, summary: &Summary, style: Style, terminal: bool) {
    let projects = summary.projects_failed.iter();
    let projects = projects.map(|failed| (format!("project {}", failed.project), &failed.error, &failed.hint));
    let destinations = summary.destinations_failed.iter();
    let destinations =
        destinations.map(|failed| (format!("destination {}", failed.destination), &failed.error, &failed.hint));
    let failed = summary.tasks.iter().filter(|task| task.result == TaskResult::Failed);
    let tasks = failed.map(|task| (task.name.to_string(), &task.error, &task.hint));
    for (name, error, hint) in destinations.chain(projects).chain(tasks) {
        failure(text, &name, error, hint.as_deref(), style, terminal);
    }
}
