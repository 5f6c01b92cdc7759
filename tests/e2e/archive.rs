//! Looking at what is stored: listing, addressing, verifying, exporting.

use fake_bitbucket::{Repository, World};

use crate::file;
use crate::proof::{demand_equal, name_of, options, stock, usual};
use crate::support::Home;

fn text(home: &Home, arguments: &[&str]) -> String {
    home.xopero_as("backup.txt", arguments).success().stdout
}

#[test]
fn snapshots_are_listed_a_line_each_for_programs_that_take_lines() {
    let world = World::new();
    let project = world.project("PAYMENTS_PLATFORM");
    let long = "a-service-with-quite-a-long-name-as-they-tend-to-have";
    for name in ["ledger", long] {
        project.repository(name, |recipe| recipe.commits(1));
    }
    let home = Home::new(world, options());
    let plan = "nightly-of-the-payments-platform";
    let plans = file::plan(plan, "PAYMENTS_PLATFORM", "", &["nas"]);
    home.write_file(&["nas"], &(file::project("PAYMENTS_PLATFORM") + &plans));
    home.add_credential("PAYMENTS_PLATFORM", None, "main");
    home.apply();
    home.xopero_as("backup.txt", &["snapshots"]).success().says("no snapshots");
    home.run(plan);
    let listing = text(&home, &["snapshots"]);
    let listed = home.snapshots(&[]);
    assert_eq!((listed.len(), listing.lines().count()), (2, 3), "nothing is broken over lines:\n{listing}");
    assert!(listing.contains(&format!("PAYMENTS_PLATFORM/{long} ")), "{listing}");
    let one = home.xopero(&["snapshots", "--limit", "1"]).success().says("there are more than 1 snapshots");
    assert_eq!(one.stdout.lines().count(), 2);
    home.xopero(&["snapshots", "--plan", "nope"]).expect(1).says("no snapshot fits");
    for heading in ["SNAPSHOT", "REPOSITORY", "PLAN", "TAKEN (UTC)", "SIZE"] {
        assert!(listing.lines().next().unwrap().contains(heading), "{listing}");
    }
    for snapshot in &listed {
        let id = snapshot["id"].as_str().expect("it is a text");
        assert!(listing.contains(id), "the whole id can be copied:\n{listing}");
    }
    let summary = text(&home, &["run", plan, "--identity", "identity.txt"]);
    assert!(summary.lines().all(|line| line.chars().count() <= 80), "{summary}");
}

#[test]
fn snapshots_can_be_chosen_and_read_from_a_directory_alone() {
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| recipe.everything());
    project.repository("web", |recipe| recipe.commits(1));
    let home = Home::new(world, options());
    let plans = file::plan("nightly", "PAY", "", &["nas"])
        + &file::plan("hot", "PAY", "repositories include=\"ledger\"", &["nas"]);
    home.write_file(&["nas"], &(file::project("PAY") + &plans));
    home.add_credential("PAY", None, "main");
    home.apply();
    home.run("nightly");
    ledger.commit("main");
    home.run("nightly");
    home.run("hot");
    let directory = home.destination("nas");
    let from = ["--from", directory.to_str().expect("the path is UTF-8")];
    let choices: [(&[&str], usize); 7] = [
        (&[], 4),
        (&["--plan", "nightly"], 3),
        (&["--plan", "hot"], 1),
        (&["--repository", "ledger"], 3),
        (&["--repository", "PAY/web"], 1),
        (&["--repository", "OPS/web"], 0),
        (&["--limit", "2"], 2),
    ];
    let ids = |rows: Vec<serde_json::Value>| -> Vec<String> {
        rows.iter().map(|row| row["id"].as_str().expect("it is a text").to_owned()).collect()
    };
    for (arguments, count) in choices {
        let known = ids(home.snapshots(arguments));
        let stored = ids(home.snapshots(&[arguments, &from[..]].concat()));
        assert_eq!(known.len(), count, "{arguments:?}");
        assert_eq!(known, stored, "{arguments:?}");
        assert!(known.is_sorted_by(|one, other| one > other), "newest first: {known:?}");
    }
    let row = &home.snapshots(&["--repository", "ledger"])[0];
    assert_eq!((&row["repository"], &row["state"]), (&"PAY/ledger".into(), &"".into()));
    assert_eq!(row["references"], ledger.refs().len(), "{row}");

    // With nothing but the directory and the identity.
    let lost = home.path().join("lost");
    std::fs::create_dir(&lost).unwrap();
    for name in ["xopero.kdl", ".xopero"] {
        std::fs::rename(home.path().join(name), lost.join(name)).unwrap();
    }
    assert_eq!(home.snapshots(&from).len(), 4);
    let id = ids(home.snapshots(&from)).remove(0);
    for (number, name) in ["PAY/ledger", &id, &id.to_lowercase(), &id[..24]].iter().enumerate() {
        let to = home.path().join(format!("restored-{number}"));
        let arguments = [&["restore", name, "--to", to.to_str().expect("the path is UTF-8")], &from[..]].concat();
        home.xopero_as("backup.txt", &arguments).success();
        demand_equal(&ledger.path(), &to);
    }
    home.xopero_as("backup.txt", &[&["verify", "PAY/ledger"], &from[..]].concat()).success().says("whole");
    home.xopero_as("backup.txt", &[&["verify", "PAY/nothing"], &from[..]].concat()).expect(1).says("PAY/nothing");
    home.xopero_as("identity.txt", &[&["verify", "PAY/ledger"], &from[..]].concat()).expect(7).says("encrypt-to");
    let nowhere = ["snapshots", "--from", "no-such-directory"];
    home.xopero_as("backup.txt", &nowhere).expect(1).says("no-such-directory");
}

