//! The server says no: to a credential, to a project, to a repository.

use fake_bitbucket::{Account, Action, Command, Kind, Permission, RepositoryState, When, World, judge};

use crate::scene::{apply_pool, complaint, listed, readers, run, run_for_people, summary, task};
use crate::support::{Home, token_of};

fn two() -> World {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    world.project("PAY").repository("other", |recipe| recipe.seed(7));
    world
}

#[test]
fn a_wrong_token_is_tried_once_and_named() {
    let world = World::new();
    world.project("PAY").many("repo", 12);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    home.server.set_account(Account::reader("main", "another"));
    home.server.log().clear();
    let ended = run_for_people(&home, 1);
    assert_eq!(home.server.log().len(), 1, "no retry storm");
    ended.says("account main").says("the password or token is wrong").says("xopero credential add PAY --account main");
    assert!(listed(&home).is_empty());
}

#[test]
fn one_wrong_token_of_several_is_told_and_passed_over() {
    let home = Home::new(two(), readers(&["main", "one", "two"]));
    apply_pool(&home, &[("extra-1", "one"), ("extra-2", "two")], &["extra-1", "extra-2"]);
    home.server.set_account(Account::reader("one", "another"));
    home.server.log().clear();
    let ended = run(&home, 0);
    let refused = home.server.log().count(|entry| entry.status == Some(401));
    assert_eq!(refused, 1, "asked once");
    let rejected = ended.line("credential_rejected");
    assert_eq!(
        (rejected["credential"]["additional"].as_str(), rejected["account"].as_str()),
        (Some("extra-1"), Some("one")),
        "{rejected}"
    );
    let warning = summary(&ended)["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("credential/PAY/extra-1") && warning.contains("account one"), "{warning}");
    assert_eq!(listed(&home).len(), 2);
}

#[test]
fn a_token_that_is_revoked_in_the_middle_leaves_the_pool() {
    let home = Home::new(two(), readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    let revoke = Action::run(|server| server.set_account(Account::reader("main", "another")));
    home.server.fault(When::kind(Kind::GitInfoRefs).first(1), revoke);
    let ended = run(&home, 0);
    assert_eq!(summary(&ended)["totals"]["new"], 2);
    let rejected = home.server.log().count(|entry| entry.status == Some(401));
    assert!(rejected <= 2, "{rejected} requests with a dead token");
}

#[test]
fn a_token_of_another_account_is_not_used() {
    let home = Home::new(two(), readers(&["main", "boss"]));
    home.apply_usual();
    home.server.remove_account("boss");
    home.server.set_account(Account::reader("main", "another"));
    home.server.set_account(Account::reader("boss", &token_of("main")));
    run_for_people(&home, 1).says("logs in as boss, not as main").says("correct `account` in the file");
    assert_eq!(home.server.log().count_account("boss"), 1);
    assert!(listed(&home).is_empty());
}

#[test]
fn no_permission_on_a_project_leaves_the_other_project_alone() {
    let world = two();
    let ops = world.project("OPS").repository("tools", |recipe| recipe);
    let home = Home::new(world, readers(&["main"]));
    home.write_file(&["nas"], "project \"PAY\" server=\"bb\" {\n}\nproject \"OPS\" server=\"bb\" {\n}\nplan \"nightly\" {\n    project \"PAY\"\n    project \"OPS\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n");
    home.add_credential("PAY", None, "main");
    home.add_credential("OPS", None, "main");
    home.apply();
    let reader = Account::reader("main", &token_of("main")).permission("PAY", Permission::None);
    home.server.set_account(reader);
    run_for_people(&home, 8)
        .says("failed: project PAY")
        .says("main as main: http")
        .says("the account has no permission")
        .says("give the account read permission");
    judge::compare(&ops.path(), &home.restore("OPS/tools")).unwrap();
    assert_eq!(listed(&home), ["OPS/tools"]);
    assert!(home.server.log().count(|entry| entry.path.contains("/PAY/")) <= 1, "no retry storm");
}

#[test]
fn a_missing_project_is_named() {
    let home = Home::new(World::new(), readers(&["main"]));
    home.apply_usual();
    run_for_people(&home, 1)
        .says("failed: project PAY")
        .says("projects/PAY/repos")
        .says("Project PAY does not exist")
        .says("renamed, moved or deleted");
}

#[test]
fn no_permission_on_one_repository_fails_that_one() {
    let home = Home::new(two(), readers(&["main"]));
    home.apply_usual();
    let hide = Action::run(|server| {
        server.set_account(Account::reader("main", &token_of("main")).hide("PAY", "ledger"));
    });
    home.server.fault(When::kind(Kind::Rest).path_contains("/repos?"), hide);
    let ended = run(&home, 8);
    let error = complaint(&ended, "ledger");
    assert!(error.contains("no permission") && error.contains("main as main"), "{error}");
    assert!(error.contains("give the account read permission"), "{error}");
    assert_eq!(task(&ended, "other")["result"], "new");
    assert_eq!(listed(&home), ["PAY/other"]);
}

#[test]
fn a_repository_that_one_account_may_not_read_is_read_with_another() {
    let world = two();
    let home = Home::new(world, readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    let blind = Account::reader("one", &token_of("one")).hide("PAY", "ledger").hide("PAY", "other");
    home.server.set_account(blind);
    let ended = run(&home, 0);
    assert_eq!(summary(&ended)["totals"]["new"], 2);
    assert!(home.server.log().count(|entry| entry.status == Some(401)) > 0, "the rotation came by");
}

#[test]
fn a_repository_that_goes_away_fails_alone() {
    for moment in [Kind::Rest, Kind::GitInfoRefs, Kind::LS_REFS, Kind::FETCH] {
        let world = two();
        let ledger = world.find("PAY", "ledger").unwrap();
        let home = Home::new(world, readers(&["main"]));
        home.apply_usual();
        let when = match moment {
            Kind::Rest => When::kind(Kind::Rest).path_contains("/repos?"),
            // The first contact goes through whichever repository comes first.
            Kind::GitInfoRefs => When::kind(Kind::GitInfoRefs),
            other => When::kind(other).path_contains("ledger"),
        };
        if moment == Kind::Rest {
            // The page was made before: the listing names what is gone a moment later.
            home.server.fault(When::kind(Kind::GitInfoRefs).first(1), Action::run(move |_| ledger.delete()));
        } else {
            home.server.fault(when.first(1), Action::run(move |_| ledger.delete()));
        }
        let ended = run(&home, 8);
        let error = complaint(&ended, "ledger");
        assert!(error.contains("/scm/pay/ledger.git") && error.contains("not found"), "{moment:?}: {error}");
        assert!(error.contains("renamed, moved or deleted"), "{moment:?}: {error}");
        assert_eq!(task(&ended, "other")["result"], "new", "{moment:?}");
        assert_eq!(listed(&home), ["PAY/other"], "{moment:?}");
        assert_eq!(summary(&run(&home, 0))["totals"]["unchanged"], 1, "{moment:?}: gone is not an error");
    }
}

#[test]
fn a_renamed_repository_fails_once_and_keeps_its_history() {
    let world = two();
    let ledger = world.find("PAY", "ledger").unwrap();
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    run(&home, 0);
    ledger.commit("main");
    let renamed = ledger.clone();
    let rename = Action::run(move |_| renamed.rename("book"));
    home.server.fault(When::kind(Kind::LS_REFS).path_contains("ledger").first(1), rename);
    let error = complaint(&run(&home, 8), "ledger");
    assert!(error.contains("not found") && error.contains("renamed"), "{error}");
    let ended = run(&home, 0);
    assert_eq!(task(&ended, "book")["result"], "changed");
    judge::compare(&ledger.path(), &home.restore("PAY/book")).unwrap();
    let fetches = home.server.log().count_kind(Kind::GitUploadPack { command: Command::Fetch });
    assert_eq!(fetches, 3, "the history is not fetched again");
}

#[test]
fn a_captcha_stops_the_account_at_once() {
    let home = Home::new(two(), readers(&["main"]));
    home.apply_usual();
    let body = r#"{"errors":[{"context":null,"message":"CAPTCHA required.","exceptionName":"com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException"}]}"#;
    home.server.fault(When::any(), Action::body(403, "application/json", body));
    home.server.log().clear();
    run_for_people(&home, 1).says("account main").says("CAPTCHA").says("sign in as the account in a browser");
    assert_eq!(home.server.log().len(), 1);
}

#[test]
fn what_the_server_says_of_a_repository_is_told_when_it_fails_and_only_then() {
    let states = [
        (RepositoryState::Offline, "offline"),
        (RepositoryState::Initialising, "initialising"),
        (RepositoryState::InitialisationFailed, "failed to initialise"),
    ];
    let world = World::new();
    for (_, word) in states {
        for kind in ["served", "dead"] {
            world.project("PAY").repository(&format!("{kind}-{}", word.replace(' ', "-")), |recipe| recipe);
        }
    }
    let dead = world.project("PAY").repository("dead-available", |recipe| recipe);
    let home = Home::new(world.clone(), readers(&["main"]));
    home.apply_usual();
    for (state, word) in states {
        for kind in ["served", "dead"] {
            let slug = format!("{kind}-{}", word.replace(' ', "-"));
            world.find("PAY", &slug).unwrap().set_state(state);
        }
    }
    let fault = home.server.fault(When::any().path_contains("scm/pay/dead-"), Action::status(500));
    let ended = run(&home, 8);
    let totals = &summary(&ended)["totals"];
    assert_eq!((&totals["new"], &totals["failed"]), (&3.into(), &4.into()), "what git serves is taken: {totals}");
    for (_, word) in states {
        let slug = word.replace(' ', "-");
        complaint(&ended, &format!("dead-{slug}"));
        let told = task(&ended, &format!("dead-{slug}"))["notes"].to_string();
        assert!(told.contains(&format!("the server lists it as {word}")), "{word}: {told}");
        let served = task(&ended, &format!("served-{slug}"));
        assert!(!served["notes"].to_string().contains("lists it as"), "{served}");
        let source = world.find("PAY", &format!("served-{slug}")).unwrap();
        judge::compare(&source.path(), &home.restore(&format!("PAY/served-{slug}"))).unwrap();
    }
    let ordinary = task(&ended, "dead-available")["notes"].to_string();
    assert!(!ordinary.contains("lists it as"), "{ordinary}");
    run_for_people(&home, 8).says("the server lists it as offline");
    fault.remove();
    run(&home, 0);
    judge::compare(&dead.path(), &home.restore("PAY/dead-available")).unwrap();
}
