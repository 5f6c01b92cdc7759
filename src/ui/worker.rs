//! What a worker tells: lines for people, or JSON for programs.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use super::watch::run_words;
use super::wrap::paragraph;
use super::{Level, Stamp, Style, shown, shown_json, version_line};
use crate::clock::Clock;
use crate::daemon::{WorkerEvent, WorkerSink};
use crate::model::PlanName;
use crate::run::Event;

/// Lines for people, on stderr: a time, what it is about, what happened.
pub struct WorkerTalk {
    style: Style,
    terminal: bool,
    stamp: Stamp,
    clock: Arc<dyn Clock>,
}

impl WorkerTalk {
    /// Lines in this style, for a `terminal` or for a log in which they begin with `stamp`.
    pub fn new(style: Style, terminal: bool, stamp: Stamp, clock: Arc<dyn Clock>) -> Self {
        Self { style, terminal, stamp, clock }
    }

    fn line(&self, level: Level, text: &str, paint: impl Fn(Style, &str) -> String) {
        let at = self.stamp.of(self.clock.now(), level);
        let line = paint(self.style, &paragraph("", (&at, &at), text, self.terminal));
        // A reader that has gone away does not stop a backup.
        let _reader_gone = writeln!(io::stderr().lock(), "{line}");
    }
}

impl WorkerSink for WorkerTalk {
    fn tell(&self, event: &WorkerEvent<'_>) {
        let text = words(event);
        match event {
            WorkerEvent::Unfit { .. } => self.line(Level::Warn, &text, Style::yellow),
            WorkerEvent::Trouble { .. } => self.line(Level::Warn, &text, Style::red),
            WorkerEvent::Started
            | WorkerEvent::Joined { .. }
            | WorkerEvent::Left { .. }
            | WorkerEvent::Draining { .. }
            | WorkerEvent::Stopped => self.line(Level::Info, &text, |_, line| line.to_owned()),
        }
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        if let Some(text) = run_words(event) {
            self.line(Level::Info, &format!("{plan}: {}", shown(&text)), |_, line| line.to_owned());
        }
    }
}

fn words(event: &WorkerEvent<'_>) -> String {
    match event {
        WorkerEvent::Started => "waiting for runs to take a share in".to_owned(),
        WorkerEvent::Joined { plan, run } => format!("{plan}: works on run {run}"),
        WorkerEvent::Unfit { plan, run, why, hint } => {
            let hint = hint.map(|hint| format!("; {}", shown(hint))).unwrap_or_default();
            let why = shown(&why.join(": "));
            format!("{plan}: run {run} is left to others: {why}{hint}")
        }
        WorkerEvent::Left { plan, run, tasks: 0 } => format!("{plan}: run {run} is over, with nothing done here"),
        WorkerEvent::Left { plan, run, tasks } => {
            format!("{plan}: done with run {run}: {} backed up here", repositories(*tasks))
        }
        WorkerEvent::Trouble { error } => format!("{}; trying again", shown(&error.join(": "))),
        WorkerEvent::Draining { runs: 0 } => "stopping".to_owned(),
        WorkerEvent::Draining { .. } => {
            "stopping: what is under way is finished, the rest is given back (ask again to end at once)".to_owned()
        }
        WorkerEvent::Stopped => "stopped".to_owned(),
    }
}

fn repositories(tasks: usize) -> String {
    if tasks == 1 { "1 repository".to_owned() } else { format!("{tasks} repositories") }
}

/// JSON lines on stdout.
pub struct WorkerLines {
    clock: Arc<dyn Clock>,
}

impl WorkerLines {
    /// Writes the first line, which tells the version.
    pub fn begin(clock: Arc<dyn Clock>) -> Self {
        write(&version_line());
        Self { clock }
    }

    fn line(&self, mut value: Value) {
        value["at"] = json!(self.clock.now());
        write(&value);
    }
}

fn write(value: &Value) {
    // A reader that has gone away does not stop a backup.
    let _reader_gone = writeln!(io::stdout().lock(), "{}", shown_json(value));
}

impl WorkerSink for WorkerLines {
    fn tell(&self, event: &WorkerEvent<'_>) {
        self.line(match event {
            WorkerEvent::Started => json!({ "type": "worker_started" }),
            WorkerEvent::Joined { plan, run } => json!({ "type": "run_joined", "plan": plan, "run": run }),
            WorkerEvent::Unfit { plan, run, why, hint } => {
                json!({ "type": "run_unfit", "plan": plan, "run": run, "error": why, "hint": hint })
            }
            WorkerEvent::Left { plan, run, tasks } => {
                json!({ "type": "run_left", "plan": plan, "run": run, "tasks": tasks })
            }
            WorkerEvent::Trouble { error } => json!({ "type": "trouble", "error": error }),
            WorkerEvent::Draining { runs } => json!({ "type": "draining", "runs": runs }),
            WorkerEvent::Stopped => json!({ "type": "stopped" }),
        });
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        if !matches!(event, Event::TaskProgress { .. }) {
            let mut line = serde_json::to_value(event).expect("events are plain data");
            line["plan"] = json!(plan);
            self.line(line);
        }
    }
}
