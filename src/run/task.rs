//! One repository: a task with its attempts, and the report that it ends in.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::attempt::Attempt;
use super::caller::Caller;
use super::chain::Chain;
use super::dispatch::Context;
use super::permission::Scope;
use super::server::ServerContext;
use super::{Ledger, TaskError, TaskName, TaskReport, TaskResult};
use crate::bitbucket::Repository;
use crate::http::Retry;
use crate::model::{ProjectSelector, RunId, TaskState};
use crate::state::TaskRow;

/// How often a task, or a page of a listing, is begun anew after a failure that can pass.
pub(super) const ATTEMPTS: u32 = 3;

/// How long to wait before another attempt, by the number of the failed one from 1.
pub(super) const fn retry_wait(attempt: u32) -> Duration {
    Duration::from_millis(250 << attempt)
}

/// A repository that is in scope.
#[derive(Clone)]
pub(super) struct Task {
    /// For people.
    pub(super) name: TaskName,
    /// What declares its project, and so its credentials.
    pub(super) declared: ProjectSelector,
    /// What Bitbucket says of it.
    pub(super) repository: Repository,
    /// The server it is on.
    pub(super) server: Arc<ServerContext>,
}

impl Task {
    /// Its row in the record of a run.
    pub(super) fn row(&self, run: RunId, state: &str, detail: Value, changed: Timestamp) -> TaskRow {
        TaskRow {
            run,
            server: self.server.uid,
            repository: self.repository.id,
            project: self.name.project.clone(),
            slug: self.name.slug.clone(),
            state: state.to_owned(),
            detail,
            changed,
        }
    }
}

/// A report on which nothing has happened yet.
fn blank_report(task: &Task) -> TaskReport {
    TaskReport {
        name: task.name.clone(),
        repository: task.repository.id,
        result: TaskResult::Failed,
        carried: None,
        throttled_until: None,
        error: Vec::new(),
        hint: None,
        destinations: Vec::new(),
        references: 0,
        objects: 0,
        received: 0,
        stored: 0,
        protocol: None,
        suspect: None,
        notes: Vec::new(),
        ledger: Ledger::default(),
    }
}

/// The report of a task that ended by a defect of this program.
pub(super) fn defect_report(task: &Task) -> TaskReport {
    TaskReport {
        error: vec!["the task ended by a defect of xopero; what it said is on stderr".into()],
        hint: Some("please report it with what stands on stderr".into()),
        ..blank_report(task)
    }
}

/// The report of a task that was not begun before the run had to end.
pub(super) fn not_reached(task: &Task) -> TaskReport {
    TaskReport { result: TaskResult::NotReached, ..blank_report(task) }
}

/// Takes the backup of one repository. Every failure ends in the report. `chains` are what the destinations have, if
/// they were looked up already; an attempt that is begun anew looks again.
pub(super) async fn back_up(context: &Context, task: &Task, mut chains: Option<Vec<Chain>>) -> TaskReport {
    let mut caller =
        Caller::new(&task.declared, task.name.to_string(), Scope::Repository(&task.name.project, &task.server));
    caller.row = Some(task.row(context.run, TaskState::Running.as_str(), Value::Null, context.clock.now()));
    let mut report = blank_report(task);
    let mut attempt = 1;
    let mut broke = String::new();
    loop {
        match Attempt::new(context, task).run(chains.take(), &mut caller, &mut report).await {
            Ok(result) => report.result = result,
            Err(error) => {
                let again = error.retry() != Retry::Never && attempt < ATTEMPTS && !context.deadline.is_reached();
                if again && context.credentials.wait(retry_wait(attempt)).await.is_ok() {
                    caller.ledger.wait(retry_wait(attempt));
                    tracing::debug!(task = %task.name, attempt, error = error.lines().join(": "), "begun anew");
                    attempt += 1;
                    broke = error.to_string();
                    continue;
                }
                let stopped = matches!(error, TaskError::Stopped) || context.stop.is_cancelled();
                report.result = match error {
                    TaskError::OutOfTime { until } => {
                        report.throttled_until = Some(until);
                        TaskResult::Throttled
                    }
                    _ if stopped => TaskResult::Interrupted,
                    _ => TaskResult::Failed,
                };
                report.hint = error.hint();
                report.error = error.lines();
            }
        }
        break;
    }
    if report.result == TaskResult::Failed
        && let Some(state) = task.repository.state.unfit()
    {
        report.notes.push(format!("the server lists it as {state}"));
    }
    if attempt > 1 {
        report.notes.push(format!("begun anew {}: {broke}", times(attempt - 1)));
    }
    report.ledger = std::mem::take(&mut caller.ledger);
    report
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_short() {
        let waits: Vec<_> = (1..ATTEMPTS).map(|attempt| retry_wait(attempt).as_millis()).collect();
        assert_eq!(waits, [500, 1000]);
    }
}
