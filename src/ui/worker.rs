//! What a worker tells: lines for people and for whoever collects logs, or JSON for programs.

use serde_json::{Value, json};
use tracing::field::display;

use super::telling::{Lines, Log, Talk, Tone};
use super::{count, shown};
use crate::daemon::{WorkerEvent, WorkerSink};
use crate::model::PlanName;
use crate::run::Event;

impl WorkerSink for Talk {
    fn tell(&self, event: &WorkerEvent<'_>) {
        let (text, tone) = words(event);
        self.line(&text, tone);
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.line_of_run(plan, event);
    }
}

impl WorkerSink for Log {
    fn tell(&self, event: &WorkerEvent<'_>) {
        let (text, tone) = words(event);
        let (plan, run) = match event {
            WorkerEvent::Joined { plan, run }
            | WorkerEvent::Unfit { plan, run, .. }
            | WorkerEvent::Left { plan, run, .. } => (Some(display(plan)), Some(display(run))),
            WorkerEvent::Listening { .. }
            | WorkerEvent::Started
            | WorkerEvent::Trouble { .. }
            | WorkerEvent::Reloading
            | WorkerEvent::Draining { .. }
            | WorkerEvent::Stopped => (None, None),
        };
        match tone {
            Tone::Plain | Tone::Good => tracing::info!(plan, run, "{text}"),
            Tone::Care | Tone::Bad => tracing::warn!(plan, run, "{text}"),
        }
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.line_of_run(plan, event);
    }
}

impl WorkerSink for Lines {
    fn tell(&self, event: &WorkerEvent<'_>) {
        self.line(to_json(event));
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.line_of_run(plan, event);
    }
}

fn words(event: &WorkerEvent<'_>) -> (String, Tone) {
    match event {
        WorkerEvent::Listening { address } => (format!("health and figures at {}", shown(address)), Tone::Plain),
        WorkerEvent::Started => ("waiting for runs to take a share in".to_owned(), Tone::Plain),
        WorkerEvent::Joined { plan, run } => (format!("{plan}: works on run {run}"), Tone::Plain),
        WorkerEvent::Unfit { plan, run, why, hint } => {
            let hint = hint.map(|hint| format!("; {}", shown(hint))).unwrap_or_default();
            let why = shown(&why.join(": "));
            (format!("{plan}: run {run} is left to others: {why}{hint}"), Tone::Care)
        }
        WorkerEvent::Left { plan, run, tasks: 0 } => {
            (format!("{plan}: run {run} is over, with nothing done here"), Tone::Plain)
        }
        WorkerEvent::Left { plan, run, tasks } => {
            let tasks = if *tasks == 1 { "1 repository".to_owned() } else { format!("{tasks} repositories") };
            (format!("{plan}: done with run {run}: {tasks} backed up here"), Tone::Plain)
        }
        WorkerEvent::Trouble { error } => (format!("{}; trying again", shown(&error.join(": "))), Tone::Bad),
        WorkerEvent::Reloading => {
            ("asked to look again: what could not be worked on is tried at once".to_owned(), Tone::Plain)
        }
        WorkerEvent::Draining { runs: 0, .. } => ("stopping".to_owned(), Tone::Plain),
        WorkerEvent::Draining { patience, .. } => {
            let text = format!(
                "stopping: what is under way may take {}, the rest is given back (ask again to end at once)",
                count(patience.as_secs(), "second")
            );
            (text, Tone::Plain)
        }
        WorkerEvent::Stopped => ("stopped".to_owned(), Tone::Plain),
    }
}

fn to_json(event: &WorkerEvent<'_>) -> Value {
    match event {
        WorkerEvent::Listening { address } => json!({ "type": "listening", "address": address }),
        WorkerEvent::Started => json!({ "type": "worker_started" }),
        WorkerEvent::Joined { plan, run } => json!({ "type": "run_joined", "plan": plan, "run": run }),
        WorkerEvent::Unfit { plan, run, why, hint } => {
            json!({ "type": "run_unfit", "plan": plan, "run": run, "error": why, "hint": hint })
        }
        WorkerEvent::Left { plan, run, tasks } => {
            json!({ "type": "run_left", "plan": plan, "run": run, "tasks": tasks })
        }
        WorkerEvent::Trouble { error } => json!({ "type": "trouble", "error": error }),
        WorkerEvent::Reloading => json!({ "type": "reloading" }),
        WorkerEvent::Draining { runs, patience } => {
            json!({ "type": "draining", "runs": runs, "patience_seconds": patience.as_secs() })
        }
        WorkerEvent::Stopped => json!({ "type": "stopped" }),
    }
}
