//! Several destinations, several plans, and destinations that lost something.

use fake_bitbucket::{Kind, Repository, World};

use crate::file;
use crate::proof::{demand_equal, name_of, options, stock, usual};
use crate::support::Home;

/// One project with plans over the destinations.
fn home_with(world: World, destinations: &[&str], plans: &[(&str, &[&str])]) -> Home {
    let home = Home::new(world, options());
    write(&home, destinations, plans);
    home.add_credential("PAY", None, "main");
    home.apply();
    home
}

fn write(home: &Home, destinations: &[&str], plans: &[(&str, &[&str])]) {
    let plans: String = plans.iter().map(|(name, targets)| file::plan(name, "PAY", "", targets)).collect();
    home.write_file(destinations, &(file::project("PAY") + &plans));
}

/// Restores the newest snapshot out of one destination's directory alone, and demands that it equals the source.
fn prove_in(home: &Home, destination: &str, repository: &Repository) {
    let target = tempfile::Builder::new().prefix("from-").tempdir_in(home.path()).expect("a folder").keep();
    let (from, to) = (home.destination(destination), target.to_str().expect("the path is UTF-8").to_owned());
    let arguments = ["restore", &name_of(repository), "--from", from.to_str().expect("the path is UTF-8"), "--to", &to];
    home.xopero_as("backup.txt", &arguments).success();
    demand_equal(&repository.path(), &target);
}

fn fetches(home: &Home) -> usize {
    home.server.log().count_kind(Kind::FETCH)
}

#[test]
fn two_destinations_share_one_stream_and_a_later_one_gets_its_own() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let home = home_with(world, &["nas", "second"], &[("nightly", &["nas", "second"])]);
    home.run("nightly");
    assert_eq!(fetches(&home), 1);
    for _ in 0..2 {
        home.server.log().clear();
        ledger.commit("main");
        home.run("nightly");
        assert_eq!(fetches(&home), 1);
        for destination in ["nas", "second"] {
            prove_in(&home, destination, &ledger);
        }
    }

    write(&home, &["nas", "second", "third"], &[("nightly", &["nas", "second", "third"])]);
    home.add_credential("PAY", None, "main");
    home.apply();
    home.server.log().clear();
    let reports = home.reports("nightly");
    assert_eq!(fetches(&home), 1, "only the new one needs objects");
    let written: Vec<bool> = reports["PAY/ledger"]["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|destination| destination["written"].as_bool().unwrap())
        .collect();
    assert_eq!(written, [false, false, true], "{reports:?}");

    home.server.log().clear();
    ledger.commit("main");
    home.run("nightly");
    assert_eq!(fetches(&home), 1, "their last tips are the same: one stream");
    for (destination, packs) in [("nas", 4), ("second", 4), ("third", 2)] {
        prove_in(&home, destination, &ledger);
        assert_eq!(home.stored_packs(destination), packs, "{destination}");
    }
}

#[test]
fn destinations_with_different_tips_get_streams_of_their_own() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.branches(2));
    let plans: &[(&str, &[&str])] = &[("one", &["nas"]), ("both", &["nas", "second"])];
    let home = home_with(world, &["nas", "second"], plans);
    home.run("one");
    ledger.commit("main");
    home.server.log().clear();
    home.run("both");
    assert_eq!(fetches(&home), 2);
    prove_in(&home, "nas", &ledger);
    prove_in(&home, "second", &ledger);
}

#[test]
fn plans_of_one_destination_share_packs_and_have_snapshots_of_their_own() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.everything());
    let home = home_with(world, &["nas"], &[("nightly", &["nas"]), ("hot", &["nas"])]);
    home.run("nightly");
    home.server.log().clear();
    let summary = home.run("hot");
    assert_eq!((fetches(&home), home.stored_packs("nas")), (0, 1), "{summary}");
    ledger.commit("main");
    home.run("hot");
    home.server.log().clear();
    home.run("nightly");
    assert_eq!((fetches(&home), home.stored_packs("nas")), (0, 2));
    for plan in ["nightly", "hot"] {
        let listed = home.snapshots(&["--plan", plan]);
        assert_eq!(listed.len(), 2, "{listed:?}");
        assert!(listed.iter().all(|snapshot| snapshot["plan"] == plan));
        demand_equal(&ledger.path(), &home.restore(listed[0]["id"].as_str().expect("it is a text")));
        // Nothing to do for either, whoever ran last.
        home.server.log().clear();
        assert_eq!(home.run(plan)["totals"]["unchanged"], 1, "{plan}");
        assert_eq!(home.git_requests(&ledger), 1);
    }
}

