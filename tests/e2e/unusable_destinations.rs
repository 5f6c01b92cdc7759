//! Destinations, identities and stored bytes that are not what they were.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fake_bitbucket::{Repository, World, judge};

use crate::scene::{listed, readers, run, run_for_people, safe, stored, summary, task, tidy};
use crate::support::Home;

fn scene() -> (Home, Repository) {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    (home, ledger)
}

/// The same with the destinations `nas` and `offsite`.
fn two_destinations() -> (Home, Repository) {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.bulk(3, 2_000_000));
    let home = Home::new(world, readers(&["main"]));
    home.write_file(&["nas", "offsite"], "project \"PAY\" server=\"bb\" {\n}\nplan \"nightly\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    destination \"offsite\"\n    retention \"all\"\n}\n");
    home.add_credential("PAY", None, "main");
    home.apply();
    (home, ledger)
}

fn marker(home: &Home, name: &str) -> PathBuf {
    home.destination(name).join("xopero.json")
}

#[test]
fn a_destination_without_its_marker_is_never_a_fresh_start() {
    let (home, _) = scene();
    run(&home, 0);
    let away = home.path().join("away");
    fs::rename(marker(&home, "nas"), &away).unwrap();
    run_for_people(&home, 1).says("destinations/nas is not a destination").says("is the disk mounted at");
    fs::rename(&away, marker(&home, "nas")).unwrap();
    fs::rename(home.destination("nas"), &away).unwrap();
    run_for_people(&home, 1).says("cannot use the destination").says("check that the directory exists");
    assert!(!home.destination("nas").exists(), "nothing is created");
    fs::create_dir(home.destination("nas")).unwrap();
    run_for_people(&home, 1).says("is the disk mounted at");
    assert_eq!(fs::read_dir(home.destination("nas")).unwrap().count(), 0, "nothing is written");
    fs::remove_dir(home.destination("nas")).unwrap();
    fs::rename(&away, home.destination("nas")).unwrap();
    assert_eq!(summary(&run(&home, 0))["totals"]["unchanged"], 1);
}

