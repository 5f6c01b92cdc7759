//! The tasks of a run: as many under way as their servers are worth, each recorded as it ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::attempt::chains_of;
use super::dispatch::Context;
use super::queue::{Queue, Ready};
use super::task::{Task, back_up, defect_report, not_reached};
use super::{Event, RunError, TaskReport};

/// The wall clock may be set while a run waits for hours that are open.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// How long nothing may be begun, if it may not now.
fn closed(context: &Context) -> Option<Duration> {
    let now = context.clock.now();
    let opens = context.hours.as_ref()?.opens(now);
    (opens > now).then(|| Duration::try_from(opens.duration_since(now)).unwrap_or_default())
}

/// Keeps as many tasks under way as their servers are worth, and records each as it ends.
pub(super) async fn work(context: &Arc<Context>, tasks: Vec<Task>) -> Result<Vec<TaskReport>, RunError> {
    let mut reports = Vec::with_capacity(tasks.len());
    let mut queue = Queue::new(tasks);
    let mut under_way = JoinSet::new();
    let mut started = BTreeMap::new();
    let parking = Arc::clone(&context.credentials.parking);
    loop {
        let closed = closed(context);
        context.events.is_alive();
        while closed.is_none()
            && !context.deadline.is_reached()
            && let Some(group) = queue.next(|project| parking.count(project))
        {
            let unprepared = queue.unprepared(group);
            if !unprepared.is_empty() {
                queue.prepared(group, prepared(context, unprepared).await);
            }
            let Some((task, chains)) = queue.begin(group) else { break };
            let (context, begun) = (Arc::clone(context), task.clone());
            let handle = under_way.spawn(async move { back_up(&context, &begun, chains).await });
            started.insert(handle.id(), task);
        }
        let waits = closed.is_some() && !queue.is_empty();
        let ended = tokio::select! {
            biased;
            Some(ended) = under_way.join_next_with_id() => ended,
            () = context.stop.cancelled(), if waits && under_way.is_empty() => break,
            () = context.deadline.closing().cancelled(), if waits && under_way.is_empty() => break,
            () = parking.changed(), if !under_way.is_empty() => continue,
            () = tokio::time::sleep(closed.unwrap_or_default().min(LOOK_AGAIN)), if waits => continue,
            else => break,
        };
        let (id, report) = match ended {
            Ok((id, report)) => (id, Some(report)),
            // A bug in one task is no reason to lose the record of the others.
            Err(panicked) => (panicked.id(), None),
        };
        let task = started.remove(&id).expect("every task was started here");
        queue.end(&task);
        let report = report.unwrap_or_else(|| defect_report(&task));
        if !enter(context, &task, &report).await {
            break;
        }
        reports.push(report);
    }
    for task in queue.left() {
        let report = not_reached(&task);
        enter(context, &task, &report).await;
        reports.push(report);
    }
    context.journal.close().await?;
    Ok(reports)
}

/// Records and tells how a task ended. Tells whether that is possible at all.
async fn enter(context: &Context, task: &Task, report: &TaskReport) -> bool {
    let detail = serde_json::to_value(report).expect("a report is plain data");
    let row = task.row(context.run, report.result.as_str(), detail, context.clock.now());
    context.journal.enter(Some(row), Event::TaskFinished { report: report.clone() }).await
}

/// Looks up for many tasks at once what the destinations have. Where that fails each task looks for itself, and says
/// what it met.
async fn prepared(context: &Context, tasks: Vec<Task>) -> VecDeque<Ready> {
    let chains = if context.stop.is_cancelled() { None } else { chains_of(context, &tasks).await.ok() };
    match chains {
        Some(chains) => tasks.into_iter().zip(chains.into_iter().map(Some)).collect(),
        None => tasks.into_iter().map(|task| (task, None)).collect(),
    }
}
