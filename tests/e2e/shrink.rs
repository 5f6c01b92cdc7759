//! A project that lists much less than before: it is suspect, and never the new truth by itself.

use fake_bitbucket::{Account, Action, Kind, Options, Permission, When, World};
use serde_json::Value;

use crate::scene::{apply_pool, listed, run, run_for_people, summary, task, tidy};
use crate::support::{Ended, Home, token_of};

/// The account `main`, which reads PAY without some repositories.
fn reader(hidden: &[String]) -> Account {
    named("main", hidden)
}

fn named(name: &str, hidden: &[String]) -> Account {
    let account = Account::new(name).token(&token_of(name)).permission("PAY", Permission::Read);
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

/// Repositories of which the main account sees all, and two others not those that `hidden` chooses; backed up once, and
/// applied with the plan of all three.
fn three_views(count: usize, hidden: std::ops::Range<usize>) -> (Home, Vec<String>) {
    let world = World::new();
    let slugs: Vec<String> = world.project("PAY").many("repo", count).iter().map(|made| made.slug()).collect();
    let options = Options::new().account(reader(&[]));
    let limited = |options: Options, name| options.account(named(name, &slugs[hidden.clone()]));
    let home = Home::new(world, ["one", "two"].into_iter().fold(options, limited));
    apply_pool(&home, &[("extra-1", "one"), ("extra-2", "two")], &["extra-1", "extra-2"]);
    run(&home, 0);
    (home, slugs)
}

/// Lets the main account be refused the listing of the next run.
fn refuse_main(home: &Home) {
    let when = When::kind(Kind::Rest).path_contains("/projects/PAY/repos?").account("main").first(1);
    home.server.fault(when, Action::status(429));
}

#[test]
fn what_another_account_does_not_see_is_backed_up_by_name_and_stays_listed() {
    let (home, slugs) = three_views(10, 2..4);
    let world = home.server.world().clone();
    world.find("PAY", &slugs[2]).unwrap().commit("main");
    for changed in [1, 0] {
        refuse_main(&home);
        let ended = run(&home, 0);
        let summary = summary(&ended);
        let totals = &summary["totals"];
        assert_eq!((&totals["changed"], &totals["unchanged"]), (&changed.into(), &(10 - changed).into()), "{summary}");
        for slug in &slugs[2..4] {
            let told = format!("PAY/{slug} is not listed to account ");
            assert!(summary["warnings"].to_string().contains(&told), "{summary}");
        }
        assert!(!summary["warnings"].to_string().contains("no longer listed"), "{summary}");
    }
    world.find("PAY", &slugs[2]).unwrap().delete();
    refuse_main(&home);
    let warnings = summary(&run(&home, 0))["warnings"].to_string();
    assert!(warnings.contains("PAY/repo-0003 is no longer listed; its snapshots are kept"), "{warnings}");
    let warnings = summary(&run(&home, 0))["warnings"].to_string();
    assert!(!warnings.contains("listed"), "told once, and all is as the main account sees it: {warnings}");
}

#[test]
fn what_is_not_listed_is_asked_for_however_much_was_deleted_before() {
    let (home, slugs) = three_views(15, 13..14);
    let world = home.server.world().clone();
    for slug in &slugs[..11] {
        world.find("PAY", slug).unwrap().delete();
    }
    let accepted = home.xopero(&["run", "nightly", "--json", "--accept-listing", "PAY"]).success();
    tidy(&home, &accepted);
    refuse_main(&home);
    let ended = run(&home, 0);
    assert_eq!(task(&ended, &slugs[13])["result"], "unchanged");
}

#[test]
fn what_nobody_can_ask_for_stays_on_the_listing() {
    let (home, slugs) = three_views(10, 2..3);
    let by_name = format!("/repos/{}", slugs[2]);
    let broken = home.server.fault(When::kind(Kind::Rest).path_contains(&by_name), Action::status(500));
    for _ in 0..2 {
        refuse_main(&home);
        let summary = summary(&run(&home, 0));
        assert_eq!(summary["totals"]["unchanged"], 9, "{summary}");
        assert!(summary["warnings"].to_string().contains("it could not be asked for by name"), "{summary}");
    }
    broken.remove();
    refuse_main(&home);
    assert_eq!(summary(&run(&home, 0))["totals"]["unchanged"], 10);
}
