//! What a look at credentials leaves alone, keeps, and says of it.

use fake_bitbucket::{Account, Action, Allowance, Options, Permission, Refusal, RefusalBody, RetryAfter, When, World};
use rustix::process::Signal;
use serde_json::Value;

use crate::json_schema::demand_valid;
use crate::limits::bucket;
use crate::scene::{Live, apply_pool, edit, readers, tidy};
use crate::support::{Ended, Home, token_of};

fn one() -> World {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    world
}

fn words(ended: &Ended) -> String {
    (ended.stdout.clone() + &ended.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The lines of a check, each of which fits the schema.
fn lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.json();
    demand_valid("credential-check-output.schema.json", &lines);
    lines
}

/// The line of one credential of PAY.
fn of(lines: &[Value], name: &str) -> Value {
    let address = format!("credential/PAY/{name}");
    lines.iter().find(|line| line["address"] == address.as_str()).expect("each has a line").clone()
}

fn add_password(home: &Home, name: &str, account: &str, password: &str) {
    let add = ["credential", "add", "PAY", name, "--account", account, "--password"];
    home.xopero_with_input(&add, password).success();
}

#[test]
fn what_a_server_allows_is_known_until_it_says_something_else() {
    let usual = Allowance::Bucket { capacity: 60, per_second: 5.0 };
    let home = Home::new(one(), readers(&["main"]).allowance(usual));
    home.server.buckets().set_allowance("main", Allowance::Bucket { capacity: 500, per_second: 50.0 });
    home.apply_usual();
    let check = |code| {
        let ended = home.xopero(&["credential", "check", "PAY", "main", "--json"]).expect(code);
        lines(&ended);
        let server = ended.line("server");
        let (limit, own) = (&server["limit"]["bucket"]["burst"], &server["exceptions"]["main"]["bucket"]["burst"]);
        (server["version"].clone(), limit.clone(), own.clone(), server["limits_asked"].clone())
    };
    home.server.fault(When::any(), Action::status(429));
    let (_, limit, _, asked) = check(1);
    assert_eq!((limit, asked), (Value::Null, Value::Null));
    let blind = home.xopero(&["credential", "check", "PAY", "main"]).expect(1);
    assert!(!blind.stdout.contains("does not tell"), "nobody asked: {}", blind.stdout);
    home.server.clear_faults();

    let told = check(0);
    assert_eq!((&told.0, &told.1, &told.2), (&"9.4.18".into(), &60.into(), &500.into()));
    // Neither a refused credential, nor an account without budget, nor a server that is busy says otherwise.
    home.server.set_account(Account::reader("main", "another"));
    assert_eq!(check(7), told);
    home.server.fault(When::any(), Action::status(429));
    home.xopero(&["plan"]).success();
    assert_eq!(check(1), told);
    home.server.clear_faults();
    home.server.fault(When::any(), Action::status(503));
    assert_eq!(check(1), told);
}

#[test]
fn a_dead_credential_hides_no_good_one_of_its_account() {
    let extra = Account::reader("extra", &token_of("extra")).password("right");
    let home = Home::new(one(), readers(&["main"]).account(extra));
    apply_pool(&home, &[("extra-1", "extra")], &["extra-1"]);
    // The dead ones are shown first, one after the other.
    add_password(&home, "a-dead-password", "extra", "wrong");
    home.xopero_with_input(&["credential", "add", "PAY", "b-dead-token", "--account", "extra"], "revoked").success();
    edit(&home, "listing=4", "listing=1");
    edit(
        &home,
        "enable-credentials \"extra-1\"",
        "enable-credentials \"a-dead-password\" \"b-dead-token\" \"extra-1\"",
    );
    let ended = home.xopero(&["plan"]).success();
    assert!(!words(&ended).contains("extra-1: was not looked at"), "{}", ended.stdout);
    home.xopero_with_input(&["credential", "add", "PAY", "a-dead-password", "--account", "extra"], "also dead")
        .success();
    let ended = home.xopero(&["credential", "check", "--all", "--json"]).expect(7);
    tidy(&home, &ended);
    let lines = lines(&ended);
    for (name, login) in [("a-dead-password", "refused"), ("b-dead-token", "refused")] {
        assert!(of(&lines, name)["login"][login].is_object(), "{}", ended.stdout);
    }
    let good = of(&lines, "extra-1");
    assert_eq!((&good["login"], &good["power"]), (&"confirmed".into(), &"read".into()), "{good}");
}

#[test]
fn a_look_does_not_lock_an_account_with_many_wrong_passwords() {
    let extra = Account::reader("extra", &token_of("extra")).password("right");
    let home = Home::new(one(), readers(&["main"]).account(extra));
    apply_pool(&home, &[("token", "extra")], &[]);
    for name in ["p-1", "p-2", "p-3", "p-4", "p-5", "p-6"] {
        add_password(&home, name, "extra", &format!("wrong {name}"));
    }
    let refused = || home.server.log().count(|entry| matches!(entry.status, Some(401 | 403)));
    let ended = home.xopero(&["credential", "check", "--all"]).expect(7);
    tidy(&home, &ended);
    assert_eq!(refused(), 2, "{}", ended.stdout);
    home.xopero(&["credential", "check", "--all"]).expect(7);
    assert_eq!(refused(), 2, "those that are set aside count, too");
    for said in ["credential/PAY/p-3: was not looked at", "`xopero credential check PAY p-3`"] {
        assert!(words(&ended).contains(said), "{said}: {}", ended.stdout);
    }
    home.xopero(&["credential", "check", "PAY", "token"]).success();
    home.xopero(&["credential", "check", "PAY", "p-3"]).expect(7);
    assert_eq!(refused(), 3);
}

#[test]
fn a_password_that_is_set_aside_is_shown_when_it_is_named_and_not_with_all_others() {
    let main = Account::new("main").password("right").everywhere(Permission::Read);
    let home = Home::new(one(), Options::new().account(main));
    home.write_file(&["nas"], "project \"PAY\" server=\"bb\" {\n}\nplan \"nightly\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n");
    let add = ["credential", "add", "PAY", "--account", "main", "--password"];
    home.xopero_with_input(&add, "wrong").success();
    home.apply();
    let refused = || home.server.log().count(|entry| matches!(entry.status, Some(401 | 403)));
    home.xopero(&["credential", "check", "--all"]).expect(7).says("wrong secret");
    assert_eq!(refused(), 1);
    for which in ["--all", "PAY"] {
        let ended = home.xopero(&["credential", "check", which]).expect(7);
        tidy(&home, &ended);
        assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
        for said in ["set aside since", "tried again after", "`xopero credential check PAY main`"] {
            assert!(words(&ended).contains(said), "{said}: {}", ended.stdout);
        }
    }
    let ended = home.xopero(&["credential", "check", "--all", "--json"]).expect(7);
    let line = of(&lines(&ended), "main");
    assert_eq!((&line["left_alone"], &line["login"]["refused"]["reason"]), (&true.into(), &"wrong-secret".into()));
    assert_eq!(refused(), 1, "nobody asked for this one");
    let named = ["credential", "check", "PAY", "main", "--json"];
    let line = of(&lines(&home.xopero(&named).expect(7)), "main");
    assert_eq!((refused(), &line["left_alone"]), (2, &false.into()));

    // Each of them counts, however shortly after another one: the third rest is a day.
    home.xopero(&named).expect(7);
    let told = words(&home.xopero(&["credential", "check", "--all"]).expect(7));
    let time = |before: &str| -> jiff::civil::DateTime {
        let text = told.split(before).nth(1).expect("it is told").split(" UTC").next().unwrap();
        text.parse().expect("it is a time")
    };
    let rest = time("tried again after ").duration_since(time("set aside since "));
    assert!(rest.as_hours() >= 23, "{told}");
    home.server.set_account(Account::new("main").password("wrong").everywhere(Permission::Read));
    home.xopero(&named).success();
    home.xopero(&["credential", "check", "--all"]).success();
}

#[test]
fn an_account_that_rests_is_told_and_not_asked() {
    let refusal = Refusal { retry_after: RetryAfter::Raw("600".into()), body: RefusalBody::Json };
    let home = Home::new(one(), readers(&["main", "one"]).refusal(refusal));
    apply_pool(&home, &[("extra-1", "main"), ("extra-2", "one")], &["extra-1"]);
    bucket(&home, "main", 0);
    let mut live = Live::start(&home);
    live.until("throttled");
    live.signal(Signal::INT);
    tidy(&home, &live.wait().expect(130));
    home.server.log().clear();
    let ended = home.xopero(&["credential", "check", "--all"]).expect(1);
    tidy(&home, &ended);
    assert_eq!(home.server.log().count_account("main"), 0, "{}", ended.stdout);
    assert!(home.server.log().count_account("one") > 0, "it has budget");
    assert!(words(&ended).contains("account/bb/main: was not asked: it rests until"), "{}", ended.stdout);
    let ended = home.xopero(&["credential", "check", "PAY", "main", "--json"]).expect(1);
    assert_eq!(of(&lines(&ended), "main")["left_alone"], true);
    let plan = home.xopero(&["plan"]).success();
    assert!(words(&plan).contains("it rests until"), "{}", plan.stdout);
    assert_eq!(home.server.log().count_account("main"), 0, "{}", plan.stdout);
}

#[test]
fn commands_that_are_told_lead_to_the_same_file() {
    let home = Home::new(one(), readers(&["main"]));
    home.apply_usual();
    std::fs::rename(home.path().join("xopero.kdl"), home.path().join("other.kdl")).unwrap();
    std::fs::remove_dir_all(home.path().join(".xopero")).unwrap();
    std::fs::remove_dir_all(home.destination("nas")).unwrap();
    let other = |arguments: &[&str]| home.xopero(&[arguments, &["-f", "other.kdl"]].concat());
    other(&["apply", "--auto-approve", "--offline"]).success().says("xopero run nightly -f other.kdl");
    home.server.fault(When::any(), Action::status(404));
    let failed = other(&["run", "nightly"]);
    let run =
        failed.stdout.lines().find_map(|line| line.strip_prefix("  run ")).expect("it is named").trim().to_owned();
    failed.says(&format!("`xopero runs show {run} -f other.kdl`"));
    std::fs::write(home.path().join("other.kdl"), "nonsense {").unwrap();
    other(&["plan"]).expect(3).says("`xopero plan -f other.kdl`");
}
