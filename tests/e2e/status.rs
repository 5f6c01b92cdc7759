//! `xopero status`: the file against what is in force, and the runs against the clock.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fake_bitbucket::World;
use rustix::process::Signal;
use serde_json::Value;

use crate::json_schema::demand_valid;
use crate::proof::{options, usual};
use crate::scene::{readers, run_for_people, tidy};
use crate::support::{Ended, Home, send_signal};

/// Lines of a status have a schema.
const SCHEMA: &str = "status-output.schema.json";

fn status(home: &Home) -> (String, Vec<Value>) {
    let shown = home.xopero(&["status"]).success();
    tidy(home, &shown);
    let lines = home.xopero(&["status", "--json"]).success().json();
    demand_valid(SCHEMA, &lines);
    (shown.stdout, lines)
}

fn plan_line(lines: &[Value]) -> &Value {
    lines.iter().find(|line| line["type"] == "plan").unwrap_or_else(|| panic!("{lines:?}"))
}

#[test]
fn a_status_follows_the_file_and_the_runs() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, options());
    home.write_file(&["nas"], "");
    let (shown, lines) = status(&home);
    assert!(shown.contains("Nothing is in force yet") && !home.path().join(".xopero").exists(), "{shown}");
    assert_eq!(lines[1]["file"]["sync"], "Pending");

    home.apply_usual();
    let (shown, lines) = status(&home);
    assert_eq!(plan_line(&lines)["health"], "NeverRan", "{shown}");
    home.run("nightly");
    let (shown, lines) = status(&home);
    assert_eq!((&plan_line(&lines)["health"], &plan_line(&lines)["sync"]), (&"Healthy".into(), &"InSync".into()));
    assert!(shown.contains("in sync") && shown.contains("healthy") && shown.contains("ours"), "{shown}");

    let path = home.path().join("xopero.kdl");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("parts \"git\"", "parts \"git\"\n    paused reason=\"migration\"")).unwrap();
    home.apply();
    let (shown, lines) = status(&home);
    assert!(shown.contains("without an end: migration") && plan_line(&lines)["health"] == "Paused", "{shown}");
    std::fs::write(&path, &good).unwrap();
    home.apply();

    std::fs::write(&path, good.replace("keep last=100", "keep last=5")).unwrap();
    let (shown, lines) = status(&home);
    assert!(shown.contains("pending approval") && shown.contains("xopero apply --approve "), "{shown}");
    assert_eq!(plan_line(&lines)["sync"], "PendingApproval");
    std::fs::write(&path, good.replace("parts", "partz")).unwrap();
    assert_eq!(plan_line(&status(&home).1)["sync"], "Invalid");
    std::fs::remove_file(&path).unwrap();
    let (shown, lines) = status(&home);
    assert!(shown.contains("source stale") && shown.contains("cannot be read"), "{shown}");
    assert_eq!(plan_line(&lines)["health"], "Healthy");

    std::fs::remove_dir_all(home.destination("nas")).unwrap();
    let (shown, _) = status(&home);
    assert!(shown.contains("not seen") && shown.contains("! nas: "), "{shown}");
}

#[test]
fn a_failed_run_and_a_plan_that_left_are_told() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    home.run("nightly");
    home.server.set_account(fake_bitbucket::Account::reader("main", "another"));
    let _told = run_for_people(&home, 1);
    let (shown, lines) = status(&home);
    assert_eq!(plan_line(&lines)["health"], "Degraded", "{shown}");
    assert!(plan_line(&lines)["last_success"].is_string(), "{shown}");
    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).unwrap();
    let other = "plan \"weekly\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n";
    let kept = &text[..text.find("plan \"nightly\"").unwrap()];
    std::fs::write(&path, format!("{kept}{other}")).unwrap();
    home.xopero(&["plan", "--out", "gone.xplan"]).success();
    home.xopero(&["apply", "gone.xplan"]).success();
    let (shown, lines) = status(&home);
    assert!(shown.contains("nightly: no longer in force; 1 snapshot kept"), "{shown}");
    assert_eq!(lines.last().unwrap()["type"], "retired");
}

