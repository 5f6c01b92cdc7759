//! Runs that end early, and runs that go on with them.

use fake_bitbucket::{Action, Entry, Gate, Kind, When, World};
use rustix::process::Signal;
use serde_json::Value;

use crate::json_schema::demand_valid;
use crate::limits::bucket;
use crate::proof::usual;
use crate::scene::{Live, PATIENCE, edit, listed, readers, run, run_for_people, strays, summary, task, tidy};
use crate::support::Home;

/// How often the references of a repository were asked for.
fn asked(home: &Home, slug: &str) -> usize {
    let path = format!("/{slug}.git/");
    home.server.log().count(|entry: &Entry| entry.kind == Kind::LS_REFS && entry.path.contains(&path))
}

fn count(summary: &Value, what: &str) -> u64 {
    summary["totals"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {summary}"))
}

#[test]
fn a_throttled_run_ends_at_its_deadline_and_is_gone_on_with() {
    let world = World::new();
    world.project("PAY").many("repo", 4);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    bucket(&home, "main", 7);
    let mut live = Live::start_with(&home, &["--max-duration", "20s"]);
    let throttled = live.until("throttled");
    assert!(throttled["reason"].as_str().unwrap().contains("no account of project PAY has budget"), "{throttled}");

    let status = home.xopero(&["status", "--json"]).success().json();
    demand_valid("status-output.schema.json", &status);
    let plan = status.iter().find(|line| line["type"] == "plan").unwrap();
    assert_eq!(plan["health"], "Throttled", "{plan}");
    assert!(plan["throttled"]["tasks"].as_u64().unwrap() > 0 && plan["throttled"]["until"].is_string(), "{plan}");

    let ended = live.wait().expect(10);
    tidy(&home, &ended);
    let early = summary(&ended);
    assert_eq!((&early["outcome"], &early["out_of_time"]), (&"partial".into(), &true.into()), "{early}");
    assert!(count(&early, "throttled") > 0 && count(&early, "failed") == 0, "{early}");
    let (done, left) = (count(&early, "new"), count(&early, "throttled") + count(&early, "not_reached"));
    assert_eq!(done + left, 4, "{early}");
    home.xopero(&["status"]).success().says("throttled").says("xopero runs show ");
    let shown = home.xopero(&["runs", "show", "--json", "--all"]).success().json();
    demand_valid("runs-output.schema.json", &shown);
    home.xopero(&["runs", "show"]).success().says("Throttled (UTC):");

    bucket(&home, "main", 500);
    let before: Vec<usize> = (1..=4).map(|number| asked(&home, &format!("repo-000{number}"))).collect();
    let ended = home.xopero(&["run", "nightly", "--resume", "--json"]).success();
    tidy(&home, &ended);
    let second = summary(&ended);
    assert_eq!((count(&second, "carried"), count(&second, "new")), (done, left), "{second}");
    assert_eq!(second["resumes"], early["run"]);
    for (number, before) in (1..=4).zip(before) {
        let slug = format!("repo-000{number}");
        let carried = task(&ended, &slug)["carried"] == early["run"];
        assert_eq!(asked(&home, &slug) == before, carried, "{slug}: what was done is not asked for again");
    }
    assert_eq!(listed(&home).len(), 4);
    let shown = home.xopero(&["runs", "--json"]).success().json();
    demand_valid("runs-output.schema.json", &shown);
    assert_eq!((&shown[1]["state"], &shown[1]["resumes"]), (&"done".into(), &early["run"]));
    home.xopero(&["run", "nightly", "--resume"]).success().says("nothing to resume");
}

#[test]
fn a_listing_that_waits_for_budget_ends_at_the_deadline_too() {
    let world = World::new();
    world.project("PAY").many("repo", 2);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    bucket(&home, "main", 0);
    let ended = home.xopero(&["run", "nightly", "--max-duration", "10s"]).expect(10);
    tidy(&home, &ended);
    ended.says("partial").says("the run had to end before").says("`xopero run nightly --resume`");
    bucket(&home, "main", 500);
    let ended = home.xopero(&["run", "nightly", "--resume", "--json"]).success();
    assert_eq!(count(&summary(&ended), "new"), 2);
}

/// A small repository, and a large one whose first pack stands still in the middle.
fn stuck() -> (Home, Gate) {
    let world = World::new();
    world.project("PAY").repository("a-small", |recipe| recipe);
    world.project("PAY").repository("large", |recipe| recipe.bulk(2, 4_000_000));
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    let gate = Gate::new();
    let when = When::kind(Kind::FETCH).path_contains("large").first(1);
    home.server.fault(when, Action::Hold { after: 3_000_000, gate: gate.clone() });
    (home, gate)
}

#[test]
fn what_is_under_way_at_the_deadline_is_stopped_and_leaves_nothing_half_done() {
    let (home, gate) = stuck();
    let ended = home.xopero(&["run", "nightly", "--max-duration", "15s", "--json"]).expect(8);
    gate.release();
    tidy(&home, &ended);
    assert_eq!(task(&ended, "large")["result"], "interrupted");
    assert_eq!(summary(&ended)["outcome"], "partial");
    assert_eq!(listed(&home), ["PAY/a-small"]);
    strays(&home);
    let ended = home.xopero(&["run", "nightly", "--resume", "--json"]).success();
    let second = summary(&ended);
    assert_eq!((count(&second, "carried"), count(&second, "new")), (1, 1), "{second}");
    assert_eq!(listed(&home).len(), 2);
}

#[test]
fn a_run_that_ends_while_it_waits_for_answers_did_not_wait_for_budget() {
    let world = World::new();
    world.project("PAY").many("repo", 13);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::LS_REFS), Action::Hold { after: 0, gate: gate.clone() });
    let ended = home.xopero(&["run", "nightly", "--max-duration", "10s", "--json"]).expect(8);
    gate.release();
    tidy(&home, &ended);
    let summary = summary(&ended);
    assert_eq!((count(&summary, "throttled"), count(&summary, "failed")), (0, 0), "{summary}");
    assert_eq!(summary["ledger"]["throttled_waits"], 0, "{summary}");
}

#[test]
fn a_killed_run_is_gone_on_with() {
    let (home, gate) = stuck();
    let mut live = Live::start(&home);
    live.until("task_finished");
    assert!(gate.reached_blocking(PATIENCE));
    live.signal(Signal::KILL);
    assert_eq!(live.wait().code, -9);
    gate.release();
    let ended = home.xopero(&["run", "nightly", "--resume"]).success();
    tidy(&home, &ended);
    ended.says("Plan nightly: done").says("1 new").says("done before   1 by run ");
    assert_eq!((asked(&home, "a-small"), asked(&home, "large")), (1, 2));
    assert_eq!(listed(&home).len(), 2);
    run(&home, 0);
}

#[test]
fn only_what_can_be_gone_on_with_is() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = usual(world);
    home.xopero(&["run", "nightly", "--resume"]).expect(1).says("has never run").says("begin anew");
    let gone = home.server.fault(When::kind(Kind::LS_REFS), Action::status(404));
    let _failed = run_for_people(&home, 1);
    gone.remove();
    home.xopero(&["run", "nightly", "--resume", "zzzz"]).expect(1).says("no run");
    home.xopero(&["run", "nightly", "--resume", "--repository", "ledger"]).expect(64).says("cannot be used with");
    home.xopero(&["run", "nightly", "--max-duration", "soon"]).expect(64).says("30m");
    edit(&home, "parts \"git\"", "parts \"git\"\n    max-duration \"1h\"");
    home.xopero(&["run", "nightly", "--resume"]).success().says("done before   0 by run ");
}
