//! The file against what is in force: what a plan shows, what an approval covers, and the exit codes.

use fake_bitbucket::World;
use serde_json::Value;

use crate::file;
use crate::proof::{in_two_files, options, usual};
use crate::support::{Home, edit, file_text, write_text};

fn plan(home: &Home) -> String {
    let text = home.xopero(&["plan"]).success().stdout;
    // A public key is never broken: people copy it.
    let narrow = |line: &str| line.chars().count() <= 80 || line.trim_start().starts_with("\"age1");
    assert!(text.lines().all(narrow), "{text}");
    text
}

/// The id of the change set, as `plan --json` tells it.
fn plan_id(home: &Home) -> String {
    let lines = home.xopero(&["plan", "--json"]).success().json();
    let id = lines.iter().find_map(|line| line["plan_id"].as_str());
    id.unwrap_or_else(|| panic!("no plan_id in {lines:?}")).to_owned()
}

#[test]
fn a_plan_shows_what_would_change_and_apply_does_it_once() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = Home::new(world, options());
    let plans = file::plan("nightly", "PAY", "", &["nas"]);
    home.write_file(&["nas"], &(file::project("PAY") + &plans));
    home.add_credential("PAY", None, "main");

    let shown = plan(&home);
    for address in ["recipients", "server/bb", "destination/nas", "project/PAY", "plan/nightly"] {
        let line = shown.lines().find(|line| line.contains(address)).unwrap_or_else(|| panic!("{address}:\n{shown}"));
        assert!(line.trim_start().starts_with('+'), "{line}");
    }
    assert!(shown.contains("To apply:  xopero apply"), "{shown}");
    assert!(!home.path().join(".xopero").exists(), "looking makes nothing");
    home.xopero(&["plan", "--detailed-exitcode"]).expect(2);

    let first = home.xopero(&["apply", "--auto-approve"]).success().says("Applied as generation 1");
    assert!(first.stdout.contains("+ "), "{}", first.stdout);
    let marker = std::fs::read_to_string(home.destination("nas").join("xopero.json")).unwrap();
    assert!(marker.contains("lineage"), "{marker}");
    home.xopero(&["plan", "--detailed-exitcode"]).success().says("No changes");
    home.xopero(&["apply", "--auto-approve"]).success().says("Nothing to apply");
    assert_eq!(std::fs::read_to_string(home.destination("nas").join("xopero.json")).unwrap(), marker);

    // Comments and order are not changes.
    let text = file_text(&home).replace("retention \"all\" {", "// a comment\nretention \"all\" {\n");
    write_text(&home, &text);
    home.xopero(&["plan", "--detailed-exitcode"]).success();

    edit(&home, "concurrency listing=4 packs=2", "concurrency listing=6 packs=2");
    let shown = plan(&home);
    let change = shown.lines().find(|line| line.contains("server/bb")).unwrap();
    assert!(change.trim_start().starts_with('~'), "{change}");
    let attribute = shown.lines().find(|line| line.contains("listing")).unwrap();
    assert!(attribute.contains('4') && attribute.contains('6') && attribute.contains("->"), "{shown}");
    assert!(!shown.contains("destination/nas"), "what stays is not shown:\n{shown}");
    home.xopero(&["plan", "--detailed-exitcode"]).expect(2);
    home.xopero(&["apply", "--approve", &plan_id(&home)]).success().says("Applied as generation 2");
    home.run("nightly");
}

#[test]
fn a_plan_is_lines_of_json_for_programs() {
    let home = usual(World::new());
    edit(&home, "keep last=100", "keep last=200");
    let lines = home.xopero(&["plan", "--json", "--detailed-exitcode"]).expect(2).json();
    assert!(lines.iter().all(|line| line["type"].is_string()), "{lines:?}");
    let changed: Vec<&Value> = lines.iter().filter(|line| line["address"] == "retention/all").collect();
    assert_eq!(changed.len(), 1, "{lines:?}");
    assert_eq!(changed[0]["action"], "update", "{lines:?}");
}

#[test]
fn declaring_a_credential_does_not_enable_it() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = usual(world);
    let add = ["credential", "add", "PAY", "extra-1", "--account", "second"];
    home.xopero_with_input(&add, "token-of-second\n").success().says("does not enable it");
    let shown = plan(&home);
    assert!(shown.contains("credential/PAY/extra-1") && shown.contains("no plan enables it"), "{shown}");
    home.apply();
    let shown = plan(&home);
    assert!(shown.contains("No changes") && shown.contains("no plan enables it"), "still said:\n{shown}");
    let summary = home.run("nightly");
    assert!(summary["ledger"]["requests"]["second"].is_null(), "{summary}");

    edit(
        &home,
        "plan \"nightly\" {\n    project \"PAY\"",
        "plan \"nightly\" {\n    project \"PAY\" {\n        enable-credentials \"extra-1\"\n    }",
    );
    let shown = plan(&home);
    assert!(shown.contains("extra-1") && !shown.contains("no plan enables it"), "{shown}");
}

