//! A run on a terminal: one bar for all, one line for each repository in flight.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use jiff::Timestamp;

use super::wrap::whole_words;
use super::{Style, bytes, count, shown};
use crate::model::{AccountName, ConditionStatus, CredentialRole, ProjectKey, ProjectSelector, ServerName};
use crate::run::{Event, EventSink, ExchangeReason, TaskName, TaskReport, TaskResult, Totals};

/// What is said when a run is asked to stop.
pub const STOPPING: &str = "stopping: what is under way is given up, what is stored stays";

/// Draws what happens on stderr.
pub struct Progress {
    bars: MultiProgress,
    style: Style,
    inner: Mutex<Inner>,
}

struct Inner {
    whole: ProgressBar,
    in_flight: BTreeMap<TaskName, ProgressBar>,
    /// Who waits for an account with budget.
    waiting: BTreeMap<String, Timestamp>,
    /// Servers that said they are busy, and until when nobody asks them.
    busy: BTreeMap<ServerName, Timestamp>,
    /// Lines about limits that were written.
    notices: u64,
    totals: Totals,
}

/// Limits, exchanges and waits that get a line of their own: the bar shows who waits, the summary counts all.
const NOTICES: u64 = 6;

impl Inner {
    /// There is so much more to do.
    fn grow(&mut self, tasks: u64) {
        if self.whole.length() == Some(0) && tasks > 0 {
            self.whole.set_style(line_of("{prefix:.16} [{bar:10}] {pos}/{len}  {wide_msg}"));
        }
        self.whole.inc_length(tasks);
    }

    fn describe(&self) {
        let Totals { new, changed, failed, .. } = self.totals;
        let in_flight: u64 = self.in_flight.values().map(ProgressBar::position).sum();
        let mut message = String::new();
        // First, because the end of a long line is cut off.
        if let Some((server, until)) = self.busy.iter().min_by_key(|(_, until)| **until) {
            let until = until.strftime("%H:%M:%S UTC");
            let _text_is_memory = write!(message, "{} is busy until {until}, ", shown(server.as_str()));
        }
        if let Some(first) = self.waiting.values().min() {
            let until = first.strftime("%H:%M:%S UTC");
            let _text_is_memory = write!(message, "{} throttled until {until}, ", self.waiting.len());
        }
        let _text_is_memory = write!(message, "{new} new");
        if changed > 0 {
            let _text_is_memory = write!(message, ", {changed} changed");
        }
        if failed > 0 {
            let _text_is_memory = write!(message, ", {failed} failed");
        }
        let _text_is_memory = write!(message, ", {}", bytes(self.totals.received + in_flight));
        self.whole.set_message(message);
    }
}

impl Progress {
    /// Begins to draw.
    pub fn new(style: Style) -> Self {
        let bars = MultiProgress::new();
        let whole = bars.add(ProgressBar::new(0));
        // As long as nobody knows how much there is to do, a bar would be full.
        whole.set_style(line_of("{prefix:.16} asks what there is  {wide_msg}"));
        whole.set_prefix("run");
        let inner = Inner {
            whole,
            in_flight: BTreeMap::new(),
            waiting: BTreeMap::new(),
            busy: BTreeMap::new(),
            notices: 0,
            totals: Totals::default(),
        };
        Self { bars, style, inner: Mutex::new(inner) }
    }

    /// Writes a line about a limit, while there are not too many.
    fn notice(&self, inner: &mut Inner, text: &str) {
        inner.notices += 1;
        if inner.notices <= NOTICES {
            self.line(&self.style.yellow(text));
        }
        if inner.notices == NOTICES {
            self.line(&self.style.dim("(more of this is counted in the summary)"));
        }
    }

    /// Takes note of a server that is busy until some time, or not any more.
    fn server(&self, inner: &mut Inner, server: &ServerName, busy_until: Option<Timestamp>, text: &str) {
        match busy_until {
            Some(until) => drop(inner.busy.insert(server.clone(), until)),
            None => drop(inner.busy.remove(server)),
        }
        inner.describe();
        self.notice(inner, text);
    }

    fn finished(&self, inner: &mut Inner, report: &TaskReport) {
        if let Some(bar) = inner.in_flight.remove(&report.name) {
            bar.finish_and_clear();
        }
        if report.result == TaskResult::Failed {
            let why = report.error.first().map(|line| shown(line)).unwrap_or_default();
            self.line(&self.style.red(&format!("{}: {why}", shown(&report.name.to_string()))));
        }
        // What waited when the time was over does not go on.
        inner.waiting.remove(&report.name.to_string());
        inner.totals.add(report);
        inner.describe();
        inner.whole.inc(1);
    }

    fn line(&self, text: &str) {
        // Fails when stderr is gone: then nobody reads it.
        let _reader_gone = self.bars.println(whole_words(text));
    }

    fn in_flight_bar(&self, task: &TaskName, account: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new_spinner());
        let template = "  {spinner} {prefix:30!} {bytes:>11} {rate:>13}  {wide_msg}";
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for the eye")]
            let per_second = state.per_sec().max(0.0) as u64;
            let _text_is_memory = write!(out, "{}/s", indicatif::HumanBytes(per_second));
        };
        let style = ProgressStyle::with_template(template).expect("the template is valid").with_key("rate", rate);
        bar.set_style(style);
        bar.set_prefix(shown(&task.to_string()));
        bar.set_message(format!("as {}", shown(account)));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }
}

fn line_of(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is valid").progress_chars("=> ")
}

fn busy(server: &ServerName, until: Timestamp, limit: u32, why: &str) -> String {
    let (server, until) = (shown(server.as_str()), until.strftime("%H:%M:%S"));
    format!("server {server} is busy until {until}, then {limit} at once: {}", shown(why))
}

