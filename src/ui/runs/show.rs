//! One run, in full.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::failure::failure;
use super::super::shown::shown_explanation;
use super::super::wrap::{paragraph, wrap};
use super::super::{Side, Style, Table, bytes, count, millis, shown};
use super::list::waiting_words;
use super::{counts, length, painted};
use crate::model::TaskState;
use crate::run::record::{RunDetail, TaskRecord};
use crate::run::{Ledger, TaskResult, ThrottledPeriod};

/// Tasks that are explained in words.
const EXPLAINED: usize = 50;

/// Waits of one task that are told one by one.
const WAITS: usize = 5;

/// A shorter wait is counted, and not told: it would read as 0.0 s.
const NOTICEABLE_MS: u64 = 50;

/// Where what stands behind a label begins.
const LABEL: usize = 16;

macro_rules! line {
    ($text:expr, $($arguments:tt)*) => {
        writeln!($text, $($arguments)*).expect("strings take everything")
    };
}

/// What is shown of the tasks of a run: a row of a table each, and the first of those that need words in full.
#[derive(Debug, Default)]
pub struct Shown {
    /// Whether all tasks have a row, or only those with something to tell.
    all: bool,
    rows: Vec<[String; 7]>,
    explained: Vec<TaskRecord>,
    left_out: u64,
    others: u64,
}

