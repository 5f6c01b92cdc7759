//! Tokens are replaced without a moment in which what is in force does not log in, wherever it is interrupted.

use fake_bitbucket::{Account, Action, Gate, Options, Permission, When, World};
use rustix::process::Signal;
use serde_json::Value;

use crate::file;
use crate::json_schema::demand_valid;
use crate::scene::{PATIENCE, tidy};
use crate::support::{Ended, Home, Running, file_text, token_of, write_text};

const PASSWORD: &str = "the-password-of-main";
const ROTATE: [&str; 5] = ["credential", "rotate", "PAY", "main", "--with-password"];

fn main_account() -> Account {
    let account = Account::new("main").password(PASSWORD).everywhere(Permission::Read);
    account.named_token(&token_of("main"), "made by hand", &["PROJECT_READ", "REPO_READ"], Some(90))
}

/// Projects PAY and OPS with one token in two places and in a third that is the same; in force.
fn home(options: Options) -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    for key in ["OPS", "WEB"] {
        let _empty = world.project(key);
    }
    let home = Home::new(world, options.account(main_account()));
    let same = "project \"WEB\" server=\"bb\" {\n    credential same-as=\"PAY\"\n}\n";
    let declared = [&file::project("PAY"), &file::project("OPS"), same, &file::plan("nightly", "PAY", "", &["nas"])];
    home.write_file(&["nas"], &declared.concat());
    home.add_credential("PAY", None, "main");
    home.add_credential("OPS", None, "main");
    home.apply();
    home
}

fn rotate(home: &Home) -> Ended {
    let ended = home.xopero_with_input(&ROTATE, PASSWORD);
    discreet(home, &ended);
    ended
}

