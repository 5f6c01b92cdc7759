//! Locked, interrupted, killed: the next run sweeps and is complete.

use std::fs;
use std::process::Stdio;

use fake_bitbucket::{Action, Gate, Kind, Repository, When, World, judge};
use rustix::process::Signal;

use crate::scene::{Live, PATIENCE, files, listed, readers, run, stored, strays, summary, task, tidy};
use crate::support::{Ended, Home, send_signal};

/// A project with a small repository and a large one, whose pack has several parts at the destination.
fn scene() -> (Home, Repository) {
    let world = World::new();
    world.project("PAY").repository("a-small", |recipe| recipe);
    let large = world.project("PAY").repository("large", |recipe| recipe.bulk(3, 14_000_000));
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    (home, large)
}

/// Holds the large pack when most of it has passed.
fn hold(home: &Home) -> Gate {
    let gate = Gate::new();
    let when = When::kind(Kind::FETCH).path_contains("large").first(1);
    home.server.fault(when, Action::Hold { after: 12_500_000, gate: gate.clone() });
    gate
}

/// What every disturbed home comes to: the next run is complete and leaves nothing else behind.
fn recovers(home: &Home, large: &Repository) {
    run(home, 0);
    assert_eq!(listed(home), ["PAY/a-small", "PAY/large"]);
    assert_eq!(stored(home, "nas", "packs").len(), 2, "every pack has a snapshot");
    judge::compare(&large.path(), &home.restore("PAY/large")).expect("they are equal");
    home.xopero_as("backup.txt", &["verify", "PAY/a-small"]).success();
    strays(home);
}

#[test]
fn a_locked_state_names_its_holder() {
    let (home, large) = scene();
    let gate = hold(&home);
    let first = home.start(&["run", "nightly"]);
    assert!(gate.reached_blocking(PATIENCE));
    for arguments in [&["run", "nightly"][..], &["run", "nightly", "--json"]] {
        let second = home.xopero(arguments).expect(6);
        let told =
            second.says("is locked").says("run nightly").says(&first.id().to_string()).says("wait until it ends");
        assert_eq!(told.code, 6);
    }
    gate.release();
    tidy(&home, &first.wait().success());
    recovers(&home, &large);
}

#[test]
fn a_run_killed_in_a_pack_is_swept_and_repeated() {
    let (home, large) = scene();
    let gate = hold(&home);
    let mut live = Live::start(&home);
    live.until("task_finished");
    assert!(gate.reached_blocking(PATIENCE));
    live.signal(Signal::KILL);
    assert_eq!(live.wait().code, -9);
    gate.release();
    assert_eq!(listed(&home), ["PAY/a-small"]);
    recovers(&home, &large);
    let interrupted = home.xopero(&["run", "nightly", "--json"]).success();
    assert_eq!(summary(&interrupted)["totals"]["unchanged"], 2);
}

#[test]
fn a_run_killed_while_it_lists_is_repeated() {
    let places = [
        When::kind(Kind::Rest).path_contains("application-properties"),
        When::kind(Kind::Rest).path_contains("/repos?"),
        When::kind(Kind::GitInfoRefs),
        When::kind(Kind::LS_REFS).path_contains("large"),
    ];
    let (home, large) = scene();
    for when in places {
        let gate = Gate::new();
        let fault = home.server.fault(when, Action::Hang(gate.clone()));
        let live = Live::start(&home);
        assert!(gate.reached_blocking(PATIENCE));
        live.signal(Signal::KILL);
        assert_eq!(live.wait().code, -9);
        fault.remove();
        gate.release();
    }
    recovers(&home, &large);
}

#[test]
fn an_unfinished_pack_of_a_killed_run_is_never_listed() {
    let (home, large) = scene();
    run(&home, 0);
    let gate = Gate::new();
    let fault = home.server.fault(When::kind(Kind::LS_REFS), Action::Hang(gate.clone()));
    let live = Live::start(&home);
    assert!(gate.reached_blocking(PATIENCE));
    live.signal(Signal::KILL);
    assert_eq!(live.wait().code, -9);
    fault.remove();
    gate.release();
    // What a kill leaves between the pack and its manifest: a whole pack without a snapshot, and a half manifest.
    let pack = stored(&home, "nas", "packs").pop().unwrap();
    let manifest = stored(&home, "nas", "snapshots").pop().unwrap();
    let half = manifest.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.json.zst.age#1");
    fs::write(&half, &fs::read(&manifest).unwrap()[..100]).unwrap();
    fs::write(pack.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.pack.age#17"), b"half").unwrap();
    fs::copy(&pack, pack.with_file_name("01ARZ3NDEKTSV4RRFFQ69G5FAV.pack.age")).unwrap();
    assert_eq!(listed(&home).len(), 2);
    large.commit("main");
    run(&home, 0);
    assert!(!half.exists());
    judge::compare(&large.path(), &home.restore("PAY/large")).unwrap();
}

#[test]
fn signals_end_a_run_in_good_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let (home, large) = scene();
        let gate = hold(&home);
        let mut live = Live::start(&home);
        live.until("task_finished");
        assert!(gate.reached_blocking(PATIENCE));
        live.signal(signal);
        let ended = live.wait().expect(130);
        tidy(&home, &ended);
        assert_eq!(task(&ended, "large")["result"], "interrupted");
        let summary = summary(&ended);
        assert_eq!((&summary["outcome"], &summary["totals"]["new"]), (&"interrupted".into(), &1.into()), "{summary}");
        assert_eq!(listed(&home), ["PAY/a-small"]);
        assert_eq!(stored(&home, "nas", "packs").len(), 1);
        assert_eq!(stored(&home, "nas", "runs/").len(), 1, "the report says that it was interrupted");
        gate.release();
        recovers(&home, &large);
    }
}

