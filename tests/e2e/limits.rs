//! Rate limits: rotation, exchanges, waits. Nothing fails because of a 429.

use std::time::Duration;

use fake_bitbucket::{Action, Allowance, Gate, Kind, Refusal, RefusalBody, RetryAfter, When, World, judge};
use rustix::process::Signal;

use crate::scene::{Live, PATIENCE, apply_pool, edit, listed, readers, run, run_for_people, summary, task, tidy};
use crate::support::Home;

fn many(count: usize) -> World {
    let world = World::new();
    world.project("PAY").many("repo", count);
    world
}

/// A bucket that only the test fills.
pub fn bucket(home: &Home, account: &str, tokens: u32) {
    let buckets = home.server.buckets();
    buckets.manual_refill();
    buckets.set_allowance(account, Allowance::Bucket { capacity: 1000, per_second: 0.0 });
    buckets.drain(account);
    buckets.refill(account, tokens);
}

fn requests(home: &Home, account: &str) -> u64 {
    home.server.log().count_account(account) as u64
}

#[test]
fn tasks_rotate_over_the_main_and_the_enabled_credentials_only() {
    let home = Home::new(many(9), readers(&["main", "one", "two", "idle"]));
    apply_pool(&home, &[("extra-1", "one"), ("extra-2", "two"), ("extra-3", "idle")], &["extra-1", "extra-2"]);
    let ended = run(&home, 0);
    assert_eq!(requests(&home, "idle"), 0, "declared is not enabled");
    let git = |account: &str| {
        let of = |entry: &fake_bitbucket::Entry| entry.account.as_deref() == Some(account);
        home.server.log().count(|entry| of(entry) && entry.kind == Kind::FETCH)
    };
    let shares = ["main", "one", "two"].map(git);
    assert!(shares.iter().all(|share| (2..=4).contains(share)), "{shares:?}");
    assert_eq!(shares.iter().sum::<usize>(), 9);
    let ledger = summary(&ended)["ledger"].clone();
    for account in ["main", "one", "two"] {
        assert_eq!(ledger["requests"][account], requests(&home, account), "{ledger}");
    }
    assert_eq!(ledger["requests"]["idle"], serde_json::Value::Null);
}

#[test]
fn a_limited_account_is_exchanged_in_listing_and_git_requests() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    world.project("PAY").many("repo", 3);
    for (place, when) in [
        ("listing", When::kind(Kind::Rest).path_contains("/repos?").account("main").nth(2)),
        ("ls-refs", When::kind(Kind::LS_REFS).account("main").first(1)),
        ("fetch", When::kind(Kind::FETCH).account("main").first(1)),
    ] {
        let home = Home::new(world.clone(), readers(&["main", "one"]).page_cap(1));
        apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
        let fault = home.server.fault(when, Action::status(429));
        let ended = run(&home, 0);
        assert_eq!(fault.hits(), 1, "{place}");
        let summary = summary(&ended);
        assert_eq!(summary["totals"]["new"], 4, "{place}: {summary}");
        let count = |what: &str| summary["ledger"][what].as_u64().unwrap();
        // Whoever else had the account goes on with the other one as well, and is not refused for it.
        let others = count("exchanges_ahead") + count("exchanges_for_room");
        assert_eq!(count("exchanges") - others, 1, "{place}: {summary}");
        assert_eq!(summary["ledger"]["rate_limited"]["main"], 1, "{place}: {summary}");
        assert_eq!(summary["ledger"]["throttled"].as_array().unwrap().len(), 0, "{place}: {summary}");
        let exchanges = ended.json().into_iter().filter(|line| line["type"] == "credential_exchanged");
        let exchanged = exchanges.into_iter().find(|line| line["reason"] == "rate_limited").unwrap();
        assert_eq!((exchanged["from"].as_str(), exchanged["to"].as_str()), (Some("main"), Some("one")), "{place}");
        assert_eq!(home.server.buckets().violations("main"), 0, "{place}");
        judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
    }
}