/// No secret is in what was said, in the file, or beside the state.
fn discreet(home: &Home, ended: &Ended) {
    tidy(home, ended);
    let mut texts = vec![ended.stdout.clone(), ended.stderr.clone(), file_text(home)];
    for entry in std::fs::read_dir(home.path().join(".xopero")).expect("there is a state") {
        let bytes = std::fs::read(entry.expect("it is legible").path()).expect("it can be read");
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let secrets = home.server.token_values("main").into_iter().chain([PASSWORD.to_owned()]);
    for secret in secrets {
        assert!(texts.iter().all(|text| !text.contains(&secret)), "a secret was written in clear");
    }
    let mut lines = ended.stdout.lines().filter(|line| !line.starts_with('{'));
    assert!(lines.all(|line| line.chars().count() <= 80), "{}", ended.stdout);
}

/// Calls `credential rotate --json`, demands that every line is as documented, and gives the one about the rotation.
fn told(home: &Home, more: &[&str]) -> Value {
    let ended = home.xopero_with_input(&[&ROTATE[..], &["--json"], more].concat(), PASSWORD).success();
    discreet(home, &ended);
    let lines = ended.json();
    demand_valid("rotate-output.schema.json", &lines);
    assert_eq!(lines[0]["type"], "version");
    ended.line("rotation")
}

fn journals(home: &Home) -> usize {
    let entries = std::fs::read_dir(home.path().join(".xopero")).expect("there is a state");
    let names = entries.map(|entry| entry.expect("it is legible").file_name().into_string().expect("it is text"));
    names.filter(|name| name.contains("rotation")).count()
}

/// What every rotation comes to: one token, the new one, at every place.
fn demand_rotated(home: &Home) {
    let names = home.server.token_names("main");
    assert!(names.len() == 1 && names[0].starts_with("xopero PAY main 20"), "{names:?}");
    assert_eq!(journals(home), 0);
    home.xopero(&["credential", "check", "--all"]).success();
    home.run("nightly");
}

#[test]
fn the_old_token_works_until_the_new_one_is_in_force() {
    let home = home(Options::new());
    let before = file_text(&home);
    let dry = home.xopero_with_input(&[&ROTATE[..], &["--dry-run"]].concat(), PASSWORD).success();
    assert!(
        dry.stdout.contains("PROJECT_READ REPO_READ; 90 days") && dry.stdout.contains("made by hand"),
        "{}",
        dry.stdout
    );
    assert_eq!((file_text(&home), home.server.token_names("main").len(), journals(&home)), (before, 1, 0));

    let dry = told(&home, &["--dry-run"]);
    assert_eq!(
        (&dry["status"], &dry["new"], &dry["expiry_days"]),
        (&"dry-run".into(), &Value::Null, &90.into()),
        "{dry}"
    );

    let first = rotate(&home).success().says("is not revoked yet").says("what is applied uses it");
    assert!(first.stderr.contains("credential/OPS/main, credential/PAY/main"), "{}", first.stderr);
    assert_eq!(file_text(&home).matches("expires \"").count(), 2, "both places say until when");
    assert_eq!(home.server.token_names("main").len(), 2);
    home.xopero(&["validate"]).success();
    home.run("nightly");
    home.xopero(&["credential", "rotate"]).success().says("xopero credential rotate PAY main --with-password");
    assert!(rotate(&home).success().says("not revoked yet").stderr.contains("Going on"));
    assert_eq!(home.server.token_names("main").len(), 2, "nothing is made twice");

    let waiting = told(&home, &[]);
    assert_eq!((&waiting["status"], &waiting["waiting"]), (&"waiting".into(), &"old-in-force".into()), "{waiting}");
    let listed = home.xopero(&["credential", "rotate", "--json"]).success().json();
    demand_valid("rotate-output.schema.json", &listed);
    assert_eq!((listed.len(), &listed[1]["status"]), (2, &"under-way".into()), "{listed:?}");
    assert_eq!((&listed[1]["old"], &listed[1]["new"]), (&waiting["old"], &waiting["new"]), "{listed:?}");

    home.apply();
    let last = told(&home, &[]);
    assert_eq!((&last["status"], &last["revoked"][0]), (&"revoked".into(), &waiting["old"]), "{last}");
    demand_rotated(&home);
    home.xopero(&["credential", "rotate"]).success().says("No rotation is under way");
}

fn start(home: &Home) -> Running {
    home.start_with_input(&ROTATE, PASSWORD)
}

/// What a server does at a gate.
type Act = fn(Gate) -> Action;

/// Kills a rotation when it stands at a gate.
fn kill_at(home: &Home, when: When, action: impl FnOnce(Gate) -> Action) {
    let gate = Gate::new();
    let fault = home.server.fault(when, action(gate.clone()));
    let running = start(home);
    assert!(gate.reached_blocking(PATIENCE));
    running.signal(Signal::KILL);
    let ended = running.wait().expect(-9);
    fault.remove();
    gate.release();
    discreet(home, &ended);
}

#[test]
fn a_rotation_that_is_killed_anywhere_goes_on() {
    let tokens = || When::any().path_contains("/access-tokens/");
    let login = || When::any().path_contains("application-properties");
    let (hang, hold): (Act, Act) = (Action::Hang, |gate| Action::Hold { after: 0, gate });
    // Between the steps it is killed by `killed`; here something is under way.
    let points: [(&str, When, Act); 4] = [
        ("it knows the old token", tokens().nth(1), hang),
        ("the server is asked for a token", tokens().method("PUT").nth(1), hang),
        ("the secret of a token is lost", tokens().method("PUT").nth(1), hold),
        ("the token is being tried", When::any().path_contains("/repos?").nth(1), hang),
    ];
    let home = home(Options::new());
    for (point, when, act) in points {
        kill_at(&home, when, act);
        home.run("nightly");
        assert!(home.server.token_names("main").len() <= 2, "{point}: {:?}", home.server.token_names("main"));
    }
    rotate(&home).success().says("is not revoked yet");
    assert_eq!(home.server.token_names("main").len(), 2);
    home.apply();
    let points: [(&str, When); 3] = [
        ("before anything", tokens().nth(1)),
        ("the new one is tried again", login().nth(1)),
        ("the old one is about to go", tokens().method("DELETE").nth(1)),
    ];
    for (point, when) in points {
        kill_at(&home, when, hang);
        home.run("nightly");
        assert_eq!(journals(&home), 1, "{point}");
    }
    rotate(&home).success().says("the old token is revoked");
    demand_rotated(&home);
}

#[test]
fn whoever_decides_otherwise_is_obeyed() {
    let home = home(Options::new().tokens_manage_tokens());
    let rotate = |more: &[&str]| home.xopero(&[&["credential", "rotate", "PAY", "main"], more].concat());
    rotate(&["--expires-in", "7"]).success();
    rotate(&["--keep-old"]).success().says("still works");
    assert_eq!((home.server.token_names("main").len(), journals(&home)), (2, 0));
    home.apply();
    // The new token says its own number: nobody has to say which of the two is in use.
    rotate(&["--revoke-now"]).success().says("the old token is revoked");
    assert_eq!((home.server.token_names("main").len(), journals(&home)), (2, 0));
    home.xopero(&["run", "nightly"]).expect(1);
    home.apply();
    home.run("nightly");
}

#[test]
fn what_cannot_be_rotated_says_what_to_do_instead() {
    let home = home(Options::new().most_tokens(2));
    let before = file_text(&home);
    let rotate = |more: &[&str]| home.xopero(&[&["credential", "rotate"], more].concat());
    rotate(&["WEB", "main"]).expect(1).says("xopero credential rotate PAY main");
    rotate(&["PAY", "extra-9"]).expect(3).says("credential/PAY/extra-9");
    rotate(&["PAY", "main"]).expect(1).says("--with-password");
    home.server.log().clear();
    home.xopero_with_input(&ROTATE, "wrong").expect(7).says("password or token is wrong");
    assert_eq!(home.server.log().count(|entry| entry.authorization_scheme.as_deref() == Some("basic")), 1);
    home.xopero_with_input(&[&ROTATE[..], &["--token-id", "7"]].concat(), PASSWORD).expect(64).says("made by hand");

    home.server.set_account(main_account().named_token("token-of-nobody", "another", &["REPO_READ"], None));
    let asked = self::rotate(&home).expect(64).says("--token-id").says("\"another\", REPO_READ");
    let line = asked.stderr.lines().find(|line| line.contains("made by hand")).expect("it is listed");
    let id = line.split_whitespace().find(|word| word.ends_with(':')).expect("it has a number").trim_end_matches(':');
    let full = home.xopero_with_input(&[&ROTATE[..], &["--token-id", id]].concat(), PASSWORD).expect(1);
    full.says("maximum number of tokens");
    assert_eq!((file_text(&home), journals(&home)), (before, 0));

    let text = file_text(&home).replace("credential same-as=\"PAY\"", "credential account=\"x\" {\n    }");
    write_text(&home, &text);
    home.xopero_with_input(&["credential", "add", "WEB", "--account", "x", "--password"], "pw").success();
    rotate(&["WEB", "main"]).expect(1).says("is a password");
}

#[test]
fn an_account_without_budget_is_waited_for_whatever_is_asked() {
    let home = home(Options::new());
    let limited =
        || Action::Answer { status: 429, headers: vec![("Retry-After".into(), "0".into())], body: "no".into() };
    // The login, the listing of tokens, the making of one and the trial of it.
    let places = ["/application-properties", "/access-tokens/", "/repos?"];
    let mut faults: Vec<_> =
        places.iter().map(|place| home.server.fault(When::any().path_contains(place).first(1), limited())).collect();
    faults.push(home.server.fault(When::any().method("PUT").path_contains("/access-tokens/").first(1), limited()));
    let first = rotate(&home).success().says("is not revoked yet");
    let waits = first.stderr.matches("has no budget left at the server: waiting for 1 second").count();
    assert_eq!(waits, 4, "{}", first.stderr);
    assert_eq!(home.server.token_names("main").len(), 2, "one is made, and no more");
    home.apply();
    let revoking = When::any().method("DELETE").path_contains("/access-tokens/").first(1);
    faults.push(home.server.fault(revoking, limited()));
    assert!(rotate(&home).success().says("is revoked").stderr.contains("waiting for"));
    demand_rotated(&home);
}

#[test]
fn a_new_token_that_does_less_than_the_old_one_is_revoked() {
    let home = home(Options::new());
    let before = file_text(&home);
    let refuse = r#"{"errors":[{"message":"no","exceptionName":"com.atlassian.bitbucket.AuthorisationException"}]}"#;
    let blind =
        home.server.fault(When::any().path_contains("/repos?").first(1), Action::body(401, "application/json", refuse));
    rotate(&home).expect(1).says("does not see project");
    assert_eq!((file_text(&home), home.server.token_names("main")), (before, vec!["made by hand".to_owned()]));
    assert_eq!(journals(&home), 0);
    blind.remove();
    // Somebody takes the file back before it is applied: the rotation is done again with the same token.
    let old = file_text(&home);
    rotate(&home).success();
    write_text(&home, &old);
    rotate(&home).success().says("is not revoked yet");
    home.apply();
    rotate(&home).success().says("the old token is revoked");
    demand_rotated(&home);
}

/// A project whose credential is a token of the project, or of a repository of it; in force.
fn of_a_project(service: Account) -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let token = service.named_token("token-of-robot", "made by hand", &["PROJECT_READ", "REPO_READ"], Some(90));
    let service = token.permission("PAY", Permission::Read);
    let owner = Account::new("owner").password(PASSWORD).permission("PAY", Permission::Admin);
    let other = Account::new("other").password(PASSWORD).permission("PAY", Permission::Write);
    let home = Home::new(world, [service, owner, other].into_iter().fold(Options::new(), Options::account));
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat());
    let add = ["credential", "add", "PAY", "--account", "access-token-user/1/7"];
    home.xopero_with_input(&add, "token-of-robot").success();
    home.apply();
    home
}

