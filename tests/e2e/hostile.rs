//! A server that means harm: nothing it says is obeyed, by the program or by the terminal.

use fake_bitbucket::{Action, Kind, When, World, judge};
use serde_json::json;

use crate::scene::{files, listed, readers, run, run_for_people, summary};
use crate::support::Home;

const NASTY: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{9b}31m\u{202e}gpj\u{2066}\u{200b}\u{7f}";

fn scene() -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    home
}

fn listing() -> When {
    When::kind(Kind::Rest).path_contains("/repos?")
}

fn entry(id: u64, slug: &str, name: &str) -> serde_json::Value {
    json!({"id": id, "slug": slug, "name": name, "state": NASTY, "project": {"key": "PAY", "id": 1},
        "links": {"clone": [{"name": "http", "href": format!("http://evil.example/{NASTY}")}]}})
}

#[test]
fn names_from_the_server_never_become_paths_or_orders_to_the_terminal() {
    let home = scene();
    let before = files(home.path()).len();
    let mut values = vec![entry(1, "ledger", NASTY)];
    for (id, slug) in ["../x", "..", "", "/etc/passwd", "a/b", "a b", NASTY, &"x".repeat(5000)].iter().enumerate() {
        values.push(entry(100 + id as u64, slug, "x"));
    }
    values.push(json!(7));
    values.push(json!({"id": -1, "slug": "ledger"}));
    let page = json!({"isLastPage": true, "values": values}).to_string();
    home.server.fault(listing(), Action::ReplaceBody(page.into()));
    let ended = run(&home, 8);
    let failed = summary(&ended)["projects_failed"][0].clone();
    let error = failed["error"].to_string();
    assert_eq!(failed["project"], "PAY");
    assert!(error.contains("10 entries of its listing cannot be used"), "{error}");
    assert!(error.contains("repository 100: ") && error.contains("../x"), "{error}");
    assert!(error.len() < 10_000, "{error}");
    assert_eq!(summary(&ended)["totals"]["new"], 1, "the honest one is backed up");
    run_for_people(&home, 8).says("failed: project PAY").says("is refused: a repository slug must be");
    assert_eq!(listed(&home), ["PAY/ledger"]);
    let ledger = home.server.world().find("PAY", "ledger").unwrap();
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
    assert!(files(home.path()).len() > before && !home.path().join("destinations/x").exists());
}

