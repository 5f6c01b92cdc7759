//! Runs for programs.

use serde_json::{Value, json};

use crate::run::record::{RunDetail, RunRecord, TaskRecord};

/// One run of a list.
pub fn run_line(run: &RunRecord) -> Value {
    let mut line = serde_json::to_value(run).expect("a record is plain data");
    line["type"] = "run".into();
    line
}

/// What is known of one run besides its [`run_line`].
pub fn detail_line(run: &RunDetail) -> Value {
    let RunDetail { record, ledger, projects_failed, destinations_failed, warnings } = run;
    json!({
        "type": "run_detail",
        "run": record.run,
        "ledger": ledger,
        "projects_failed": projects_failed,
        "destinations_failed": destinations_failed,
        "warnings": warnings,
    })
}

/// One task of a run.
pub fn task_line(task: &TaskRecord) -> Value {
    json!({
        "type": "task",
        "project": task.name.project,
        "slug": task.name.slug,
        "repository": task.repository,
        "state": task.state,
        "changed": task.changed,
        "waits": task.waits,
        "report": task.report,
    })
}
