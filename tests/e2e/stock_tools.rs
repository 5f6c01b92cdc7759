//! Restoring without our binary: `stock_tools.sh` is what the README shows.

use std::path::PathBuf;
use std::process::Command;

use fake_bitbucket::{Repository, World};

use crate::proof::{demand_equal, usual};
use crate::support::Home;

/// Demands the tools, by name: without them the promise cannot be tested.
fn demand_tools(home: &Home) {
    for tool in ["age", "zstd", "jq", "git", "bash", "sha256sum"] {
        let found = home.command(tool).arg("--version").output();
        assert!(
            found.is_ok(),
            "{tool} is not installed: apt-get install age zstd jq git (this test needs stock tools)"
        );
    }
}

fn script(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/stock_tools.sh")).args(arguments);
    command
}

/// Restores the newest snapshot of a repository with the script. Gives the target, and what was said on stderr.
fn restore(home: &Home, repository: &Repository) -> (PathBuf, String) {
    let (destination, newest) = (home.destination("nas"), home.newest(repository));
    let folder = destination.join("servers");
    let mut servers = std::fs::read_dir(folder).expect("there are backups");
    let server = servers.next().expect("of one server").expect("that can be read").file_name();
    let server = server.to_str().expect("the path is UTF-8");
    let snapshot = format!("servers/{server}/repos/{}/snapshots/{newest}.json.zst.age", repository.id());
    let target = home.path().join(format!("stock-{newest}"));
    let arguments = [
        "backup.txt",
        destination.to_str().expect("the path is UTF-8"),
        &snapshot,
        target.to_str().expect("the path is UTF-8"),
    ];
    let output = script(home, &arguments).output().expect("bash starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", repository.slug());
    (target, stderr.into_owned())
}

#[test]
fn a_snapshot_opens_with_stock_tools_alone() {
    let world = World::new();
    let project = world.project("PAY");
    let made: Vec<Repository> = vec![
        project.repository("everything", |recipe| recipe.everything()),
        project.repository("sha256", |recipe| recipe.sha256().everything()),
        project.repository("empty", |recipe| recipe.empty().default_branch("trunk")),
        project.repository("unborn", |recipe| recipe.unborn_head("not-yet").branches(1)),
        project.repository("detached", |recipe| recipe.detached_head()),
    ];
    let home = usual(world);
    demand_tools(&home);
    for round in 0..3 {
        home.run("nightly");
        for repository in &made {
            if round != 1 {
                let (restored, stderr) = restore(&home, repository);
                demand_equal(&repository.path(), &restored);
                assert!(!stderr.contains("suspect"), "{stderr}");
            }
            repository.commit("topic/next");
            if round == 0 {
                repository.commit("topic/next");
            } else {
                repository.force_push("topic/next", 2);
            }
        }
    }
}

#[test]
fn the_script_warns_of_a_suspect_snapshot() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    let home = usual(world);
    demand_tools(&home);
    home.run("nightly");
    for reference in ledger.refs() {
        ledger.delete_ref(&reference.name);
    }
    home.xopero(&["run", "nightly"]).success();
    let (_, stderr) = restore(&home, &ledger);
    assert!(stderr.contains("warning: suspect") && stderr.contains("advertises 0 references"), "{stderr}");
}

#[test]
fn the_script_says_what_is_missing() {
    let home = usual(World::new());
    demand_tools(&home);
    let usage = script(&home, &["backup.txt"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("IDENTITY DESTINATION SNAPSHOT TARGET"));
    let mut poor = script(&home, &["a", "b", "c", "d"]);
    let bash = home.command("sh").args(["-c", "command -v bash"]).output().unwrap().stdout;
    let empty = home.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    std::os::unix::fs::symlink(String::from_utf8(bash).unwrap().trim(), empty.join("bash")).unwrap();
    let poor = poor.env("PATH", &empty).output().unwrap();
    assert_eq!(poor.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&poor.stderr).contains("age is not installed"));
}