#[test]
fn an_invalid_file_is_refused_with_the_place() {
    let world = World::new();
    let _no_repositories = world.project("PAY");
    let home = usual(world);
    let good = file_text(&home);
    let bad = good.replace("parts \"git\"", "partz \"git\"").replace("retention \"all\"\n}", "retention \"al\"\n}");
    write_text(&home, &bad);
    for command in [&["validate"][..], &["plan"], &["apply", "--auto-approve"], &["plan", "--detailed-exitcode"]] {
        let ended = home.xopero(command).expect(3);
        // Both problems at once.
        assert!(ended.stderr.contains("partz") && ended.stderr.contains("parts"), "{}", ended.stderr);
        assert!(ended.stderr.contains("\"al\"") && ended.stderr.contains("xopero.kdl"), "{}", ended.stderr);
    }
    write_text(&home, &good.replace("parts \"git\"", "parts \"git\" \"lfs\""));
    home.xopero(&["plan"]).expect(3).says("lfs");
    std::fs::remove_file(home.path().join("xopero.kdl")).unwrap();
    home.xopero(&["plan"]).expect(3).says("xopero.kdl");
    // What is in force stays in force.
    home.run("nightly");
}

#[test]
fn a_declaration_can_be_in_several_files() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let (home, included) = in_two_files(world);

    // A credential goes into the file that declares its project.
    let main = file_text(&home);
    home.add_credential("PAY", None, "main");
    assert_eq!(file_text(&home), main);
    assert!(std::fs::read_to_string(&included).unwrap().contains("account=\"main\""));

    let shown = plan(&home);
    let stands = |what: &str, place: &str| shown.lines().any(|line| line.contains(what) && line.contains(place));
    assert!(stands("+ project/PAY ", "# teams/pay.kdl:1") && stands("+ server/bb ", "# xopero.kdl:"), "{shown}");
    home.apply();
    home.run("nightly");
    home.prove(&ledger);

    // Problems of all files in one report; what is declared twice is shown in both.
    let good = std::fs::read_to_string(&included).unwrap();
    std::fs::write(&included, format!("{good}retention \"all\" {{\n    keep lost=1\n}}\n")).unwrap();
    edit(&home, "concurrency listing=4", "concurrency lasting=4");
    let ended = home.xopero(&["validate"]).expect(3);
    for text in ["\"lasting\"", "\"lost\"", "there twice", "already here", "xopero.kdl:", "teams/pay.kdl:"] {
        assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
    }
    std::os::unix::fs::symlink("/etc", home.path().join("elsewhere")).unwrap();
    write_text(&home, &main.replace("teams/pay.kdl", "elsewhere/passwd"));
    home.xopero(&["plan"]).expect(3).says("leads out of");
}

#[test]
fn what_is_guarded_needs_an_approval_of_exactly_that() {
    let home = usual(World::new());
    edit(&home, "keep last=100", "keep last=5");
    let shown = plan(&home);
    assert!(shown.contains("Guards") && shown.contains("tightened-retention"), "{shown}");
    let refused = home.xopero(&["apply", "--auto-approve"]).expect(4).says("tightened-retention");
    let id = plan_id(&home);
    assert!(refused.stderr.contains(&format!("xopero apply --approve {id}")), "{}", refused.stderr);

    // The file moves on: what was approved is not what would happen.
    edit(&home, "keep last=5", "keep last=4");
    let stale = home.xopero(&["apply", "--approve", &id]).expect(5).says("stale");
    assert!(stale.stderr.contains(&id) && stale.stderr.contains(&plan_id(&home)), "{}", stale.stderr);
    home.xopero(&["apply", "--approve", &plan_id(&home)]).success().says("Applied as generation 2");
    home.xopero(&["apply", "--approve", "not-an-id"]).expect(64);
    let nothing = home.xopero(&["apply"]).success().says("Nothing to apply");
    assert!(!nothing.stdout.contains("Actions"), "{}", nothing.stdout);
    edit(&home, "keep last=4", "keep last=40");
    home.xopero(&["apply"]).expect(64).says("--auto-approve");
}

#[test]
fn a_plan_that_leaves_the_file_is_guarded_and_its_backups_stay() {
    let world = World::new();
    let ledger = world.project("PAY").repository("ledger", |recipe| recipe.commits(2));
    let home = usual(world);
    home.run("nightly");
    let text = file_text(&home);
    // A file without any plan changes nothing.
    let without = text[..text.find("plan \"nightly\"").unwrap()].to_owned();
    write_text(&home, &without);
    home.xopero(&["apply", "--approve", &plan_id(&home)]).expect(4).says("no-plans").says("retire each of them");
    write_text(&home, &text.replace("plan \"nightly\"", "plan \"weekly\""));
    let shown = plan(&home);
    assert!(shown.contains("moved \"plan/nightly\" to=\"plan/weekly\""), "{shown}");
    assert!(shown.lines().any(|line| line.trim_start().starts_with("- plan/nightly")), "{shown}");
    home.xopero(&["apply", "--auto-approve"]).expect(4).says("plan-leaves");
    home.run("nightly");
    home.xopero(&["apply", "--approve", &plan_id(&home)]).success();
    home.xopero(&["run", "nightly"]).expect(1).says("nightly");
    home.prove(&ledger);
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).success();
}

