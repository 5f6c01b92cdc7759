//! How whatever goes on for long tells what happens: lines for people ([`Talk`]), lines of the log for those who collect
//! logs and want fields ([`Log`]), or JSON for programs ([`Lines`]). What they say stands beside the events.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use super::waits::Waits;
use super::wrap::paragraph;
use super::{Level, Stamp, Style, shown, shown_json, version_line};
use crate::clock::Clock;
use crate::model::PlanName;
use crate::run::{Event, TaskResult};

/// Lines for people, on stderr: a time, what it is about, what happened. On a terminal long ones are put on several.
pub struct Talk {
    style: Style,
    width: usize,
    terminal: bool,
    stamp: Stamp,
    options: String,
    waits: Waits,
    clock: Arc<dyn Clock>,
}

/// How a line is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Care,
    Bad,
}

impl Talk {
    /// Lines in this style, for a `terminal` or for a log in which they begin with `stamp`; reports of invalid files are
    /// at most `width` wide. Commands that are told take `options`, to be about the same file and state.
    pub fn new(
        (style, width): (Style, usize),
        (terminal, stamp): (bool, Stamp),
        options: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { style, width, terminal, stamp, options, waits: Waits::default(), clock }
    }

    /// The options of commands that are told.
    pub(super) fn options(&self) -> &str {
        &self.options
    }

    /// Writes a line.
    pub(super) fn line(&self, text: &str, tone: Tone) {
        let level = match tone {
            Tone::Plain | Tone::Good => Level::Info,
            Tone::Care | Tone::Bad => Level::Warn,
        };
        let at = self.stamp.of(self.clock.now(), level);
        let paint = |styled: &str| paragraph("", (&at, styled), text, self.terminal);
        let line = match tone {
            Tone::Plain => paint(&self.style.dim(&at)),
            Tone::Good => self.style.green(&paint(&at)),
            Tone::Care => self.style.yellow(&paint(&at)),
            Tone::Bad => self.style.red(&paint(&at)),
        };
        // A reader that has gone away does not stop a backup.
        let _reader_gone = writeln!(io::stderr().lock(), "{line}");
    }

    /// Writes a line about a run, if people are told of that.
    pub(super) fn line_of_run(&self, plan: &PlanName, event: &Event) {
        if let Some(text) = run_words(event).filter(|_| self.waits.is_news(plan, event, self.clock.now())) {
            self.line(&format!("{plan}: {}", shown(&text)), Tone::Plain);
        }
    }

    /// Writes several lines, made with or without colour and for this width.
    pub(super) fn report(&self, render: impl FnOnce(bool, usize) -> String) {
        let _reader_gone = io::stderr().lock().write_all(render(self.style.color, self.width).as_bytes());
    }
}

/// Lines of the log.
pub struct Log {
    options: String,
    waits: Waits,
    clock: Arc<dyn Clock>,
}

impl Log {
    /// Commands that are told take `options`, to be about the same file and state.
    pub fn new(options: String, clock: Arc<dyn Clock>) -> Self {
        Self { options, waits: Waits::default(), clock }
    }

    /// The options of commands that are told.
    pub(super) fn options(&self) -> &str {
        &self.options
    }

    /// Writes a line about a run, if people are told of that.
    pub(super) fn line_of_run(&self, plan: &PlanName, event: &Event) {
        // The span of the task around it names the repository and the account.
        if let Some(text) = run_words(event).filter(|_| self.waits.is_news(plan, event, self.clock.now())) {
            tracing::info!(%plan, "{text}");
        }
    }
}

/// JSON lines on stdout.
pub struct Lines {
    clock: Arc<dyn Clock>,
}

impl Lines {
    /// Writes the first line, which tells the version.
    pub fn begin(clock: Arc<dyn Clock>) -> Self {
        let lines = Self { clock };
        lines.report(&version_line());
        lines
    }

    /// Writes a line with its time.
    pub(super) fn line(&self, mut value: Value) {
        value["at"] = json!(self.clock.now());
        self.report(&value);
    }

    /// Writes a line about a run.
    pub(super) fn line_of_run(&self, plan: &PlanName, event: &Event) {
        if !matches!(event, Event::TaskProgress { .. }) {
            let mut line = serde_json::to_value(event).expect("events are plain data");
            line["plan"] = json!(plan);
            self.line(line);
        }
    }

    /// Writes a line as it is.
    #[expect(clippy::unused_self, reason = "only what has told its version writes lines")]
    pub(super) fn report(&self, value: &Value) {
        // A reader that has gone away does not stop a backup.
        let _reader_gone = writeln!(io::stdout().lock(), "{}", shown_json(value));
    }
}

/// What of a run people are told while it goes on.
fn run_words(event: &Event) -> Option<String> {
    match event {
        Event::CredentialRejected { project, credential, account, why } => {
            Some(format!("credential {credential} ({account}) of {project} is rejected: {why}"))
        }
        Event::PermissionLost { project, credential, account, why } => {
            Some(format!("credential {credential} ({account}) is not used for {project}: {why}"))
        }
        Event::ConditionChanged { transition } => Some(transition.condition.message.clone()),
        Event::RateLimited { account, until } => {
            Some(format!("{account} is rate-limited until {}", until.strftime("%H:%M:%S")))
        }
        Event::Throttled { subject, until, .. } => Some(format!(
            "no account has budget: {subject} waits until {}; others may wait, too (told every 10 minutes)",
            until.strftime("%H:%M:%S")
        )),
        Event::TaskFinished { report } if report.result == TaskResult::Failed => {
            Some(format!("{} failed: {}", report.name, report.error.join(": ")))
        }
        Event::ServerBusy { server, until, why, .. } => {
            Some(format!("server {server} is busy ({why}): everybody waits until {}", until.strftime("%H:%M:%S")))
        }
        Event::HoursClosed { until } => {
            let until = until.strftime("%Y-%m-%d %H:%M UTC");
            Some(format!("the hours of `not-between` have begun: nothing more is begun before {until}"))
        }
        Event::DeadlineReached { ends } => {
            Some(format!("its time is over: what is under way ends by {}", ends.strftime("%H:%M:%S")))
        }
        Event::RunStarted { .. }
        | Event::ProtocolLearned { .. }
        | Event::ProjectsFound { .. }
        | Event::ProjectListed { .. }
        | Event::ServerServes { .. }
        | Event::TaskFetching { .. }
        | Event::TaskProgress { .. }
        | Event::CredentialExchanged { .. }
        | Event::Resumed { .. }
        | Event::TaskFinished { .. }
        | Event::Stopping
        | Event::RunFinished { .. } => None,
    }
}