#[test]
fn a_destination_of_somebody_else_is_refused() {
    let (home, _) = scene();
    let (other, _) = scene();
    run(&home, 0);
    let before = fs::read_to_string(marker(&home, "nas")).unwrap();
    fs::write(marker(&home, "nas"), fs::read(marker(&other, "nas")).unwrap()).unwrap();
    let refused = |arguments: &[&str]| {
        let ended = home.xopero(arguments).expect(1).says("belongs to another lineage");
        ended.says("two states must not write to one place")
    };
    tidy(&home, &refused(&["run", "nightly"]));
    let path = home.path().join("xopero.kdl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("keep last=100", "keep last=101")).unwrap();
    refused(&["apply", "--auto-approve"]);
    fs::write(&path, text).unwrap();
    let exchanged: serde_json::Value = serde_json::from_str(&before).unwrap();
    let mut exchanged = exchanged.clone();
    exchanged["destination"] = "01ARZ3NDEKTSV4RRFFQ69G5FAV".into();
    fs::write(marker(&home, "nas"), exchanged.to_string()).unwrap();
    run_for_people(&home, 1).says("is not the destination that was applied").says("another disk");
    let newer = before.replace("\"format\": 1", "\"format\": 7");
    fs::write(marker(&home, "nas"), newer).unwrap();
    run_for_people(&home, 1).says("has format 7; this version of xopero reads up to 1").says("newer version");
    fs::write(marker(&home, "nas"), "{\"format\":").unwrap();
    run_for_people(&home, 1).says("xopero.json cannot be read").says("from a copy");
    fs::write(marker(&home, "nas"), before).unwrap();
    run(&home, 0);
}

#[test]
fn a_destination_that_is_gone_leaves_the_other_complete() {
    let (home, ledger) = two_destinations();
    let (there, away) = (marker(&home, "offsite"), home.path().join("away"));
    fs::rename(&there, &away).unwrap();
    run_for_people(&home, 8).says("failed: destination offsite").says("is the disk mounted at");
    assert_eq!(listed(&home), ["PAY/ledger"]);
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
    assert_eq!(stored(&home, "offsite", "").len(), 0);
    assert_eq!(summary(&run(&home, 8))["destinations_failed"][0]["destination"], "offsite");
    fs::rename(&away, &there).unwrap();
    assert_eq!(summary(&run(&home, 0))["totals"]["new"], 1, "the other one catches up");
    assert_eq!(stored(&home, "offsite", "packs").len(), 1);
    assert_eq!(stored(&home, "nas", "packs").len(), 1);
    run_for_people(&home, 0).says("1 unchanged");
}

#[test]
fn a_destination_that_fails_in_the_middle_leaves_the_other_complete() {
    let (home, ledger) = two_destinations();
    // A file where a directory must be: what is read-only or full looks the same to root and to everybody else.
    fs::write(home.destination("offsite").join("servers"), "").unwrap();
    let ended = run(&home, 8);
    let report = task(&ended, "ledger");
    assert_eq!(report["result"], "failed", "{report}");
    let error = report["error"].to_string();
    assert!(error.contains("offsite: ") && error.contains("destinations/offsite"), "{error}");
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
    // By now the destinations need streams of their own, and the one that fails must not take the other's with it.
    ledger.commit_large("main", 3 << 20);
    run(&home, 8);
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
    assert_eq!(stored(&home, "nas", "packs").len(), 2);
    fs::remove_file(home.destination("offsite").join("servers")).unwrap();
    run(&home, 0);
    assert_eq!(stored(&home, "offsite", "packs").len(), 1);
    assert_eq!(stored(&home, "nas", "packs").len(), 2);
}

#[test]
fn identities_are_found_private_and_fitting_or_named() {
    let (home, _) = scene();
    run(&home, 0);
    let file = home.path().join("identity.txt");
    let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    run_for_people(&home, 7).says("identity.txt is open to other users (mode 0644)").says("chmod 600");
    mode(0o600);
    let missing = home.xopero_as("nowhere.txt", &["run", "nightly"]).expect(7);
    missing.says("nowhere.txt").says("XOPERO_IDENTITY_FILE");
    let none = home.xopero_command(&["run", "nightly"]).output().unwrap();
    assert_eq!(none.status.code(), Some(7));
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(said.contains("no identity file found") && said.contains("xopero secrets keygen"), "{said}");
    home.xopero_as("backup.txt", &["run", "nightly"])
        .expect(7)
        .says("cannot open credential/PAY/main")
        .says("none of the identities at hand opens it");
    for command in [&["restore", "PAY/ledger", "--to", "out"][..], &["verify", "PAY/ledger"]] {
        home.xopero(command).expect(7).says("none of the identities at hand opens it").says("--identity");
    }
    assert!(!home.path().join("out").exists());
}

/// Verify and restore find damage and name it, whichever way the snapshot is asked for; nothing is restored.
fn is_damaged(home: &Home, words: &[&str]) {
    let from = home.destination("nas");
    let from = from.to_str().expect("the path is UTF-8");
    for arguments in [
        &["verify", "PAY/ledger"][..],
        &["restore", "PAY/ledger", "--to", "out"],
        &["export", "PAY/ledger", "--bundle", "out"],
        &["verify", "PAY/ledger", "--json"],
        &["restore", "PAY/ledger", "--to", "out", "--from", from],
    ] {
        let mut ended = home.xopero_as("backup.txt", arguments).expect(9);
        for word in words {
            ended = ended.says(word);
        }
        safe(&(ended.stdout + &ended.stderr));
        let entries = fs::read_dir(home.path()).expect("the home can be read").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let partial: Vec<_> = names.filter(|name| name.contains("out")).collect();
        assert!(partial.is_empty(), "{partial:?}");
    }
}

#[test]
fn damage_in_stored_packs_is_found_and_named() {
    let (home, ledger) = scene();
    run(&home, 0);
    ledger.commit_large("main", 50_000);
    run(&home, 0);
    let packs = stored(&home, "nas", "packs");
    let [first, second] = &packs[..] else { panic!("{packs:?}") };
    let whole = fs::read(first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    for place in [0, 20, 300, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        fs::write(first, flipped).unwrap();
        is_damaged(&home, &[name]);
    }
    fs::write(first, &whole[..whole.len() - 10]).unwrap();
    is_damaged(&home, &[name]);
    fs::write(first, [&whole[..], b"x"].concat()).unwrap();
    is_damaged(&home, &[name]);
    fs::write(first, b"").unwrap();
    is_damaged(&home, &[name]);
    fs::write(first, fs::read(second).unwrap()).unwrap();
    fs::write(second, &whole).unwrap();
    is_damaged(&home, &[name]);
    fs::write(second, fs::read(first).unwrap()).unwrap();
    fs::remove_file(first).unwrap();
    is_damaged(&home, &[name]);
    // The next run stores the repository anew, and says so.
    let ended = run(&home, 0);
    assert!(task(&ended, "ledger")["notes"].to_string().contains("the chain begins anew"));
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
}

#[test]
fn damage_in_manifests_is_found_and_named() {
    let (home, ledger) = scene();
    run(&home, 0);
    let manifest = stored(&home, "nas", "snapshots").pop().unwrap();
    let name = manifest.file_name().unwrap().to_str().unwrap().to_owned();
    let whole = fs::read(&manifest).unwrap();
    for place in [0, 20, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        fs::write(&manifest, flipped).unwrap();
        home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).expect(9).says(&name);
        home.xopero_as("backup.txt", &["restore", "PAY/ledger", "--to", "out"]).expect(9).says(&name);
        let from = home.destination("nas");
        let stored = home.xopero_as("backup.txt", &["snapshots", "--json", "--from", from.to_str().unwrap()]);
        let stored = stored.expect(9);
        assert!(!stored.stdout.contains(r#""type":"snapshot""#), "it is not listed: {}", stored.stdout);
        assert!(stored.stderr.contains(&name), "{}", stored.stderr);
    }
    // It counts no longer: a run without any change writes a manifest that is whole, and takes no pack again.
    let ended = run(&home, 0);
    assert_eq!((&task(&ended, "ledger")["result"], &task(&ended, "ledger")["objects"]), (&"changed".into(), &0.into()));
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).success();
    // A newer one that is whole can still be found without the state.
    fs::write(&manifest, b"junk").unwrap();
    ledger.commit("main");
    run(&home, 0);
    let from = home.destination("nas");
    let arguments = ["restore", "PAY/ledger", "--to", "rescued", "--from", from.to_str().unwrap()];
    home.xopero_as("backup.txt", &arguments).success();
    judge::compare(&ledger.path(), &home.path().join("rescued")).unwrap();
    let newest = stored(&home, "nas", "snapshots").pop().unwrap();
    let content = fs::read(&newest).unwrap();
    fs::write(&newest, b"junk").unwrap();
    // Without the state nobody knows whose manifest that was: the one before it is taken, and that is said.
    let passed_over = home.xopero_as("backup.txt", &["verify", "PAY/ledger", "--from", from.to_str().unwrap()]);
    passed_over.success().says("could not be read and passed over");
    fs::write(&newest, content).unwrap();
    let (manifest, name) = (newest.clone(), newest.file_name().unwrap().to_str().unwrap().to_owned());
    fs::remove_file(&manifest).unwrap();
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).expect(9).says(&name).says("missing");
    assert_eq!(home.xopero(&["snapshots", "--json"]).success().json()[0]["state"], "missing");
    home.xopero(&["snapshots"]).success().says("missing");
    assert!(!home.path().join("out").exists());
    let ended = run(&home, 0);
    assert!(task(&ended, "ledger")["notes"].to_string().contains("the manifest is written anew"));
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
}

#[test]
fn a_restore_never_overwrites() {
    let (home, _) = scene();
    run(&home, 0);
    let target = home.path().join("out");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("precious"), "mine").unwrap();
    home.xopero_as("backup.txt", &["restore", "PAY/ledger", "--to", "out"])
        .expect(1)
        .says("out exists already")
        .says("does not exist yet");
    home.xopero_as("backup.txt", &["export", "PAY/ledger", "--bundle", "out/precious"]).expect(1).says("exists");
    assert_eq!(fs::read_to_string(target.join("precious")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}