#[test]
fn a_status_can_be_watched() {
    let home = usual(World::new());
    let mut command = home.xopero_command(&["status", "--watch"]);
    let mut watching = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut next_look = || {
        let line = lines.find(|line| line.contains("\"type\":\"status\"")).expect("it looks again");
        serde_json::from_str::<Value>(&line).unwrap()["file"]["sync"].clone()
    };
    assert_eq!(next_look(), "InSync");
    std::fs::remove_file(home.path().join("xopero.kdl")).unwrap();
    // It may have looked before the file went.
    let next = std::iter::repeat_with(next_look).find(|sync| sync != "InSync");
    assert_eq!(next, Some("SourceStale".into()));
    send_signal(&watching, Signal::INT);
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}

#[test]
fn what_runs_next_is_told() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, options());
    home.write_file(&["nas"], "");
    home.apply_usual();
    let shown = home.xopero(&["next"]).success();
    tidy(&home, &shown);
    assert!(
        shown.stdout.contains("# nightly: has no schedule; start it with `xopero run nightly`"),
        "{}",
        shown.stdout
    );

    let path = home.path().join("xopero.kdl");
    let good = std::fs::read_to_string(&path).unwrap();
    let schedule = "schedule \"*/5 * * * *\" tz=\"Asia/Tokyo\" {\n        not-between \"00:00\" \"23:59\"\n    }";
    std::fs::write(&path, good.replace("parts \"git\"", &format!("parts \"git\"\n    {schedule}"))).unwrap();
    home.apply();
    let lines = home.xopero(&["next", "--json", "--count", "3"]).success().json();
    demand_valid("next-output.schema.json", &lines);
    let times = lines[1]["times"].as_array().unwrap();
    assert_eq!((&lines[1]["state"], times.len()), (&"scheduled".into(), 3));
    let begins = times[0]["begins"].as_str().unwrap();
    assert!(begins.ends_with("T14:59:00Z"), "the closed hours end at 23:59 in Tokyo: {begins}");
    let unknown = home.xopero(&["next", "weekly"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("in force: nightly"), "{}", unknown.stderr);
}

#[test]
fn a_marker_of_somebody_else_is_told() {
    let (home, other) = (usual(World::new()), usual(World::new()));
    assert!(status(&home).0.contains("ours"));
    let marker = |home: &Home| home.destination("nas").join("xopero.json");
    std::fs::copy(marker(&other), marker(&home)).unwrap();
    let (shown, lines) = status(&home);
    assert!(shown.contains("foreign") && shown.contains("another lineage"), "{shown}");
    let line = lines.iter().find(|line| line["type"] == "destination").unwrap();
    assert_eq!(line["marker"], "foreign");
    std::fs::remove_file(marker(&home)).unwrap();
    assert!(status(&home).0.contains("not seen"));
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, options());
    home.apply_usual();
    let path = home.path().join("xopero.kdl");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{good}\n  servr \"x\"\n")).unwrap();
    let (shown, lines) = status(&home);
    let line = good.lines().count() + 2;
    let file = &lines[1]["file"];
    assert_eq!(file["place"], serde_json::json!({"file": "xopero.kdl", "line": line, "column": 3}), "{file}");
    assert!(shown.contains(&format!("xopero.kdl:{line}:3:")) && shown.contains("generation 1 stays"), "{shown}");
}

#[test]
fn variables_that_are_set_to_nothing_are_not_set() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = usual(world);
    let names = [
        "FILE",
        "STATE",
        "STATE_PASSWORD_FILE",
        "IDENTITY_FILE",
        "AUTO_APPLY",
        "GIT",
        "GIT_BRANCH",
        "GIT_PATH",
        "GIT_ACCOUNT",
        "GIT_TOKEN",
        "GIT_TOKEN_FILE",
        "GIT_CA",
        "REQUIRE_SIGNATURES",
        "WEBHOOK_SECRET_FILE",
        "LOG",
    ];
    let nothing = names.map(|name| (format!("XOPERO_{name}"), ""));
    // In sync: it is the file and the state that are usual.
    for command in [&["status"][..], &["plan", "--offline", "--detailed-exitcode"], &["validate"]] {
        let output = home.xopero_command(command).envs(nothing.clone()).output().expect("the executable starts");
        Ended::from(&output).success();
    }
}
