//! `xopero runs`: the record of what was, as a list and one by one.

use fake_bitbucket::{Action, Kind, When, World};
use serde_json::Value;

use crate::json_schema::demand_valid;
use crate::proof::usual;
use crate::scene::{apply_pool, readers, run, run_for_people, tidy};
use crate::support::Home;

const SCHEMA: &str = "runs-output.schema.json";

fn lines(home: &Home, arguments: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = ["runs"].iter().chain(arguments).chain(&["--json"]).copied().collect();
    let lines = home.xopero(&all).success().json();
    demand_valid(SCHEMA, &lines);
    lines[1..].to_vec()
}

#[test]
fn runs_are_listed_and_shown_with_what_they_cost() {
    let world = World::new();
    world.project("PAY").many("repo", 3);
    let home = Home::new(world, readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    home.xopero(&["runs"]).success().says("no runs");
    home.xopero(&["runs", "show"]).expect(1).says("nothing has run yet");
    let limited = home.server.fault(When::kind(Kind::LS_REFS).account("main").first(1), Action::status(429));
    run(&home, 0);
    limited.remove();
    let gone = home.server.fault(When::kind(Kind::LS_REFS).path_contains("repo-0002"), Action::status(404));
    run_for_people(&home, 8).says("xopero runs show ");
    gone.remove();

    let listed = lines(&home, &[]);
    let states: Vec<_> = listed.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["partial", "done"]);
    assert_eq!((&listed[1]["costs"]["rate_limited"], &listed[1]["costs"]["exchanges"]), (&1.into(), &1.into()));
    assert_eq!(lines(&home, &["--plan", "nightly", "--limit", "1"]).len(), 1);
    home.xopero(&["runs", "--plan", "nightlx"]).expect(1).says("no run of a plan");
    let shown = home.xopero(&["runs"]).success().says("partial").says("STARTED").says("xopero runs show RUN");
    tidy(&home, &shown);
    home.xopero(&["runs", "--limit", "1"]).success().says("there are more than 1 runs");

    let first = listed[1]["run"].as_str().unwrap();
    let of_first = lines(&home, &["show", &first[..20]]);
    let kinds: Vec<_> = of_first.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["run", "run_detail", "task"], "the one that changed accounts");
    let ledger = &of_first[2]["report"]["ledger"];
    assert_eq!(ledger["credentials"]["credential/PAY/main"]["rate_limited"], 1, "{ledger}");
    assert_eq!(ledger["credentials"]["credential/PAY/extra-1"]["account"], "one", "{ledger}");
    assert_eq!((&ledger["exchanges"], &ledger["exchanged"]["main"]), (&1.into(), &1.into()), "{ledger}");
    assert!(of_first[1]["ledger"]["rested_ms"]["main"].is_u64(), "{}", of_first[1]);
    assert_eq!(lines(&home, &["show", first, "--all"]).len(), 5);

    let shown = home.xopero(&["runs", "show", "latest"]).success();
    tidy(&home, &shown);
    let shown =
        shown.says("partial").says("PAY/main").says("failed: PAY/repo-0002: ").says("2 repositories that nothing");
    assert!(shown.stdout.lines().any(|line| line.starts_with("PAY/repo-0002  failed")), "{}", shown.stdout);
    home.xopero(&["runs", "show", "zzzz"]).expect(1).says("list them with `xopero runs`");
}

#[test]
fn a_run_that_was_never_finished_is_told_as_such() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = usual(world);
    let gate = fake_bitbucket::Gate::new();
    home.server.fault(When::kind(Kind::LS_REFS), Action::Hang(gate.clone()));
    let live = crate::scene::Live::start(&home);
    assert!(gate.reached_blocking(crate::scene::PATIENCE));
    assert_eq!(lines(&home, &[])[0]["state"], "running");
    home.xopero(&["runs", "show"]).success().says("under way");
    live.signal(rustix::process::Signal::KILL);
    assert_eq!(live.wait().code, -9);
    assert_eq!(lines(&home, &[])[0]["state"], "abandoned", "nobody holds the lock");
    home.xopero(&["runs", "show"]).success().says("nobody knows when");
    assert!(!home.xopero(&["status"]).success().stdout.contains("running"));
    gate.release();
    home.server.clear_faults();
    home.run("nightly");
    let states: Vec<_> = lines(&home, &[]).iter().map(|line| line["state"].clone()).collect();
    assert_eq!(states, ["done", "abandoned"]);
    let killed = lines(&home, &[])[1].clone();
    assert_eq!((&killed["finished"], &killed["costs"]), (&Value::Null, &Value::Null), "{killed}");
    home.xopero(&["runs", "show", killed["run"].as_str().unwrap()]).success().says("nobody knows when");
}
