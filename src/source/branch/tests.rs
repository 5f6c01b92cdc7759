//! A branch at a server that serves real repositories with stock git.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fake_bitbucket::{Account, Action, FakeBitbucket, Gate, Kind, Options, Repository as Served, Server, When, World};
use git2::{Oid, Repository};
use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::commit::Rewinds;
use super::looker::{Looker, Question};
use super::{
    BranchSettings, BranchWatch, PollPace, ReadError, branch_of, read_branch, read_fetched, repository_address,
};
use crate::clock::SystemClock;
use crate::git::Remote;
use crate::http::{Authorization, HttpClient, Proxies};
use crate::model::AccountName;
use crate::source::commits::tests::entry;
use crate::source::signature::tests::TestKey;
use crate::source::signature::{AllowedSigners, SignatureError};
use crate::source::{Descent, Snapshot, SourceEvent};

const FILE: i32 = 0o100_644;
const LINK: i32 = 0o120_000;
const MODULE: i32 = 0o160_000;

/// A repository at a server, and a folder for the state.
struct Place {
    server: Server,
    served: Served,
    repository: Repository,
    state: tempfile::TempDir,
    key: Option<TestKey>,
}

impl Place {
    fn new(options: Options) -> Self {
        let world = World::new();
        let served = world.project("OPS").repository("backup", |recipe| recipe.empty());
        let server = FakeBitbucket::start_blocking(world, options.account(Account::reader("watcher", "token-1")));
        let repository = Repository::open_bare(served.path()).unwrap();
        Self { server, served, repository, state: tempfile::tempdir().unwrap(), key: None }
    }

    /// A commit with these files at the branch.
    fn push(&self, files: &[(&str, &str, i32)], message: &str, parents: &[Oid]) -> Oid {
        let repository = &self.repository;
        let mut index = git2::Index::new().unwrap();
        repository.set_index(&mut index).unwrap();
        for (path, text, mode) in files {
            let id = if *mode == MODULE { Oid::from_str(text) } else { repository.blob(text.as_bytes()) };
            index.add(&entry(path, id.unwrap(), u32::try_from(*mode).unwrap())).unwrap();
        }
        let tree = repository.find_tree(index.write_tree_to(repository).unwrap()).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let who = git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(1_700_000_000, 60)).unwrap();
        let text = repository.commit_create_buffer(&who, &who, message, &tree, &parents).unwrap();
        let text = std::str::from_utf8(&text).unwrap();
        let id = match &self.key {
            Some(key) => repository.commit_signed(text, &key.sign(text.as_bytes()), None).unwrap(),
            None => repository.odb().unwrap().write(git2::ObjectType::Commit, text.as_bytes()).unwrap(),
        };
        repository.reference("refs/heads/main", id, true, "").unwrap();
        id
    }

    fn file(&self, text: &str, parents: &[Oid]) -> Oid {
        self.push(&[("xopero.kdl", text, FILE)], text, parents)
    }

    fn watch(&self, applied: Option<Oid>, signers: Option<&str>) -> Watched {
        self.watch_with("token-1", "xopero.kdl", applied, signers)
    }

    fn watch_with(&self, token: &str, path: &str, applied: Option<Oid>, signers: Option<&str>) -> Watched {
        let address = self.server.clone_url(&self.served);
        self.watch_at(&address, Duration::from_mins(2), token, path, applied, signers)
    }

    fn watch_at(
        &self,
        address: &str,
        timeout: Duration,
        token: &str,
        path: &str,
        applied: Option<Oid>,
        signers: Option<&str>,
    ) -> Watched {
        let (remote, authorization) = access(address, timeout, token);
        Watched(BranchWatch::new(
            remote,
            authorization,
            settings(path, signers),
            &self.store(),
            applied.map(|commit| commit.to_string()),
            Arc::new(SystemClock),
        ))
    }

    /// Reads once what a person would be shown.
    async fn read(&self, applied: Option<Oid>, signers: Option<&str>) -> Result<Snapshot, ReadError> {
        let (remote, authorization) = access(&self.server.clone_url(&self.served), Duration::from_mins(2), "token-1");
        let applied = applied.map(|commit| commit.to_string());
        read_branch(remote, authorization, settings("xopero.kdl", signers), &self.store(), applied).await
    }

    fn store(&self) -> std::path::PathBuf {
        self.state.path().join(".xopero/source.git")
    }
}

