//! One repository: a task with its attempts, and the report that it ends in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attempt::Attempt;
use super::caller::Caller;
use super::chain::Chain;
use super::dispatch::Context;
use super::permission::Scope;
use super::queue::Held;
use super::server::ServerContext;
use super::{Ledger, TaskError, TaskName, TaskReport, TaskResult};
use crate::bitbucket::Repository;
use crate::http::Retry;
use crate::model::{ProjectKey, ProjectSelector, RepoId, RunId, TaskState, Uid};
use crate::state::queue::QueuedTask;
use crate::state::{StateError, TaskRow};

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

/// A task as it stands in the queue.
#[derive(Serialize, Deserialize)]
struct Body {
    server: Uid,
    project: ProjectKey,
    declared: ProjectSelector,
    repository: Repository,
    /// Bitbucket's version, if it has told.
    #[serde(default)]
    version: Option<String>,
}

impl Task {
    /// What it is known by.
    pub(super) fn key(&self) -> (Uid, RepoId) {
        (self.server.uid, self.repository.id)
    }

    /// The task for the queue.
    pub(super) fn queued(&self) -> QueuedTask {
        let body = Body {
            server: self.server.uid,
            project: self.name.project.clone(),
            declared: self.declared.clone(),
            repository: self.repository.clone(),
            version: self.server.version.get().cloned(),
        };
        QueuedTask {
            server: self.server.uid,
            repository: self.repository.id,
            project: self.declared.clone(),
            body: serde_json::to_string(&body).expect("a task is plain data"),
        }
    }

    /// A task from the queue, or why it is none.
    pub(super) fn read(text: &str, servers: &BTreeMap<Uid, Arc<ServerContext>>) -> Result<Self, String> {
        let Body { server, project, declared, repository, version } =
            serde_json::from_str(text).map_err(|error| error.to_string())?;
        let server = servers.get(&server).ok_or_else(|| format!("no server {server} is known"))?;
        if let Some(version) = version {
            // Whoever has asked knows it already.
            let _known = server.version.set(version);
        }
        let name = TaskName { project, slug: repository.slug.clone() };
        Ok(Self { name, declared, repository, server: Arc::clone(server) })
    }

    /// Its row in the record of a run when it has ended.
    pub(super) fn end_row(&self, run: RunId, report: &TaskReport, changed: Timestamp) -> TaskRow {
        let detail = serde_json::to_value(report).expect("a report is plain data");
        self.row(run, report.result.as_str(), detail, changed)
    }

    /// Its row in the record of a run while it neither has ended nor waits for budget.
    pub(super) fn running_row(&self, run: RunId, changed: Timestamp) -> TaskRow {
        let detail = serde_json::to_value(TaskState::Running).expect("a state is plain data");
        self.row(run, TaskState::Running.as_str(), detail, changed)
    }

    /// Its row in the record of a run.
    fn row(&self, run: RunId, state: &str, detail: Value, changed: Timestamp) -> TaskRow {
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

/// The report of a task that had not begun when the run was stopped.
pub(super) fn interrupted(task: &Task) -> TaskReport {
    TaskReport { result: TaskResult::Interrupted, error: TaskError::Stopped.lines(), ..blank_report(task) }
}

/// The report of a task whose workers were lost too often.
pub(super) fn set_aside(task: &Task, losses: u64) -> TaskReport {
    let hint = "look in the logs of the workers what ended them: too little memory, a kill, a host that went away; the \
                next run tries again";
    TaskReport {
        error: vec![format!("{losses} workers in a row were lost while they had it: this run leaves it alone")],
        hint: Some(hint.into()),
        ..blank_report(task)
    }
}

/// How work on a task ended.
pub(super) enum End {
    /// With this report.
    Reported(Box<TaskReport>),
    /// The task is another worker's by now.
    Lost,
    /// It did not begin, because hours have come in which nothing does. It has waited all the same.
    PutOff(Box<Ledger>),
}

/// Takes the backup of one repository. Every failure ends in the report. `chains` are what the destinations have, if
/// they were looked up already; an attempt that is begun anew looks again.
pub(super) async fn back_up(context: &Context, held: &Held, mut chains: Option<Vec<Chain>>) -> End {
    let Held { task, claim, .. } = held;
    let mut caller =
        Caller::new(&task.declared, task.name.to_string(), Scope::Repository(&task.name.project, &task.server));
    let row = task.running_row(context.run, context.clock.now());
    caller.task = Some((*claim, row));
    let mut report = blank_report(task);
    let mut attempt = 1;
    let mut broke = String::new();
    loop {
        match Attempt::new(context, task, claim).run(chains.take(), &mut caller, &mut report).await {
            Ok(result) => report.result = result,
            Err(TaskError::State(StateError::Fenced { .. })) => return End::Lost,
            Err(TaskError::HoursClosed) => return End::PutOff(Box::new(std::mem::take(&mut caller.ledger))),
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
    let failed = report.error.join(": ");
    tracing::info!(result = report.result.as_str(), error = (!failed.is_empty()).then_some(failed), "the task is over");
    End::Reported(Box::new(report))
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