impl Shown {
    /// Nothing yet. Of `all` tasks there will be a row, or of those with something to tell.
    pub fn new(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

    /// Takes a task in.
    pub fn add(&mut self, task: &TaskRecord) {
        let notable = task.is_notable();
        if notable && self.explained.len() < EXPLAINED {
            self.explained.push(task.clone());
        }
        if !self.all && !notable {
            self.others += 1;
        } else if !self.all && self.rows.len() >= EXPLAINED {
            self.left_out += 1;
        } else {
            self.rows.push(row(task));
        }
    }
}

fn row(task: &TaskRecord) -> [String; 7] {
    let none = Ledger::default();
    let ledger = task.report.as_ref().map_or(&none, |report| &report.ledger);
    let names: Vec<&str> =
        ledger.credentials.keys().map(|address| address.as_str().rsplit('/').next().unwrap_or_default()).collect();
    let throttled = match (&task.waits, ledger.throttled_waits) {
        (Some(_), _) => "waits".to_owned(),
        (None, 0) => "-".to_owned(),
        (None, _) => length(ledger.throttled_ms),
    };
    let number = |count: u64| if task.report.is_some() { count.to_string() } else { "-".to_owned() };
    [
        task.name.to_string(),
        task.state.clone(),
        if names.is_empty() { "-".to_owned() } else { names.join(", ") },
        number(ledger.total_requests()),
        number(ledger.total_rate_limited()),
        number(ledger.exchanges),
        throttled,
    ]
}

/// Renders a run within `width` columns. Explanations are put on lines that fit only for a `terminal`.
pub fn show(run: &RunDetail, tasks: &Shown, now: Timestamp, (style, width, terminal): (Style, usize, bool)) -> String {
    let mut text = String::new();
    heading(&mut text, run, now, style);
    figures(&mut text, run);
    accounts(&mut text, &run.ledger, style, width);
    table(&mut text, tasks, style, width);
    waits(&mut text, tasks);
    for warning in &run.warnings {
        line!(text, "");
        let label = ("note:", style.yellow("note:"));
        line!(text, "{}", paragraph("", (label.0, &label.1), &shown_explanation(warning), terminal));
    }
    let destinations = run.destinations_failed.iter();
    let destinations = destinations.map(|it| (format!("destination {}", it.destination), &it.error, &it.hint));
    let projects = run.projects_failed.iter().map(|it| (format!("project {}", it.project), &it.error, &it.hint));
    let reports = tasks.explained.iter().filter_map(|task| task.report.as_ref());
    let failed = reports.filter(|report| report.result == TaskResult::Failed);
    let failed = failed.map(|report| (report.name.to_string(), &report.error, &report.hint));
    for (name, error, hint) in destinations.chain(projects).chain(failed) {
        failure(&mut text, &name, error, hint.as_deref(), style, terminal);
    }
    text
}

fn heading(text: &mut String, run: &RunDetail, now: Timestamp, style: Style) {
    let record = &run.record;
    let only = record.only.as_ref().map(|slug| format!(", {slug} only")).unwrap_or_default();
    let state = painted(&record.state, style);
    line!(text, "Run {} of plan {}{only}: {state}", record.run, shown(record.plan.as_str()));
    let second = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    line!(text, "  started       {}", second(record.started));
    let took = |end: Timestamp| millis(end.as_millisecond() - record.started.as_millisecond());
    match record.finished {
        Some(end) => line!(text, "  ended         {}, after {}", second(end), took(end)),
        None if record.state == crate::state::RUNNING => line!(text, "  under way     for {}", took(now)),
        None => line!(text, "  ended         nobody knows when: its process was killed, or the machine went down"),
    }
    line!(text, "  generation    {}", record.generation);
    if let Some(resumed) = record.resumes {
        line!(text, "  resumes       {resumed}");
    }
    if let Some(waiting) = &record.waiting {
        line!(text, "  throttled     {}", waiting_words(waiting, &record.state));
    }
}

fn figures(text: &mut String, run: &RunDetail) {
    let (totals, ledger) = (&run.record.totals, &run.ledger);
    let counts = counts(totals);
    let lines = wrap("  repositories", LABEL, std::iter::once("").chain(counts.split(' ')));
    line!(text, "{}", lines.join("\n"));
    line!(text, "  received      {} ({})", bytes(totals.received), count(totals.objects, "object"));
    line!(text, "  stored        {}", bytes(totals.stored));
    let limited = ledger.total_rate_limited();
    let limited = if limited > 0 { format!(", {limited} refused with 429") } else { String::new() };
    line!(text, "  requests      {}, {} of them git{limited}", ledger.total_requests(), ledger.git_requests);
    if ledger.exchanges > 0 {
        line!(text, "  exchanges     {}", ledger.exchanges);
    }
    if ledger.paced_ms >= 1000 {
        line!(text, "  paced         {} for tokens and answers, summed over tasks", length(ledger.paced_ms));
    }
    if ledger.throttled_waits > 0 {
        let waits = count(ledger.throttled_waits, "wait");
        let (sum, covered) = (length(ledger.throttled_ms), length(ledger.throttled_for()));
        line!(text, "  throttled     {waits} of tasks for budget, {sum} summed;");
        line!(text, "                somebody waited for {covered}");
    }
    if ledger.waits > 0 {
        let (waits, sum) = (count(ledger.waits, "wait"), length(ledger.waited_ms));
        line!(text, "  busy          {waits} before a server was asked again, {sum} summed");
    }
}

fn accounts(text: &mut String, ledger: &Ledger, style: Style, width: usize) {
    if ledger.requests.is_empty() {
        return;
    }
    let columns = [
        ("ACCOUNT", Side::Left),
        ("CREDENTIALS", Side::Left),
        ("REQUESTS", Side::Right),
        ("429", Side::Right),
        ("EXCHANGED", Side::Right),
        ("RESTED", Side::Whole),
    ];
    let mut names: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (address, used) in &ledger.credentials {
        let name = address.as_str().strip_prefix("credential/").unwrap_or(address.as_str());
        names.entry(&used.account).or_default().push(name);
    }
    let mut table = Table::new(&columns, width, style);
    for (account, requests) in &ledger.requests {
        let of = |sums: &BTreeMap<_, u64>| sums.get(account).copied().unwrap_or(0);
        let rested = of(&ledger.rested_ms);
        table.row([
            account.to_string(),
            names.get(account).map_or_else(|| "-".to_owned(), |names| names.join(", ")),
            requests.to_string(),
            of(&ledger.rate_limited).to_string(),
            of(&ledger.exchanged).to_string(),
            if rested > 0 { length(rested) } else { "-".to_owned() },
        ]);
    }
    line!(text, "");
    text.push_str(&table.render());
}

fn table(text: &mut String, tasks: &Shown, style: Style, width: usize) {
    if !tasks.rows.is_empty() {
        let columns = [
            ("REPOSITORY", Side::Name),
            ("RESULT", Side::Whole),
            ("CREDENTIALS", Side::Left),
            ("REQUESTS", Side::Right),
            ("429", Side::Right),
            ("EXCHANGES", Side::Right),
            ("THROTTLED", Side::Whole),
        ];
        let mut table = Table::new(&columns, width, style);
        for row in &tasks.rows {
            table.row(row.clone());
        }
        line!(text, "");
        text.push_str(&table.render());
    }
    if tasks.left_out > 0 {
        line!(text, "… and {} more: --all shows every one", tasks.left_out);
    }
    if tasks.others > 0 {
        line!(text, "");
        let others = count(tasks.others, "repository");
        line!(text, "{others} that nothing happened to: not shown, --all shows every one");
    }
}

/// When tasks waited for budget.
fn waits(text: &mut String, tasks: &Shown) {
    let mut begun = false;
    for task in &tasks.explained {
        let mut words: Vec<String> = Vec::new();
        if let Some(report) = &task.report {
            let told = report.ledger.throttled.iter().filter(|period| period.millis() >= NOTICEABLE_MS);
            words.extend(told.clone().take(WAITS).map(period));
            let more = told.count().saturating_sub(WAITS);
            words.extend((more > 0).then(|| format!("and {more} more")));
        }
        if let Some(TaskState::Throttled { since, until, reason }) = &task.waits {
            let (since, until) = (since.strftime("%Y-%m-%d %H:%M:%S"), until.strftime("%H:%M:%S"));
            words.push(format!("{since}, until {until} at least: {}", shown(reason)));
        }
        if words.is_empty() {
            continue;
        }
        if !begun {
            line!(text, "\nThrottled (UTC):");
            begun = true;
        }
        let words = format!("{}: {}", shown(&task.name.to_string()), words.join("; "));
        line!(text, "{}", wrap("  ", 6, words.split(' ')).join("\n"));
    }
}

fn period(period: &ThrottledPeriod) -> String {
    let ThrottledPeriod { from, until } = period;
    let (begin, end) = (from.strftime("%Y-%m-%d %H:%M:%S"), until.strftime("%H:%M:%S"));
    format!("{begin} to {end} ({})", length(period.millis()))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{at, records};
    use super::*;
    use crate::model::{Address, CredentialRole, RepoId};
    use crate::run::{CredentialUse, TaskName, TaskReport};

    fn used(role: &CredentialRole, account: &str, requests: u64, rate_limited: u64) -> (Address, CredentialUse) {
        let address = Address::credential(&"PAY".parse().unwrap(), role);
        (address, CredentialUse { account: account.parse().unwrap(), requests, rate_limited })
    }

    fn ledger() -> Ledger {
        let (main, extra) = ("svc-backup".parse().unwrap(), "svc-backup-1".parse().unwrap());
        let role = CredentialRole::Additional("extra-1".parse().unwrap());
        let period = |from, until| ThrottledPeriod { from: at(from), until: at(until) };
        let mut ledger = Ledger {
            requests: [(Clone::clone(&main), 3), (extra, 2)].into(),
            rate_limited: [(Clone::clone(&main), 1)].into(),
            credentials: [used(&CredentialRole::Main, "svc-backup", 3, 1), used(&role, "svc-backup-1", 2, 0)].into(),
            exchanges: 1,
            exchanged: [(Clone::clone(&main), 1)].into(),
            rested_ms: [(main, 9_000)].into(),
            git_requests: 4,
            waits: 1,
            waited_ms: 500,
            ..Ledger::default()
        };
        ledger.throttle(period("2026-11-22T00:31:02Z", "2026-11-22T00:31:07Z"));
        ledger
    }

    fn task(slug: &str, result: TaskResult, ledger: Ledger) -> TaskRecord {
        let name = TaskName { project: "PAY".parse().unwrap(), slug: slug.parse().unwrap() };
        let failed = result == TaskResult::Failed;
        let report = TaskReport {
            name: name.clone(),
            repository: RepoId(7),
            result,
            carried: None,
            throttled_until: None,
            error: if failed { vec!["the server's pack is not sound".into(), "it ends early".into()] } else { vec![] },
            hint: failed.then(|| "let an administrator run `git fsck` on the repository".into()),
            destinations: Vec::new(),
            references: 1,
            objects: 1,
            received: 1,
            stored: 1,
            protocol: None,
            suspect: None,
            notes: Vec::new(),
            ledger,
        };
        let (state, changed) = (result.as_str().to_owned(), at("2026-11-22T00:32:00Z"));
        TaskRecord { name, repository: RepoId(7), state, changed, waits: None, report: Some(report) }
    }

    fn detail() -> RunDetail {
        let record = records().swap_remove(1);
        let (projects_failed, destinations_failed) = (Vec::new(), Vec::new());
        let warnings = vec!["PAY/old is no longer listed; its snapshots are kept".to_owned()];
        RunDetail { record, ledger: ledger(), projects_failed, destinations_failed, warnings }
    }

    fn shown(all: bool) -> Shown {
        let mut shown = Shown::new(all);
        shown.add(&task("ledger", TaskResult::Changed, ledger()));
        shown.add(&task("quiet", TaskResult::Unchanged, Ledger::default()));
        shown.add(&task("rotten", TaskResult::Failed, Ledger::default()));
        shown
    }

    #[test]
    fn a_run_reads_like_this() {
        let now = at("2026-11-23T00:42:00Z");
        let text = show(&detail(), &shown(false), now, (Style { color: false }, 80, true));
        let expected = include_str!("../../../tests/fixtures/ui/run.txt");
        assert_eq!(text, expected, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let coloured = show(&detail(), &shown(false), now, (Style { color: true }, 80, true));
        assert!(coloured.contains("\u{1b}[33mpartial\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn all_of_it_has_a_row_for_each_repository() {
        let now = at("2026-11-23T00:42:00Z");
        let text = show(&detail(), &shown(true), now, (Style { color: false }, 80, true));
        assert!(text.contains("PAY/quiet") && !text.contains("not shown"), "{text}");
    }

    #[test]
    fn thousands_of_failures_are_counted_and_not_all_told() {
        let mut shown = Shown::new(false);
        for number in 0..200 {
            shown.add(&task(&format!("rotten-{number}"), TaskResult::Failed, Ledger::default()));
        }
        let now = at("2026-11-23T00:42:00Z");
        let text = show(&detail(), &shown, now, (Style { color: false }, 80, true));
        assert!(text.contains("… and 150 more: --all"), "{text}");
        assert_eq!(text.matches("failed: PAY/rotten-").count(), EXPLAINED, "{text}");
    }
}