#[test]
fn who_is_told_of_a_misspelt_word_is_not_told_what_follows() {
    let home = usual(World::new());
    edit(&home, "project \"PAY\" server", "projct \"PAY\" server");
    let told = home.xopero(&["validate"]).expect(3).says("there is no node \"projct\"").says("did you mean `project`?");
    assert!(!told.stderr.contains("there is no project"), "{}", told.stderr);
    assert_eq!(told.stderr.matches("xopero::").count(), 1, "{}", told.stderr);
    edit(&home, "plan \"nightly\" {", "plan \"nightly\" {\n    project \"OPS\"");
    home.xopero(&["validate"]).expect(3).says("there is no project `OPS`");
}

#[test]
fn a_renamed_plan_goes_on_with_its_snapshots_and_so_does_one_that_is_rolled_back() {
    let world = World::new();
    let _ledger = world.project("PAY").repository("ledger", |recipe| recipe.commits(2));
    let home = usual(world);
    home.run("nightly");
    edit(&home, "plan \"nightly\"", "plan \"hourly\"");
    write_text(&home, &format!("{}moved \"plan/nightly\" to=\"plan/hourly\"\n", file_text(&home)));
    home.xopero(&["apply", "--auto-approve"]).success().says("moved from plan/nightly");
    assert_eq!(home.run("hourly")["totals"]["unchanged"], 1, "nothing is stored anew");
    let listed = |arguments: &[&str]| {
        let found = home.xopero_as("backup.txt", &[&["snapshots", "--json", "--plan"], arguments].concat()).success();
        found.json().into_iter().filter(|line| line["type"] == "snapshot").count()
    };
    assert_eq!((listed(&["hourly"]), listed(&["nightly"])), (1, 1));
    let line = home.xopero(&["snapshots", "--json"]).success().line("snapshot");
    assert_eq!((&line["plan"], &line["plan_then"]), (&"hourly".into(), &"nightly".into()));
    home.xopero(&["snapshots"]).success().says("hourly (then nightly)");
    home.xopero(&["snapshots", "--plan", "weekly"]).expect(1);

    // Without the state the snapshots themselves tell which plan had the name.
    let nas = home.destination("nas");
    let nas = nas.to_str().unwrap();
    assert_eq!(listed(&["nightly", "--from", nas]), 1);
    home.xopero_as("backup.txt", &["snapshots", "--plan", "hourly", "--from", nas]).expect(1);
    home.server.world().project("PAY").repository("other", |recipe| recipe.commits(1));
    home.run("hourly");
    assert_eq!((listed(&["hourly", "--from", nas]), listed(&["nightly", "--from", nas])), (2, 2));

    let back = home.xopero(&["rollback", "1", "--auto-approve"]).success().says("moved from plan/hourly");
    assert!(!back.stdout.contains("retire"), "{}", back.stdout);
    assert_eq!((home.run("nightly")["totals"]["unchanged"].clone(), listed(&["nightly"])), (2.into(), 2));
}

#[test]
fn a_run_says_when_the_file_is_ahead_of_what_is_in_force() {
    let world = World::new();
    let _no_repositories = world.project("PAY");
    let home = usual(world);
    edit(&home, "keep last=100", "keep last=200");
    home.xopero(&["run", "nightly"]).success().says("differs from generation 1");
    let nothing = Home::new(World::new(), options());
    nothing.write_file(&["nas"], "");
    nothing.xopero(&["run", "nightly"]).expect(1).says("xopero apply");
    nothing.xopero_as("backup.txt", &["snapshots"]).expect(1).says("xopero apply");
}

#[test]
fn a_wrong_command_line_is_told_apart_from_a_failure() {
    let home = Home::new(World::new(), options());
    let wrong: [&[&str]; 6] = [
        &["frobnicate"],
        &["run"],
        &["plan", "--no-such-option"],
        &["apply", "--auto-approve", "--approve", "0123456789ab"],
        &["restore", "PAY/ledger"],
        &[],
    ];
    for arguments in wrong {
        let ended = home.xopero(arguments).expect(64);
        assert!(ended.stdout.is_empty() && ended.stderr.contains("Usage"), "{arguments:?}: {}", ended.stderr);
    }
    home.xopero(&["--help"]).success().says("Usage");
    let version = home.xopero(&["--version"]).success().stdout;
    let commit = version.trim().strip_prefix(concat!("xopero ", env!("CARGO_PKG_VERSION"), " ("));
    let commit = commit.and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{version}"));
    let digits = commit.trim_end_matches("-dirty").trim_end_matches('+');
    assert!(digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}");
}