#[test]
fn an_exhausted_pool_waits_and_goes_on() {
    let home = Home::new(many(4), readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    // Enough for the first contact, the listing and a few git requests.
    bucket(&home, "main", 5);
    bucket(&home, "one", 3);
    let mut live = Live::start(&home);
    let throttled = live.until("throttled");
    assert!(throttled["subject"].as_str().is_some_and(|subject| subject.starts_with("PAY/repo-")), "{throttled}");
    for account in ["main", "one"] {
        home.server.buckets().refill(account, 100);
    }
    let ended = live.wait().success();
    tidy(&home, &ended);
    let summary = summary(&ended);
    assert_eq!(summary["totals"]["new"], 4, "{summary}");
    let ledger = &summary["ledger"];
    assert!(!ledger["throttled"].as_array().unwrap().is_empty(), "{ledger}");
    for account in ["main", "one"] {
        assert_eq!(ledger["requests"][account], requests(&home, account), "{ledger}");
        assert_eq!(ledger["rate_limited"][account], home.server.buckets().refused(account), "{ledger}");
        assert_eq!(home.server.buckets().violations(account), 0, "nobody asks while told to wait");
    }
    assert_eq!(listed(&home).len(), 4);
}

#[test]
fn a_task_that_waits_for_answers_is_not_throttled() {
    let home = Home::new(many(13), readers(&["main"]));
    home.apply_usual();
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::LS_REFS), Action::Hold { after: 0, gate: gate.clone() });
    let live = Live::start(&home);
    // No more of one account are under way.
    assert!(gate.reached_by_blocking(4, PATIENCE));
    gate.release();
    let ended = live.wait().success();
    tidy(&home, &ended);
    let summary = summary(&ended);
    assert_eq!(
        (&summary["totals"]["new"], &summary["ledger"]["throttled_waits"]),
        (&13.into(), &0.into()),
        "{summary}"
    );
    assert!(ended.json().iter().all(|line| line["type"] != "throttled"));
}

#[test]
fn a_run_begins_with_what_the_last_one_left() {
    let home = Home::new(many(5), readers(&["main"]));
    home.apply_usual();
    home.server.buckets().set_allowance("main", Allowance::Bucket { capacity: 16, per_second: 1.0 });
    edit(&home, "concurrency listing", "rate-limit burst=16 refill-per-second=1\n    concurrency listing");
    // The first takes most of the bucket, and the next ones want more than is left.
    for _ in 0..3 {
        run(&home, 0);
        assert_eq!(home.server.buckets().refused("main"), 0, "{} requests", requests(&home, "main"));
    }
}

#[test]
fn accounts_that_rest_are_left_alone_after_a_kill() {
    let refusal = Refusal { retry_after: RetryAfter::Seconds(600), body: RefusalBody::Json };
    let home = Home::new(many(4), readers(&["main", "one"]).refusal(refusal));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    edit(&home, "concurrency listing", "rate-limit burst=60 refill-per-second=5\n    concurrency listing");
    bucket(&home, "main", 5);
    bucket(&home, "one", 3);
    let mut live = Live::start(&home);
    let rest = [live.until("rate_limited"), live.until("rate_limited")];
    live.signal(Signal::KILL);
    assert_eq!(live.wait().code, -9, "{rest:?}");
    let before = [requests(&home, "main"), requests(&home, "one")];
    let mut live = Live::start_with(&home, &["--resume"]);
    live.until("throttled");
    live.signal(Signal::INT);
    tidy(&home, &live.wait().expect(130));
    assert_eq!([requests(&home, "main"), requests(&home, "one")], before, "{rest:?}");
}

#[test]
fn the_first_contact_may_be_limited_too() {
    let home = Home::new(many(1), readers(&["main"]));
    home.apply_usual();
    bucket(&home, "main", 0);
    let mut live = Live::start(&home);
    let throttled = live.until("throttled");
    assert_eq!(throttled["subject"], "project PAY");
    home.server.buckets().refill("main", 100);
    let ended = live.wait().success();
    let ledger = &summary(&ended)["ledger"];
    assert_eq!(ledger["rate_limited"]["main"], home.server.buckets().refused("main"), "{ledger}");
    assert_eq!(ledger["requests"]["main"], requests(&home, "main"), "{ledger}");
}

#[test]
fn any_form_of_refusal_is_understood() {
    let form = |retry_after, body| Refusal { retry_after, body };
    for refusal in [
        form(RetryAfter::Absent, RefusalBody::Json),
        form(RetryAfter::Absent, RefusalBody::Html),
        form(RetryAfter::Seconds(0), RefusalBody::BrokenJson),
        form(RetryAfter::Date(Duration::from_secs(1)), RefusalBody::Html),
        form(RetryAfter::Raw("soon".into()), RefusalBody::Empty),
        form(RetryAfter::Raw("-3".into()), RefusalBody::BrokenJson),
    ] {
        let home = Home::new(many(1), readers(&["main"]).refusal(refusal.clone()));
        home.apply_usual();
        bucket(&home, "main", 2);
        home.server.buckets().refill_when_refused("main", 100);
        let ended = run(&home, 0);
        let ledger = &summary(&ended)["ledger"];
        assert_eq!(ledger["throttled"].as_array().unwrap().len(), 1, "{refusal:?}: {ledger}");
        assert_eq!(home.server.buckets().refused("main"), 1, "{refusal:?}: one refusal, one wait, no storm");
    }
}

