//! What `plan` and `apply` see of the outside world, and what runs remember of it.

use fake_bitbucket::{Account, Action, Allowance, Kind, Options, Permission, When, World, judge};
use serde_json::Value;

use crate::file;
use crate::json_schema::demand_valid;
use crate::scene::{apply_pool, edit, listed, readers, run, run_for_people, summary, task, tidy};
use crate::support::{Ended, Home, token_of};

fn two() -> World {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    world.project("PAY").repository("other", |recipe| recipe.seed(7));
    world
}

/// The notes of a plan that come of a look, as `kind address`.
fn notes(ended: &Ended) -> Vec<String> {
    let lines = ended.json().into_iter().filter(|line| line["type"] == "note");
    let text = |value: &Value| value.as_str().expect("notes are text").to_owned();
    lines.map(|line| format!("{} {}", text(&line["kind"]), text(&line["address"]))).collect()
}

fn plan(home: &Home) -> Ended {
    let ended = home.xopero(&["plan", "--json"]).success();
    tidy(home, &ended);
    ended
}

/// The conditions that a run told, as `kind address status`.
fn conditions(ended: &Ended) -> Vec<String> {
    let lines = ended.json().into_iter().filter(|line| line["type"] == "condition_changed");
    lines
        .map(|line| {
            let told = &line["transition"];
            let part = |value: &Value| value.as_str().expect("it is text").to_owned();
            format!("{} {} {}", part(&told["kind"]), part(&told["address"]), part(&told["condition"]["status"]))
        })
        .collect()
}

#[test]
fn a_plan_reckons_with_the_limit_that_the_server_tells() {
    let limited =
        |options: Options| Home::new(two(), options.allowance(Allowance::Bucket { capacity: 60, per_second: 5.0 }));
    let declare = |home: &Home| {
        let declared = [file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat();
        home.write_file(&["nas"], &declared);
        home.add_credential("PAY", None, "main");
        home.xopero(&["plan"]).success().says("1 account refills 5 per second")
    };
    let told = declare(&limited(readers(&["main"])));
    assert!(!told.stdout.contains("usual"), "{}", told.stdout);
    let silent = limited(readers(&["main"]));
    silent.server.fault(When::any().path_contains("/rate-limit/"), Action::status(404));
    declare(&silent).says("usual");
}

#[test]
fn a_look_is_cheap_and_a_plan_without_trouble_has_no_notes() {
    let home = Home::new(two(), readers(&["main", "one", "idle"]));
    home.server.buckets().set_allowance("one", Allowance::Bucket { capacity: 500, per_second: 50.0 });
    apply_pool(&home, &[("extra-1", "one"), ("extra-2", "idle")], &["extra-1"]);
    home.server.log().clear();
    assert_eq!(notes(&plan(&home)), ["never-enabled credential/PAY/extra-2"]);
    home.xopero(&["apply", "--auto-approve", "--offline"])
        .success()
        .says("no plan enables it")
        .says("Nothing to apply");
    let nothing = home.xopero(&["apply", "--auto-approve", "--offline", "--json"]).success();
    demand_valid("plan-output.schema.json", &nothing.json());
    assert_eq!((notes(&nothing).len(), &nothing.line("in_sync")["generation"]), (1, &Value::from(1)));
    let asked = |account: &str| home.server.log().count_account(account);
    assert_eq!(asked("idle"), 0, "declared is not enabled");
    // Login, limits of the server, a repository, git; login and a repository.
    assert_eq!((asked("main"), asked("one")), (4, 2));
    home.server.log().clear();
    home.xopero(&["plan", "--offline"]).success();
    assert!(home.server.log().is_empty());
}

#[test]
fn a_first_plan_says_what_it_takes_before_any_run() {
    let world = two();
    world.project("PAY").repository("sandbox-x", |recipe| recipe.seed(9));
    let home = Home::new(world, readers(&["main"]));
    let planned = "    project \"PAY\" { repositories exclude=\"sandbox-*\" }\n";
    let plan_node = format!(
        "plan \"nightly\" {{\n{planned}    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}}\n"
    );
    home.write_file(&["nas"], &format!("project \"PAY\" server=\"bb\" {{\n}}\n{plan_node}"));
    home.add_credential("PAY", None, "main");
    home.server.log().clear();
    let first = home.xopero(&["plan"]).success();
    tidy(&home, &first);
    for said in [
        "PAY: takes 2 of 3 repositories (ledger, other)",
        "bb: needs about 5 requests",
        "storage in nas: unknown until the first run",
    ] {
        assert!(first.stdout.contains(said), "{said} is not in\n{}", first.stdout);
    }
    assert!(first.stdout.lines().all(|line| line.chars().count() <= 80), "{}", first.stdout);
    assert_eq!(home.server.log().count_account("main"), 4, "a page costs what a repository costs");
    let id = |ended: &Ended| ended.line("summary")["plan_id"].clone();
    let (seen, blind) = (plan(&home), home.xopero(&["plan", "--json", "--offline"]).success());
    assert_eq!(id(&seen), id(&blind), "a look decides nothing");
    demand_valid("plan-output.schema.json", &seen.json());
    let applied = home.xopero(&["apply", "--auto-approve"]).success();
    assert!(applied.stdout.contains("takes 2 of 3 repositories"), "{}", applied.stdout);

    // What a run has listed is known better than what a look has seen.
    run(&home, 0);
    let wider = crate::support::file_text(&home).replace("exclude=\"sandbox-*\"", "exclude=\"o*\"");
    std::fs::write(home.path().join("xopero.kdl"), wider).expect("the file can be written");
    home.xopero(&["plan"]).success().says("PAY: 1 repository enters (sandbox-x); 1 repository leaves (other)");
}

#[test]
fn a_look_tells_what_is_wrong_with_credentials_and_forgets_it_when_it_is_right_again() {
    let home = Home::new(two(), readers(&["main", "one", "two"]));
    apply_pool(&home, &[("extra-1", "one"), ("extra-2", "two")], &["extra-1", "extra-2"]);
    home.server.set_account(Account::reader("one", "another"));
    home.server.set_account(Account::reader("two", &token_of("two")).permission("PAY", Permission::None));
    let seen = notes(&plan(&home));
    assert_eq!(seen, ["credential-rejected credential/PAY/extra-1", "permission-lost credential/PAY/extra-2"]);
    let text = home.xopero(&["plan"]).success().says("is not accepted").says("does not see its project").stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("http")), "{text}");
    home.server.set_account(Account::reader("one", &token_of("one")));
    home.server.set_account(Account::reader("two", &token_of("two")));
    assert_eq!(notes(&plan(&home)), [""; 0]);
}

