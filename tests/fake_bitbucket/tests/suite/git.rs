//! Stock git through the server, and stock git as the judge.

use std::io::Read;
use std::time::Duration;

use fake_bitbucket::{Action, FakeBitbucket, Kind, Options, Progress, Protocol, When, World, judge};

use crate::client::{TOKEN, bearer, fetch, fetch_body, fetch_headers, get_as, git, git_fails, git_ok, send, serve};

fn mirror(protocol: Protocol) {
    let world = World::new();
    let repository = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let server = serve(&world, Options::new().context_path("/bitbucket").protocol(protocol));
    let folder = tempfile::tempdir().unwrap();
    let url = server.clone_url(&repository);
    git_ok(&["clone", "--mirror", &url, "copy.git"], folder.path());
    judge::compare(&repository.path(), &folder.path().join("copy.git")).unwrap();
    let fetches = [Kind::FETCH, Kind::FETCH_V0].map(|kind| server.log().count_kind(kind));
    let expected = if protocol == Protocol::V2 { [1, 0] } else { [0, 1] };
    assert_eq!(fetches, expected);
}

#[test]
fn a_mirror_clone_equals_the_source_with_v2() {
    mirror(Protocol::V2);
}

#[test]
fn a_mirror_clone_equals_the_source_with_v1() {
    mirror(Protocol::V1);
}

#[test]
fn a_mirror_clone_equals_the_source_with_v0() {
    mirror(Protocol::V0Only);
}

#[test]
fn sha256_shallow_empty_and_archived_repositories_can_be_cloned() {
    let world = World::new();
    let pay = world.project("PAY");
    let repositories = [
        pay.repository("sha256", |recipe| recipe.sha256().tag("v1").merges(1)),
        pay.repository("empty", |recipe| recipe.empty()),
        pay.repository("archived", |recipe| recipe.archived()),
        pay.repository("shallow", |recipe| recipe.commits(8).shallow(3)),
        pay.repository("unborn", |recipe| recipe.branch("x").unborn_head("nothing")),
    ];
    let server = serve(&world, Options::new());
    let folder = tempfile::tempdir().unwrap();
    for repository in repositories {
        let copy = folder.path().join(repository.slug());
        let url = server.clone_url(&repository);
        git_ok(&["clone", "--mirror", &url, &repository.slug()], folder.path());
        judge::compare(&repository.path(), &copy).unwrap();
    }
    let id = world.find("PAY", "sha256").unwrap().oid("HEAD");
    assert_eq!(id.len(), 64);
}

#[test]
fn a_push_arrives_unless_the_repository_is_read_only() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    let target = world.project("PAY").repository("target", |recipe| recipe.empty());
    let server = serve(&world, Options::new());
    let folder = tempfile::tempdir().unwrap();
    git_ok(&["clone", "--mirror", &server.clone_url(&ledger), "copy"], folder.path());
    let copy = folder.path().join("copy");
    let url = server.clone_url(&target);
    git_ok(&["push", "--mirror", &url], &copy);
    judge::compare(&ledger.path(), &target.path()).unwrap();
    assert_eq!(server.log().count_kind(Kind::GitReceivePack), 1);
    target.archive();
    git_fails(&["push", &url, "HEAD:refs/heads/more"], &copy);
    let existing = world.project("PAY").existing("existing", &ledger.path());
    git_ok(&["ls-remote", &server.clone_url(&existing)], &copy);
    git_fails(&["push", &server.clone_url(&existing), "HEAD:refs/heads/more"], &copy);
}

#[test]
fn later_changes_arrive_with_a_fetch() {
    let world = World::new();
    let recipe = |recipe: fake_bitbucket::Recipe| recipe.branches(2).pull_request(7).tag("v1");
    let ledger = world.project("PAY").repository("ledger", recipe);
    let server = serve(&world, Options::new());
    let folder = tempfile::tempdir().unwrap();
    git_ok(&["clone", "--mirror", &server.clone_url(&ledger), "copy"], folder.path());
    let copy = folder.path().join("copy");
    ledger.commit("main");
    ledger.force_push("topic/1", 1);
    ledger.delete_ref("refs/heads/topic/2");
    ledger.delete_ref("refs/tags/v1");
    ledger.tag("v2", "refs/heads/main");
    let hidden = ledger.close_pull_request(7);
    assert!(judge::compare(&ledger.path(), &copy).is_err());
    git_ok(&["fetch", "--prune", "origin"], &copy);
    judge::compare(&ledger.path(), &copy).unwrap();
    git_ok(&["fetch", "origin", &format!("{hidden}:refs/pr/7")], &copy);
    ledger.gc();
    ledger.rename("renamed");
    git_fails(&["fetch", "origin"], &copy);
    git_ok(&["ls-remote", &server.clone_url(&ledger)], &copy);
    ledger.delete();
    assert!(world.find("PAY", "renamed").is_none());
}

#[test]
fn hooks_of_the_transport_compressed_requests_and_refusals_are_logged() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.branches(60));
    let server = serve(&world, Options::new());
    let folder = tempfile::tempdir().unwrap();
    let url = server.clone_url(&ledger);
    git_ok(&["clone", "--mirror", &url, "copy"], folder.path());
    let entries = server.log().snapshot();
    let fetch = entries.iter().find(|entry| entry.kind == Kind::FETCH).unwrap();
    assert_eq!(fetch.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(fetch.git_protocol.as_deref(), Some("version=2"));
    assert_eq!(fetch.progress, Progress::Complete);
    assert!(fetch.request_bytes > 0 && fetch.response_bytes > 0);
    server.remove_account("alice");
    let output = git(&["ls-remote", &url], folder.path());
    assert!(!output.status.success());
    assert_eq!(server.log().snapshot().pop().unwrap().status, Some(401));
}

#[test]
fn a_large_answer_flows_and_git_is_stopped_when_the_client_leaves() {
    let world = World::new();
    let size = 40 << 20;
    let large = world.project("PAY").repository("large", |recipe| recipe.bulk(2000, size));
    assert!(large.size() > size);
    let server = serve(&world, Options::new());
    let path = format!("{}/git-upload-pack", large.clone_path());
    let headers = fetch_headers();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let body = fetch_body(&large.oid("HEAD"));
    let mut stream = send(&server, "POST", &path, &headers, &body);
    let mut buffer = vec![0; 1 << 20];
    stream.read_exact(&mut buffer).unwrap();
    let entry = server.log().snapshot().pop().unwrap();
    assert_eq!(entry.progress, Progress::Answering);
    assert!(entry.response_bytes < size);
    drop(stream);
    let gone = |entries: &[fake_bitbucket::Entry]| entries[0].progress == Progress::ClientGone;
    assert!(server.log().wait_for_blocking(Duration::from_mins(5), gone));
    let close = Action::CloseAfter(5_000_001);
    server.fault(When::kind(Kind::FETCH), close);
    let answer = fetch(&server, &large);
    assert_eq!((answer.body.len(), answer.complete), (5_000_001, false));
}

#[tokio::test]
async fn a_server_runs_inside_of_a_runtime() {
    let world = World::new();
    let _ = world.project("PAY");
    let options = Options::new().account(fake_bitbucket::Account::admin("alice", TOKEN));
    let server = FakeBitbucket::start(world, options).await;
    let control = server.control();
    let asked =
        tokio::task::spawn_blocking(move || get_as(&control, "/rest/api/1.0/projects/PAY", &[&bearer(TOKEN)]).status);
    server.log().wait_for(|entries| entries.iter().any(fake_bitbucket::Entry::is_over)).await;
    assert_eq!(asked.await.unwrap(), 200);
}
