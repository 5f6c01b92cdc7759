//! Every way in which the server can misbehave.

use std::time::Duration;

use fake_bitbucket::{Action, Entry, EvilHost, Gate, Kind, Options, Progress, Repository, Server, When, World};

use crate::client::{
    TOKEN, bearer, fetch, fetch_body, fetch_headers, get, git, git_fails, git_ok, request, send, serve,
};

const TIMEOUT: Duration = Duration::from_mins(5);

fn start() -> (Server, Repository) {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.branches(2));
    (serve(&world, Options::new()), ledger)
}

#[test]
fn rules_choose_requests_by_number_account_and_path() {
    let (server, _) = start();
    let path = "/rest/api/1.0/projects";
    let fault = server.fault(When::any().path_contains("projects").nth(2), Action::status(503));
    let statuses = [(); 3].map(|()| get(&server, path).status);
    assert_eq!(statuses, [200, 503, 200]);
    assert_eq!(fault.hits(), 1);
    let fault = server.fault(When::kind(Kind::Rest).account("alice").first(1), Action::LoginPage);
    let page = get(&server, path);
    assert_eq!((page.status, fault.hits()), (200, 1));
    assert!(page.headers["content-type"].starts_with("text/html"));
    server.fault(When::any().method("GET"), Action::status(500)).remove();
    assert_eq!(get(&server, path).status, 200);
}

#[test]
fn a_redirect_goes_to_the_evil_host() {
    let (server, _) = start();
    let evil = EvilHost::start();
    let location = format!("{}/stolen", evil.url());
    server.fault(When::any(), Action::Redirect { status: 307, location: location.clone() });
    let answer = get(&server, "/rest/api/1.0/projects");
    assert_eq!((answer.status, answer.headers["location"].as_str()), (307, location.as_str()));
    let folder = tempfile::tempdir().unwrap();
    // Whether git is content with an empty answer does not matter here.
    let _ = git(&["ls-remote", &location], folder.path());
    assert!(evil.saw_authorization());
    assert_eq!(evil.requests()[0].target, "/stolen/info/refs?service=git-upload-pack");
}

#[test]
fn bodies_are_cut_closed_reset_flipped_and_replaced() {
    let (server, ledger) = start();
    let whole = fetch(&server, &ledger);
    assert!(whole.complete && whole.body.len() > 400);
    let once = || When::kind(Kind::FETCH).first(1);
    server.fault(once(), Action::TruncateAfter(300));
    let answer = fetch(&server, &ledger);
    assert!(answer.complete);
    assert_eq!(answer.body.len(), 300);
    server.fault(once(), Action::CloseAfter(301));
    let answer = fetch(&server, &ledger);
    assert!(!answer.complete);
    assert_eq!(answer.body.len(), 301);
    server.fault(once(), Action::ResetAfter(302));
    assert!(!fetch(&server, &ledger).complete);
    server.fault(once(), Action::FlipByte(18));
    let answer = fetch(&server, &ledger);
    assert_eq!(answer.body[18..22], [b'P' ^ 0xff, b'A', b'C', b'K']);
    server.fault(once(), Action::ReplaceBody(b"0000".as_slice().into()));
    assert_eq!(fetch(&server, &ledger).body, b"0000");
    let progress: Vec<Progress> = server.log().snapshot().iter().map(|e| e.progress).collect();
    let (done, aborted) = (Progress::Complete, Progress::Aborted);
    assert_eq!(progress, [done, done, aborted, aborted, done, done]);
}

#[test]
fn stock_git_sees_every_fault_of_a_pack() {
    let (server, ledger) = start();
    let folder = tempfile::tempdir().unwrap();
    let url = server.clone_url(&ledger);
    let fetches = || When::kind(Kind::FETCH).first(1);
    let text = b"no more\x1b[2J".to_vec();
    let faults = [
        (Action::SidebandError { after: 100, text }, "no more"),
        (Action::CorruptPackTrailer, "pack"),
        (Action::ErrPacket(b"go away".to_vec()), "go away"),
        (Action::TruncateAfter(200), ""),
        (Action::CloseAfter(200), ""),
        (Action::ResetAfter(200), ""),
    ];
    for (action, expected) in faults {
        server.fault(fetches(), action.clone());
        let error = git_fails(&["clone", "--mirror", &url, "copy"], folder.path());
        assert!(error.contains(expected), "{action:?}: {error}");
    }
    let id = ledger.oid("HEAD");
    server.fault(fetches(), Action::ShallowInfo(vec![id.clone()]));
    let answer = fetch(&server, &ledger);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("shallow-info\n") && text.contains(&format!("shallow {id}0001")));
    git_ok(&["clone", "--mirror", &url, "copy"], folder.path());
}

#[test]
fn a_gate_holds_an_answer_in_the_middle() {
    let (server, ledger) = start();
    let gate = Gate::new();
    let hold = Action::Hold { after: 100, gate: gate.clone() };
    server.fault(When::kind(Kind::FETCH), hold);
    let asked = std::thread::spawn({
        let (control, ledger) = (server.control(), ledger.clone());
        move || fetch(&control, &ledger)
    });
    assert!(gate.reached_blocking(TIMEOUT));
    assert!(server.log().wait_for_blocking(TIMEOUT, |entries| entries[0].response_bytes == 100));
    gate.release();
    assert!(asked.join().unwrap().complete);
}

#[test]
fn a_client_that_leaves_at_the_gate_is_noticed() {
    let (server, ledger) = start();
    let gate = Gate::new();
    let hold = Action::Hold { after: 100, gate: gate.clone() };
    server.fault(When::kind(Kind::FETCH), hold);
    let path = format!("{}/git-upload-pack", ledger.clone_path());
    let headers = fetch_headers();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let body = fetch_body(&ledger.oid("HEAD"));
    let client = send(&server, "POST", &path, &headers, &body);
    assert!(gate.reached_blocking(TIMEOUT));
    drop(client);
    let gone = |entries: &[Entry]| entries.iter().any(|e| e.progress == Progress::ClientGone);
    assert!(server.log().wait_for_blocking(TIMEOUT, gone));
}

#[test]
fn a_request_hangs_until_the_release() {
    let (server, _) = start();
    let gate = Gate::new();
    server.fault(When::any(), Action::Hang(gate.clone()));
    let control = server.control();
    let asked = std::thread::spawn(move || get(&control, "/status").status);
    assert!(gate.reached_blocking(TIMEOUT));
    assert_eq!(server.log().snapshot()[0].status, None);
    gate.release();
    assert_eq!(asked.join().unwrap(), 200);
}

#[test]
fn a_hook_deletes_the_repository_before_the_fetch() {
    let (server, ledger) = start();
    let delete = Action::run(|control| control.world().find("PAY", "ledger").unwrap().delete());
    server.fault(When::kind(Kind::LS_REFS), delete);
    let path = format!("{}/git-upload-pack", ledger.clone_path());
    let headers = [&bearer(TOKEN), "Git-Protocol: version=2"];
    let body = b"0014command=ls-refs\n0000";
    let answer = request(&server, "POST", &path, &headers, body);
    assert_eq!(answer.status, 404);
    assert!(answer.exception().ends_with("NoSuchRepositoryException"));
}