fn access(address: &str, timeout: Duration, token: &str) -> (Remote, Authorization) {
    let client = HttpClient::new(&repository_address(address).unwrap(), None, &Proxies::default(), timeout).unwrap();
    let account = AccountName::new("watcher").unwrap();
    (Remote::at_base(client), Authorization::bearer(account, &SecretString::from(token)).unwrap())
}

fn settings(path: &str, signers: Option<&str>) -> BranchSettings {
    BranchSettings {
        branch: branch_of("main", path).unwrap(),
        pace: PollPace { interval: Duration::from_millis(10), longest: Duration::from_millis(40), stale_after: 3 },
        signers: signers.map(|text| AllowedSigners::parse(text, &TimeZone::UTC).unwrap()),
    }
}

struct Watched(BranchWatch);

impl Watched {
    async fn next(&mut self) -> SourceEvent {
        tokio::time::timeout(Duration::from_mins(5), self.0.next()).await.expect("an event comes")
    }

    async fn changed(&mut self) -> Snapshot {
        match self.next().await {
            SourceEvent::Changed(snapshot) => *snapshot,
            other => panic!("{other:?}"),
        }
    }

    async fn says(&mut self, text: &str) {
        assert_eq!(self.changed().await.tree.main().text, text);
    }
}

#[tokio::test]
async fn a_branch_is_followed_from_commit_to_commit() {
    let place = Place::new(Options::new());
    let first = place.push(
        &[("xopero.kdl", "include \"teams/web.kdl\"\n", FILE), ("teams/web.kdl", "one", FILE), ("big", "x", FILE)],
        "first",
        &[],
    );
    let mut watch = place.watch(None, None);
    let snapshot = watch.changed().await;
    let source = snapshot.tree.source();
    assert_eq!((source.file.as_str(), source.files[0].path.as_str()), ("xopero.kdl", "teams/web.kdl"));
    let tip = snapshot.tip.unwrap();
    assert_eq!((tip.at.commit(), tip.author.as_str()), (first.to_string().as_str(), "Ada <ada@example.com>"));
    assert_eq!(tip.time.as_second(), 1_700_000_000);
    watch.0.applied(tip.at.commit());

    let second = place.file("two", &[first]);
    let third = place.file("three", &[second]);
    let snapshot = watch.changed().await;
    assert_eq!(snapshot.tree.main().text, "three");
    let at = snapshot.tip.unwrap().at;
    assert_eq!(at.commit(), third.to_string());
    let Descent::Forward { commits, more: false } = at.since(&first.to_string()).unwrap() else { panic!() };
    assert_eq!(commits.len(), 2);
    // Whoever asks is given what was given before.
    watch.0.read_again();
    watch.says("three").await;
    // A daemon that starts again is told what there is.
    place.watch(Some(third), None).says("three").await;
    let entries = std::fs::read_dir(place.store().parent().unwrap()).unwrap();
    assert_eq!(entries.count(), 1, "nothing is left behind");
}

#[tokio::test]
async fn unchanged_it_costs_one_request() {
    let place = Place::new(Options::new());
    let first = place.file("one", &[]);
    let (remote, authorization) = access(&place.server.clone_url(&place.served), Duration::from_mins(2), "token-1");
    let mut looker = Looker::new(remote, authorization, Arc::new(settings("xopero.kdl", None)), &place.store());
    let question = Question { applied: None, told: None, rewinds: Rewinds::Refused };
    let (tip, _) = looker.look(&question).await.unwrap().unwrap();
    assert_eq!(tip.to_string(), first.to_string());
    let before = place.server.log().len();
    assert!(looker.look(&Question { told: Some(tip), ..question }).await.unwrap().is_none());
    assert_eq!(place.server.log().len(), before + 1);
}

/// A watch has more to do than to wait for a server: what it drops meanwhile is the wait, not the look.
#[tokio::test]
async fn a_look_survives_a_wait_that_is_dropped() {
    let place = Place::new(Options::new());
    place.file("one", &[]);
    let gate = Gate::new();
    place.server.fault(When::kind(Kind::FETCH).first(1), Action::Hang(gate.clone()));
    let mut watch = place.watch(None, None);
    let waited = async {
        tokio::select! {
            biased;
            event = watch.0.next() => panic!("{event:?}"),
            () = gate.reached() => {}
        }
    };
    waited.await;
    gate.release();
    watch.says("one").await;
    assert_eq!(place.server.log().count(|entry| entry.kind == Kind::FETCH), 1);
}

