//! A password that is wrong is not sent by every run: after a few of them the server would lock the account.

use fake_bitbucket::{Account, Action, Kind, Options, Permission, When, World};

use crate::file;
use crate::scene::{readers, run, run_for_people, summary, tidy};
use crate::support::{Ended, Home};

fn account(password: &str) -> Account {
    Account::new("main").password(password).everywhere(Permission::Read)
}

/// A plan whose account logs in by a password that is not `right`.
fn wrong() -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, Options::new().account(account("right")));
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat());
    seal(&home, "wrong");
    home
}

fn seal(home: &Home, password: &str) {
    let add = ["credential", "add", "PAY", "--account", "main", "--password"];
    home.xopero_with_input(&add, password).success();
    home.apply();
}

/// How often the server was shown a password that it refused.
fn refused(home: &Home) -> usize {
    home.server.log().count(|entry| matches!(entry.status, Some(401 | 403)))
}

fn words(ended: &Ended) -> String {
    (ended.stdout.clone() + &ended.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn three_runs_send_a_wrong_password_once_and_a_new_one_is_sent_at_once() {
    let home = wrong();
    assert!(words(&run_for_people(&home, 1)).contains("the password or token is wrong"));
    assert_eq!(refused(&home), 1);
    let requests = home.server.log().len();
    for _ in 0..2 {
        let told = words(&run_for_people(&home, 1));
        for text in ["set aside since", "xopero credential check PAY main", "xopero credential add PAY --account main"]
        {
            assert!(told.contains(text), "{text}: {told}");
        }
    }
    // Neither does a look before a change.
    let plan = home.xopero(&["plan"]);
    tidy(&home, &plan);
    assert!(words(&plan.success()).contains("set aside since"));
    assert_eq!(home.server.log().len(), requests, "nothing was sent in its name");
    let status = home.xopero(&["status"]);
    tidy(&home, &status);
    assert!(words(&status).contains("set aside since"), "{}", status.stdout);

    seal(&home, "also wrong");
    run(&home, 1);
    assert_eq!(refused(&home), 2, "one that was sealed anew is another one");
    seal(&home, "right");
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1);
    let status = home.xopero(&["status"]).success();
    assert!(!words(&status).contains("set aside"), "{}", status.stdout);
}

#[test]
fn a_check_shows_a_password_that_is_set_aside_and_lets_runs_use_it_again() {
    let home = wrong();
    run(&home, 1);
    let check = ["credential", "check", "PAY", "main"];
    let checked = home.xopero(&check);
    tidy(&home, &checked);
    assert!(words(&checked.expect(7)).contains("set aside since"));
    assert_eq!(refused(&home), 2);
    home.server.set_account(account("wrong"));
    run(&home, 1);
    assert_eq!(refused(&home), 2, "no run tries it before its time");
    home.xopero(&check).success();
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1);
}

/// Seven projects that log in by one password; the server takes it until `when`.
fn shared_until(when: When) -> Home {
    let world = World::new();
    let keys: Vec<String> = (1..=7).map(|number| format!("P{number}")).collect();
    for key in &keys {
        world.project(key).many("repo", 3);
    }
    let home = Home::new(world, Options::new().account(account("right")));
    let others =
        keys[1..].iter().map(|key| format!("project \"{key}\" server=\"bb\" {{\n    credential same-as=\"P1\"\n}}\n"));
    let planned: Vec<String> = keys.iter().map(|key| format!("    project \"{key}\"\n")).collect();
    let plan = |name: &str| {
        let planned = planned.concat();
        format!("plan \"{name}\" {{\n{planned}    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}}\n")
    };
    let rest = [file::project("P1"), others.collect(), plan("nightly"), plan("other")].concat();
    home.write_file(&["nas"], &rest);
    let add = ["credential", "add", "P1", "--account", "main", "--password"];
    home.xopero_with_input(&add, "right").success();
    home.apply();
    home.server.fault(when, Action::run(|server| server.set_account(account("another"))));
    home
}