#[test]
fn a_snapshot_is_named_by_its_id_its_beginning_or_its_repository() {
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| recipe.commits(2));
    let home = usual(world);
    home.run("nightly");
    let first = home.moment(&ledger);
    ledger.commit("main");
    home.run("nightly");
    let second = home.newest(&ledger);
    let snapshot = |name: &str| {
        let ended = home.xopero_as("backup.txt", &["verify", name, "--json"]).success();
        ended.line("verification")["snapshot"].as_str().expect("it is a text").to_owned()
    };
    assert_eq!(snapshot("PAY/ledger"), second);
    for id in [&first.snapshot, &second] {
        assert_eq!(snapshot(id), *id);
        assert_eq!(snapshot(&id[..25]), *id);
        assert_eq!(snapshot(&id.to_lowercase()), *id);
    }
    let several = home.xopero_as("backup.txt", &["verify", &second[..2]]);
    assert_ne!(several.code, 0);
    assert!(several.stderr.contains("more than one"), "{}", several.stderr);
    let unknown = home.xopero_as("backup.txt", &["verify", "7ZZZZZZZ"]).expect(1);
    assert!(unknown.stderr.contains("7ZZZZZZZ"), "{}", unknown.stderr);
    home.xopero_as("backup.txt", &["verify", "PAY/nothing"]).expect(1).says("xopero snapshots");
}

#[test]
fn verifying_counts_what_it_proved() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let home = usual(world);
    home.run("nightly");
    ledger.commit("main");
    home.run("nightly");
    let line = home.xopero_as("backup.txt", &["verify", "PAY/ledger", "--json"]).success().line("verification");
    assert_eq!(line["whole"], true, "{line}");
    assert_eq!((&line["packs"], &line["references"]), (&2.into(), &ledger.refs().len().into()), "{line}");
    assert_eq!(line["findings"].as_array().map(Vec::len), Some(0), "{line}");
    let reached = fake_bitbucket::judge::reachable_objects(&ledger.path()).len();
    assert_eq!(line["reached"], reached, "{line}");
    let told = text(&home, &["verify", "PAY/ledger"]);
    assert!(told.contains("is whole") && told.contains("2 of 2"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
}

/// Exports the newest snapshot and lets stock git judge the file.
fn prove_bundle(home: &Home, repository: &Repository, name: &str) {
    let bundle = home.path().join(format!("{name}.bundle"));
    let bundle = bundle.to_str().expect("the path is UTF-8");
    let arguments = ["export", &name_of(repository), "--bundle", bundle];
    home.xopero_as("backup.txt", &arguments).success().says("git clone --mirror");
    let source = repository.path();
    stock(
        home,
        "git",
        &["--git-dir", source.to_str().expect("the path is UTF-8"), "bundle", "verify", "--quiet", bundle],
    );
    let clone = home.path().join(format!("{name}.git"));
    let clone_name = clone.to_str().expect("the path is UTF-8");
    let config = ["-c", "transfer.fsckObjects=true"];
    stock(home, "git", &[&config[..], &["clone", "--quiet", "--mirror", bundle, clone_name]].concat());
    let judge = fake_bitbucket::judge::Judge::new();
    judge.compare(&source, &clone).unwrap_or_else(|differences| panic!("{name}: {differences}"));
    fake_bitbucket::judge::fsck(&clone).expect("nothing is broken");
    let again = home.xopero_as("backup.txt", &arguments).expect(1);
    assert!(again.stderr.contains(bundle) && again.stderr.contains("exists already"), "{}", again.stderr);
}

#[test]
fn stock_git_accepts_exported_bundles() {
    let world = World::new();
    let project = world.project("PAY");
    let made: Vec<Repository> = vec![
        project.repository("ledger", |recipe| recipe.everything()),
        project.repository("sha256", |recipe| recipe.sha256().everything()),
    ];
    project.repository("empty", |recipe| recipe.empty());
    let topics: Vec<String> = made.iter().map(|made| made.oid("refs/heads/topic/1")).collect();
    let home = usual(world);
    for round in 0..4 {
        home.run("nightly");
        for (repository, topic) in made.iter().zip(&topics) {
            if round != 1 {
                prove_bundle(&home, repository, &format!("{}-{round}", repository.slug()));
            }
            repository.commit("main");
            if round == 1 {
                repository.force_push("main", 3);
            }
            // Gone for one run: its objects come twice, in two packs.
            match round {
                0 => {}
                1 => repository.delete_ref("refs/heads/topic/1"),
                _ => repository.set_ref("refs/heads/topic/1", topic),
            }
        }
    }
    // Git's bundles hold references; there is none.
    let arguments = ["export", "PAY/empty", "--bundle", "empty.bundle"];
    let ended = home.xopero_as("backup.txt", &arguments).expect(1);
    assert!(ended.stderr.contains("xopero restore"), "{}", ended.stderr);
    assert!(!home.path().join("empty.bundle").exists());
}