#[tokio::test]
async fn who_reads_it_once_is_given_what_was_set_back_and_not_what_nobody_signed() {
    let mut place = Place::new(Options::new());
    let list = TestKey::new(1).line("ada@example.com");
    place.key = Some(TestKey::new(1));
    let first = place.file("one", &[]);
    let second = place.file("two", &[first]);
    place.file("another two", &[first]);
    let snapshot = place.read(Some(second), Some(&list)).await.unwrap();
    assert_eq!(snapshot.tree.main().text, "another two");
    assert_eq!(snapshot.tree.commit().unwrap().since(&second.to_string()).unwrap(), Descent::Rewound);
    place.key = None;
    let unsigned = place.file("unsigned", &[first]);
    place.key = Some(TestKey::new(1));
    place.file("signed", &[unsigned]);
    match place.read(Some(first), Some(&list)).await {
        Err(ReadError::Unsigned { commit, .. }) => assert_eq!(commit, unsigned.to_string()),
        other => panic!("{other:?}"),
    }
    // Where nothing leads to, the tip stands for what is behind it.
    for applied in [Some(second), None] {
        place.read(applied, Some(&list)).await.unwrap();
    }
    let gone = place.push(&[("other", "x", FILE)], "gone", &[first]);
    assert!(matches!(place.read(None, None).await, Err(ReadError::Flawed { .. })), "{gone}");
    place.repository.find_reference("refs/heads/main").unwrap().delete().unwrap();
    assert!(matches!(place.read(None, None).await, Err(ReadError::Branch(_))));
}

#[tokio::test]
async fn a_branch_that_was_set_back_is_told_and_not_given() {
    let place = Place::new(Options::new());
    let first = place.file("one", &[]);
    let second = place.file("two", &[first]);
    let mut watch = place.watch(Some(second), None);
    watch.says("two").await;
    let other = place.file("another two", &[first]);
    match watch.next().await {
        SourceEvent::Rewound { applied, tip } => assert_eq!((applied, tip), (second.to_string(), other.to_string())),
        event => panic!("{event:?}"),
    }
    let shown = read_fetched(&place.store(), &second.to_string(), "xopero.kdl").unwrap();
    assert_eq!(shown.main().text, "two", "what is in force can still be looked at");
    let merged = place.file("merged", &[other, second]);
    watch.says("merged").await;
    // Somebody approves the other history by hand.
    place.repository.reference("refs/heads/main", other, true, "").unwrap();
    assert!(matches!(watch.next().await, SourceEvent::Rewound { .. }));
    watch.0.applied(&first.to_string());
    watch.says("another two").await;
    assert_ne!(merged, other);
}

#[tokio::test]
async fn history_that_was_cut_off_is_fetched_when_it_is_needed() {
    let place = Place::new(Options::new());
    let applied = place.file("applied", &[]);
    let mut tip = applied;
    for number in 0..230 {
        tip = place.file(&format!("number {number}"), &[tip]);
    }
    let mut watch = place.watch(Some(applied), None);
    let at = watch.changed().await.tip.unwrap().at;
    let Descent::Forward { commits, more: false } = at.since(&applied.to_string()).unwrap() else { panic!() };
    assert_eq!(commits.len(), 230);
    place.watch(None, None).changed().await;
    assert!(place.store().join("shallow").exists(), "the first time, the last commit is enough");
}

#[tokio::test]
async fn every_commit_must_be_signed() {
    let mut place = Place::new(Options::new());
    let (key, stranger) = (TestKey::new(1), TestKey::new(2));
    let list = key.line("ada@example.com");
    let unsigned = place.file("unsigned", &[]);
    let mut watch = place.watch(None, Some(&list));
    let refused = |event: SourceEvent| match event {
        SourceEvent::Unsigned { commit, tip, why } => (commit, tip, why),
        event => panic!("{event:?}"),
    };
    let (commit, tip, why) = refused(watch.next().await);
    assert_eq!((commit, tip, why), (unsigned.to_string(), unsigned.to_string(), SignatureError::Unsigned));
    place.key = Some(key);
    let signed = place.file("signed", &[unsigned]);
    let snapshot = watch.changed().await;
    assert_eq!(snapshot.tip.unwrap().signed_by.as_deref(), Some("ada@example.com"));
    watch.0.applied(&signed.to_string());
    // A signed merge does not make up for what it brings.
    place.key = Some(stranger);
    let strange = place.file("strange", &[signed]);
    place.key = Some(TestKey::new(1));
    let merge = place.file("merge", &[signed, strange]);
    let (commit, tip, why) = refused(watch.next().await);
    assert_eq!((commit, tip), (strange.to_string(), merge.to_string()));
    assert!(matches!(why, SignatureError::UnknownKey { .. }));
    place.file("signed again", &[signed]);
    watch.says("signed again").await;
}

