//! Where a restore goes, and that it never goes over something.

use fake_bitbucket::World;

use crate::proof::{demand_equal, stock, usual};

#[test]
fn a_restore_goes_to_a_new_or_empty_directory_only() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let home = usual(world);
    home.run("nightly");
    for target in ["new", "new/", "empty", "deep/er/new"] {
        if target == "empty" {
            std::fs::create_dir(home.path().join(target)).unwrap();
        }
        let ended = home.xopero_as("backup.txt", &["restore", "PAY/ledger", "--to", target]);
        if target == "new/" {
            // It is there by now.
            let ended = ended.expect(1);
            assert!(ended.stderr.contains("new"), "{}", ended.stderr);
            continue;
        }
        ended.success().says("every one verified");
        demand_equal(&ledger.path(), &home.path().join(target));
    }
    let full = home.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("precious"), "mine").unwrap();
    for target in ["full", "full/precious"] {
        let ended = home.xopero_as("backup.txt", &["restore", "PAY/ledger", "--to", target]).expect(1);
        assert!(ended.stderr.contains(target), "{}", ended.stderr);
    }
    assert_eq!(std::fs::read_to_string(full.join("precious")).unwrap(), "mine");
    let hidden = stock(&home, "find", &[".", "-maxdepth", "1", "-name", ".*.partial"]);
    assert_eq!(hidden, "", "nothing half-done is left");
}

#[test]
fn a_restore_tells_what_it_did_in_json() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let home = usual(world);
    home.run("nightly");
    let ended = home.xopero_as("backup.txt", &["restore", "PAY/ledger", "--to", "there", "--json"]).success();
    let line = ended.line("restored");
    assert_eq!(line["references"], ledger.refs().len(), "{line}");
    assert_eq!(line["snapshot"].as_str().expect("it is a text"), home.newest(&ledger));
    assert_eq!(line["notes"].as_array().map(Vec::len), Some(0), "{line}");
}

#[test]
fn a_restored_repository_can_be_worked_with() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.merges(2).branches(2).tag("v1"));
    let home = usual(world);
    home.run("nightly");
    let restored = home.restore("PAY/ledger");
    let restored = restored.to_str().expect("the path is UTF-8");
    let config = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    stock(&home, "git", &["clone", "--quiet", restored, "work"]);
    let work = |arguments: &[&str]| stock(&home, "git", &[&["-C", "work"], &config[..], arguments].concat());
    work(&["commit", "--quiet", "--allow-empty", "-m", "On"]);
    work(&["push", "--quiet", "origin", "HEAD"]);
    stock(&home, "git", &["--git-dir", restored, "gc", "--quiet", "--prune=now"]);
    let tip = stock(&home, "git", &["--git-dir", restored, "rev-parse", "HEAD~1"]);
    assert_eq!(tip.trim(), ledger.oid("HEAD"));
}
