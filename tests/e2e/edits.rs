//! Edits by command: the switch of a plan, recipients, sealing again. Nothing else in the file changes, and no secret is
//! shown.

use fake_bitbucket::World;

use crate::file;
use crate::proof::{options, usual};
use crate::support::{Ended, Home, token_of};

fn text(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("xopero.kdl")).expect("the file exists")
}

/// A file with one additional credential that no plan enables.
fn with_extra() -> Home {
    let home = Home::new(World::new(), options());
    let plan = file::plan("nightly", "PAY", "// all of it", &["nas"]);
    home.write_file(&["nas"], &(file::project("PAY") + &plan));
    home.add_credential("PAY", None, "main");
    home.add_credential("PAY", Some("extra-1"), "second");
    home
}

/// Everything that was said fits a terminal and tells no secret.
fn demand_discretion(ended: &Ended) {
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!all.contains(&token_of("main")) && !all.contains(&token_of("second")), "{all}");
    assert!(!all.contains("AGE-SECRET-KEY"), "{all}");
}

#[test]
fn several_credentials_are_switched_at_once_or_none_is() {
    let home = with_extra();
    home.add_credential("PAY", Some("extra-2"), "third");
    let before = text(&home);
    home.xopero(&["credential", "enable", "nightly", "PAY", "extra-1", "extra-3"]).expect(3).says("extra-3");
    assert_eq!(text(&home), before);
    let done = home.xopero(&["credential", "enable", "nightly", "PAY", "extra-1", "extra-2"]).success();
    done.says("credential/PAY/extra-1, credential/PAY/extra-2 are enabled in plan nightly");
    assert!(text(&home).contains("enable-credentials \"extra-1\" \"extra-2\"\n"), "{}", text(&home));
    home.xopero(&["credential", "disable", "nightly", "PAY", "extra-2", "extra-1"]).success();
    assert_eq!(text(&home), before);
}

#[test]
fn a_credential_is_enabled_listed_disabled_and_removed() {
    let home = with_extra();
    let before = text(&home);
    let shown = home.xopero(&["credential", "enable", "nightly", "PAY", "extra-1", "--dry-run"]).success();
    assert!(shown.stdout.contains("+         enable-credentials \"extra-1\""), "{}", shown.stdout);
    assert_eq!(text(&home), before, "a dry run writes nothing");
    let done = home.xopero(&["credential", "enable", "nightly", "PAY", "extra-1"]).success();
    assert_eq!(text(&home).replace("        enable-credentials \"extra-1\"\n", ""), before);
    assert!(done.stderr.contains("enable-credentials") && done.stdout.starts_with("credential/PAY/extra-1 is enabled"));
    home.xopero(&["credential", "enable", "nightly", "PAY", "extra-1"]).success().says("already");
    home.xopero(&["credential", "enable", "nightyl", "PAY", "extra-1"]).expect(3).says("did you mean `nightly`?");
    home.xopero(&["credential", "add", "PYA", "--account", "main"]).expect(3).says("did you mean `PAY`?");

    let listed = home.xopero(&["credential", "list"]).success();
    let row = listed.stdout.lines().find(|line| line.contains("extra-1")).expect("it is listed");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["PAY", "extra-1", "second", "token", "-", "nightly"]);
    let lines = home.xopero(&["credential", "list", "--json"]).success().json();
    assert_eq!((lines.len(), &lines[1]["used_by"][0]), (2, &"nightly".into()));

    home.xopero(&["credential", "remove", "PAY", "extra-1"]).expect(4).says("nightly").says("--disable-everywhere");
    home.xopero(&["credential", "enable", "nightly", "PAY", "extra-2"]).expect(3).says("extra-2");
    home.xopero(&["credential", "disable", "nightly", "PAY", "extra-1"]).success();
    assert_eq!(text(&home), before);
    home.xopero(&["credential", "enable", "nightly", "PAY", "extra-1"]).success();
    let removed = home.xopero(&["credential", "remove", "PAY", "extra-1", "--disable-everywhere"]).success();
    assert!(
        !text(&home).contains("extra-1") && removed.stderr.contains("revoke it in Bitbucket"),
        "{}",
        removed.stderr
    );
    home.xopero(&["validate"]).success();
    demand_discretion(&removed);
}

#[test]
fn recipients_change_and_only_what_is_sealed_for_others_is_sealed_again() {
    let home = with_extra();
    home.apply();
    let before = text(&home);
    let key = home.public_key("backup.txt");
    let added = home.xopero(&["recipients", "add", &key, "--name", "break-glass"]).success();
    assert!(added.stderr.contains("xopero secrets rekey"), "{}", added.stderr);
    home.xopero(&["validate"]).success().says("2 secrets are sealed for another set of recipients");
    assert_eq!(home.xopero_as("backup.txt", &["secrets", "verify"]).expect(7).says("unusable").code, 7);
    // Whoever cannot open the values cannot seal them again, and nothing is half done.
    let between = text(&home);
    home.xopero_as("backup.txt", &["secrets", "rekey"]).expect(7).says("nothing was changed");
    assert_eq!(text(&home), between);
    let only = home.xopero(&["secrets", "rekey", "--only", "credential/PAY/extra-1", "--dry-run"]).success();
    assert_eq!(only.stdout.matches("sealed lines").count(), 2, "{}", only.stdout);
    let rekeyed = home.xopero(&["secrets", "rekey", "--json"]).success();
    assert_eq!(rekeyed.line("rekeyed")["addresses"].as_array().map(Vec::len), Some(2));
    home.xopero(&["validate"]).success().says("is valid");
    home.xopero(&["secrets", "verify"]).success().says("credential/PAY/extra-1");
    home.xopero_as("backup.txt", &["secrets", "verify"]).success();
    home.xopero(&["secrets", "rekey"]).success().says("already");

    home.apply();
    let removed = home.xopero(&["recipients", "remove", "break-glass", "--rekey"]).success();
    assert!(removed.stderr.contains("rotate the tokens too: they were readable by break-glass"), "{}", removed.stderr);
    home.xopero_as("backup.txt", &["secrets", "verify"]).expect(7);
    home.xopero(&["secrets", "verify"]).success();
    let unsealed =
        |text: &str| text.lines().filter(|line| !line.starts_with("            ")).collect::<Vec<_>>().join("\n");
    assert_eq!(unsealed(&text(&home)), unsealed(&before), "only sealed values differ");
    let own = home.public_key("identity.txt");
    home.xopero(&["recipients", "remove", &own]).expect(4).says("only recipient");
    demand_discretion(&rekeyed);
    demand_discretion(&removed);
}