#[tokio::test]
async fn files_that_are_not_there_are_told() {
    let place = Place::new(Options::new());
    let mut parent = vec![];
    let mut watch = place.watch(None, None);
    let main = ("xopero.kdl", "include \"teams/web.kdl\"\n", FILE);
    let commit = "1111111111111111111111111111111111111111";
    let large = "x".repeat(5 << 20);
    for (files, at, says) in [
        (&[("other", "x", FILE)][..], "xopero.kdl", "there is no file"),
        (&[("xopero.kdl", "", FILE)], "xopero.kdl", "is empty"),
        (&[("xopero.kdl", "/etc/passwd", LINK)], "xopero.kdl", "is a link"),
        (&[("xopero.kdl", commit, MODULE)], "xopero.kdl", "is a link"),
        (&[("xopero.kdl/x", "x", FILE)], "xopero.kdl", "not a regular file"),
        (&[("xopero.kdl", &large, FILE)], "xopero.kdl", "larger than"),
        (&[main], "teams/web.kdl", "there is no file"),
        (&[main, ("teams", "/etc", LINK)], "teams/web.kdl", "is a link"),
        (&[main, ("teams", "x", FILE)], "teams/web.kdl", "there is no file"),
        (&[main, ("teams/web.kdl", "", FILE)], "teams/web.kdl", "is empty"),
    ] {
        parent = vec![place.push(files, says, &parent)];
        match watch.next().await {
            SourceEvent::Missing { path, reason, .. } => {
                assert_eq!(path, Path::new(at), "{reason}");
                assert!(reason.contains(says), "{reason}");
            }
            event => panic!("{says}: {event:?}"),
        }
    }
    place.push(&[main, ("teams/web.kdl", "x", FILE)], "whole", &parent);
    watch.changed().await;
}

#[tokio::test]
async fn failures_are_told_once_and_so_is_their_end() {
    let place = Place::new(Options::new());
    let mut watch = place.watch(None, None);
    match watch.next().await {
        SourceEvent::Stale { reason, hint, .. } => {
            assert!(reason.contains("refs/heads/main"), "{reason}");
            assert!(hint.unwrap().contains("name of the branch"));
        }
        event => panic!("{event:?}"),
    }
    let first = place.file("one", &[]);
    watch.says("one").await;
    place.repository.find_reference("refs/heads/main").unwrap().delete().unwrap();
    assert!(matches!(watch.next().await, SourceEvent::Stale { .. }));
    place.repository.reference("refs/heads/main", first, true, "").unwrap();
    assert!(matches!(watch.next().await, SourceEvent::Back));
    // What was refused before is refused again, not forgotten.
    let second = place.file("", &[first]);
    assert!(matches!(watch.next().await, SourceEvent::Missing { .. }));
    place.repository.find_reference("refs/heads/main").unwrap().delete().unwrap();
    assert!(matches!(watch.next().await, SourceEvent::Stale { .. }));
    place.repository.reference("refs/heads/main", second, true, "").unwrap();
    assert!(matches!(watch.next().await, SourceEvent::Missing { .. }));
}

#[tokio::test]
async fn a_refused_credential_is_tried_once_a_look() {
    let place = Place::new(Options::new());
    place.file("one", &[]);
    let mut watch = place.watch_with("s3cr3t", "xopero.kdl", None, None);
    match watch.next().await {
        SourceEvent::Stale { reason, hint, .. } => {
            assert!(!format!("{reason} {hint:?}").contains("s3cr3t"), "{reason} {hint:?}");
        }
        event => panic!("{event:?}"),
    }
    assert_eq!(place.server.log().len(), 3);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let place = Place::new(Options::new());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/scm/ops/backup.git", silent.local_addr().unwrap());
    let mut watch = place.watch_at(&address, Duration::from_millis(50), "token-1", "xopero.kdl", None, None);
    assert!(matches!(watch.next().await, SourceEvent::Stale { .. }));
}

#[tokio::test]
async fn names_are_relative_to_the_directory_of_the_main_file() {
    let place = Place::new(Options::new());
    let main = ("ops/a/xopero.kdl", "include \"teams/web.kdl\"\n", FILE);
    place.push(&[main, ("ops/a/teams/web.kdl", "web", FILE), ("teams/web.kdl", "another", FILE)], "first", &[]);
    let snapshot = place.watch_with("token-1", "ops/a/xopero.kdl", None, None).changed().await;
    let texts: Vec<&str> = snapshot.tree.texts().map(|file| file.text.as_str()).collect();
    assert_eq!(texts[1], "web");
}
