//! Which repositories a run takes.

use std::collections::BTreeSet;

use fake_bitbucket::{Account, Kind, Options, Permission, World};

use crate::file;
use crate::proof::options;
use crate::support::{Home, token_of};

fn slugs(home: &Home, plan: &str) -> BTreeSet<String> {
    home.reports(plan).into_keys().map(|name| name.split_once('/').expect("PROJECT/SLUG").1.to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn quirk_01_02_03_10_every_page_is_read_and_what_the_account_cannot_see_is_not_there() {
    let world = World::new();
    let made = world.project("PAY").many("repo", 60);
    for repository in &made[..3] {
        repository.archive();
    }
    let mut account = Account::new("main").token(&token_of("main")).permission("PAY", Permission::Read);
    let hidden = ["repo-0007", "repo-0008", "repo-0031", "repo-0060"];
    for slug in hidden {
        account = account.hide("PAY", slug);
    }
    let home = Home::new(world, Options::new().account(account).page_cap(7));
    home.apply_usual();
    let taken = slugs(&home, "nightly");
    let expected: BTreeSet<String> =
        made.iter().map(|made| made.slug()).filter(|slug| !hidden.contains(&slug.as_str())).collect();
    assert_eq!(taken, expected);
    home.server.log().clear();
    home.server.set_page_cap(11);
    let summary = home.run("nightly");
    assert_eq!(summary["totals"]["unchanged"], 56, "{summary}");
    let pages = home.server.log().count(|entry| entry.kind == Kind::Rest && entry.path.ends_with("/repos"));
    assert!((6..=7).contains(&pages), "{pages} pages");
    home.prove(&made[0]);
    home.prove(&made[58]);
}

#[test]
fn patterns_choose_repositories() {
    let world = World::new();
    let project = world.project("PAY");
    let names = ["core-api", "core-db", "core-sandbox", "web", "web-sandbox", "sandbox"];
    let first = project.repository(names[0], |recipe| recipe.commits(1));
    for name in &names[1..] {
        project.copy(name, &first);
    }
    let home = Home::new(world, options());
    let scopes = [
        ("all", "", &names[..]),
        ("core", "repositories include=\"core-*\"", &["core-api", "core-db", "core-sandbox"]),
        ("no-sandbox", "repositories exclude=\"*sandbox\"", &["core-api", "core-db", "web"]),
        ("both", "repositories include=\"core-*\" exclude=\"*-sandbox\"", &["core-api", "core-db"]),
        ("two", "repositories include=\"web\"; repositories include=\"core-?b\"", &["core-db", "web"]),
        ("none", "repositories include=\"nothing-*\"", &[]),
    ];
    let plans: String = scopes.iter().map(|(name, scope, _)| file::plan(name, "PAY", scope, &["nas"])).collect();
    home.write_file(&["nas"], &(file::project("PAY") + &plans));
    home.add_credential("PAY", None, "main");
    home.apply();
    for (plan, _, expected) in scopes {
        assert_eq!(slugs(&home, plan), set(expected), "{plan}");
    }
    assert_eq!(home.stored_packs("nas"), names.len(), "plans of one destination share packs");
}

#[test]
fn one_repository_can_be_asked_for() {
    let world = World::new();
    let project = world.project("PAY");
    for name in ["core-api", "web"] {
        project.repository(name, |recipe| recipe.commits(1));
    }
    let home = Home::new(world, options());
    let scope = "repositories exclude=\"web\"";
    home.write_file(&["nas"], &(file::project("PAY") + &file::plan("nightly", "PAY", scope, &["nas"])));
    home.add_credential("PAY", None, "main");
    home.apply();
    let ended = home.xopero(&["run", "nightly", "--repository", "core-api", "--json"]).success();
    assert_eq!(ended.line("run_finished")["summary"]["totals"]["new"], 1);
    for unknown in ["web", "no-such"] {
        let ended = home.xopero(&["run", "nightly", "--repository", unknown]).expect(1);
        let ended = ended.says(unknown).says("plan \"nightly\"");
        assert!(ended.stderr.contains("help:"), "{}", ended.stderr);
    }
    home.xopero(&["run", "nightyl"]).expect(1).says("\"nightyl\"").says("nightly");
    home.xopero(&["run", "nightly", "--repository", "../etc"]).expect(64);
}
