//! A project that lists much less than before: it is suspect, and never the new truth by itself.

use fake_bitbucket::{Account, Action, Kind, Options, Permission, When, World};
use serde_json::Value;

use crate::scene::{listed, run, run_for_people, summary, tidy};
use crate::support::{Ended, Home, token_of};

/// An account that reads PAY without some repositories.
fn reader(hidden: &[String]) -> Account {
    let account = Account::new("main").token(&token_of("main")).permission("PAY", Permission::Read);
    hidden.iter().fold(account, |account, slug| account.hide("PAY", slug))
}

/// Ten repositories, backed up once.
fn ten() -> (Home, Vec<String>) {
    let world = World::new();
    let made = world.project("PAY").many("repo", 10);
    let slugs = made.iter().map(|repository| repository.slug()).collect();
    let home = Home::new(world, Options::new().account(reader(&[])));
    home.apply_usual();
    run(&home, 0);
    (home, slugs)
}

fn conditions(ended: &Ended) -> Vec<String> {
    let changed = ended.json().into_iter().filter(|line| line["type"] == "condition_changed");
    let told = changed.map(|line| line["transition"].clone()).filter(|one| one["kind"] == "ListingSuspect");
    told.map(|one| one["condition"]["status"].as_str().unwrap_or_default().to_owned()).collect()
}

fn failure(ended: &Ended) -> Value {
    let failed = summary(ended)["projects_failed"].clone();
    assert_eq!(failed.as_array().map(Vec::len), Some(1), "{failed}");
    failed[0].clone()
}

/// Repositories that the state believes the project to have.
fn believed(home: &Home) -> usize {
    let path = home.path().join("xopero.kdl");
    let file = std::fs::read_to_string(&path).expect("the file can be read");
    let narrowed =
        file.replace("project \"PAY\"\n    parts", "project \"PAY\" { repositories exclude=\"*\" }\n    parts");
    assert_ne!(file, narrowed);
    std::fs::write(&path, narrowed).expect("the file can be written");
    let plan = home.xopero(&["plan", "--offline"]).success().stdout;
    std::fs::write(&path, file).expect("the file can be written");
    let leaving = plan.lines().find(|line| line.contains("repositories leave (")).unwrap_or_else(|| panic!("{plan}"));
    leaving.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{leaving}"))
}

#[test]
fn a_listing_that_fell_is_suspect_in_every_run_until_the_repositories_are_back() {
    let (home, slugs) = ten();
    home.server.set_account(reader(&slugs[..6]));
    for told in [vec!["True".to_owned()], Vec::new(), Vec::new()] {
        let ended = run(&home, 8);
        assert_eq!(conditions(&ended), told);
        assert_eq!(summary(&ended)["totals"]["unchanged"], 4, "what is listed is backed up");
        let failure = failure(&ended);
        let first = failure["error"][0].as_str().unwrap();
        assert!(first.starts_with("6 of the 10 repositories that were listed on"), "{failure}");
        assert!(failure["hint"].as_str().unwrap().ends_with("xopero run nightly --accept-listing PAY"), "{failure}");
    }
    assert_eq!(believed(&home), 10, "the listing before it stays");
    assert_eq!(listed(&home).len(), 10);
    home.xopero(&["plan"]).success().says("project/PAY").says("--accept-listing PAY");
    home.xopero(&["status"]).success().says("suspect");
    run_for_people(&home, 8).says("no longer listed").says("and 1 more").says("--accept-listing PAY");
    home.server.set_account(reader(&[]));
    let ended = run(&home, 0);
    assert_eq!(conditions(&ended), ["False"]);
    assert_eq!(summary(&ended)["totals"]["unchanged"], 10);
}

#[test]
fn what_was_removed_on_purpose_is_accepted_once() {
    let (home, slugs) = ten();
    let world = home.server.world().clone();
    for slug in &slugs[..6] {
        world.find("PAY", slug).unwrap().delete();
    }
    run(&home, 8);
    let ended = home.xopero(&["run", "nightly", "--json", "--accept-listing", "pay"]).success();
    tidy(&home, &ended);
    assert_eq!(conditions(&ended), ["False"]);
    let warnings = summary(&ended)["warnings"].to_string();
    assert!(warnings.contains("6 of the 10") && warnings.contains("accepted"), "{warnings}");
    assert_eq!(believed(&home), 4);
    let next = home.xopero(&["run", "nightly", "--json", "--accept-listing", "PAY"]).success();
    let warnings = summary(&next)["warnings"].to_string();
    assert!(warnings.contains("no listing of a project of that key was suspect"), "{warnings}");
    run(&home, 0);
    assert_eq!(listed(&home).len(), 10, "snapshots are kept");
}

#[test]
fn an_empty_page_with_success_hides_nothing() {
    let (home, slugs) = ten();
    let world = home.server.world().clone();
    world.find("PAY", &slugs[3]).unwrap().commit("main");
    world.find("PAY", &slugs[9]).unwrap().delete();
    let empty = r#"{"size":0,"limit":1000,"isLastPage":true,"values":[],"start":0}"#;
    let pages = When::kind(Kind::Rest).path_contains("/projects/PAY/repos?");
    home.server.fault(pages, Action::ReplaceBody(empty.into()));
    let ended = run(&home, 8);
    let totals = summary(&ended)["totals"].clone();
    assert_eq!((&totals["changed"], &totals["unchanged"]), (&1.into(), &8.into()), "they answer by name: {totals}");
    assert!(failure(&ended)["error"][0].as_str().unwrap().starts_with("10 of the 10"));
    assert_eq!(believed(&home), 10);
    home.server.clear_faults();
    let ended = run(&home, 0);
    assert!(summary(&ended)["warnings"].to_string().contains("repo-0010 is no longer listed"));
    assert_eq!(conditions(&ended), ["False"]);
}
