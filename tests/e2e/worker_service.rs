//! `xopero worker` as a service: its service manager, health and figures, and how long it drains.

use fake_bitbucket::{Action, Gate, Kind, When};
use rustix::process::Signal;

use crate::scene::{Live, PATIENCE, summary, task};
use crate::service::get_at;
use crate::supervised::Manager;
use crate::support::Home;
use crate::worker::{complete, hold_the_run, hold_the_worker, over, scene};

/// A worker with these variables and arguments.
fn start(home: &Home, variables: &[(&str, &str)], arguments: &[&str]) -> Live {
    let mut command = home.xopero_command(&[&["worker", "--json"], arguments].concat());
    command.env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt")).envs(variables.iter().copied());
    Live::of(command)
}

#[test]
fn whoever_supervises_a_worker_hears_how_it_stands() {
    let (home, large) = scene();
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let mut manager = Manager::new(&home);
    let path = manager.path.clone();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "200000")];
    let mut worker = start(&home, &variables, &["--listen"]);
    assert_eq!(worker.until("listening")["address"], "unix:./.xopero/xopero-worker.sock");
    let socket = home.path().join(".xopero/xopero-worker.sock");
    assert_eq!(manager.until("READY=1"), "READY=1\nSTATUS=waiting for runs\n");
    manager.until("WATCHDOG=1");
    manager.until("WATCHDOG=1");
    assert_eq!(get_at(&socket, "/healthz"), (200, "ok\n".into()));
    assert_eq!(get_at(&socket, "/readyz"), (200, "ok\n".into()));

    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    manager.until("STATUS=works on nightly");
    of_worker.release();
    worker.until("task_finished");
    of_run.release();
    let ended = live.wait().success();
    worker.until("run_left");
    manager.until("STATUS=waiting for runs");
    let (status, text) = get_at(&socket, "/metrics");
    assert_eq!(status, 200);
    for beginning in [
        "xopero_build_info{version=",
        "xopero_http_requests_total{code=\"200\"} ",
        "xopero_backup_bytes_total{",
        "xopero_storage_errors_total{",
    ] {
        assert!(text.lines().any(|line| line.starts_with(beginning)), "{beginning}\n{text}");
    }
    // What the state says would be told twice.
    assert!(!text.contains("xopero_backup_runs") && !text.contains("xopero_config"), "{text}");

    worker.signal(Signal::HUP);
    worker.until("reloading");
    manager.until("RELOADING=1");
    manager.until("READY=1");
    worker.signal(Signal::TERM);
    let stopping = manager.until("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=") && stopping.contains("STATUS=stopping; "), "{stopping}");
    over(worker, 0);
    assert!(!socket.exists());
    complete(&home, &large, &ended);
}

#[test]
fn a_worker_that_drained_long_enough_gives_back_what_it_has() {
    let (home, large) = scene();
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let mut worker = start(&home, &[], &["--drain", "0s"]);
    worker.until("worker_started");
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    worker.signal(Signal::TERM);
    let lines = over(worker, 0);
    let draining = lines.iter().find(|line| line["type"] == "draining").expect("it says so");
    assert_eq!((&draining["runs"], &draining["patience_seconds"]), (&1.into(), &0.into()));
    let left = lines.iter().find(|line| line["type"] == "run_left").expect("it says so");
    assert_eq!(left["tasks"], 0, "{lines:?}");
    of_worker.release();
    of_run.release();
    let ended = live.wait().success();
    assert_eq!(task(&ended, "large")["result"], "new");
    assert_eq!(summary(&ended)["totals"]["failed"], 0);
    complete(&home, &large, &ended);
}

#[test]
fn a_worker_that_is_asked_tries_at_once_what_it_could_not_do() {
    let (home, large) = scene();
    let of_run = hold_the_run(&home);
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::FETCH).path_contains("large").first(1), Action::Hang(gate.clone()));
    let own = home.path().join("own.txt");
    std::fs::copy(home.path().join("backup.txt"), &own).expect("it is there");
    let mut worker = start(&home, &[("XOPERO_IDENTITY_FILE", own.to_str().expect("it is UTF-8"))], &[]);
    worker.until("worker_started");
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE));
    worker.until("run_unfit");
    std::fs::copy(home.path().join("identity.txt"), &own).expect("it is there");
    worker.signal(Signal::HUP);
    worker.until("reloading");
    worker.until("run_joined");
    assert!(gate.reached_blocking(PATIENCE));
    gate.release();
    of_run.release();
    let ended = live.wait().success();
    assert_eq!(worker.until("run_left")["tasks"], 1);
    worker.signal(Signal::TERM);
    over(worker, 0);
    std::fs::remove_file(&own).expect("it is there");
    complete(&home, &large, &ended);
}