#[test]
fn a_look_at_what_is_not_in_force_yet_says_nothing_about_what_is() {
    let home = Home::new(two(), readers(&["main"]));
    home.apply_usual();
    home.run("nightly");
    let health = || {
        let lines = home.xopero(&["status", "--json"]).success().json();
        let line = lines.into_iter().find(|line| line["type"] == "plan").expect("the plan has a line");
        line["health"].as_str().expect("it is a word").to_owned()
    };
    let add = ["credential", "add", "PAY", "--account", "main"];
    home.xopero_with_input(&add, "wrong").success();
    assert_eq!(notes(&plan(&home)), ["credential-rejected credential/PAY/main"]);
    assert_eq!(health(), "Healthy", "the one in force works");
    home.xopero(&["apply", "--auto-approve"]).success();
    assert_eq!(health(), "Degraded");
    home.xopero_with_input(&add, &token_of("main")).success();
    assert_eq!((notes(&plan(&home)).len(), health().as_str()), (0, "Degraded"));
    home.xopero(&["apply", "--auto-approve"]).success();
    assert_eq!(health(), "Healthy");
}

#[test]
fn quirk_05_an_account_that_is_not_the_declared_one_is_told() {
    let home = Home::new(two(), readers(&["main", "boss"]));
    home.apply_usual();
    home.server.set_account(Account::reader("main", "another"));
    home.server.set_account(Account::reader("boss", &token_of("main")));
    assert_eq!(notes(&plan(&home)), ["account-mismatch credential/PAY/main"]);
    home.xopero(&["plan"]).success().says("logs in as boss, not as main");
    let anonymous = Action::body(200, "application/json", r#"{"version":"9.4.18"}"#);
    home.server.fault(When::any().path_contains("application-properties"), anonymous);
    assert_eq!(notes(&plan(&home)), ["account-mismatch credential/PAY/main"]);
    home.xopero(&["plan"]).success().says("is nobody's for the server");
}

#[test]
fn a_server_that_cannot_be_asked_is_a_note_and_is_asked_once() {
    let home = Home::new(two(), readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    let page = home.server.fault(When::any(), Action::LoginPage);
    home.server.log().clear();
    assert_eq!(notes(&plan(&home)), ["server-unreachable server/bb"]);
    assert_eq!(home.server.log().len(), 1, "the second secret stays sealed");
    home.xopero(&["apply", "--auto-approve"]).success();
    page.remove();

    home.server.fault(When::kind(Kind::Rest), Action::status(503));
    let state = Action::body(200, "application/json", r#"{"state":"MAINTENANCE"}"#);
    home.server.fault(When::any().path_contains("/status"), state);
    assert_eq!(notes(&plan(&home)), ["server-unreachable server/bb"]);
    home.xopero(&["plan"]).success().says("it is in maintenance");
    let asked = home.server.log().snapshot();
    let status = asked.iter().find(|entry| entry.path.ends_with("/status")).expect("the state was asked for");
    assert_eq!(status.authorization_scheme, None, "a status asks for no credential");
}

#[test]
fn quirk_06_no_cookie_comes_back_so_that_each_request_is_its_own_accounts() {
    let home = Home::new(two(), readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    home.server.log().clear();
    plan(&home);
    run(&home, 0);
    assert_eq!(home.server.log().count(|entry| entry.had_cookie), 0, "the server sets one with every answer");
    assert!(home.server.log().count_account("one") > 0);
}

#[test]
fn quirk_08_an_account_without_budget_is_left_alone() {
    let home = Home::new(two(), readers(&["main"]));
    home.apply_usual();
    home.server.fault(When::any(), Action::body(429, "text/html", "<html>slow down</html>"));
    home.server.log().clear();
    assert_eq!(notes(&plan(&home)), ["not-observed credential/PAY/main"]);
    assert_eq!(home.server.log().len(), 1);
}

#[test]
fn without_an_identity_nothing_is_asked() {
    let home = Home::new(two(), readers(&["main"]));
    home.apply_usual();
    home.server.log().clear();
    let bare = home.xopero_command(&["plan", "--json"]).output().expect("the executable starts");
    let stdout = String::from_utf8_lossy(&bare.stdout);
    assert_eq!(bare.status.code(), Some(0));
    assert!(stdout.contains("not-observed") && stdout.contains("no credential of it can be opened"), "{stdout}");
    assert!(home.server.log().is_empty());
}

#[test]
fn a_destination_is_looked_at_and_left_as_it_is() {
    let home = Home::new(two(), readers(&["main"]));
    home.apply_usual();
    let nas = home.destination("nas");
    let before = crate::scene::files(&nas);
    assert_eq!(notes(&plan(&home)), [""; 0]);
    assert_eq!(crate::scene::files(&nas), before);
    let marker = nas.join("xopero.json");
    let text = std::fs::read_to_string(&marker).unwrap();
    let mut foreign: Value = serde_json::from_str(&text).unwrap();
    foreign["lineage"] = "01J00000000000000000000000".into();
    std::fs::write(&marker, foreign.to_string()).unwrap();
    assert_eq!(notes(&plan(&home)), ["destination-foreign destination/nas"]);
    std::fs::remove_dir_all(&nas).unwrap();
    assert_eq!(notes(&plan(&home)), ["destination-unusable destination/nas"]);
}

#[test]
fn quirk_21_a_renamed_repository_keeps_its_chain_and_is_told_until_the_next_apply() {
    let world = two();
    let ledger = world.find("PAY", "ledger").unwrap();
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    run(&home, 0);
    ledger.rename("book");
    ledger.commit("main");
    let ended = run(&home, 0);
    let address = format!("repository/bb/{}", ledger.id());
    assert_eq!(conditions(&ended), [format!("RepoRenamed {address} True")]);
    let warning = summary(&ended)["warnings"].to_string();
    assert!(
        warning.contains("ledger") && warning.contains("book") && warning.contains("its backups go on"),
        "{warning}"
    );
    assert_eq!(task(&ended, "book")["result"], "changed", "the chain goes on");
    judge::compare(&ledger.path(), &home.restore("PAY/book")).unwrap();
    assert_eq!(conditions(&run(&home, 0)), [""; 0], "told once");
    assert_eq!(notes(&plan(&home)), [format!("renamed {address}")]);
    edit(&home, "keep last=100", "keep last=101");
    assert_eq!(conditions(&run(&home, 0)), [format!("RepoRenamed {address} False")]);
    assert_eq!(notes(&plan(&home)), [""; 0]);
}

#[test]
fn quirk_21_a_moved_repository_is_found_under_its_old_name_and_its_backups_stay() {
    let world = two();
    let ledger = world.find("PAY", "ledger").unwrap();
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    run(&home, 0);
    ledger.move_to("OPS");
    let ended = run(&home, 0);
    let address = format!("repository/bb/{}", ledger.id());
    assert_eq!(conditions(&ended), [format!("RepoMoved {address} True")]);
    run_for_people(&home, 0);
    assert_eq!(listed(&home), ["PAY/ledger", "PAY/other"]);
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
}

#[test]
fn quirk_21_another_repository_that_takes_the_old_name_is_another_one() {
    let world = two();
    let ledger = world.find("PAY", "ledger").unwrap();
    let home = Home::new(world.clone(), readers(&["main"]));
    home.apply_usual();
    run(&home, 0);
    ledger.rename("book");
    let other = world.project("PAY").repository("ledger", |recipe| recipe.seed(99));
    let ended = run(&home, 0);
    assert_eq!(task(&ended, "book")["result"], "changed");
    assert_eq!(task(&ended, "ledger")["result"], "new");
    judge::compare(&other.path(), &home.restore("PAY/ledger")).unwrap();
    judge::compare(&ledger.path(), &home.restore("PAY/book")).unwrap();
}

#[test]
fn a_vanished_repository_is_gone_after_three_runs_and_keeps_its_backups() {
    let world = two();
    let ledger = world.find("PAY", "ledger").unwrap();
    let home = Home::new(world, readers(&["main", "one"]));
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    run(&home, 0);
    let address = format!("repository/bb/{}", ledger.id());
    ledger.delete();
    home.server.log().clear();
    assert_eq!(conditions(&run(&home, 0)), [""; 0]);
    let asked = home.server.log().count(|entry| entry.path.ends_with("/repos/ledger"));
    assert_eq!(asked, 2, "two accounts say so");
    assert_eq!(conditions(&run(&home, 0)), [""; 0]);
    assert_eq!(conditions(&run(&home, 0)), [format!("RepoGone {address} True")]);
    home.server.log().clear();
    run(&home, 0);
    assert_eq!(home.server.log().count(|entry| entry.path.ends_with("/repos/ledger")), 0, "it is known");
    assert_eq!(notes(&plan(&home)), [format!("gone {address}")]);
    assert_eq!(listed(&home), ["PAY/ledger", "PAY/other"]);
    let _bare = home.restore("PAY/ledger");
}

#[test]
fn quirk_21_a_renamed_project_is_read_under_its_old_key_and_told() {
    let world = two();
    let home = Home::new(world.clone(), readers(&["main"]));
    home.apply_usual();
    run(&home, 0);
    let _billing = world.project("PAY").rename("BILL");
    let ended = run(&home, 0);
    assert_eq!(conditions(&ended), ["ProjectRenamed project/PAY True"]);
    assert_eq!(summary(&ended)["totals"]["unchanged"], 2);
    assert_eq!(notes(&plan(&home)), ["renamed project/PAY"]);
    home.xopero(&["plan"]).success().says("BILL").says("declare it under");
}

#[test]
fn quirk_32_the_project_of_somebody_who_was_erased_is_read_and_told() {
    let world = World::new();
    let ada = world.project("~ada");
    let notebook = ada.repository("notes", |recipe| recipe);
    let home = Home::new(world, readers(&["main"]));
    let declared = [file::project("~ada"), file::plan("nightly", "~ada", "", &["nas"])].concat();
    home.write_file(&["nas"], &declared);
    home.add_credential("~ada", None, "main");
    home.apply();
    run(&home, 0);

    // First the account is deleted: the user stays in what is hers, without an address. Then it is erased.
    ada.delete_owner();
    let deleted = run(&home, 0);
    assert_eq!((conditions(&deleted).len(), &summary(&deleted)["totals"]["unchanged"]), (0, &1.into()));
    let _alias = ada.erase_owner("~fa1b");
    notebook.commit("main");
    let erased = run(&home, 0);
    assert_eq!(conditions(&erased), ["ProjectRenamed project/~ada True"]);
    assert_eq!(summary(&erased)["totals"]["changed"], 1);
    home.xopero(&["plan"]).success().says("~fa1b").says("declare it under");
    // The backups stay under the key that the file declares, until that is changed.
    assert_eq!(listed(&home), ["~ada/notes", "~ada/notes"]);
    judge::compare(&notebook.path(), &home.restore("~ada/notes")).expect("they are equal");
}

#[test]
fn quirk_04_a_lost_permission_leaves_the_rotation_of_that_project_only() {
    let world = World::new();
    world.project("PAY").many("repo", 8);
    world.project("OPS").many("tool", 4);
    let home = Home::new(world, readers(&["main", "one"]));
    let project = |key: &str| format!("    project \"{key}\" {{\n        enable-credentials \"extra-1\"\n    }}\n");
    home.write_file(&["nas"], &format!("project \"PAY\" server=\"bb\" {{\n}}\nproject \"OPS\" server=\"bb\" {{\n}}\nplan \"nightly\" {{\n{}{}    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}}\n", project("PAY"), project("OPS")));
    for key in ["PAY", "OPS"] {
        home.add_credential(key, None, "main");
        home.add_credential(key, Some("extra-1"), "one");
    }
    home.apply();
    home.server.set_account(Account::reader("one", &token_of("one")).permission("PAY", Permission::None));
    home.server.log().clear();
    let ended = run(&home, 0);
    let told: Vec<Value> = ended.json().into_iter().filter(|line| line["type"] == "permission_lost").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["project"], &told[0]["account"]), (&Value::from("PAY"), &Value::from("one")));
    let by_one = |part: &str| {
        let of = |entry: &fake_bitbucket::Entry| entry.account.as_deref() == Some("one");
        home.server.log().count(|entry| of(entry) && entry.path.to_lowercase().contains(part))
    };
    // As many tasks as are under way may have taken it before it left.
    assert!(by_one("/scm/pay/") <= 8, "{}", by_one("/scm/pay/"));
    assert_eq!(by_one("/projects/pay/"), 1, "its project is asked for once");
    assert!(by_one("/scm/ops/") > 0, "the other project goes on with it");
    assert_eq!(conditions(&ended), ["PermissionLost credential/PAY/extra-1 True"]);
    home.server.log().clear();
    home.server.set_account(Account::reader("one", &token_of("one")));
    assert_eq!(notes(&plan(&home)), [""; 0], "a look sees that it is back");
}

#[test]
fn a_password_that_was_refused_is_not_tried_again_by_a_plan() {
    let world = two();
    let options = fake_bitbucket::Options::new().account(Account::reader("main", "x").password("right"));
    let home = Home::new(world, options);
    home.write_file(&["nas"], "project \"PAY\" server=\"bb\" {\n}\nplan \"nightly\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n");
    let add = ["credential", "add", "PAY", "--account", "main", "--password"];
    home.xopero_with_input(&add, "wrong").success();
    home.apply();
    assert_eq!(notes(&plan(&home)), ["credential-rejected credential/PAY/main"]);
    home.server.log().clear();
    for _ in 0..9 {
        let ended = plan(&home);
        assert_eq!(notes(&ended), ["not-observed credential/PAY/main"]);
    }
    assert!(home.server.log().is_empty(), "the account would be locked");
    home.xopero(&["credential", "check", "PAY", "main"]).expect(7).says("wrong secret");
    home.xopero_with_input(&add, "right").success();
    home.xopero(&["credential", "check", "PAY"]).success();
}

#[test]
fn quirk_21_a_check_tells_whose_an_account_is_by_its_slug_and_not_by_its_name() {
    let robot = Account::reader("main", &token_of("main")).slug("robot_7").display_name("Backup \u{1b}[31m robot");
    let others = ["one", "the-main-one"].map(|name| Account::reader(name, &token_of(name)));
    let options = others.into_iter().fold(Options::new().account(robot), Options::account);
    let usual = Allowance::Bucket { capacity: 600, per_second: 100.0 };
    let home = Home::new(two(), options.page_cap(1).allowance(usual));
    home.server.buckets().set_allowance("main", Allowance::Bucket { capacity: 500, per_second: 50.0 });
    apply_pool(&home, &[("extra-1", "one")], &["extra-1"]);
    home.server.set_account(Account::reader("one", &token_of("one")).inactive());
    home.server.buckets().set_allowance("one", Allowance::Unlimited);
    let ended = home.xopero(&["credential", "check", "--all"]).success();
    tidy(&home, &ended);
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        "account/bb/main: \"Backup \\u{1b}[31m robot\", slug robot_7, active.",
        "! account/bb/one: \"one\", slug one, not active",
    ] {
        assert!(text.contains(said), "{said} is not in\n{}", ended.stdout);
    }
    let lines = home.xopero(&["credential", "check", "PAY", "main", "--json"]).success();
    demand_valid("credential-check-output.schema.json", &lines.json());
    let user = &lines.line("credential_check")["user"];
    assert_eq!((&user["slug"], &user["active"], &user["kind"]), (&"robot_7".into(), &true.into(), &"normal".into()));

    // What is known of one account is not forgotten when another one is looked at.
    let other = home.xopero(&["credential", "check", "PAY", "extra-1", "--json"]).success();
    let exceptions = &other.line("server")["exceptions"];
    assert_eq!((&exceptions["main"]["bucket"]["burst"], &exceptions["one"]), (&500.into(), &"unlimited".into()));

    // Who may not see users is told everything else.
    home.server.fault(When::any().path_contains("/users?"), Action::status(401));
    let blind = home.xopero(&["credential", "check", "PAY", "main", "--json"]).success();
    assert_eq!(blind.line("credential_check")["user"], Value::Null);
}

#[test]
fn a_check_that_was_refused_for_want_of_budget_does_not_say_that_all_was_asked() {
    let owner = Account::new("main").token(&token_of("main")).everywhere(Permission::Admin);
    let home = Home::new(two(), Options::new().account(owner));
    apply_pool(&home, &[], &[]);
    let refused = home.server.fault(When::any().path_contains("permission=REPO_ADMIN"), Action::status(429));
    let ended = home.xopero(&["credential", "check", "--all"]).expect(1);
    tidy(&home, &ended);
    ended.says("credential/PAY/main: its account has no budget left");
    let ended = home.xopero(&["credential", "check", "--all", "--json"]).expect(1);
    demand_valid("credential-check-output.schema.json", &ended.json());
    assert_eq!(ended.line("credential_check")["limited"], true);
    refused.remove();
    let ended = home.xopero(&["credential", "check", "--all", "--json"]).success();
    assert_eq!(ended.line("credential_check")["limited"], false);
}

#[test]
fn a_check_tells_what_each_credential_is() {
    let home = Home::new(two(), readers(&["main", "one", "two"]));
    home.server.buckets().manual_refill();
    apply_pool(&home, &[("extra-1", "one"), ("extra-2", "two"), ("extra-3", "main")], &["extra-1"]);
    let good = home.xopero(&["credential", "check", "--all"]).success();
    tidy(&home, &good);
    let good = good.says("PAY/main").says("PAY/extra-2").says("Bitbucket 9.4.18").says("accounts are not limited");
    let shared = good.says("credential/PAY/extra-3").says("shares its account");
    assert!(shared.stdout.lines().all(|line| line.chars().count() <= 80), "{}", shared.stdout);
    for (permission, power) in
        [(Permission::Read, "read"), (Permission::Write, "write"), (Permission::Admin, "project-admin")]
    {
        home.server.set_account(Account::new("one").token(&token_of("one")).everywhere(permission));
        let checked = home.xopero(&["credential", "check", "PAY", "extra-1", "--json"]).success();
        assert_eq!(checked.line("credential_check")["power"], power);
    }
    home.server.set_account(Account::reader("one", &token_of("one")).permission("PAY", Permission::None));
    home.xopero(&["credential", "check", "PAY", "extra-1"]).expect(1).says("does not see its project");
    home.xopero(&["credential", "check", "PAY", "main"]).success();
    home.server.set_account(Account::reader("two", "another"));
    let ended = home.xopero(&["credential", "check", "--all", "--json"]).expect(7);
    tidy(&home, &ended);
    let lines = ended.json();
    demand_valid("credential-check-output.schema.json", &lines);
    let line = lines.iter().find(|line| line["address"] == "credential/PAY/extra-2").expect("each has a line");
    assert_eq!(line["login"]["refused"]["reason"], "wrong-secret", "{line}");
    home.xopero(&["credential", "check", "PAYY"]).expect(3).says("declared projects: PAY");
    home.xopero(&["credential", "check", "PAY", "extra-9"]).expect(3).says("its credentials: main, extra-1");
    home.xopero(&["credential", "check"]).expect(64);
    home.xopero_as("backup.txt", &["credential", "check", "PAY", "main"]).expect(7).says("not opened");
}