#[test]
fn a_signal_is_confirmed_to_people() {
    let (home, large) = scene();
    let gate = hold(&home);
    let mut live = Live::start_for_people(&home);
    live.until("task_finished");
    assert!(gate.reached_blocking(PATIENCE));
    live.signal(Signal::INT);
    let ended = live.wait().expect(130).says("stopping: what is under way is given up, what is stored stays");
    tidy(&home, &ended);
    ended.says("Plan nightly: interrupted").says("1 new, 0 changed, 0 unchanged, 0 failed, 1 interrupted");
    gate.release();
    recovers(&home, &large);
}

#[test]
fn a_signal_ends_the_wait_for_a_silent_server() {
    let (home, large) = scene();
    for when in [
        When::kind(Kind::Rest).path_contains("application-properties"),
        When::kind(Kind::Rest).path_contains("/repos?"),
        When::kind(Kind::GitInfoRefs),
    ] {
        let gate = Gate::new();
        let fault = home.server.fault(when, Action::Hang(gate.clone()));
        let live = Live::start(&home);
        assert!(gate.reached_blocking(PATIENCE));
        live.signal(Signal::INT);
        let ended = live.wait().expect(130);
        assert_eq!(summary(&ended)["outcome"], "interrupted");
        fault.remove();
        gate.release();
    }
    recovers(&home, &large);
}

#[test]
fn an_interrupted_restore_leaves_nothing() {
    let (home, _) = scene();
    run(&home, 0);
    let restore = |home: &Home| {
        let mut command = home.xopero_command(&["restore", "PAY/large", "--to", "out/large.git"]);
        command.env("XOPERO_IDENTITY_FILE", home.path().join("backup.txt"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    fs::create_dir(home.path().join("out")).unwrap();
    let interrupted = || {
        let child = restore(&home).spawn().unwrap();
        // It exists before the first pack is read, and a pack takes longer than a signal.
        while fs::read_dir(home.path().join("out")).unwrap().next().is_none() {
            std::thread::yield_now();
        }
        send_signal(&child, Signal::INT);
        child.wait_with_output().unwrap()
    };
    let mut output = interrupted();
    // Unless this thread was the slow one.
    while output.status.success() {
        fs::remove_dir_all(home.path().join("out/large.git")).unwrap();
        output = interrupted();
    }
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped before the end; nothing was left behind"), "{said}");
    assert_eq!(files(&home.path().join("out")).len(), 0);
    assert_eq!(fs::read_dir(home.path().join("out")).unwrap().count(), 0);
    let output = restore(&home).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn a_full_disk_fails_what_does_not_fit_and_leaves_nothing_half_written() {
    let (home, large) = scene();
    // A limit on the size of a file acts like a full disk for the large pack, and needs no privileges.
    let limited = |home: &Home, blocks: u32| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" run nightly --json");
        let mut command = home.command("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_xopero")]);
        command.env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt"));
        let output = command.output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    };
    // Blocks of 512 bytes: in the middle of the first part, of the second one, and at the very end.
    for blocks in [4_000, 16_000, 26_000] {
        let ended = limited(&home, blocks).expect(8);
        tidy(&home, &ended);
        let report = task(&ended, "large");
        assert_eq!(report["result"], "failed", "{report}");
        let error = report["error"].to_string();
        assert!(error.contains("no space left at") && error.contains("destinations/nas"), "{error}");
        assert!(report["hint"].as_str().unwrap().contains("free space at"), "{report}");
        assert_eq!(listed(&home), ["PAY/a-small"]);
        assert_eq!(stored(&home, "nas", "packs").len(), 1);
    }
    recovers(&home, &large);
}
