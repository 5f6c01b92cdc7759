//! Commits of closed pull requests: REST names them, and git sends them though no reference does.

use fake_bitbucket::{Protocol, Repository, Server, World};
use xopero::bitbucket::{Client, List, Pager, PullRequest, PullRequestState, hidden_commits};
use xopero::git::{FetchRequest, GitError, PackLimits, PackSummary, PackWalker, Remote, Unadvertised};
use xopero::http::{Authorization, HttpClient, Proxies};
use xopero::model::{BaseUrl, ObjectFormat, ObjectId};

use crate::scene::{PATIENCE, readers};
use crate::support::token_of;

fn authorization() -> Authorization {
    let account = "main".parse().expect("it is a name");
    Authorization::bearer(account, &token_of("main").into()).expect("it can be sent")
}

fn client(server: &Server) -> HttpClient {
    let base = BaseUrl::new(server.url()).expect("it is an address");
    HttpClient::new(&base, None, &Proxies::default(), PATIENCE).expect("there is no TLS to set up")
}

/// Four pull requests of one commit each: the first is open, the others are not.
fn source() -> (World, Repository, Vec<ObjectId>) {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    let main = ledger.oid("refs/heads/main");
    let tips = (1..=4).map(|number| {
        let tip = ledger.commit_to(&format!("refs/pull-requests/{number}/from"), Some(&main));
        tip.parse().expect("it is an id")
    });
    let tips: Vec<ObjectId> = tips.collect();
    for number in 2..=4 {
        ledger.close_pull_request(number);
    }
    (world, ledger, tips)
}

async fn pull_requests(server: &Server) -> Vec<PullRequest> {
    let client = Client::new(client(server));
    let list = List::pull_requests(&"PAY".parse().expect("a key"), &"ledger".parse().expect("a slug"));
    let mut pager = Pager::new(list);
    let mut all = Vec::new();
    while let Some(page) = pager.next(&client, &authorization()).await.expect("the server answers") {
        assert!(page.quarantined.is_empty());
        all.extend(page.values);
    }
    all
}

/// Asks for whatever `wanted` names. Gives the packs that came.
async fn take(remote: &Remote, wanted: impl IntoIterator<Item = ObjectId>) -> (Vec<PackSummary>, Unadvertised) {
    let authorization = authorization();
    let facts = remote.discover(&authorization).await.expect("the server answers").facts;
    let listed = remote.list(&authorization, &facts, ObjectFormat::Sha1).await.expect("the server answers");
    let haves = listed.references.oids();
    let mut unadvertised = Unadvertised::new(wanted, &facts);
    let mut packs = Vec::new();
    while let Some(batch) = unadvertised.next() {
        let request = FetchRequest { facts: &facts, format: ObjectFormat::Sha1, wants: batch, haves: &haves };
        let mut stream = remote.fetch(&authorization, &request).await.expect("an answer begins");
        let mut walker = PackWalker::new(ObjectFormat::Sha1, PackLimits::default());
        let ended = loop {
            match stream.next().await {
                Ok(Some(bytes)) => walker.push(&bytes).expect("the pack is sound"),
                ended => break ended,
            }
        };
        match ended {
            Ok(_) => {
                packs.push(walker.finish().expect("the pack is whole"));
                unadvertised.sent();
            }
            Err(GitError::Remote { message, .. }) => unadvertised.refuse(&message),
            Err(other) => panic!("{other}"),
        }
    }
    (packs, unadvertised)
}

#[tokio::test(flavor = "multi_thread")]
async fn quirk_17_what_only_closed_pull_requests_name_is_found_and_sent() {
    let (world, ledger, tips) = source();
    // One at a time, as an administrator may set it.
    let server = fake_bitbucket::FakeBitbucket::start_blocking(world, readers(&["main"]).page_cap(1));
    let all = pull_requests(&server).await;
    let states: Vec<_> = all.iter().map(|one| (one.id, one.state)).collect();
    let (open, merged, declined) = (PullRequestState::Open, PullRequestState::Merged, PullRequestState::Declined);
    assert_eq!(states, [(4, merged), (3, declined), (2, merged), (1, open)], "quirk 11: all states, newest first");
    let advertised: Vec<String> = ledger.refs().into_iter().map(|reference| reference.oid).collect();
    let hidden: Vec<ObjectId> =
        hidden_commits(&all).into_iter().filter(|oid| !advertised.contains(&oid.to_string())).collect();
    assert_eq!(hidden.len(), 3);
    assert!(tips[1..].iter().all(|tip| hidden.contains(tip)) && !hidden.contains(&tips[0]), "{hidden:?}");

    let remote = Remote::new(client(&server), &"PAY".parse().unwrap(), &"ledger".parse().unwrap());
    let lost: ObjectId = "0123456789012345678901234567890123456789".parse().unwrap();
    let (packs, unadvertised) = take(&remote, hidden.into_iter().chain([lost])).await;
    assert_eq!(packs.len(), 1, "what is lost keeps nothing else back");
    // A commit, a tree of the root and one of a folder, and a file for each of the three.
    assert_eq!(packs[0].objects, 12);
    let refused: Vec<_> = unadvertised.refused().iter().collect();
    assert!(refused.len() == 1 && *refused[0].0 == lost && refused[0].1.contains("not our ref"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn quirk_17_a_server_that_sends_only_what_it_advertises_is_not_asked_for_more() {
    let (world, _ledger, tips) = source();
    let server = fake_bitbucket::FakeBitbucket::start_blocking(world, readers(&["main"]).protocol(Protocol::V0Only));
    let remote = Remote::new(client(&server), &"PAY".parse().unwrap(), &"ledger".parse().unwrap());
    let (packs, unadvertised) = take(&remote, tips[1..].iter().copied()).await;
    assert_eq!((packs.len(), unadvertised.refused().len()), (0, 3));
    assert!(unadvertised.refused().values().all(|why| why.contains("git protocol v0")));
}
