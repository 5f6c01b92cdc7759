//! The report of a run, in every destination.

use super::dispatch::Context;
use super::error::lines;
use super::{DestinationFailure, Summary, TaskReport};
use crate::archive::{FORMAT, PlanEntry, Report, ReportedRepository, ToolEntry, write_document};
use crate::crash::{self, CrashPoint};
use crate::store::keys;

/// Stores the report in every destination. Answers those that did not take it.
pub(super) async fn store_reports(context: &Context, summary: &Summary) -> Vec<DestinationFailure> {
    let mut failed = Vec::new();
    crash::point(CrashPoint::ReportDue);
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
        if let Err(error) = write_document(&destination.store, &key, &report, &destination.keys).await {
            let mut error_lines = vec!["the report of the run could not be stored".to_owned()];
            error_lines.extend(lines(&error));
            let (name, hint) = (destination.name.clone(), error.hint());
            failed.push(DestinationFailure { destination: name, error: error_lines, hint });
        }
        crash::point(CrashPoint::ReportStored);
    }
    failed
}