#[test]
fn a_token_is_replaced_where_it_stands() {
    let home = usual(World::new());
    let before = text(&home);
    let set = home.xopero_with_input(&["secrets", "set", "PAY"], "a-new-token\n").success();
    assert!(set.stdout.starts_with("Replaced the token of credential/PAY/main"), "{}", set.stdout);
    assert!(!format!("{}{}", set.stdout, set.stderr).contains("a-new-token"));
    let after = text(&home);
    let unsealed =
        |text: &str| text.lines().filter(|line| !line.starts_with("            ")).collect::<Vec<_>>().join("\n");
    assert_eq!(unsealed(&before), unsealed(&after), "only the sealed value differs");
    assert!(before != after && !after.contains("a-new-token"));
    home.xopero(&["secrets", "verify"]).success();
    home.xopero_with_input(&["secrets", "set", "PAY/extra-9"], "x").expect(3).says("credential/PAY/extra-9");
    // A value that was put beside another account is told from a good one.
    std::fs::write(home.path().join("xopero.kdl"), after.replace("account=\"main\"", "account=\"admin\"")).unwrap();
    home.xopero(&["secrets", "verify"]).expect(7).says("\"admin\"");
}

#[test]
fn the_keys_to_a_bucket_are_sealed_into_the_file() {
    let home = usual(World::new());
    let path = home.path().join("xopero.kdl");
    let key = home.public_key("backup.txt");
    let bucket = "destination \"offsite\" {\n    s3 \"corp-backups\" region=\"eu-central-1\"\n";
    let declared = format!("{}{bucket}    encrypt-to \"{key}\"\n}}\n", text(&home));
    std::fs::write(&path, &declared).unwrap();
    home.xopero(&["validate"]).expect(3).says("xopero secrets set destination/offsite/access-key");
    let set = |key: &str, rest: &[&str], value: &str| {
        let address = format!("destination/offsite/{key}");
        home.xopero_with_input(&[&["secrets", "set", &address], rest].concat(), value)
    };
    set("access-key", &["--dry-run"], "AKIAIOSFODNN7EXAMPLE\n").success();
    assert_eq!(text(&home), declared, "a dry run writes nothing");
    let done = set("access-key", &[], "AKIAIOSFODNN7EXAMPLE\n").success();
    assert!(done.stdout.starts_with("Set destination/offsite/access-key in xopero.kdl"), "{}", done.stdout);
    set("secret-key", &[], "a-secret-of-forty-characters\n").success();
    let all = format!("{}{}{}", text(&home), done.stdout, done.stderr);
    assert!(!all.contains("AKIA") && !all.contains("forty"), "{all}");
    home.xopero(&["validate"]).success();
    let verified = home.xopero(&["secrets", "verify"]).success();
    let row = verified.stdout.lines().find(|line| line.contains("destination/offsite/secret-key"));
    assert!(row.is_some_and(|row| row.ends_with("opens")), "{}", verified.stdout);
    let listed = home.xopero_with_input(&["secrets", "set", "destination/offsite/key"], "x").expect(64);
    listed.says("write access-key or secret-key");
    home.xopero_with_input(&["secrets", "set", "destination/nas/access-key"], "x").expect(3).says("only `s3` has keys");
}

#[test]
fn the_doctor_says_what_is_wrong_and_what_to_do() {
    let home = with_extra();
    let well = home.xopero(&["secrets", "doctor"]).success();
    let lines: Vec<&str> = well.stdout.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with("ok  ") || line.starts_with("      ")), "{}", well.stdout);
    assert!(lines[1].contains("mode 0600") && lines[1].contains("XOPERO_IDENTITY_FILE"), "{}", well.stdout);
    let long = |line: &&&str| line.chars().count() > 80 && line.trim().contains(' ');
    assert_eq!(lines.iter().find(long), None);
    std::fs::create_dir(home.path().join(".git")).unwrap();
    let ill = home.xopero_as("backup.txt", &["secrets", "doctor"]).expect(7);
    for word in
        ["bad   credential/PAY/main", "warn  the identity is not a recipient", "warn  destination nas", ".xopero/"]
    {
        assert!(ill.stdout.contains(word), "{word}:\n{}", ill.stdout);
    }
    let json = home.xopero_as("no-such.txt", &["secrets", "doctor", "--json"]).expect(7);
    assert_eq!(json.json()[0]["level"], "bad");
}
