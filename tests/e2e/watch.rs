//! `xopero watch`: the file changes, the backups run, and a kill loses nothing.

#![expect(clippy::unwrap_used, reason = "the state is the one that was just made, or the test ends")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use fake_bitbucket::{Action, Gate, Kind, When, World};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::process::Signal;
use serde_json::Value;
use xopero::clock::SystemClock;
use xopero::model::Address;
use xopero::state::{AgendaRow, StateLocation, StateStore};

use crate::json_schema::demand_valid;
use crate::proof::{stock, usual};
use crate::scene::PATIENCE;
use crate::support::{Home, edit, file_text, send_signal, write_text};

/// A watch under way. Killed when the test ends.
pub struct Watching {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Watching {
    pub fn start(home: &Home, more: &[&str]) -> Self {
        Self::start_in(home, &[], more)
    }

    /// Starts it with these variables in its environment.
    pub fn start_in(home: &Home, variables: &[(&str, &str)], more: &[&str]) -> Self {
        let arguments = [&["watch", "--json"], more].concat();
        let mut command = home.xopero_command(&arguments);
        command.envs(variables.iter().copied()).env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the executable starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line of this type.
    pub fn line(&mut self, kind: &str) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {kind} line:\n{}", self.seen.join("\n"))
            };
            self.seen.push(line.clone());
            let line: Value = serde_json::from_str(&line).expect("lines are JSON");
            demand_valid("watch-output.schema.json", std::slice::from_ref(&line));
            if line["type"] == kind {
                return line;
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal);
    }

    /// Waits for the end.
    pub fn ended(mut self) -> Option<i32> {
        self.seen.extend(self.lines.iter());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
    }
}

pub fn world() -> World {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(2));
    world.project("PAY").repository("web", |recipe| recipe.commits(2));
    world
}

/// Three times of every hour: they have passed a few minutes ago, and the next one is far away, so that nothing becomes
/// due while a test lasts.
pub fn passed_times() -> String {
    let minute = |ago| now().saturating_sub(Duration::from_mins(ago)).unwrap().to_zoned(TimeZone::UTC).minute();
    let minutes: BTreeSet<i8> = [6, 11, 16].map(minute).into();
    let minutes: Vec<String> = minutes.into_iter().map(|minute| minute.to_string()).collect();
    format!("{} * * * *", minutes.join(","))
}

/// So long ago a dozen of these times had not passed.
pub const BEFORE_THEM: Duration = Duration::from_hours(4);

/// A schedule, and a state that says that its last times were missed.
pub fn miss(home: &Home) {
    let times = passed_times();
    edit(home, "parts \"git\"", &format!("parts \"git\"\n    schedule \"{times}\""));
    home.apply();
    dealt_with(&StateLocation::beside(home.path()), &["nightly"], &times, now().saturating_sub(BEFORE_THEM).unwrap());
}

/// The state says that the plans, whose schedule is in UTC, are dealt with until a time.
pub fn dealt_with(location: &StateLocation, plans: &[&str], times: &str, dealt_with: Timestamp) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let state = StateStore::open_existing(location, &SystemClock).await.unwrap().expect("it was applied");
        let applied = state.applied().await.unwrap().expect("it was applied");
        for plan in plans {
            let uid = applied.uids[&Address::plan(&plan.parse().unwrap())];
            state.deal_with(uid, &AgendaRow { timetable: format!("{times} UTC"), dealt_with }).await.unwrap();
        }
        state.close().await;
    });
}

pub fn now() -> Timestamp {
    use xopero::clock::Clock;
    SystemClock.now()
}

