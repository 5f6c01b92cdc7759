//! The first steps of a new user, and the hook that guards the later ones.

use std::os::unix::fs::PermissionsExt;

use fake_bitbucket::World;

use crate::proof::options;
use crate::support::{Home, token_of};

#[test]
fn the_next_steps_that_init_shows_work_as_they_are_shown() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, options());
    home.xopero(&["init", "--project", "PAY"]).expect(64).says("--server").says("--encrypt-to");
    let url = home.server.url().to_owned();
    let flags = ["--server", &url, "--project", "PAY", "--account", "main", "--destination", "backups"];
    let init = [&["init", "--backup-identity", "keys/backup.txt"], &flags[..]].concat();
    let made = home.xopero(&init).success();
    assert!(made.stdout.starts_with("Wrote xopero.kdl"), "{}", made.stdout);
    let before = std::fs::read_to_string(home.path().join("xopero.kdl")).unwrap();
    assert!(before.contains(&home.public_key("identity.txt")) && before.contains(&home.public_key("keys/backup.txt")));
    assert_eq!(std::fs::read_to_string(home.path().join(".gitignore")).unwrap(), ".xopero/\n/keys/backup.txt\n");

    let steps: Vec<Vec<String>> = made
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("  xopero "))
        .map(|step| step.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect())
        .collect();
    assert_eq!(steps.len(), 4, "{}", made.stderr);
    for step in &steps {
        let mut words: Vec<&str> = step.iter().map(String::as_str).collect();
        if words == ["apply"] {
            words.push("--auto-approve");
        }
        home.xopero_with_input(&words, &token_of("main")).success();
    }
    home.xopero_as("keys/backup.txt", &["verify", "PAY/ledger"]).success();
    home.xopero(&init).expect(4).says("it stays as it is");
}

#[test]
fn init_with_a_token_makes_a_file_that_is_complete() {
    let home = Home::new(World::new(), options());
    let key = home.public_key("identity.txt");
    let url = home.server.url().to_owned();
    let flags = ["init", "--server", &url, "--project", "PAY", "--account", "main", "--destination", "backups"];
    std::fs::write(home.path().join(".gitignore"), "*.log").unwrap();
    let more = ["-f", "infra.kdl", "--encrypt-to", &key, "--token-stdin", "--json"];
    let made = home.xopero_with_input(&[&flags[..], &more].concat(), &token_of("main")).success();
    assert_eq!(made.line("initialized")["next"][0], "xopero -f infra.kdl plan");
    assert!(made.stderr.contains("also opens the backups"), "{}", made.stderr);
    assert!(!format!("{}{}", made.stdout, made.stderr).contains(&token_of("main")));
    assert_eq!(std::fs::read_to_string(home.path().join(".gitignore")).unwrap(), "*.log\n.xopero/\n");
    home.xopero(&["-f", "infra.kdl", "secrets", "verify"]).success();
    home.xopero(&["-f", "infra.kdl", "validate"]).success();
}

#[test]
fn the_hook_stops_a_commit_that_holds_a_secret() {
    let home = crate::proof::usual(World::new());
    let git = |arguments: &[&str]| {
        let mut command = home.command("git");
        let path =
            command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value).unwrap().to_owned();
        let path = format!("{}:{}", home.path().display(), path.to_str().unwrap());
        command.env("PATH", path).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
        command.output().unwrap()
    };
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_xopero"), home.path().join("xopero")).unwrap();
    home.xopero(&["hook", "install"]).expect(1).says("not in a git repository");
    assert!(git(&["init", "-q"]).status.success());
    let hook = home.path().join(".git/hooks/pre-commit");
    std::fs::write(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    home.xopero(&["hook", "install"]).expect(4).says("--append");
    home.xopero(&["hook", "install", "--append"]).success();
    assert_eq!(std::fs::metadata(&hook).unwrap().permissions().mode() & 0o111, 0o111);
    home.xopero(&["hook", "install"]).success().says("up to date");

    // The identities of this home lie where no repository should have them.
    for identity in ["identity.txt", "backup.txt"] {
        std::fs::rename(home.path().join(identity), home.path().join(".xopero").join(identity)).unwrap();
    }
    assert!(git(&["add", "xopero.kdl"]).status.success());
    let committed = git(&["commit", "-qm", "first"]);
    assert!(committed.status.success(), "{}", String::from_utf8_lossy(&committed.stderr));
    let token = ["BBDC-", "MDEyMzQ1Njc4OTAxOvECp5kQVQH", "+PHeAEqpbbeMPkcTYabcd"].concat();
    std::fs::write(home.path().join("notes.txt"), &token).unwrap();
    assert!(git(&["add", "notes.txt"]).status.success());
    let refused = git(&["commit", "-qm", "second"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("notes.txt:1:1: a Bitbucket access token"), "{said}");
    assert!(said.contains("refused by xopero") && !said.contains(&token[5..]), "{said}");
}
