//! `xopero worker`: a second process takes a share in a run, and what becomes of it when it is killed or stands still.

#![expect(clippy::unwrap_used, reason = "the state is the one that was just made, or the test ends")]

use fake_bitbucket::{Action, Allowance, Gate, Kind, Repository, When, World, judge};
use rustix::process::Signal;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};
use xopero::clock::SystemClock;
use xopero::state::{StateLocation, StateStore};

use crate::json_schema::demand_valid;
use crate::killed::end_all_leases;
use crate::scene::{Live, PATIENCE, complaint, edit, listed, readers, run, stored, summary, task, tidy};
use crate::support::{Ended, Home};

/// Three small repositories, which are as many as the run itself begins, and a large one after them.
pub fn scene() -> (Home, Repository) {
    let world = World::new();
    for name in ["a-1", "a-2", "a-3"] {
        world.project("PAY").repository(name, |recipe| recipe);
    }
    let large = world.project("PAY").repository("large", |recipe| recipe.bulk(3, 14_000_000));
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    edit(&home, "concurrency listing=4 packs=2", "concurrency listing=1 packs=1");
    (home, large)
}

/// Holds what the run does itself at its first pack: the rest is for others.
pub fn hold_the_run(home: &Home) -> Gate {
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::FETCH).path_contains("/a-").first(1), Action::Hang(gate.clone()));
    gate
}

/// Holds the large pack when most of it has passed, once.
pub fn hold_the_worker(home: &Home) -> Gate {
    let gate = Gate::new();
    let when = When::kind(Kind::FETCH).path_contains("large").first(1);
    home.server.fault(when, Action::Hold { after: 12_500_000, gate: gate.clone() });
    gate
}

/// A worker that is known to be there.
fn worker(home: &Home) -> Live {
    let mut worker = Live::worker(home, "identity.txt");
    worker.until("worker_started");
    worker
}

/// Ends a worker's part, and checks what it told.
pub fn over(worker: Live, code: i32) -> Vec<Value> {
    let ended = worker.wait().expect(code);
    let lines = ended.json();
    demand_valid("worker-output.schema.json", &lines);
    lines
}

/// Says that the worker is lost, as the state finds a minute later by itself.
fn lose_the_worker(home: &Home) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let location = StateLocation::beside(home.path());
        let state = StateStore::open_existing(&location, &SystemClock).await.unwrap().expect("it was applied");
        let run = state.open_runs().await.unwrap()[0].run;
        assert_eq!(state.end_leases_elsewhere(run).await.unwrap(), 1);
        state.close().await;
    });
}

/// Lets a worker stand still, but not in the middle of a write, for which everybody else would have to wait.
fn stop_still(home: &Home, worker: &Live) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let mut state = open(home).await;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut state).await.unwrap();
        worker.stand_still();
        sqlx::query("ROLLBACK").execute(&mut state).await.unwrap();
        state.close().await.unwrap();
    });
}

async fn open(home: &Home) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(home.path().join(".xopero/state.db"));
    SqliteConnection::connect_with(&options.busy_timeout(PATIENCE)).await.unwrap()
}

/// Says that the repository that the worker has was lost so often before.
fn lost_before(home: &Home, losses: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let mut state = open(home).await;
        let statement = "UPDATE queue SET losses = $1
                         WHERE state = 'running' AND owner NOT IN (SELECT owner FROM queue_runs)";
        let done = sqlx::query(statement).bind(losses).execute(&mut state).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        state.close().await.unwrap();
    });
}

/// What every run comes to: each repository has one snapshot, and nothing is left after the next run.
pub fn complete(home: &Home, large: &Repository, ended: &Ended) {
    let summary = summary(ended);
    assert_eq!((&summary["outcome"], &summary["totals"]["new"]), (&"done".into(), &4.into()), "{summary}");
    assert_eq!(listed(home), ["PAY/a-1", "PAY/a-2", "PAY/a-3", "PAY/large"]);
    assert_eq!(stored(home, "nas", "snapshots").len(), 4, "one manifest for each");
    judge::compare(&large.path(), &home.restore("PAY/large")).expect("they are equal");
    run(home, 0);
    tidy(home, ended);
}

#[test]
fn a_worker_takes_a_share_in_a_run_and_is_asked_to_stop() {
    let (home, large) = scene();
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let mut worker = worker(&home);
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE));
    let joined = worker.until("run_joined");
    assert!(of_worker.reached_blocking(PATIENCE));
    worker.signal(Signal::TERM);
    worker.until("draining");
    of_worker.release();
    let lines = over(worker, 0);
    let left = lines.iter().find(|line| line["type"] == "run_left").unwrap();
    assert_eq!((&left["tasks"], &left["run"]), (&1.into(), &joined["run"]), "it finished what was under way");

    of_run.release();
    let ended = live.wait().success();
    assert_eq!(task(&ended, "large")["result"], "new", "the run tells what the worker did");
    let requests = &summary(&ended)["ledger"]["requests"]["main"];
    assert_eq!(*requests, home.server.log().count_account("main"), "and what it cost");
    complete(&home, &large, &ended);
}

