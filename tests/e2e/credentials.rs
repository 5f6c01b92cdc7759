//! Secrets: into the file without touching anything else, and never to another server or into other hands.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use fake_bitbucket::{Account, FakeBitbucket, Options, World};

use crate::proof::{options, usual};
use crate::support::{Home, token_of};

const FILE: &str = "xopero.kdl";

fn text(home: &Home) -> String {
    std::fs::read_to_string(home.path().join(FILE)).expect("the file exists")
}

/// Demands that `after` is `before` with something put in between (and `gone` bytes taken out).
fn demand_splice(before: &str, after: &str, gone: usize) {
    let pairs = before.bytes().zip(after.bytes());
    let start = pairs.take_while(|(one, other)| one == other).count();
    let backwards = before.bytes().rev().zip(after.bytes().rev());
    let end = backwards.take_while(|(one, other)| one == other).count();
    assert!(start + end + gone >= before.len(), "more than one place changed:\n{before}\n---\n{after}");
}

#[test]
fn adding_a_credential_touches_no_other_byte() {
    let home = Home::new(World::new(), options());
    home.write_file(
        &["nas"],
        "// Strange    spacing,\ttabs and \u{fc}ml\u{e4}uts stay.\r\n\
         project   \"PAY\"  server=\"bb\"   { // the money\n\n\n  }\n/* a block\n   comment */\n\
         project \"OPS\" server=\"bb\" {}\n",
    );
    let path = home.path().join(FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let steps: [(&[&str], &str); 4] = [
        (&["PAY", "--account", "main"], "credential/PAY"),
        (&["OPS", "--account", "main"], "credential/OPS"),
        (&["PAY", "extra-1", "--account", "second", "--expires", "2031-03-01"], "credential/PAY/extra-1"),
        (&["PAY", "extra-2", "--account", "third", "--password"], "credential/PAY/extra-2"),
    ];
    for (arguments, address) in steps {
        let before = text(&home);
        let arguments = [&["credential", "add"], arguments].concat();
        let ended = home.xopero_with_input(&arguments, "s3cr3t-of-an-account\n").success();
        assert!(ended.stdout.starts_with("Added ") && ended.stdout.contains(address), "{}", ended.stdout);
        assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("s3cr3t"));
        let after = text(&home);
        demand_splice(&before, &after, 0);
        assert!(after.len() > before.len() && !after.contains("s3cr3t"));
    }
    home.xopero(&["validate"]).success();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);

    let before = text(&home);
    let replace = ["credential", "add", "PAY", "extra-1", "--account", "fourth"];
    let ended = home.xopero_with_input(&replace, "another").success();
    assert!(ended.stdout.starts_with("Replaced "), "{}", ended.stdout);
    let after = text(&home);
    demand_splice(&before, &after, 1200);
    assert!(after.contains("account=\"fourth\"") && !after.contains("account=\"second\""), "{after}");
    assert_eq!(after.matches("additional-credential").count(), 2);
    home.xopero(&["validate"]).success();
}

#[test]
fn an_unusable_secret_or_project_leaves_the_file_alone() {
    let home = usual(World::new());
    let before = text(&home);
    let add =
        |arguments: &[&str], input: &str| home.xopero_with_input(&[&["credential", "add"], arguments].concat(), input);
    add(&["PAY", "--account", "main"], "").expect(64).says("the secret is empty");
    add(&["PAY", "--account", "main"], "two\nlines").expect(64).says("more than one line");
    add(&["PAYY", "--account", "main"], "x").expect(3).says("PAYY");
    add(&["PAY"], "x").expect(64).says("--account");
    add(&["PAY", "extra-1", "token", "--account", "main"], "x").expect(64);
    assert_eq!(text(&home), before);
}

#[test]
fn a_replaced_token_is_used_from_the_next_apply_on() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = usual(world);
    home.run("nightly");
    home.server.set_account(Account::reader("main", "a-new-token"));
    home.xopero(&["run", "nightly"]).expect(1);
    home.server.clear_captcha("main");
    home.xopero_with_input(&["credential", "add", "PAY", "--account", "main"], "a-new-token").success();
    let plan = home.xopero(&["plan", "--detailed-exitcode"]).expect(2).stdout;
    assert!(plan.contains("~ credential/PAY") && !plan.contains("BEGIN AGE"), "{plan}");
    home.apply();
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 1);
}

