//! What a refusal means, in the words that the person reads who has to do something about it.

use fake_bitbucket::{Account, Action, Kind, Options, Permission, When, World};
use serde_json::Value;

use crate::file;
use crate::scene::{apply_pool, listed, readers, run, run_for_people, summary, tidy};
use crate::support::{Home, file_text, token_of};

/// An answer as Bitbucket gives it: each entry a message and the class of an exception, if any.
fn refusal(status: u16, entries: &[(&str, Option<&str>)]) -> Action {
    let entry = |(message, exception): &(&str, Option<&str>)| serde_json::json!({"context": null, "message": message, "exceptionName": exception});
    let errors: Vec<Value> = entries.iter().map(entry).collect();
    Action::body(status, "application/json;charset=UTF-8", serde_json::json!({ "errors": errors }).to_string())
}

fn one(accounts: &[&str]) -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = Home::new(world, readers(accounts));
    let extra: Vec<(&str, &str)> = accounts[1..].iter().map(|account| ("extra-1", *account)).collect();
    apply_pool(&home, &extra, &extra.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    home
}

fn listing() -> When {
    When::kind(Kind::Rest).path_contains("/projects/PAY/repos")
}

/// What the server answers, what it means, what to do, and whether the credential as such is of no use.
type Meaning = (&'static str, u16, &'static str, &'static str, &'static str, bool);

const MEANINGS: [Meaning; 7] = [
    (
        "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException",
        401,
        "Authentication failed. Please check your credentials and try again.",
        "the password or token is wrong",
        "xopero credential add PAY --account main",
        true,
    ),
    (
        "com.atlassian.bitbucket.AuthorisationException",
        401,
        "You are not permitted to access this resource",
        "the account has no permission",
        "give the account read permission",
        false,
    ),
    (
        "com.atlassian.bitbucket.auth.NoAccessAuthenticationException",
        401,
        "You are not currently licensed to use this server",
        "the account is not licensed",
        "licence",
        true,
    ),
    (
        "com.atlassian.plugins.rest.api.security.exception.AuthenticationRequiredException",
        401,
        "You are not permitted to access this resource",
        "the server saw no valid credential",
        "make a new token and seal it: xopero credential add PAY --account main",
        true,
    ),
    (
        "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException",
        403,
        "CAPTCHA required. Your Bitbucket account has been locked.",
        "the account must solve a CAPTCHA",
        "sign in as the account in a browser",
        true,
    ),
    (
        "",
        403,
        "XSRF check failed",
        "the server's XSRF check refused the request",
        "proxy may be changing headers",
        false,
    ),
    (
        "com.atlassian.bitbucket.repository.RepositoryArchivedException",
        409,
        "The repository is archived.",
        "conflict: \"The repository is archived.\"",
        "",
        false,
    ),
];

#[test]
fn quirk_04_each_refusal_of_a_listing_is_told_for_what_it_is() {
    for (exception, status, message, meaning, advice, is_of_login) in MEANINGS {
        let home = one(&["main"]);
        let class = Some(exception).filter(|class| !class.is_empty());
        home.server.fault(listing(), refusal(status, &[(message, class)]));
        home.server.log().clear();
        let people = run_for_people(&home, 1).says("failed: project PAY");
        let text = people.stdout.clone() + &people.stderr;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(meaning) && text.contains(advice), "{exception} {message}: {text}");
        let asked = home.server.log().count(|entry| entry.status == Some(status));
        assert_eq!(asked, 1, "{exception}: asked once, and not again");
        let ended = run(&home, 1);
        let rejected = ended.json().into_iter().filter(|line| line["type"] == "credential_rejected").count();
        assert_eq!(rejected, usize::from(is_of_login), "{exception} {message}");
        assert!(listed(&home).is_empty());
    }
}

#[test]
fn quirk_04_a_refusal_of_one_account_is_about_that_account() {
    for (exception, status, message, _, _, is_of_login) in MEANINGS.into_iter().filter(|one| one.1 != 409) {
        let home = one(&["main", "one"]);
        let class = Some(exception).filter(|class| !class.is_empty());
        home.server.fault(listing().account("main"), refusal(status, &[(message, class)]));
        let ended = run(&home, 0);
        assert_eq!(summary(&ended)["totals"]["new"], 1, "{exception}: the other one reads it");
        let told = ended.json().into_iter().filter(|line| line["type"] == "credential_rejected").count();
        // Whether the rotation came by the refused one is chance; that it never goes further is not.
        assert!(told <= usize::from(is_of_login), "{exception}");
        let asked = home.server.log().count(|entry| entry.status == Some(status));
        assert!(asked <= 1, "{exception}: {asked} requests");
    }
}

#[test]
fn quirk_29_of_several_errors_the_gravest_counts() {
    let home = one(&["main"]);
    let captcha = "com.atlassian.bitbucket.auth.CaptchaRequiredAuthenticationException";
    let entries = [("XSRF check failed", None), ("x", Some("")), ("CAPTCHA required.", Some(captcha))];
    home.server.fault(listing(), refusal(403, &entries));
    run_for_people(&home, 1).says("must solve a CAPTCHA");
    let checked = home.xopero(&["credential", "check", "PAY", "main"]);
    tidy(&home, &checked);
    // The refusal is of the listing: the login itself was good.
    assert!(checked.expect(1).stdout.contains("ok"));
    home.server.fault(When::kind(Kind::Rest), refusal(403, &entries));
    home.xopero(&["credential", "check", "PAY", "main"]).expect(7).says("CAPTCHA");
}

#[test]
fn quirk_26_a_write_that_is_taken_for_forged_or_contradicts_changes_nothing_here() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let main = Account::new("main").password("pw").everywhere(Permission::Read);
    let main = main.named_token(&token_of("main"), "made by hand", &["PROJECT_READ", "REPO_READ"], None);
    let home = Home::new(world, Options::new().account(main));
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat());
    home.add_credential("PAY", None, "main");
    home.apply();
    let before = file_text(&home);
    let making = || When::any().method("PUT").path_contains("/access-tokens/");
    let exists = ("There is a token of that name.", Some("com.atlassian.bitbucket.IntegrityException"));
    for (action, words) in [
        (refusal(403, &[("XSRF check failed", None)]), "XSRF check refused the request"),
        (refusal(409, &[exists]), "There is a token of that name"),
    ] {
        let fault = home.server.fault(making(), action);
        let ended = home.xopero_with_input(&["credential", "rotate", "PAY", "main", "--with-password"], "pw");
        tidy(&home, &ended);
        let _refused = ended.expect(1).says("made no token").says(words);
        assert_eq!((file_text(&home), home.server.token_names("main").len()), (before.clone(), 1));
        fault.remove();
    }
    home.xopero_with_input(&["credential", "rotate", "PAY", "main", "--with-password"], "pw").success();
    assert_eq!(home.server.token_names("main").len(), 2, "every write says that it is not forged");
}
