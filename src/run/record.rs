//! What is known of runs that were: read from the state, in pages, so that no run is ever whole in memory.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DestinationFailure, Ledger, ProjectFailure, TaskName, TaskReport, TaskResult, Totals};
use crate::model::{Generation, PlanName, RepoId, RepoSlug, RunId, TaskState, Waiting};
use crate::state::{ABANDONED, RunFilter, RunRow, StateError, StateStore, TaskRow};

/// Runs that are read at once.
const RUNS_AT_ONCE: u32 = 16;

/// Tasks that are read at once.
const TASKS_AT_ONCE: u32 = 128;

/// One run, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRecord {
    /// Its identity.
    pub run: RunId,
    /// The name of the plan at that time.
    pub plan: PlanName,
    /// What was in force.
    pub generation: Generation,
    /// The run that it went on with.
    pub resumes: Option<RunId>,
    /// The one repository that it was about, if it was.
    pub only: Option<RepoSlug>,
    /// `running`, `abandoned` (its process ended before it did), or how it ended.
    pub state: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended, if it did.
    pub finished: Option<Timestamp>,
    /// Sums over its repositories. Of a run that did not end, as far as it came.
    pub totals: Totals,
    /// What it cost. Of a run that did not end nobody has added it up.
    pub costs: Option<Costs>,
    /// Tasks that wait for budget, or did when the run was killed.
    pub waiting: Option<Waiting>,
}

/// What a run cost, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Requests of all accounts.
    pub requests: u64,
    /// Answers 429 to them.
    pub rate_limited: u64,
    /// How often a request went on with another account.
    pub exchanges: u64,
    /// How often a task waited for budget.
    pub throttled_waits: u64,
    /// Milliseconds in which any task waited for budget.
    pub throttled_ms: u64,
}

impl From<&Ledger> for Costs {
    fn from(ledger: &Ledger) -> Self {
        Self {
            requests: ledger.total_requests(),
            rate_limited: ledger.total_rate_limited(),
            exchanges: ledger.exchanges,
            throttled_waits: ledger.throttled_waits,
            throttled_ms: ledger.throttled_for(),
        }
    }
}

/// One run, with everything but its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDetail {
    /// The run in short.
    pub record: RunRecord,
    /// What it cost.
    pub ledger: Ledger,
    /// Projects that could not, or not all, be listed.
    pub projects_failed: Vec<ProjectFailure>,
    /// Destinations that nothing could be written to.
    pub destinations_failed: Vec<DestinationFailure>,
    /// Warnings that concern the whole run.
    pub warnings: Vec<String>,
}

/// One task of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// Which repository, for people.
    pub name: TaskName,
    /// Which repository.
    pub repository: RepoId,
    /// The word for how far it is, or how it ended.
    pub state: String,
    /// Since when.
    pub changed: Timestamp,
    /// Until when it waits at least, if it does.
    pub waits: Option<TaskState>,
    /// How it went, if it ended.
    pub report: Option<TaskReport>,
}

impl TaskRecord {
    /// What a row says. One that another version wrote in its own words tells its state and no more.
    pub(super) fn of(row: &TaskRow) -> Self {
        let report: Option<TaskReport> = serde_json::from_value(row.detail.clone()).ok();
        let waits = report.is_none().then(|| serde_json::from_value(row.detail.clone()).ok()).flatten();
        Self {
            name: TaskName { project: row.project.clone(), slug: row.slug.clone() },
            repository: row.repository,
            state: row.state.clone(),
            changed: row.changed,
            waits: waits.filter(|state| matches!(state, TaskState::Throttled { .. })),
            report,
        }
    }

    /// Whether somebody who asks what happened wants to see it: it failed, waited for budget, or changed accounts.
    pub fn is_notable(&self) -> bool {
        let told = |report: &TaskReport| {
            matches!(report.result, TaskResult::Failed | TaskResult::Throttled)
                || report.ledger.exchanges > 0
                || report.ledger.throttled_waits > 0
        };
        self.waits.is_some() || self.report.as_ref().is_some_and(told)
    }
}

/// What a run was finished with, as far as it is read again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stored {
    only: Option<RepoSlug>,
    totals: Totals,
    projects_failed: Vec<ProjectFailure>,
    destinations_failed: Vec<DestinationFailure>,
    warnings: Vec<String>,
    ledger: Ledger,
}

/// Tells of runs, newest first, at most `limit` of them. Gives whether there are more.
pub async fn runs(
    state: &StateStore,
    filter: &RunFilter,
    limit: u32,
    mut each: impl FnMut(RunRecord),
) -> Result<bool, StateError> {
    let (mut left, mut last) = (limit, None);
    loop {
        let idle = state.is_idle().await;
        let page = state.runs_before(filter, last, left.saturating_add(1).min(RUNS_AT_ONCE)).await?;
        let idle = idle && state.is_idle().await;
        if page.is_empty() {
            return Ok(false);
        }
        for row in page {
            if left == 0 {
                return Ok(true);
            }
            (left, last) = (left - 1, Some(row.id));
            each(short(state, row.settled(idle)).await?.0);
        }
    }
}

