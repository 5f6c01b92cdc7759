//! Projects by pattern, and credentials that serve many projects.

use fake_bitbucket::{Account, Action, Entry, Kind, Options, Permission, When, World};
use serde_json::Value;

use crate::file;
use crate::scene::{edit, listed, readers, summary, tidy};
use crate::support::{Ended, Home, token_of};

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The projects that a run found for each pattern.
fn found(ended: &Ended) -> Value {
    ended.line("projects_found")["projects"].clone()
}

fn run(home: &Home, code: i32) -> Ended {
    let ended = home.xopero(&["run", "nightly", "--json"]).expect(code);
    tidy(home, &ended);
    ended
}

/// All `TEAM-*` in one plan, `TEAM-X` declared by its key and in no plan.
fn teams(home: &Home) {
    let body = file::project("PAY")
        + "project \"TEAM-*\" server=\"bb\" {\n    credential same-as=\"PAY\"\n}\n"
        + "project \"TEAM-X\" server=\"bb\" {\n    credential same-as=\"TEAM-*\"\n}\n"
        + &file::plan("nightly", "TEAM-*", "", &["nas"]);
    home.write_file(&["nas"], &body);
    home.add_credential("PAY", None, "main");
    home.apply();
}

#[test]
fn a_pattern_takes_the_projects_of_today_and_those_of_tomorrow() {
    let world = World::new();
    for key in ["TEAM-A", "WEB", "TEAM-B", "TEAM-X", "PAY"] {
        world.project(key).repository(&key.to_lowercase(), |recipe| recipe.commits(1));
    }
    // One project on a page, so that all pages are read.
    let home = Home::new(world.clone(), readers(&["main"]).page_cap(1));
    teams(&home);
    let first = run(&home, 0);
    assert_eq!(found(&first), serde_json::json!(["TEAM-A", "TEAM-B"]));
    assert_eq!(listed(&home), named(&["TEAM-A/team-a", "TEAM-B/team-b"]));

    world.project("team-c").repository("fresh", |recipe| recipe.commits(1));
    let second = summary(&run(&home, 0));
    assert_eq!((&second["totals"]["new"], &second["totals"]["unchanged"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(listed(&home).len(), 3);
    assert_eq!(home.stored_packs("nas"), 3);
}

#[test]
fn a_pattern_that_fits_nothing_says_so() {
    let world = World::new();
    world.project("WEB").repository("site", |recipe| recipe.commits(1));
    let home = Home::new(world, readers(&["main"]));
    teams(&home);
    let ended = run(&home, 0);
    assert_eq!(found(&ended), serde_json::json!([]));
    let warnings = summary(&ended)["warnings"].to_string();
    assert!(warnings.contains("no project fits TEAM-*"), "{warnings}");
    home.xopero(&["run", "nightly"]).success().says("no project fits TEAM-*");
}

#[test]
fn a_project_that_is_no_longer_listed_is_missed() {
    let world = World::new();
    for key in ["TEAM-A", "TEAM-B"] {
        world.project(key).repository("ledger", |recipe| recipe.commits(1));
    }
    let account = |keys: &[&str]| {
        let account = Account::new("main").token(&token_of("main"));
        keys.iter().fold(account, |account, key| account.permission(key, Permission::Read))
    };
    let home = Home::new(world, Options::new().account(account(&["TEAM-A", "TEAM-B"])));
    teams(&home);
    run(&home, 0);
    home.server.set_account(account(&["TEAM-A"]));
    let ended = run(&home, 8);
    let failed = &summary(&ended)["projects_failed"];
    assert_eq!(failed[0]["project"], "TEAM-B", "{failed}");
    assert!(failed[0]["error"][0].as_str().unwrap().contains("no longer listed"), "{failed}");
    assert_eq!(listed(&home).len(), 2, "what was backed up is kept");
}

#[test]
fn a_project_that_answers_by_its_key_is_backed_up_though_the_list_of_projects_leaves_it_out() {
    let world = World::new();
    for key in ["TEAM-A", "TEAM-B"] {
        world.project(key).many("repo", 3);
    }
    let home = Home::new(world.clone(), readers(&["main"]));
    teams(&home);
    run(&home, 0);
    world.find("TEAM-B", "repo-0002").unwrap().commit("main");
    world.project("TEAM-B").repository("fresh", |recipe| recipe.commits(1));
    let empty = r#"{"size":0,"limit":1000,"isLastPage":true,"values":[],"start":0}"#;
    home.server.fault(When::kind(Kind::Rest).path_contains("/projects?"), Action::ReplaceBody(empty.into()));
    for (new, changed, unchanged) in [(1, 1, 5), (0, 0, 7)] {
        let summary = summary(&run(&home, 8));
        let totals = &summary["totals"];
        let found = ["new", "changed", "unchanged"].map(|what| totals[what].as_u64().unwrap());
        assert_eq!(found, [new, changed, unchanged], "{summary}");
        assert_eq!(summary["projects_failed"].as_array().map(Vec::len), Some(2), "{summary}");
        let warnings = summary["warnings"].to_string();
        assert!(warnings.contains("project TEAM-B is not on the list of projects, but answers"), "{warnings}");
    }
    home.xopero(&["status"]).success().says("degraded");
    // Neither may a part of it be missing then.
    let pages = When::kind(Kind::Rest).path_contains("/projects/TEAM-B/repos?");
    home.server.fault(pages, Action::ReplaceBody(empty.into()));
    assert_eq!(summary(&run(&home, 8))["totals"]["unchanged"], 6, "what was on a trusted listing answers by name");
    home.server.clear_faults();
    assert_eq!(summary(&run(&home, 0))["totals"]["unchanged"], 7);
}

#[test]
fn a_project_that_is_hidden_is_asked_for_until_that_is_accepted() {
    let world = World::new();
    for key in ["TEAM-A", "TEAM-B"] {
        world.project(key).many("repo", 3);
    }
    let home = Home::new(world, readers(&["main"]));
    teams(&home);
    run(&home, 0);
    let asked = |home: &Home| home.server.log().count(|entry| entry.path.contains("TEAM-B"));
    home.server.set_account(Account::reader("main", &token_of("main")).permission("TEAM-B", Permission::None));
    for _ in 0..2 {
        home.server.log().clear();
        let ended = run(&home, 8);
        assert_eq!(summary(&ended)["projects_failed"].as_array().map(Vec::len), Some(1), "one alarm, not two");
        assert_eq!(asked(&home), 1);
        assert!(!ended.stdout.contains("permission_lost"), "it is told once");
    }
    let accepted = home.xopero(&["run", "nightly", "--accept-listing", "TEAM-B"]).success();
    tidy(&home, &accepted);
    home.server.log().clear();
    run(&home, 0);
    assert_eq!(asked(&home), 0);
    assert_eq!(listed(&home).len(), 6, "snapshots are kept");
}

#[test]
fn what_fits_a_pattern_is_what_the_main_credential_sees() {
    let world = World::new();
    for key in ["TEAM-A", "TEAM-B"] {
        world.project(key).many("repo", 4);
    }
    let reader = |name: &str, keys: &[&str]| {
        let account = Account::new(name).token(&token_of(name));
        keys.iter().fold(account, |account, key| account.permission(key, Permission::Read))
    };
    let options = Options::new().account(reader("main", &["TEAM-A", "TEAM-B"])).account(reader("second", &["TEAM-A"]));
    let home = Home::new(world, options);
    let body = file::project("PAY")
        + "project \"TEAM-*\" server=\"bb\" {\n    credential same-as=\"PAY\"\n    \
           additional-credential \"more\" same-as=\"PAY/extra-1\"\n}\n"
        + &file::plan("nightly", "TEAM-*", "enable-credentials \"more\"", &["nas"]);
    home.write_file(&["nas"], &body);
    home.add_credential("PAY", None, "main");
    home.add_credential("PAY", Some("extra-1"), "second");
    home.apply();
    for expected in ["new", "unchanged"] {
        home.server.log().clear();
        let ended = run(&home, 0);
        assert_eq!(found(&ended), serde_json::json!(["TEAM-A", "TEAM-B"]));
        assert_eq!(summary(&ended)["totals"][expected], 8);
        let of = |account: &str| home.server.log().count(|entry| entry.account.as_deref() == Some(account));
        assert!(of("main") > 0 && of("second") > 0, "both accounts are used");
        // Whether an account sees a project at all is asked for one by one.
        let looks =
            |entry: &Entry| entry.query.as_ref().is_some_and(|query| query.split('&').any(|it| it == "limit=1"));
        let lists = |entry: &Entry| ["/projects", "/repos"].iter().any(|end| entry.path.ends_with(end));
        let readers = home.server.log().snapshot().into_iter().filter(|entry| lists(entry) && !looks(entry));
        let readers: Vec<_> = readers.filter_map(|entry| entry.account).collect();
        assert_eq!(readers, ["main"; 3], "the main credential tells which projects and repositories there are");
    }
}

#[test]
fn a_credential_that_is_the_same_is_replaced_in_one_place() {
    let world = World::new();
    for key in ["PAY", "OPS"] {
        world.project(key).repository("ledger", |recipe| recipe.commits(1));
    }
    let home = Home::new(world, readers(&["main"]));
    let body = file::project("PAY")
        + "project \"OPS\" server=\"bb\" {\n    credential same-as=\"PAY\"\n}\n"
        + &file::plan("nightly", "OPS", "", &["nas"]);
    home.write_file(&["nas"], &body);
    home.add_credential("PAY", None, "main");
    let plan = home.xopero(&["plan"]).success().stdout;
    assert!(plan.contains("same-as") && plan.matches("sensitive, sealed").count() == 1, "{plan}");
    home.apply();
    let ended = run(&home, 0);
    assert_eq!(listed(&home), named(&["OPS/ledger"]));
    assert_eq!(summary(&ended)["ledger"]["requests"].as_object().unwrap().len(), 1);

    home.server.set_account(Account::reader("main", "token-of-main-anew"));
    home.xopero_with_input(&["credential", "add", "PAY", "--account", "main"], "token-of-main-anew").success();
    let changed = home.xopero(&["plan"]).success().stdout;
    assert!(changed.contains("~ credential/PAY/main") && !changed.contains("~ credential/OPS"), "{changed}");
    edit(&home, "same-as=\"PAY\"", "same-as=\"PAY\" // of PAY");
    assert_eq!(summary(&run(&home, 0))["totals"]["unchanged"], 1);
}

#[test]
fn quirk_10_21_a_pattern_takes_personal_projects_that_no_list_of_projects_has() {
    let world = World::new();
    // What fits does not come first, and there is one entry on a page.
    world.project("PAY").many("ledger", 2);
    world.project("~ada").repository("notes", |recipe| recipe.commits(1));
    world.project("~bob").repository("old", |recipe| recipe.commits(1).archived());
    let _empty = world.project("~cleo");
    world.project("~dan").repository("secret", |recipe| recipe.commits(1));
    let main = Account::reader("main", &token_of("main")).permission("~dan", Permission::None);
    let home = Home::new(world.clone(), Options::new().account(main).page_cap(1));
    let body = file::project("~*") + &file::plan("nightly", "~*", "", &["nas"]);
    home.write_file(&["nas"], &body);
    home.add_credential("~*", None, "main");
    let plan = home.xopero(&["plan"]).success();
    assert!(!plan.stdout.contains("no project that it sees"), "{}", plan.stdout);
    let checked = home.xopero(&["credential", "check", "~*", "main", "--json"]).success();
    assert_eq!(checked.line("credential_check")["power"], "read", "of the first that fits");
    home.apply();
    let first = run(&home, 0);
    assert_eq!(found(&first), serde_json::json!(["~ada", "~bob"]));
    assert_eq!(listed(&home), named(&["~ada/notes", "~bob/old"]));
    for (key, slug) in [("~ada", "notes"), ("~bob", "old")] {
        home.prove(&world.find(key, slug).unwrap());
    }
    world.project("~cleo").repository("first", |recipe| recipe.commits(1));
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1);
}