#[test]
fn a_credential_sealed_for_another_server_is_never_sent() {
    let home = usual(World::new());
    let thief =
        FakeBitbucket::start_blocking(World::new(), Options::new().account(Account::reader("main", &token_of("main"))));
    let moved = text(&home).replace(home.server.url(), thief.url());
    std::fs::write(home.path().join(FILE), &moved).unwrap();
    let lines = home.xopero(&["plan", "--json"]).success().json();
    let id = lines.iter().find_map(|line| line["plan_id"].as_str()).unwrap().to_owned();
    home.xopero(&["apply", "--auto-approve"]).expect(4).says("sealed-elsewhere").says(&id);
    let refused = home.xopero(&["apply", "--approve", &id]).expect(4).says("no approval");
    for word in [home.server.url(), thief.url(), "xopero credential add PAY --account main"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    // Somebody who begins anew with that file gets no further.
    std::fs::remove_dir_all(home.path().join(".xopero")).unwrap();
    std::fs::remove_dir_all(home.destination("nas")).unwrap();
    home.apply();
    let refused = home.xopero(&["run", "nightly"]).expect(7).says("credential/PAY");
    for word in [home.server.url(), thief.url(), "xopero credential add"] {
        assert!(refused.stderr.contains(word), "{word}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains(&token_of("main")));
    assert!(thief.log().is_empty() && home.server.log().is_empty(), "nobody was asked anything");
}

#[test]
fn a_credential_of_another_account_is_refused() {
    let home = usual(World::new());
    let renamed = text(&home).replace("account=\"main\"", "account=\"admin\"");
    std::fs::write(home.path().join(FILE), renamed).unwrap();
    home.apply();
    home.xopero(&["run", "nightly"]).expect(7).says("\"main\"").says("\"admin\"");
    assert!(home.server.log().is_empty());
}

#[test]
fn an_identity_is_never_overwritten_and_only_its_owner_reads_it() {
    let home = Home::new(World::new(), options());
    let path = home.path().join("identity.txt");
    let before = std::fs::read(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    home.xopero(&["secrets", "keygen", "--output", "identity.txt"]).expect(7).says("never overwritten");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let made = home.xopero(&["secrets", "keygen", "--output", "deep/er/other.txt"]).success();
    assert!(made.stdout.starts_with("age1") && made.stdout.lines().count() == 1, "{}", made.stdout);
    assert!(!format!("{}{}", made.stdout, made.stderr).contains("AGE-SECRET-KEY"));
    let usual_place = home.xopero(&["secrets", "keygen"]).success();
    let again = home.xopero(&["secrets", "keygen"]).expect(7).says("there is a file").says("name another file");
    assert!(!again.stderr.contains("os error"), "{}", again.stderr);
    let usual_path = home.path().join(".config/xopero/identity.txt");
    assert!(std::fs::read_to_string(usual_path).unwrap().contains(usual_place.stdout.trim()));
}

#[test]
fn an_identity_that_is_missing_readable_by_others_or_somebody_elses_is_refused() {
    let world = World::new();
    let _no_repositories = world.project("PAY");
    let home = usual(world);
    let run = |identity: &str| home.xopero_as(identity, &["run", "nightly"]);
    home.server.log().clear();
    run("no-such.txt").expect(7).says("no-such.txt").says("XOPERO_IDENTITY_FILE");
    run("backup.txt").expect(7).says("credential/PAY");
    run("xopero.kdl").expect(7);
    let bare = home.xopero_command(&["run", "nightly"]).output().unwrap();
    assert_eq!(bare.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&bare.stderr).contains("xopero secrets keygen"));
    let path = home.path().join("identity.txt");
    for mode in [0o644, 0o640, 0o604] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        run("identity.txt").expect(7).says("chmod 600");
    }
    assert!(home.server.log().is_empty());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    run("identity.txt").success();
}