#[test]
fn projects_that_share_a_password_send_it_once_after_it_was_refused() {
    // The login check is answered well, and nothing that comes after it.
    let home = shared_until(When::kind(Kind::Rest).path_contains("application-properties").first(1));
    let ended = run(&home, 1);
    assert_eq!(refused(&home), 1, "every further one brings the account closer to its CAPTCHA");
    let told: Vec<_> = ended.json().into_iter().filter(|line| line["type"] == "credential_rejected").collect();
    assert_eq!(told.len(), 7, "each project is told: {told:?}");
    let failed = summary(&ended)["projects_failed"].to_string();
    assert!(failed.contains("P7") && failed.contains("wrong"), "{failed}");
    let requests = home.server.log().len();
    home.xopero(&["run", "other"]).expect(1);
    assert_eq!(home.server.log().len(), requests, "other plans leave it alone as well");
    let status = home.xopero(&["status"]);
    assert!(words(&status).contains("P7") && words(&status).contains("set aside since"), "{}", status.stdout);
}

/// What a proxy says, or the git side of a server: it may be the password, and it may be something else.
fn without_a_reason() -> Action {
    let headers = [("WWW-Authenticate", "Basic realm=\"git\""), ("Content-Type", "text/html")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Action::Answer { status: 401, headers, body: "<html>no</html>".into() }
}

/// A plan over three repositories whose main credential is the right password.
fn right() -> Home {
    let world = World::new();
    world.project("PAY").many("repo", 3);
    let home = Home::new(world, Options::new().account(account("right")));
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat());
    seal(&home, "right");
    home
}

#[test]
fn a_password_that_is_refused_without_a_reason_is_given_up_if_it_does_not_log_in() {
    let home = right();
    home.server.fault(When::any().path_contains("/scm/"), without_a_reason());
    let change = Action::run(|server| server.set_account(account("another")));
    home.server.fault(When::kind(Kind::Rest).path_contains("/repos?").first(1), change);
    run(&home, 1);
    assert_eq!(refused(&home), 2, "one refusal, and the question whether it was the password");
    let status = home.xopero(&["status"]);
    assert!(words(&status).contains("set aside since"), "{}", status.stdout);
}

#[test]
fn a_password_that_is_refused_without_a_reason_is_given_up_if_nobody_tells_more() {
    let home = right();
    home.server.fault(When::any().path_contains("/scm/"), without_a_reason());
    home.server.fault(When::any().path_contains("application-properties"), Action::status(404));
    run(&home, 1);
    assert_eq!(refused(&home), 2, "it may have been the password");
}

#[test]
fn a_password_that_logs_in_and_serves_for_nothing_is_told() {
    let world = World::new();
    world.project("PAY").many("repo", 8);
    let one = Account::new("one").password("right").everywhere(Permission::Read);
    let home = Home::new(world, readers(&["main"]).account(one));
    let enabled = "enable-credentials \"extra-1\"";
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", enabled, &["nas"])].concat());
    home.add_credential("PAY", None, "main");
    let add = ["credential", "add", "PAY", "extra-1", "--account", "one", "--password"];
    home.xopero_with_input(&add, "right").success();
    home.apply();
    home.server.fault(When::any().path_contains("/scm/").account("one"), without_a_reason());
    home.server.log().clear();
    let ended = run(&home, 0);
    let is_question = |path: &str| path.contains("application-properties");
    let asked = home.server.log().count(|entry| entry.account.as_deref() == Some("one") && is_question(&entry.path));
    assert!(asked >= 2, "at the beginning, and when it was refused: {asked}");
    let warnings = summary(&ended)["warnings"].to_string();
    for text in
        ["credential/PAY/extra-1 (account one) was of no use", "without a reason", "credential check PAY extra-1"]
    {
        assert!(warnings.contains(text), "{text}: {warnings}");
    }
    let status = home.xopero(&["status"]).success();
    assert!(!words(&status).contains("set aside"), "{}", status.stdout);
}