/// A credential that left the pool.
fn rejected(project: &ProjectSelector, credential: &CredentialRole, account: &AccountName, why: &str) -> String {
    let (account, why) = (shown(account.as_str()), shown(why));
    format!("credential/{project}/{credential} ({account}) is not used any more: {why}")
}

fn blind(project: &ProjectKey, credential: &CredentialRole, account: &AccountName, why: &str) -> String {
    let (account, why) = (shown(account.as_str()), shown(why));
    format!("credential {credential} ({account}) is not used for project {project}: {why}")
}

impl EventSink for Progress {
    fn emit(&self, event: &Event) {
        let mut inner = self.inner.lock().expect("no holder panics");
        match event {
            Event::RunStarted { plan, resumes, .. } => {
                inner.whole.set_prefix(shown(plan.as_str()));
                if let Some(earlier) = resumes {
                    self.line(&format!("goes on with run {earlier}"));
                }
            }
            Event::ProtocolLearned { server, protocol } => {
                self.line(&format!("{}: git protocol {protocol}", shown(server)));
            }
            Event::ProjectsFound { pattern, projects } => {
                self.line(&format!("projects {pattern}: {}", count(projects.len() as u64, "project")));
            }
            Event::ProjectListed { project, in_scope, out_of_scope } => {
                inner.grow(*in_scope as u64);
                let left_out = if *out_of_scope > 0 { format!(", {out_of_scope} left out") } else { String::new() };
                self.line(&format!("project {project}: {} in scope{left_out}", count(*in_scope as u64, "repository")));
            }
            Event::CredentialRejected { project, credential, account, why } => {
                self.line(&self.style.red(&rejected(project, credential, account, why)));
            }
            Event::PermissionLost { project, credential, account, why } => {
                self.line(&self.style.red(&blind(project, credential, account, why)));
            }
            Event::ConditionChanged { transition } => {
                if transition.condition.status == ConditionStatus::True {
                    let text = format!("{}: {}", transition.address, transition.condition.message);
                    self.line(&self.style.yellow(&shown(&text)));
                }
            }
            Event::TaskFetching { task, account } => {
                let bar = self.in_flight_bar(task, account.as_str());
                if let Some(earlier) = inner.in_flight.insert(task.clone(), bar) {
                    earlier.finish_and_clear();
                }
            }
            Event::TaskProgress { task, bytes: received } => {
                if let Some(bar) = inner.in_flight.get(task) {
                    bar.set_position(*received);
                    inner.describe();
                }
            }
            // While everybody waits, that an account is still limited is no news.
            Event::RateLimited { .. } if !inner.waiting.is_empty() => {}
            Event::RateLimited { account, until } => {
                let text =
                    format!("{} is rate-limited until {}", shown(account.as_str()), until.strftime("%H:%M:%S UTC"));
                self.notice(&mut inner, &text);
            }
            // Taking turns is how budgets are used up evenly, and servers in full: it is no news.
            Event::CredentialExchanged { reason: ExchangeReason::NoBudget | ExchangeReason::NoRoom, .. } => {}
            Event::CredentialExchanged { subject, from, to, reason: ExchangeReason::RateLimited } => {
                let (from, to) = (shown(from.as_str()), shown(to.as_str()));
                self.notice(&mut inner, &format!("{}: goes on as {to} in place of {from}", shown(subject)));
            }
            Event::Throttled { subject, until, .. } => {
                if inner.waiting.is_empty() {
                    let text = format!("no account has budget: waiting until {}", until.strftime("%H:%M:%S UTC"));
                    self.notice(&mut inner, &text);
                }
                inner.waiting.insert(subject.clone(), *until);
                inner.describe();
            }
            Event::Resumed { subject, .. } => {
                inner.waiting.remove(subject);
                inner.describe();
            }
            Event::ServerBusy { server, until, limit, why } => {
                let text = busy(server, *until, *limit, why);
                self.server(&mut inner, server, Some(*until), &text);
            }
            Event::ServerServes { server, limit } => {
                let text = format!("server {} serves again, {limit} at once", shown(server.as_str()));
                self.server(&mut inner, server, None, &text);
            }
            Event::TaskFinished { report } => self.finished(&mut inner, report),
            Event::HoursClosed { until } => {
                let until = until.strftime("%Y-%m-%d %H:%M UTC");
                let text = format!("the hours of `not-between` have begun: nothing more is begun before {until}");
                self.line(&self.style.yellow(&text));
            }
            Event::DeadlineReached { ends } => {
                let ends = ends.strftime("%H:%M:%S UTC");
                let text = format!("the time is over: nothing is begun any more, what is under way has until {ends}");
                self.line(&self.style.yellow(&text));
            }
            Event::Stopping => self.line(&self.style.yellow(STOPPING)),
            Event::RunFinished { .. } => {
                inner.in_flight.values().for_each(ProgressBar::finish_and_clear);
                inner.whole.finish_and_clear();
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // After an error there is no last event; a bar must not stand below its message.
        let _reader_gone = self.bars.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_and_until_when_fits_a_narrow_terminal() {
        let progress = Progress::new(Style { color: false });
        let until: Timestamp = "2026-11-22T21:38:57Z".parse().unwrap();
        for number in 0..10 {
            let (subject, reason) = (format!("PAY/one-{number}"), String::new());
            progress.emit(&Event::Throttled { subject, until, reason });
        }
        let mut inner = progress.inner.lock().unwrap();
        inner.totals = Totals { new: 15, received: 170_209, ..Totals::default() };
        inner.describe();
        let message = inner.whole.message();
        assert_eq!(message, "10 throttled until 21:38:57 UTC, 15 new, 166.22 KiB");
        assert!("nightly [==========] 15/33  ".len() + message.len() <= 80);
    }
}