#[test]
fn an_absurd_wait_is_clamped_and_can_be_interrupted() {
    let refusal = Refusal { retry_after: RetryAfter::Raw("99999999999999999999".into()), body: RefusalBody::Json };
    let home = Home::new(many(1), readers(&["main"]).refusal(refusal));
    home.apply_usual();
    bucket(&home, "main", 2);
    let mut live = Live::start(&home);
    let limited = live.until("rate_limited");
    let throttled = live.until("throttled");
    live.signal(Signal::INT);
    let ended = live.wait().expect(130);
    tidy(&home, &ended);
    let summary = summary(&ended);
    let started: jiff::Timestamp = summary["started"].as_str().unwrap().parse().unwrap();
    for line in [limited, throttled] {
        let until: jiff::Timestamp = line["until"].as_str().unwrap().parse().unwrap();
        assert!(until.as_second() - started.as_second() <= 660, "{line}");
    }
    assert_eq!(summary["outcome"], "interrupted");
    assert!(listed(&home).is_empty());
}

#[test]
fn two_credentials_of_one_account_are_one_bucket() {
    let home = Home::new(many(1), readers(&["main"]));
    apply_pool(&home, &[("extra-1", "main")], &["extra-1"]);
    bucket(&home, "main", 3);
    home.server.buckets().refill_when_refused("main", 100);
    let ended = run(&home, 0);
    let ledger = &summary(&ended)["ledger"];
    assert_eq!((&ledger["exchanges"], ledger["throttled"].as_array().unwrap().len()), (&0.into(), 1), "{ledger}");
    assert_eq!(home.server.buckets().refused("main"), 1);
}

#[test]
fn the_summary_for_people_tells_accounts_exchanges_and_waits() {
    let home = Home::new(many(2), readers(&["main", "one"]).page_cap(1));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    home.server.fault(When::kind(Kind::LS_REFS).account("main").first(1), Action::status(429));
    let ended = run_for_people(&home, 0).says("as main").says("as one").says("rate-limited").says("exchanges");
    let exchanged = ended.stdout.lines().find(|line| line.contains("exchanges")).unwrap();
    assert!(exchanged.ends_with(" 1"), "{exchanged}");
}