#[test]
fn what_a_killed_worker_had_is_done_by_the_others() {
    let (home, large) = scene();
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let worker = worker(&home);
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    worker.signal(Signal::KILL);
    over(worker, -9);
    lose_the_worker(&home);
    of_run.release();
    let ended = live.wait().success();
    of_worker.release();
    complete(&home, &large, &ended);
}

/// A run and its worker are killed, which has written half of a pack.
fn kill_both(home: &Home) {
    let (of_run, of_worker) = (hold_the_run(home), hold_the_worker(home));
    let (worker, live) = (worker(home), Live::start(home));
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    worker.signal(Signal::KILL);
    live.signal(Signal::KILL);
    over(worker, -9);
    assert_eq!(live.wait().code, -9);
    of_run.release();
    of_worker.release();
    assert_eq!(unfinished(home), 1);
}

#[test]
fn what_a_worker_left_that_is_known_to_be_lost_is_swept_by_the_next_run() {
    let (home, _) = scene();
    kill_both(&home);
    end_all_leases(&home);
    let mut live = Live::start(&home);
    live.until("run_started");
    assert_eq!(unfinished(&home), 0);
    tidy(&home, &live.wait().success());
}

#[test]
fn what_a_worker_left_that_was_killed_with_its_run_is_swept_when_it_is_known_to_be_lost() {
    let (home, large) = scene();
    kill_both(&home);
    // To the next run the worker may be alive, as it has been heard of a moment ago.
    let mut live = Live::start(&home);
    live.until("run_started");
    assert_eq!(unfinished(&home), 1);
    end_all_leases(&home);
    let ended = live.wait().success();
    assert_eq!(summary(&ended)["totals"]["new"], 4);
    let ended = run(&home, 0);
    assert_eq!(unfinished(&home), 0);
    tidy(&home, &ended);
    judge::compare(&large.path(), &home.restore("PAY/large")).expect("they are equal");
}

/// Files that have no name at the destination.
fn unfinished(home: &Home) -> usize {
    stored(home, "nas", "#").len()
}

#[test]
fn a_worker_that_stood_still_for_too_long_publishes_nothing() {
    let (home, large) = scene();
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let mut worker = worker(&home);
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    stop_still(&home, &worker);
    lose_the_worker(&home);
    of_run.release();
    let ended = live.wait().success();
    of_worker.release();
    worker.signal(Signal::CONT);
    assert_eq!(worker.until("run_left")["tasks"], 0);
    worker.signal(Signal::TERM);
    let lines = over(worker, 0);
    assert!(lines.iter().all(|line| line["type"] != "task_finished"), "{lines:?}");
    complete(&home, &large, &ended);
}

#[test]
fn a_worker_says_what_it_cannot_do_and_leaves_it_to_others() {
    let (home, large) = scene();
    let of_run = hold_the_run(&home);
    let mut blind = Live::worker(&home, "backup.txt");
    blind.until("worker_started");
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE));
    let unfit = blind.until("run_unfit");
    assert!(unfit["plan"] == "nightly" && unfit["error"].to_string().contains("credential/PAY/main"), "{unfit}");
    assert!(unfit["hint"].is_string(), "{unfit}");
    of_run.release();
    complete(&home, &large, &live.wait().success());
    blind.signal(Signal::TERM);
    over(blind, 0);
}

#[test]
fn a_repository_with_which_five_workers_were_lost_is_left_alone() {
    let (home, _large) = scene();
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let worker = worker(&home);
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    worker.signal(Signal::KILL);
    over(worker, -9);
    lost_before(&home, 4);
    lose_the_worker(&home);
    of_run.release();
    let ended = live.wait().expect(8);
    of_worker.release();
    let told = complaint(&ended, "large");
    assert!(told.contains("5 workers in a row were lost") && told.contains("the next run tries again"), "{told}");
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1, "and does");
}

#[test]
fn a_run_and_its_worker_share_the_budget_of_an_account() {
    let world = World::new();
    world.project("PAY").many("repo", 30);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    edit(&home, "concurrency listing", "rate-limit burst=20 refill-per-second=20\n    concurrency listing");
    home.server.buckets().set_allowance("main", Allowance::Bucket { capacity: 20, per_second: 20.0 });
    let of_run = Gate::new();
    home.server.fault(When::kind(Kind::FETCH).first(1), Action::Hang(of_run.clone()));
    let mut worker = worker(&home);
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE));
    worker.until("task_finished");
    of_run.release();
    let ended = live.wait().success();
    worker.signal(Signal::TERM);
    let lines = over(worker, 0);
    let of_worker = lines.iter().filter(|line| line["type"] == "task_finished").count();
    assert!((1..30).contains(&of_worker), "both take a share: {of_worker}");
    let summary = summary(&ended);
    assert_eq!(summary["totals"]["new"], 30, "{summary}");
    assert!(home.server.log().count_account("main") > 60, "more than the bucket holds");
    assert_eq!(home.server.buckets().refused("main"), 0, "{summary}");
}
