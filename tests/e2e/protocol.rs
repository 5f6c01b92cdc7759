//! Servers without protocol v2, and servers that change their mind.

use fake_bitbucket::judge::{Head, Judge, head};
use fake_bitbucket::{Action, Kind, Options, Protocol, Repository, When, World};

use crate::proof::{name_of, options};
use crate::support::Home;

fn home_with(protocol: Protocol, world: World) -> Home {
    let home = Home::new(world, Options::protocol(options(), protocol));
    home.apply_usual();
    home
}

fn old_protocols() -> [(Protocol, &'static str); 2] {
    [(Protocol::V0Only, "v0"), (Protocol::V1, "v1")]
}

#[test]
fn protocol_v0_gives_the_same_backups() {
    prove_old(Protocol::V0Only, "v0");
}

#[test]
fn protocol_v1_gives_the_same_backups() {
    prove_old(Protocol::V1, "v1");
}

/// Full and incremental runs over an old protocol.
fn prove_old(protocol: Protocol, word: &str) {
    let world = World::new();
    let project = world.project("PAY");
    let made: Vec<Repository> = vec![
        project.repository("everything", |recipe| recipe.everything()),
        project.repository("sha256", |recipe| recipe.sha256().everything()),
        project.repository("detached", |recipe| recipe.detached_head().default_branch("trunk")),
    ];
    let home = home_with(protocol, world);
    for run in 0..3 {
        for repository in &made {
            match run {
                0 => {}
                1 => {
                    repository.commit("topic/new");
                    repository.tag("later", "refs/heads/topic/new");
                }
                _ => {
                    repository.force_push("topic/new", 1);
                    repository.delete_ref("refs/tags/later");
                    repository.gc();
                }
            }
        }
        let reports = home.reports("nightly");
        for repository in &made {
            let report = &reports[&name_of(repository)];
            assert_eq!(report["result"], if run == 0 { "new" } else { "changed" }, "{report}");
            assert_eq!(report["protocol"], word, "{report}");
            assert!(report["notes"][0].as_str().expect("it is a text").contains("does not answer in git protocol v2"));
            home.prove(repository);
        }
    }
    let manifest = home.manifest("nas", &home.newest(&made[0]));
    assert_eq!(manifest["git"]["protocol"], word);
    assert_eq!(manifest["git"]["packs"].as_array().expect("it is a list").len(), 3);

    home.server.log().clear();
    let told = home.xopero(&["run", "nightly"]).success().says("does not answer in git protocol v2");
    assert!(told.stdout.contains("3 unchanged"), "{}", told.stdout);
    let log = home.server.log();
    let posts = log.count(|entry| matches!(entry.kind, Kind::GitUploadPack { .. }));
    // One for the server, whose protocol may have become better, and one for each repository.
    assert_eq!((log.count_kind(Kind::GitInfoRefs), posts), (1 + made.len(), 0));
}

#[test]
fn an_unborn_head_that_git_does_not_tell_is_learned_from_bitbucket() {
    for (protocol, word) in old_protocols() {
        let world = World::new();
        let project = world.project("PAY");
        let unborn = project.repository("unborn", |recipe| recipe.unborn_head("not-yet"));
        let empty = project.repository("empty", |recipe| recipe.empty());
        let home = home_with(protocol, world);
        home.run("nightly");
        for repository in [&unborn, &empty] {
            let manifest = home.manifest("nas", &home.newest(repository));
            assert_eq!(manifest["git"]["protocol"], word);
            assert_eq!(manifest["git"]["references"]["head"]["kind"], "unborn", "{manifest}");
            home.prove(repository);
        }
        assert_eq!(home.run("nightly")["totals"]["unchanged"], 2);
    }
}

#[test]
fn a_head_that_nobody_tells_is_said_to_be_unknown() {
    let world = World::new();
    let unborn = world.project("PAY").repository("unborn", |recipe| recipe.unborn_head("not-yet"));
    let home = home_with(Protocol::V0Only, world);
    home.server.fault(When::any().path_contains("/default-branch"), Action::status(404));
    home.run("nightly");
    let manifest = home.manifest("nas", &home.newest(&unborn));
    assert_eq!(manifest["git"]["references"]["head"]["kind"], "unknown", "{manifest}");
    assert_eq!(manifest["not_read"][0]["what"], "HEAD", "{manifest}");
    let target = home.path().join("restored");
    let arguments = ["restore", "PAY/unborn", "--to", target.to_str().expect("the path is UTF-8")];
    home.xopero_as("backup.txt", &arguments).success().says("the server did not tell HEAD");
    Judge::new().without_head().compare(&unborn.path(), &target).unwrap();
    assert_eq!(head(&target), Head::Symbolic("refs/heads/main".into()));
}

#[test]
fn a_server_may_lose_protocol_v2_and_get_it_back() {
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| recipe.everything());
    let quiet = project.repository("quiet", |recipe| recipe.tag("v1"));
    let home = home_with(Protocol::V2, world);
    home.run("nightly");
    let steps = [(Protocol::V0Only, "v0"), (Protocol::V2, "v2"), (Protocol::V1, "v1"), (Protocol::V2, "v2")];
    let mut moments = vec![home.moment(&ledger)];
    for (protocol, word) in steps {
        home.server.set_protocol(protocol);
        ledger.commit("main");
        ledger.force_push("topic/2", 1);
        let reports = home.reports("nightly");
        assert_eq!(reports["PAY/ledger"]["result"], "changed", "{word}: {reports:?}");
        assert_eq!(reports["PAY/ledger"]["protocol"], word);
        assert_eq!(reports["PAY/quiet"]["result"], "unchanged", "{word}: {reports:?}");
        home.prove(&ledger);
        home.prove(&quiet);
        moments.push(home.moment(&ledger));
    }
    for moment in &moments {
        home.prove_moment(moment);
    }
    home.server.log().clear();
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 2);
    assert_eq!(home.server.log().count_kind(Kind::GitInfoRefs), 0, "v2 is remembered again");
}

#[test]
fn an_unborn_head_is_not_a_change_when_the_server_stops_telling_it() {
    let world = World::new();
    let unborn = world.project("PAY").repository("unborn", |recipe| recipe.unborn_head("not-yet"));
    let home = home_with(Protocol::V2, world);
    home.run("nightly");
    home.prove(&unborn);
    let known = home.moment(&unborn);
    home.server.set_protocol(Protocol::V0Only);
    home.run("nightly");
    Judge::new().without_head().compare(&unborn.path(), &home.restore("PAY/unborn")).unwrap();
    home.server.set_protocol(Protocol::V2);
    home.run("nightly");
    home.prove(&unborn);
    home.prove_moment(&known);
}