#[test]
fn a_listing_that_leads_nowhere_ends() {
    for (page, word) in [
        (r#"{"isLastPage":false,"values":[]}"#.to_owned(), "next page is missing"),
        (r#"{"isLastPage":false,"nextPageStart":0,"values":[]}"#.to_owned(), "next page is 0"),
        (r#"{"isLastPage":false,"nextPageStart":-5,"values":[]}"#.to_owned(), "next page is missing"),
        ("[".repeat(10_000), "not the expected JSON"),
        (format!(r#"{{"isLastPage":true,"values":[{}1{}]}}"#, "[".repeat(10_000), "]".repeat(10_000)), "JSON"),
        (r#"{"isLastPage":true,"values":"#.to_owned(), "not the expected JSON"),
        (r#"{"size":0,"values":[],"nextPageStart":null}"#.to_owned(), "not the expected JSON"),
        (r#"{"isLastPage":null,"values":[]}"#.to_owned(), "not the expected JSON"),
        (r#"{"isLastPage":"true","values":[]}"#.to_owned(), "not the expected JSON"),
        (r#"{"isLastPage":true,"size":0}"#.to_owned(), "not the expected JSON"),
        (r#"{"isLastPage":false,"nextPageStart":1.5,"values":[]}"#.to_owned(), "next page is missing"),
        (r#"{"isLastPage":false,"nextPageStart":"25","values":[]}"#.to_owned(), "next page is missing"),
        (String::new(), "not the expected JSON"),
        ("null".to_owned(), "not the expected JSON"),
    ] {
        let home = scene();
        home.server.fault(listing(), Action::ReplaceBody(page.into()));
        home.server.log().clear();
        run_for_people(&home, 1).says("failed: project PAY").says("projects/PAY/repos").says(word);
        // Who the account is, what it may ask for, the listing.
        assert_eq!(home.server.log().len(), 3, "no retry of nonsense");
    }
}

/// A page with these repositories, and what it says of itself.
fn page(slugs: &[(u64, &str)], says: serde_json::Value) -> Action {
    let project = json!({"key": "PAY", "id": 1});
    let entry = |(id, slug): &(u64, &str)| json!({"id": id, "slug": slug, "state": "AVAILABLE", "project": project});
    let mut page = says;
    page["values"] = slugs.iter().map(entry).collect();
    Action::ReplaceBody(page.to_string().into())
}

#[test]
fn quirk_01_03_a_page_that_contradicts_itself_hides_nothing_and_doubles_nothing() {
    let world = World::new();
    let made = world.project("PAY").many("repo", 3);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    let all: Vec<(u64, String)> = made.iter().map(|made| (made.id(), made.slug())).collect();
    let all: Vec<(u64, &str)> = all.iter().map(|(id, slug)| (*id, slug.as_str())).collect();
    let listings = [
        ("it counts none", vec![page(&all, json!({"size": 0, "limit": 0, "isLastPage": true}))]),
        ("it counts too many", vec![page(&all, json!({"size": 25, "limit": 2, "isLastPage": true}))]),
        ("it counts below zero", vec![page(&all, json!({"size": -1, "limit": null, "isLastPage": true}))]),
        ("the last page leads on", vec![page(&all, json!({"isLastPage": true, "nextPageStart": 25}))]),
        ("it says another start", vec![page(&all, json!({"start": 700, "isLastPage": true}))]),
        (
            "entries shift, and a page is empty",
            vec![
                page(&all[..2], json!({"size": 2, "isLastPage": false, "nextPageStart": 40})),
                page(&[], json!({"size": 0, "isLastPage": false, "nextPageStart": 41})),
                page(&all[1..], json!({"size": 1, "isLastPage": true, "nextPageStart": null})),
            ],
        ),
    ];
    for (what, pages) in listings {
        let count = pages.len();
        for (index, page) in pages.into_iter().enumerate() {
            home.server.fault(listing().nth(index as u64 + 1), page);
        }
        home.server.log().clear();
        let ended = run(&home, 0);
        let totals = &summary(&ended)["totals"];
        let taken = totals["new"].as_u64().unwrap_or(0) + totals["unchanged"].as_u64().unwrap_or(0);
        assert_eq!(taken, 3, "{what}: {totals}");
        let asked = home.server.log().count(|entry| entry.kind == Kind::Rest && entry.path.ends_with("/repos"));
        assert_eq!(asked, count, "{what}");
        home.server.clear_faults();
    }
    // A list that goes back to what was read is no list, however much of it has come.
    home.server.fault(listing().nth(1), page(&all, json!({"isLastPage": false, "nextPageStart": 3})));
    home.server.fault(listing().nth(2), page(&all, json!({"isLastPage": false, "nextPageStart": 3})));
    let ended = run_for_people(&home, 1).says("failed: project PAY").says("next page is 3");
    assert!(ended.stdout.contains("0 new"), "{}", ended.stdout);
}

#[test]
fn errors_from_the_server_are_spelled_out() {
    let home = scene();
    let body = json!({"errors": [{"message": NASTY, "exceptionName": NASTY}]}).to_string();
    for status in [400, 404, 401, 403, 500] {
        let fault = home.server.fault(listing(), Action::body(status, "application/json", body.clone()));
        for json in [true, false] {
            if json { run(&home, 1) } else { run_for_people(&home, 1) }.says("projects/PAY");
        }
        fault.remove();
    }
}

#[test]
fn an_account_name_with_escapes_is_spelled_out() {
    let home = scene();
    let body = json!({"version": NASTY, "displayName": NASTY}).to_string();
    for name in ["%1B%5B2J%0D%0Aroot", "%E2%80%AEtoor", "%C2%9B31m", "", "%FF%FE"] {
        let headers = vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-AUSERNAME".to_owned(), name.to_owned()),
        ];
        let answer = Action::Answer { status: 200, headers, body: body.clone().into() };
        let fault = home.server.fault(When::any().path_contains("application-properties"), answer);
        run(&home, 1).says("logs in as");
        run_for_people(&home, 1).says("logs in as");
        fault.remove();
    }
}

#[test]
fn references_that_no_repository_may_hold_are_refused() {
    let packet = |line: &str| format!("{:04x}{line}", line.len() + 4);
    let oid = "1".repeat(40);
    for name in ["refs/heads/../../x", "refs/heads/a\u{1b}[2J", "refs/heads/a.lock", "../../etc/passwd"] {
        let home = scene();
        let body = packet(&format!("{oid} {name}\n")) + "0000";
        home.server.fault(When::kind(Kind::LS_REFS), Action::ReplaceBody(body.into()));
        let ended = run_for_people(&home, 1).says("/scm/pay/ledger.git");
        ended.says("reference");
        assert!(listed(&home).is_empty());
    }
}

#[test]
fn what_a_proxy_says_is_not_obeyed() {
    let home = scene();
    let headers = vec![("Content-Type".to_owned(), format!("text/html{}", "x".repeat(3000)))];
    let answer = Action::Answer { status: 200, headers, body: NASTY.into() };
    home.server.fault(When::any().path_contains("/scm/"), answer);
    run_for_people(&home, 1).says("login page");
    home.server.clear_faults();
    run(&home, 0);
}
