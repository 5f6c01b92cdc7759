//! Runs of two plans at the same time, in one watch.

#![expect(clippy::unwrap_used, reason = "the state is the one that was just made, or the test ends")]

use fake_bitbucket::{Action, Gate, Kind, When};
use rustix::process::Signal;
use xopero::state::StateLocation;

use crate::proof::usual;
use crate::scene::PATIENCE;
use crate::support::{Home, file_text, write_text};
use crate::watch::{BEFORE_THEM, Watching, dealt_with, now, passed_times, world};

/// Two plans over the same repositories whose last times were missed.
fn late(home: &Home) {
    let times = passed_times();
    let schedule = format!("    schedule \"{times}\"\n");
    let text = file_text(home).replace("    parts \"git\"\n", &format!("    parts \"git\"\n{schedule}"));
    let other =
        "plan \"hot\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n";
    write_text(home, &format!("{text}{other}{schedule}}}\n"));
    home.apply();
    dealt_with(
        &StateLocation::beside(home.path()),
        &["nightly", "hot"],
        &times,
        now().saturating_sub(BEFORE_THEM).unwrap(),
    );
}

#[test]
fn two_plans_run_side_by_side_and_have_a_repository_one_after_the_other() {
    let home = usual(world());
    late(&home);
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::FETCH).path_contains("/ledger").first(1), Action::Hang(gate.clone()));
    let mut watch = Watching::start(&home, &[]);
    assert!(gate.reached_blocking(PATIENCE));
    // The one that does not have the ledger goes on with what it can have.
    let mut plans = Vec::new();
    while plans.len() < 2 {
        let finished = watch.line("task_finished");
        assert_eq!(finished["report"]["slug"], "web", "{finished}");
        plans.push(finished["plan"].as_str().unwrap().to_owned());
    }
    plans.sort();
    assert_eq!(plans, ["hot", "nightly"]);
    gate.release();
    for _ in 0..2 {
        let ended = watch.line("run_ended");
        assert_eq!(ended["outcome"], "done", "{ended}");
    }
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    let snapshots = home.xopero(&["snapshots", "--json"]).success().json();
    assert_eq!(snapshots.iter().filter(|line| line["type"] != "version").count(), 4, "{snapshots:?}");
    let fetched = |name: &str| home.server.log().count(|entry| entry.kind == Kind::FETCH && entry.path.contains(name));
    assert_eq!(fetched("/web"), 1, "the second one builds on what the first one stored");
}

#[test]
fn one_run_at_a_time_where_that_is_wanted() {
    let home = usual(world());
    late(&home);
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::FETCH).path_contains("/ledger").first(1), Action::Hang(gate.clone()));
    let mut watch = Watching::start(&home, &["--max-runs", "1"]);
    let first = watch.line("run_begins")["plan"].clone();
    let waits = watch.line("run_waits");
    assert!(waits["plan"] != first && waits["reason"].to_string().contains("is under way already"), "{waits}");
    assert!(gate.reached_blocking(PATIENCE));
    gate.release();
    assert_eq!(watch.line("run_ended")["plan"], first);
    assert_eq!(watch.line("run_ended")["plan"], waits["plan"]);
}
