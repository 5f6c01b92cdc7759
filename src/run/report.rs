//! The report of a run, in every destination.

use super::dispatch::Context;
use super::{Outcome, RunError, Summary, TaskReport};
use crate::archive::{FORMAT, PlanEntry, Report, ReportedRepository, ToolEntry, write_document};
use crate::store::keys;

/// Stores the report in every destination. A destination that failed already may refuse it: the run says so itself.
pub(super) async fn store_reports(context: &Context, summary: &Summary) -> Result<(), RunError> {
    for destination in &context.destinations {
        let entry = |task: &TaskReport| {
            let held = task.destinations.iter().find(|held| held.destination == destination.name);
            ReportedRepository {
                id: task.repository,
                project: task.name.project.clone(),
                slug: task.name.slug.clone(),
                result: task.result.as_str().to_owned(),
                snapshot: held.and_then(|held| held.snapshot),
                error: (!task.error.is_empty()).then(|| task.error.join(": ")),
            }
        };
        let report = Report {
            format: FORMAT,
            run: context.run,
            generation: context.generation,
            plan: PlanEntry { uid: context.plan_uid, name: context.plan_name.clone() },
            started: summary.started,
            finished: summary.finished,
            outcome: summary.outcome.as_str().to_owned(),
            repositories: summary.tasks.iter().map(entry).collect(),
            tool: ToolEntry::this(),
        };
        let key = keys::report(context.run);
        let stored = write_document(&destination.store, &key, &report, &destination.keys).await;
        match stored {
            Ok(()) => {}
            Err(error) if summary.outcome == Outcome::Done => return Err(RunError::Report(error)),
            Err(error) => tracing::warn!(destination = %destination.name, %error, "the report could not be stored"),
        }
    }
    Ok(())
}
