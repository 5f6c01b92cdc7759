//! The server breaks in the middle: each repository with its own fault fails by itself, and the others go on.

use fake_bitbucket::{Action, EvilHost, Gate, Kind, When, World, judge};

use crate::proof::options;
use crate::scene::{Nobody, complaint, impatient, listed, run, run_for_people, safe, stored, summary, task, tidy};
use crate::support::Home;

/// A project with one healthy repository and one for each name.
fn with(names: &[&str]) -> Home {
    let world = World::new();
    let project = world.project("PAY");
    let healthy = project.repository("healthy", |recipe| recipe);
    for name in names {
        project.copy(name, &healthy);
    }
    let home = Home::new(world, options());
    home.apply_usual();
    home
}

fn fetch_of(slug: &str) -> When {
    When::kind(Kind::FETCH).path_contains(&format!("/{slug}.git"))
}

fn listing_of(slug: &str) -> When {
    When::kind(Kind::LS_REFS).path_contains(&format!("/{slug}.git"))
}

/// Runs once with all faults, and once without: the first fails these repositories with these words, and lists and
/// leaves nothing of them; the second is complete.
fn fails_alone(faults: &[(&str, When, Action, &[&str])]) {
    let names: Vec<_> = faults.iter().map(|(name, ..)| *name).collect();
    let home = with(&names);
    for (_, when, action, _) in faults {
        home.server.fault(when.clone(), action.clone());
    }
    let ended = run(&home, 8);
    for (name, _, _, words) in faults {
        let error = complaint(&ended, name);
        assert!(error.contains(&format!("/scm/pay/{name}.git")), "{name} has no address: {error}");
        for word in *words {
            assert!(error.contains(word), "{name}: {word:?} is not in {error:?}");
        }
    }
    assert_eq!(task(&ended, "healthy")["result"], "new");
    assert_eq!(listed(&home), ["PAY/healthy"]);
    assert_eq!(stored(&home, "nas", "packs").len(), 1, "no pack without a snapshot");
    home.server.clear_faults();
    let ended = run(&home, 0);
    assert_eq!(summary(&ended)["totals"]["new"], names.len());
    let source = home.server.world().find("PAY", "healthy").expect("it is there");
    for name in names {
        judge::compare(&source.path(), &home.restore(&format!("PAY/{name}"))).expect("they are equal");
    }
}

#[test]
fn a_pack_that_breaks_off_every_time_fails_its_repository() {
    let broke: &[&str] = &["broke off"];
    fails_alone(&[
        ("closed", fetch_of("closed"), Action::CloseAfter(700), broke),
        ("reset", fetch_of("reset"), Action::ResetAfter(700), broke),
        ("truncated", fetch_of("truncated"), Action::TruncateAfter(700), &["ended before", "proxy"]),
        ("nothing", fetch_of("nothing"), Action::ReplaceBody(Vec::new().into()), &["ended before"]),
        ("closed-early", fetch_of("closed-early"), Action::CloseAfter(0), &[]),
    ]);
}

#[test]
fn a_pack_with_wrong_bytes_fails_its_repository() {
    let home = with(&["flipped", "trailer"]);
    home.server.fault(fetch_of("flipped"), Action::FlipByte(900));
    home.server.fault(fetch_of("trailer"), Action::CorruptPackTrailer);
    let ended = run(&home, 8);
    let flipped = complaint(&ended, "flipped");
    assert!(flipped.contains("pack is not sound"), "{flipped}");
    let trailer = complaint(&ended, "trailer");
    assert!(trailer.contains("checksum at the end of the pack does not fit"), "{trailer}");
    for error in [flipped, trailer] {
        assert!(error.contains("/scm/pay/"), "it names the address: {error}");
    }
    assert_eq!(listed(&home), ["PAY/healthy"]);
    assert_eq!(stored(&home, "nas", "packs").len(), 1);
    home.server.clear_faults();
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 2);
}