#[test]
fn a_plan_does_not_rely_on_a_snapshot_of_its_own_that_lost_something() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.tag("v1"));
    let home = home_with(world, &["nas"], &[("nightly", &["nas"]), ("hot", &["nas"])]);
    home.run("nightly");
    home.run("hot");
    let nas = home.destination("nas");
    let own = |plan: &str| home.snapshots(&["--plan", plan])[0]["id"].as_str().unwrap().to_owned();

    // Its manifest, while the end of the chain is the other plan's.
    let lost = own("nightly");
    stock(&home, "find", &[nas.to_str().unwrap(), "-name", &format!("{lost}*"), "-delete"]);
    let listed = home.snapshots(&["--plan", "nightly"]);
    assert_eq!(listed[0]["state"], "missing", "{listed:?}");
    assert_eq!(home.run("nightly")["totals"]["changed"], 1);
    assert_ne!(own("nightly"), lost);
    assert_eq!(home.run("hot")["totals"]["unchanged"], 1);

    // Its packs, and the other plan has begun a new chain already.
    stock(&home, "find", &[nas.to_str().unwrap(), "-name", "*.pack.age", "-delete"]);
    assert_eq!(home.run("hot")["totals"]["changed"], 1);
    assert_eq!(home.run("nightly")["totals"]["changed"], 1);
    assert_eq!(home.stored_packs("nas"), 1);
    for plan in ["nightly", "hot"] {
        demand_equal(&ledger.path(), &home.restore(&own(plan)));
        assert_eq!(home.run(plan)["totals"]["unchanged"], 1);
    }
}

#[test]
fn a_chain_that_lost_a_pack_begins_anew_and_says_so() {
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| recipe.everything());
    let quiet = project.repository("quiet", |recipe| recipe.commits(2));
    let home = usual(world);
    home.run("nightly");
    ledger.commit("main");
    home.run("nightly");
    let manifest = home.manifest("nas", &home.newest(&ledger));
    let key = manifest["git"]["packs"][0]["key"].as_str().expect("it is a text");
    std::fs::remove_file(home.destination("nas").join(key)).unwrap();

    let to = home.path().join("broken");
    let arguments = ["restore", "PAY/ledger", "--to", to.to_str().expect("the path is UTF-8")];
    let ended = home.xopero_as("backup.txt", &arguments);
    assert_eq!(ended.code, 9, "{}", ended.stderr);
    assert!(ended.stderr.contains(key) && !to.exists(), "{}", ended.stderr);
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).expect(9).says(key);

    let reports = home.reports("nightly");
    let report = &reports["PAY/ledger"];
    assert_eq!(report["result"], "changed", "{report}");
    let note = report["notes"][0].as_str().expect("it is a text");
    assert!(note.contains("nas: the chain begins anew") && note.contains("found damage"), "{note}");
    assert_eq!(reports["PAY/quiet"]["result"], "unchanged");
    home.prove(&ledger);
    home.prove(&quiet);
    ledger.commit("main");
    home.run("nightly");
    home.prove(&ledger);
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).success();
}

#[test]
fn what_a_chain_lost_is_stored_anew_and_no_more() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.tag("v1"));
    let home = usual(world);
    home.run("nightly");
    let damages = [
        ("*.pack.age", "is missing", "rm"),
        ("*.json.zst.age", "is missing", "rm"),
        ("*.pack.age", "were stored", "truncate -s -1"),
    ];
    for (pattern, expected, command) in damages {
        let script = format!("find \"$1/servers\" -name '{pattern}' -exec {command} {{}} +");
        stock(&home, "sh", &["-c", &script, "sh", home.destination("nas").to_str().expect("the path is UTF-8")]);
        let reports = home.reports("nightly");
        let report = &reports["PAY/ledger"];
        let note = report["notes"][0].as_str().unwrap_or_else(|| panic!("no note: {reports:?}"));
        assert!(note.contains(expected), "{note}");
        // Packs that are whole are not taken again.
        assert_eq!(report["objects"] == 0, pattern.contains("json"), "{report}");
        home.prove(&ledger);
        assert_eq!(home.run("nightly")["totals"]["unchanged"], 1);
    }
}
