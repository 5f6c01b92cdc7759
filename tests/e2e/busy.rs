//! A server that is busy, in maintenance, or short of tickets: everybody waits together, and nothing fails.

use fake_bitbucket::{Action, Entry, Gate, Health, Kind, When, World};
use rustix::process::Signal;

use crate::scene::{Live, PATIENCE, apply_pool, readers, run, summary, tidy};
use crate::support::{Ended, Home};

fn many(count: usize) -> Home {
    let world = World::new();
    world.project("PAY").many("repo", count);
    let home = Home::new(world, readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    home
}

/// The record of a run says what the server saw, by account, by credential, and of git.
fn demand_true_counts(home: &Home, ended: &Ended) {
    let ledger = summary(ended)["ledger"].clone();
    let log = home.server.log();
    for account in ["main", "one"] {
        let seen = log.count_account(account) as u64;
        assert_eq!(ledger["requests"][account].as_u64().unwrap_or(0), seen, "{account}: {ledger}");
        let used = ledger["credentials"].as_object().into_iter().flat_map(|all| all.values());
        let used = used.filter(|used| used["account"] == account).filter_map(|used| used["requests"].as_u64());
        assert_eq!(used.sum::<u64>(), seen, "{account}: {ledger}");
    }
    let is_git = |entry: &Entry| matches!(entry.kind, Kind::GitInfoRefs | Kind::GitUploadPack { .. });
    assert_eq!(ledger["git_requests"], log.count(is_git), "{ledger}");
}

#[test]
fn a_run_that_ends_while_it_waits_counts_what_was_sent_and_no_more() {
    for arguments in [&[][..], &["--max-duration", "10s"]] {
        let home = many(8);
        let closes = Action::run(|server| server.set_health(Health::Maintenance));
        home.server.fault(When::kind(Kind::LS_REFS).first(1), closes);
        let mut live = Live::start_with(&home, arguments);
        // Those under way were refused before the server was looked at.
        while !live.until("server_busy")["why"].as_str().is_some_and(|why| why.contains("in maintenance")) {}
        if arguments.is_empty() {
            live.signal(Signal::INT);
        }
        let ended = live.wait();
        assert_ne!(ended.code, 0, "{}", ended.stderr);
        tidy(&home, &ended);
        demand_true_counts(&home, &ended);
    }
}

#[test]
fn quirk_09_tickets_that_run_out_lower_the_concurrency_and_exchange_nobody() {
    let home = many(8);
    home.server.set_tickets(Some(2));
    // Both tickets are taken until somebody else was refused for want of one, however slow the others are.
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::LS_REFS).first(2), Action::Hold { after: 0, gate: gate.clone() });
    let live = Live::start(&home);
    let refused = |log: &[Entry]| log.iter().any(|entry| entry.status == Some(503));
    assert!(home.server.log().wait_for_blocking(PATIENCE, refused));
    gate.release();
    let ended = live.wait().success();
    tidy(&home, &ended);
    let summary = summary(&ended);
    assert_eq!(summary["totals"]["new"], 8, "{summary}");
    assert_eq!(summary["ledger"]["exchanges"], 0, "{summary}");
    let busy = &summary["servers_busy"][0];
    assert!(busy["server"] == "bb" && busy["rests"].as_u64() > Some(0), "{summary}");
    assert!(busy["lowest"].as_u64() <= Some(3), "half of what is declared, or less: {summary}");
    let refused = home.server.log().count(|entry| entry.status == Some(503));
    assert!(refused as u64 <= 6 * busy["rests"].as_u64().unwrap(), "{refused} refusals: {busy}");
    demand_true_counts(&home, &ended);
}

#[test]
fn quirk_31_maintenance_is_waited_for_without_a_credential() {
    for (health, word) in [(Health::Maintenance, "in maintenance"), (Health::Starting, "STARTING")] {
        let home = many(3);
        home.server.set_health(health);
        let mut live = Live::start(&home);
        let first = live.until("server_busy");
        assert_eq!((first["server"].as_str(), first["limit"].as_u64()), (Some("bb"), Some(3)), "{first}");
        let asked = home.server.log().count(|entry| entry.authorization_scheme.is_some());
        let second = live.until("server_busy");
        assert!(second["why"].as_str().is_some_and(|why| why.contains(word)), "{second}");
        let then = home.server.log().count(|entry| entry.authorization_scheme.is_some());
        assert_eq!(asked, then, "only its state is asked for");
        home.server.set_health(Health::Running);
        live.until("server_serves");
        let ended = live.wait().success();
        tidy(&home, &ended);
        assert_eq!(summary(&ended)["totals"]["new"], 3);
        demand_true_counts(&home, &ended);
    }
}

#[test]
fn quirk_09_who_waits_for_a_busy_server_does_not_wait_for_budget() {
    let world = World::new();
    world.project("PAY").many("repo", 20);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    let busy = home.server.fault(When::kind(Kind::LS_REFS), Action::status(503));
    let mut live = Live::start(&home);
    // Everybody is at the gate when the server has refused twice.
    live.until("server_busy");
    live.until("server_busy");
    busy.remove();
    let ended = live.wait().success();
    tidy(&home, &ended);
    let summary = summary(&ended);
    assert_eq!(
        (&summary["totals"]["new"], &summary["ledger"]["throttled_waits"]),
        (&20.into(), &0.into()),
        "{summary}"
    );
    assert_eq!(summary["ledger"]["requests"]["main"], home.server.log().count_account("main"), "{summary}");
}

#[test]
fn quirk_09_who_an_account_is_is_asked_again_by_a_run_that_finds_the_server_busy() {
    let home = many(1);
    let busy = Action::Answer { status: 503, headers: vec![("Retry-After".into(), "0".into())], body: "".into() };
    home.server.fault(When::any().path_contains("application-properties").first(1), busy);
    let ended = run(&home, 0);
    let asked = |account: &str| {
        let of = |entry: &Entry| entry.account.as_deref() == Some(account);
        home.server.log().count(|entry| of(entry) && entry.path.ends_with("application-properties"))
    };
    assert_eq!((asked("main") + asked("one"), asked("main").min(asked("one"))), (3, 1), "each of them is known");
    let summary = summary(&ended);
    assert_eq!(summary["servers_busy"][0]["rests"], 1, "{summary}");
    demand_true_counts(&home, &ended);
}