#[test]
fn what_the_server_says_in_git_is_repeated_safely() {
    let text = b"fatal: \x1b[31mdisk\x1b[0m\r\nfailed \xe2\x80\xae".to_vec();
    let said: &[&str] = &["the server's git says", "disk"];
    fails_alone(&[
        ("sideband", fetch_of("sideband"), Action::SidebandError { after: 600, text: text.clone() }, said),
        ("err", fetch_of("err"), Action::ErrPacket(text.clone()), said),
        ("err-listing", listing_of("err-listing"), Action::ErrPacket(text), said),
    ]);
}

#[test]
fn pages_in_place_of_git_are_named() {
    let page: &[&str] = &["got text/html", "login page"];
    fails_alone(&[
        ("page-fetch", fetch_of("page-fetch"), Action::LoginPage, page),
        ("page-listing", listing_of("page-listing"), Action::LoginPage, page),
        ("empty-listing", listing_of("empty-listing"), Action::ReplaceBody(Vec::new().into()), &["git protocol v2"]),
        ("cut-listing", listing_of("cut-listing"), Action::TruncateAfter(90), &["ended before"]),
        ("shallow", fetch_of("shallow"), Action::ShallowInfo(vec!["1".repeat(40)]), &["shallow", "--unshallow"]),
    ]);
}

#[test]
fn a_shallow_source_is_not_taken_for_whole() {
    let world = World::new();
    world.project("PAY").repository("cut", |recipe| recipe.commits(20).shallow(3));
    world.project("PAY").repository("whole", |recipe| recipe);
    let home = Home::new(world, options());
    home.apply_usual();
    let error = complaint(&run(&home, 8), "cut");
    assert!(error.contains("shallow") && error.contains("administrator"), "{error}");
    assert_eq!(listed(&home), ["PAY/whole"]);
}

#[test]
fn quirk_30_a_login_page_in_place_of_rest_is_named() {
    let home = with(&[]);
    home.server.fault(When::kind(Kind::Rest), Action::LoginPage);
    run_for_people(&home, 1)
        .says("failed: project PAY")
        .says("projects/PAY/repos")
        .says("expected application/json, got text/html")
        .says("single sign-on");
    // Who the account is, what it may ask for, the listing.
    assert!(home.server.log().count_kind(Kind::Rest) <= 3, "no retry storm");
}

#[test]
fn no_redirect_is_followed_with_a_credential() {
    for status in [301, 302, 307] {
        let evil = EvilHost::start();
        let home = with(&["moved"]);
        let location = format!("{}/login?os_destination=x", evil.url());
        let away = || Action::Redirect { status, location: location.clone() };
        home.server.fault(When::any().path_contains("/moved.git"), away());
        let error = complaint(&run(&home, 8), "moved");
        assert!(error.contains(&format!("redirected to {}", evil.url())), "{error}");
        assert!(error.contains("never followed with a credential") && !error.contains("os_destination"), "{error}");
        home.server.fault(When::kind(Kind::Rest), away());
        run_for_people(&home, 1).says("projects/PAY/repos").says("redirected to");
        assert!(!evil.saw_authorization());
        assert_eq!(evil.requests(), [], "it is not even asked");
    }
}

#[test]
fn a_stream_that_breaks_once_is_begun_anew() {
    let home = with(&["closed", "reset", "sideband", "flipped"]);
    home.server.fault(fetch_of("closed").first(1), Action::CloseAfter(700));
    home.server.fault(fetch_of("reset").first(2), Action::ResetAfter(700));
    home.server.fault(fetch_of("sideband").first(1), Action::SidebandError { after: 1, text: b"busy".to_vec() });
    home.server.fault(fetch_of("flipped").first(1), Action::FlipByte(900));
    let ended = run(&home, 0);
    assert_eq!(summary(&ended)["totals"]["new"], 5);
    assert!(task(&ended, "closed")["notes"].to_string().contains("begun anew once"));
    assert!(task(&ended, "reset")["notes"].to_string().contains("begun anew 2 times"));
    assert_eq!(stored(&home, "nas", "packs").len(), 5);
    let source = home.server.world().find("PAY", "healthy").unwrap();
    judge::compare(&source.path(), &home.restore("PAY/reset")).unwrap();
}