#[test]
fn a_watch_follows_the_file() {
    let home = usual(world());
    let mut watch = Watching::start(&home, &[]);
    assert_eq!(watch.line("watch_started")["generation"], 1);
    assert_eq!(watch.line("activated")["result"], "in-sync");

    edit(&home, "keep last=100", "keep last=200");
    let applied = watch.line("activated");
    assert_eq!((&applied["result"], &applied["generation"]), (&"applied".into(), &2.into()), "{applied}");

    let good = file_text(&home);
    write_text(&home, &good.replace("plan \"nightly\" {", "plan \"nightly\""));
    let invalid = watch.line("activated");
    assert_eq!((&invalid["result"], &invalid["generation"]), (&"invalid".into(), &2.into()), "{invalid}");

    write_text(&home, &good.replace("keep last=200", "keep last=5"));
    let guarded = watch.line("activated");
    assert_eq!(guarded["result"], "pending-approval", "{guarded}");
    let id = guarded["plan_id"].as_str().unwrap();
    home.xopero(&["apply", "--approve", id, "--offline"]).success();
    watch.signal(Signal::HUP);
    let approved = watch.line("activated");
    assert_eq!((&approved["result"], &approved["generation"]), (&"in-sync".into(), &3.into()), "{approved}");

    std::fs::remove_file(home.path().join("xopero.kdl")).unwrap();
    watch.line("source_missing");
    write_text(&home, &good);
    assert_eq!(watch.line("activated")["generation"], 4);
    watch.signal(Signal::TERM);
    watch.line("stopped");
    assert_eq!(watch.ended(), Some(0));
}

#[test]
fn nothing_is_applied_where_the_machine_says_so() {
    let home = usual(world());
    let mut watch = Watching::start(&home, &["--auto-apply", "none"]);
    watch.line("activated");
    edit(&home, "keep last=100", "keep last=200");
    let told = watch.line("activated");
    assert_eq!((&told["result"], &told["generation"]), (&"pending-approval".into(), &1.into()), "{told}");
    for _ in 0..2 {
        watch.signal(Signal::HUP);
        watch.line("reloading");
        let still = watch.line("activated");
        assert_eq!((&still["result"], &still["plan_id"]), (&"pending-approval".into(), &told["plan_id"]), "{still}");
    }
    edit(&home, "keep last=200", "keep last=100");
    assert_eq!(watch.line("activated")["result"], "in-sync");
    watch.signal(Signal::HUP);
    watch.line("reloading");
    let same = watch.line("activated");
    assert_eq!((&same["result"], &same["generation"]), (&"in-sync".into(), &1.into()), "{same}");
}

#[test]
fn what_was_missed_runs_once() {
    let home = usual(world());
    miss(&home);
    let mut watch = Watching::start(&home, &[]);
    let begins = watch.line("run_begins");
    assert!(begins["plan"] == "nightly" && begins["missed"].as_u64().unwrap() >= 10, "{begins}");
    let ended = watch.line("run_ended");
    assert_eq!(ended["outcome"], "done", "{ended}");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    let lines = home.xopero(&["next", "--json"]).success().json();
    assert!(lines[1]["makes_up_for"].is_null(), "{lines:?}");
}

#[test]
fn what_was_cut_off_is_gone_on_with() {
    let home = usual(world());
    miss(&home);
    let gate = Gate::new();
    // The first repository is backed up, the second one never answers.
    let fault = home.server.fault(When::kind(Kind::FETCH).path_contains("/web").first(1), Action::Hang(gate.clone()));
    let mut watch = Watching::start(&home, &[]);
    assert!(gate.reached_blocking(PATIENCE));
    while watch.line("task_finished")["report"]["slug"] != "ledger" {}
    home.xopero(&["run", "nightly"]).expect(6).says("watch");
    watch.signal(Signal::KILL);
    assert_eq!(watch.ended(), None);
    fault.remove();
    gate.release();

    let mut watch = Watching::start(&home, &[]);
    let begins = watch.line("run_begins");
    assert!(begins["scheduled"].is_null(), "{begins}");
    let summary = watch.line("run_finished")["summary"].clone();
    assert!(summary["resumes"].is_string() && summary["outcome"] == "done", "{summary}");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    let asked = home.server.log().count(|entry| entry.path.contains("ledger") && entry.kind == Kind::FETCH);
    assert_eq!(asked, 1, "what was backed up is not fetched again");
}