#[test]
fn a_task_keeps_its_account_until_it_is_limited() {
    let home = Home::new(many(3), readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    let ended = run(&home, 0);
    for slug in ["repo-0001", "repo-0002", "repo-0003"] {
        let requests = task(&ended, slug)["ledger"]["requests"].clone();
        assert_eq!(requests.as_object().unwrap().len(), 1, "{slug}: {requests}");
    }
}

/// Accounts with buckets that the server tells of, full when the run begins.
fn told(accounts: &[&str], repositories: usize, capacity: u32, per_second: f64) -> Home {
    let options = readers(accounts).allowance(Allowance::Bucket { capacity, per_second });
    Home::new(many(repositories), options)
}

fn fill(home: &Home, accounts: &[&str]) {
    for account in accounts {
        home.server.buckets().refill(account, 1000);
    }
}

#[test]
fn accounts_are_exchanged_before_the_server_has_to_refuse() {
    let accounts = ["main", "one"];
    // A machine must be very slow to ask for less than what comes in again.
    let home = told(&accounts, 6, 6, 0.25);
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    fill(&home, &accounts);
    let ended = run(&home, 0);
    let ledger = &summary(&ended)["ledger"];
    assert!(ledger["exchanges_ahead"].as_u64().unwrap() > 0, "{ledger}");
    let mut exchanges = ended.json().into_iter().filter(|line| line["type"] == "credential_exchanged");
    assert!(exchanges.any(|line| line["reason"] == "no_budget"));
    for account in accounts {
        // What was asked before the limit was known was asked at the usual one.
        assert!(home.server.buckets().refused(account) <= 4, "{account}: {ledger}");
        assert_eq!(home.server.buckets().violations(account), 0, "{account}: {ledger}");
    }
    assert_eq!(summary(&ended)["totals"]["new"], 6);
}

#[test]
fn the_budget_of_one_account_is_not_spent_twice() {
    let home = told(&["main"], 12, 15, 20.0);
    apply_pool(&home, &[("extra-1", "main")], &["extra-1"]);
    fill(&home, &["main"]);
    let ended = run(&home, 0);
    assert!(home.server.buckets().refused("main") <= 4, "{}", summary(&ended));
}

#[test]
fn the_limit_in_the_file_is_obeyed() {
    let home = Home::new(many(10), readers(&["main"]));
    home.apply_usual();
    edit(&home, "concurrency listing", "rate-limit burst=4 refill-per-second=20\n    concurrency listing");
    home.server.log().clear();
    let ended = run(&home, 0);
    let summary = summary(&ended);
    let time = |what: &str| summary[what].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let least = (requests(&home, "main") - 4) * 1000 / 20;
    assert!(time("finished") - time("started") >= least.try_into().unwrap(), "at least {least} ms: {summary}");
}

#[test]
fn a_limit_in_the_file_that_is_too_high_costs_refusals_and_nothing_else() {
    let home = Home::new(many(6), readers(&["main"]));
    home.apply_usual();
    edit(&home, "concurrency listing", "rate-limit burst=1000 refill-per-second=1000\n    concurrency listing");
    // Fewer than the run needs, however slowly it asks.
    bucket(&home, "main", 3);
    home.server.buckets().refill_when_refused("main", 100);
    let ended = run(&home, 0);
    assert!(home.server.buckets().refused("main") > 0);
    assert_eq!(home.server.buckets().violations("main"), 0);
    assert_eq!(summary(&ended)["totals"]["new"], 6);
}

#[test]
fn throttled_tasks_leave_their_slots_to_those_who_have_budget() {
    let world = many(12);
    world.project("OPS").many("tool", 2);
    let home = Home::new(world, readers(&["main", "other"]));
    let plan = "project \"PAY\" server=\"bb\" {\n}\nproject \"OPS\" server=\"bb\" {\n}\nplan \"nightly\" {\n    \
                project \"PAY\"\n    project \"OPS\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n";
    home.write_file(&["nas"], plan);
    home.add_credential("PAY", None, "main");
    home.add_credential("OPS", None, "other");
    home.apply();
    edit(&home, "listing=4 packs=2", "listing=1 packs=1");
    // Enough for the login and the listing.
    bucket(&home, "main", 2);
    let mut live = Live::start(&home);
    let mut ended = std::collections::BTreeSet::new();
    while ended.len() < 2 {
        ended.insert(live.until("task_finished")["report"]["slug"].as_str().unwrap().to_owned());
    }
    assert!(ended.iter().all(|slug| slug.starts_with("tool-")), "{ended:?}");
    home.server.buckets().refill("main", 100);
    let ended = live.wait().success();
    tidy(&home, &ended);
    assert_eq!(summary(&ended)["totals"]["new"], 14);
}

#[test]
fn what_a_server_allows_is_asked_once_and_not_by_every_run() {
    let asked = |home: &Home| home.server.log().count(|entry| entry.path.contains("/rate-limit/"));
    let refused = r#"{"errors":[{"message":"no","exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}"#;
    for (answer, is_an_answer) in [
        (None, true),
        (Some(Action::status(404)), true),
        (Some(Action::body(401, "application/json", refused)), true),
        (Some(Action::status(500)), false),
    ] {
        let home = told(&["main"], 1, 50, 5.0);
        home.apply_usual();
        fill(&home, &["main"]);
        if let Some(answer) = answer.clone() {
            home.server.fault(When::any().path_contains("/rate-limit/"), answer);
        }
        run(&home, 0);
        assert_eq!(asked(&home), 1, "{answer:?}");
        home.server.clear_faults();
        home.server.log().clear();
        let ended = run(&home, 0);
        assert_eq!(asked(&home), usize::from(!is_an_answer), "{answer:?}");
        // Who the account is, what is in the project, and what is new in the repository.
        assert_eq!(summary(&ended)["ledger"]["requests"]["main"], 3 + u64::from(!is_an_answer), "{answer:?}");
        run(&home, 0);
        assert_eq!(asked(&home), usize::from(!is_an_answer), "{answer:?}");
    }
}