#[test]
fn refs_that_move_between_listing_and_fetch_are_listed_again() {
    let home = with(&["moving", "deleted"]);
    let world = home.server.world().clone();
    let moving = world.find("PAY", "moving").unwrap();
    let deleted = world.find("PAY", "deleted").unwrap();
    deleted.commit("topic");
    let (push, drop) = (moving.clone(), deleted.clone());
    let force_push = Action::run(move |_| {
        push.force_push("main", 3);
        push.gc();
    });
    let delete = Action::run(move |_| {
        drop.delete_ref("refs/heads/topic");
        drop.gc();
    });
    home.server.fault(fetch_of("moving").first(1), force_push);
    home.server.fault(fetch_of("deleted").first(1), delete);
    let ended = run(&home, 0);
    assert_eq!(summary(&ended)["totals"]["new"], 3);
    for (slug, source) in [("moving", moving), ("deleted", deleted)] {
        let notes = task(&ended, slug)["notes"].to_string();
        assert!(notes.contains("begun anew once"), "{slug}: {notes}");
        judge::compare(&source.path(), &home.restore(&format!("PAY/{slug}"))).unwrap();
    }
}

#[test]
fn a_server_that_falls_silent_is_given_up() {
    let home = with(&["silent", "stuck"]);
    impatient(&home);
    let gate = Gate::new();
    home.server.fault(listing_of("silent"), Action::Hang(gate.clone()));
    home.server.fault(fetch_of("stuck"), Action::Hold { after: 700, gate: gate.clone() });
    let ended = run(&home, 8);
    for slug in ["silent", "stuck"] {
        let error = complaint(&ended, slug);
        assert!(error.contains(&format!("/scm/pay/{slug}.git")) && error.contains("timed out"), "{error}");
        assert!(error.contains("`timeout`"), "{error}");
    }
    assert_eq!(listed(&home), ["PAY/healthy"]);
    gate.release();
}

#[test]
fn quirk_09_a_busy_server_is_asked_again() {
    let home = with(&["other"]);
    let busy = || Action::Answer {
        status: 503,
        headers: vec![("Retry-After".into(), "0".into())],
        body: "<html>Maintenance</html>".into(),
    };
    home.server.fault(listing_of("other").first(2), busy());
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 2);
}

#[test]
fn a_repository_that_is_always_busy_fails_alone_after_a_few_requests() {
    // While the server serves others, it is not the server.
    let others: Vec<String> = (0..24).map(|number| format!("z-{number}")).collect();
    let names: Vec<&str> = ["other"].into_iter().chain(others.iter().map(String::as_str)).collect();
    let home = with(&names);
    let headers = vec![("Retry-After".into(), "0".into())];
    let body = r#"{"errors":[{"message":"Bitbucket is being \u001b[2Jupgraded."}]}"#;
    home.server.fault(listing_of("other"), Action::Answer { status: 503, headers, body: body.into() });
    let ended = run(&home, 8);
    let error = complaint(&ended, "other");
    assert!(error.contains("the server is busy") && error.contains("upgraded"), "{error}");
    assert!(error.contains("all accounts"), "{error}");
    let asked = home.server.log().count(|entry| entry.status == Some(503));
    assert_eq!(asked, 5, "no retry of retries");
    assert_eq!(listed(&home).len(), 25);
    safe(&error);
}

#[test]
fn a_server_that_is_gone_is_named() {
    let world = World::new();
    let home = Home::new(world, options());
    let held = Nobody::new();
    let nobody = format!("http://{}", held.address());
    home.write_file(&["nas"], "project \"PAY\" server=\"bb\" {\n}\nplan \"nightly\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n");
    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).unwrap().replace(home.server.url(), &nobody);
    std::fs::write(&path, text).unwrap();
    home.add_credential("PAY", None, "main");
    home.apply();
    let ended = home.xopero(&["run", "nightly"]).expect(1);
    tidy(&home, &ended);
    ended.says(&nobody).says("cannot be reached").says("refused").says("firewall");
}
