//! The main job: declare, plan, apply, run, restore.

use fake_bitbucket::{World, judge};

use crate::proof::{options, usual};
use crate::scene::edit;
use crate::support::Home;

#[test]
fn a_project_is_backed_up_and_restored() {
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| recipe.everything());
    project.repository("empty", |recipe| recipe.empty());
    project.repository("old", |recipe| recipe.archived());
    let home = Home::new(world, options());
    home.apply_usual();
    let summary = home.run("nightly");
    assert_eq!(summary["totals"]["new"], 3, "{summary}");
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();

    let again = home.run("nightly");
    assert_eq!(again["totals"]["unchanged"], 3, "{again}");

    ledger.commit("main");
    ledger.force_push("main", 2);
    let third = home.run("nightly");
    assert_eq!(third["totals"]["changed"], 1, "{third}");
    judge::compare(&ledger.path(), &home.restore("PAY/ledger")).unwrap();
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).success().says("whole");
}

#[test]
fn a_paused_plan_runs_when_a_person_starts_it() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    let home = usual(world);
    edit(
        &home,
        "    parts \"git\"",
        "    parts \"git\"\n    paused reason=\"the storage is moved\" until=\"2099-01-01\"",
    );
    let plan = home.xopero(&["plan"]).success().stdout;
    assert!(plan.contains("paused until 2099-01-01: the storage is moved"), "{plan}");
    let ended = home.xopero(&["run", "nightly"]).success();
    let ended = ended.says("nightly is paused until 2099-01-01 (the storage is moved)");
    assert!(ended.stdout.contains("1 new"), "{}", ended.stdout);
}