#[test]
fn what_was_cut_off_is_gone_on_with_by_whoever_waited_for_the_lock() {
    let home = usual(world());
    miss(&home);
    let gate = Gate::new();
    let fault = home.server.fault(When::kind(Kind::FETCH).path_contains("/web").first(1), Action::Hang(gate.clone()));
    let first = Watching::start(&home, &[]);
    assert!(gate.reached_blocking(PATIENCE));
    let mut second = Watching::start(&home, &[]);
    second.line("activated");
    first.signal(Signal::KILL);
    assert_eq!(first.ended(), None);
    fault.remove();
    gate.release();
    // It would look by itself within a minute.
    second.signal(Signal::HUP);
    let summary = second.line("run_finished")["summary"].clone();
    assert!(summary["resumes"].is_string() && summary["outcome"] == "done", "{summary}");
    second.signal(Signal::TERM);
    assert_eq!(second.ended(), Some(0));
}

#[test]
fn a_watch_ends_with_its_terminal() {
    let home = usual(world());
    stock(&home, "mkfifo", &["lines"]);
    // It leads its session, and so hears of its end also where the tests were started to ignore it.
    let watch = format!("exec {} watch --json > lines", env!("CARGO_BIN_EXE_xopero"));
    let mut command = home.command("script");
    command.args(["--quiet", "--command", &watch, "/dev/null"]).env("SHELL", "/bin/sh");
    command.env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut terminal = command.spawn().expect("script of util-linux starts");
    let lines = File::open(home.path().join("lines")).expect("the watch opens its end, too");
    let mut lines = BufReader::new(lines).lines().map(|line| line.expect("lines are text"));
    assert!(lines.any(|line| line.contains("\"activated\"")));
    terminal.kill().expect("it is there");
    terminal.wait().expect("it ends");
    let rest: Vec<String> = lines.collect();
    assert!(rest.last().is_some_and(|line| line.contains("\"stopped\"")), "{rest:?}");
}

#[test]
fn a_watch_that_is_stopped_ends_its_run_in_order() {
    let home = usual(world());
    miss(&home);
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::FETCH).first(1), Action::Hang(gate.clone()));
    let mut watch = Watching::start(&home, &["--drain", "1s"]);
    assert!(gate.reached_blocking(PATIENCE));
    watch.signal(Signal::TERM);
    assert_eq!(watch.line("draining")["runs"], 1);
    assert_eq!(watch.line("run_ended")["outcome"], "interrupted");
    assert_eq!(watch.ended(), Some(0));
    gate.release();
}

#[test]
fn a_watch_that_is_stopped_lets_a_repository_end_and_begins_no_other() {
    let world = world();
    for number in 0..20 {
        world.project("PAY").repository(&format!("more-{number:02}"), |recipe| recipe.commits(1));
    }
    let home = usual(world);
    miss(&home);
    let gate = Gate::new();
    // The first packs are held up, and with them all places for packs.
    home.server.fault(When::kind(Kind::FETCH).first(2), Action::Hang(gate.clone()));
    let mut watch = Watching::start(&home, &["--drain", "1m"]);
    assert!(gate.reached_by_blocking(2, PATIENCE));
    watch.signal(Signal::TERM);
    watch.line("draining");
    gate.release();
    let summary = watch.line("run_finished")["summary"].clone();
    assert_eq!(summary["outcome"], "interrupted", "{summary}");
    let count = |name: &str| summary["totals"][name].as_u64().unwrap();
    assert!(count("new") >= 2 && count("not_reached") > 0 && count("interrupted") == 0, "{summary}");
    assert_eq!(watch.ended(), Some(0));

    let mut watch = Watching::start(&home, &[]);
    let summary = watch.line("run_finished")["summary"].clone();
    let count = |name: &str| summary["totals"][name].as_u64().unwrap();
    assert!(summary["outcome"] == "done" && count("carried") >= 2, "{summary}");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
}