/// Reads a run in full, without its tasks.
pub async fn detail(state: &StateStore, row: RunRow) -> Result<RunDetail, StateError> {
    let (mut record, stored) = short(state, row).await?;
    let Some(Stored { projects_failed, destinations_failed, warnings, ledger, .. }) = stored else {
        let (mut totals, mut ledger) = (Totals::default(), Ledger::default());
        let add = |task: &TaskRecord| {
            if let Some(report) = &task.report {
                totals.add(report);
                ledger.add(&report.ledger);
            }
        };
        tasks(state, record.run, add).await?;
        ledger.close();
        // What waits has no report yet, and its rows were counted.
        record.totals = Totals { throttled: record.totals.throttled, ..totals };
        let nothing = (Vec::new(), Vec::new(), Vec::new());
        let (projects_failed, destinations_failed, warnings) = nothing;
        return Ok(RunDetail { record, ledger, projects_failed, destinations_failed, warnings });
    };
    Ok(RunDetail { record, ledger, projects_failed, destinations_failed, warnings })
}

/// Tells of the tasks of a run, by project and slug.
pub async fn tasks(state: &StateStore, run: RunId, mut each: impl FnMut(&TaskRecord)) -> Result<(), StateError> {
    let mut last: Option<TaskRow> = None;
    loop {
        let page = state.tasks_after(run, last.as_ref(), TASKS_AT_ONCE).await?;
        let Some(newest) = page.last().cloned() else { return Ok(()) };
        for row in &page {
            each(&TaskRecord::of(row));
        }
        last = Some(newest);
    }
}

async fn short(state: &StateStore, row: RunRow) -> Result<(RunRecord, Option<Stored>), StateError> {
    // What cannot be read was written by another version: the row itself still says how the run ended.
    let stored = row.summary.map(|summary| serde_json::from_value::<Stored>(summary).unwrap_or_default());
    let (totals, waiting) = if let Some(stored) = &stored {
        (stored.totals, None)
    } else {
        let waiting = state.waiting_tasks(row.id).await?;
        (counted(&state.task_counts(row.id).await?), Waiting::of(&waiting))
    };
    let record = RunRecord {
        run: row.id,
        plan: row.plan_name,
        generation: row.generation,
        resumes: row.resumes,
        only: row.only.or_else(|| stored.as_ref().and_then(|stored| stored.only.clone())),
        // That somebody found it abandoned later says nothing of when it ended.
        finished: row.finished.filter(|_| row.state != ABANDONED),
        state: row.state,
        started: row.started,
        totals,
        costs: stored.as_ref().map(|stored| Costs::from(&stored.ledger)),
        waiting,
    };
    Ok((record, stored))
}

/// The sums of a run that nobody has added up.
fn counted(states: &BTreeMap<String, u64>) -> Totals {
    let mut totals = Totals::default();
    for result in TaskResult::ALL {
        *totals.count_mut(result) += states.get(result.as_str()).copied().unwrap_or(0);
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn row(state: &str, detail: serde_json::Value) -> TaskRow {
        TaskRow {
            run: RunId::from_parts(1, 1),
            server: crate::model::Uid::from_parts(1, 1),
            repository: RepoId(7),
            project: "PAY".parse().unwrap(),
            slug: "ledger".parse().unwrap(),
            state: state.into(),
            detail,
            changed: at(1),
        }
    }

    #[test]
    fn a_row_of_another_version_still_tells_its_state() {
        let record = TaskRecord::of(&row("mended", serde_json::json!({"unheard": "of"})));
        assert_eq!((record.state.as_str(), &record.report, &record.waits), ("mended", &None, &None));
        assert!(!record.is_notable());
    }

    #[test]
    fn a_task_that_waits_is_notable() {
        let throttled = TaskState::Throttled { since: at(1), until: at(2), reason: "no budget".into() };
        let record = TaskRecord::of(&row("throttled", serde_json::to_value(&throttled).unwrap()));
        assert_eq!(record.waits, Some(throttled));
        assert!(record.is_notable());
        assert!(!TaskRecord::of(&row("running", serde_json::to_value(TaskState::Running).unwrap())).is_notable());
    }

    #[test]
    fn the_states_of_tasks_are_sums_too() {
        let totals = counted(&[("new".to_owned(), 2), ("failed".to_owned(), 1), ("running".to_owned(), 4)].into());
        assert_eq!((totals.new, totals.failed, totals.unchanged), (2, 1, 0));
    }
}