#[test]
fn a_token_of_a_project_or_a_repository_is_rotated_by_whoever_administers_that() {
    let service = || Account::new("access-token-user/1/7");
    for (service, repository) in [
        (service().of_project("PAY"), &[][..]),
        (service().of_repository("PAY", "ledger"), &["--repository", "ledger"]),
    ] {
        let home = of_a_project(service);
        let before = file_text(&home);
        let rotate = |more: &[&str]| {
            let ended = home.xopero_with_input(&[&ROTATE[..4], repository, more].concat(), PASSWORD);
            tidy(&home, &ended);
            ended
        };
        rotate(&[]).expect(1).says("no token make another").says("--managed-by ACCOUNT --with-password");
        rotate(&["--with-password"]).expect(1).says("has no password").says("--managed-by");
        rotate(&["--managed-by", "owner"]).expect(64).says("--with-password");
        let others = ["--with-password", "--managed-by", "other"];
        rotate(&others).expect(1).says("does not let other manage the tokens of").says("administers the project");
        assert_eq!((file_text(&home), journals(&home)), (before, 0));

        let managed = ["--with-password", "--managed-by", "owner"];
        rotate(&managed).success().says("is not revoked yet").says("--with-password --managed-by owner");
        home.xopero(&["credential", "rotate"]).success().says("PAY main --with-password --managed-by owner");
        assert_eq!(home.server.token_names("access-token-user/1/7").len(), 2);
        home.apply();
        // Whose token it is, the rotation knows by itself once it has begun.
        home.xopero_with_input(&ROTATE, PASSWORD).expect(1).says("has no password");
        let again = [&ROTATE[..4], &managed[..]].concat();
        home.xopero_with_input(&again, PASSWORD).success().says("the old token is revoked");
        let names = home.server.token_names("access-token-user/1/7");
        assert!(names.len() == 1 && names[0].starts_with("xopero PAY main 20"), "{names:?}");
        assert_eq!(home.run("nightly")["totals"]["new"], 1);
    }
}

#[test]
fn quirk_21_the_tokens_of_an_account_are_found_by_its_slug() {
    let home = home(Options::new());
    home.server.set_account(main_account().slug("robot_7"));
    rotate(&home).success().says("is not revoked yet");
    home.apply();
    rotate(&home).success().says("the old token is revoked");
    demand_rotated(&home);
}
