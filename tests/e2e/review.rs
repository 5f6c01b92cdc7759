//! Reviewing a change: saved plans, comments, approvals, the history and the way back.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use fake_bitbucket::{Action, Gate, Kind, When, World};
use nix::pty::{Winsize, openpty};
use rustix::process::Signal;
use serde_json::Value;
use xopero::state::{Exclusive, LockBody, StateLocation, StateLock};

use crate::json_schema::demand_valid;
use crate::proof::usual;
use crate::scene::{PATIENCE, safe, tidy};
use crate::support::{Home, edit};

/// Lines of a plan that have a schema.
const SCHEMA: &str = "plan-output.schema.json";

fn path(home: &Home, name: &str) -> std::path::PathBuf {
    home.path().join(name)
}

fn world() -> World {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
    world
}

#[test]
fn a_saved_plan_applies_as_long_as_it_is_true() {
    let home = usual(world());
    edit(&home, "keep last=100", "keep last=200");
    let shown = home.xopero(&["plan", "--out", "a.xplan"]).success().says("To apply:  xopero apply a.xplan");
    tidy(&home, &shown);
    let text = std::fs::read_to_string(path(&home, "a.xplan")).unwrap();
    assert_eq!(path(&home, "a.xplan").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!text.contains("AGE ENCRYPTED"), "{text}");
    home.xopero(&["plan", "-o", "b.xplan"]).success();
    assert_eq!(std::fs::read_to_string(path(&home, "b.xplan")).unwrap(), text, "one plan, one text");

    // The file moves on.
    edit(&home, "keep last=200", "keep last=300");
    let stale = home.xopero(&["apply", "a.xplan"]).expect(5).says("xopero.kdl has changed");
    assert!(stale.stderr.contains("retention/all: keep.last: 100 -> 200 then, 100 -> 300 now"), "{}", stale.stderr);
    let stale = home.xopero(&["apply", "a.xplan", "--json"]).expect(5);
    demand_valid(SCHEMA, &stale.json());
    assert_eq!(stale.line("error")["details"].as_array().unwrap().len(), 2, "{}", stale.stdout);

    // The state moves on.
    edit(&home, "keep last=300", "keep last=200");
    edit(&home, "concurrency listing=4", "concurrency listing=5");
    home.xopero(&["apply", "--auto-approve"]).success();
    let stale = home.xopero(&["apply", "a.xplan"]).expect(5).says("from generation 1 to generation 2");
    assert!(stale.stderr.contains("there is nothing to apply"), "{}", stale.stderr);

    // What is saved and still true is applied, and asked for twice it is no failure.
    edit(&home, "keep last=200", "keep last=150");
    home.xopero(&["plan", "--out", "c.xplan"]).success();
    home.xopero(&["apply", "c.xplan"]).success().says("Applied as generation 3");
    home.xopero(&["apply", "c.xplan"]).success().says("Nothing to apply");

    std::fs::write(path(&home, "d.xplan"), "{}").unwrap();
    home.xopero(&["apply", "d.xplan"]).expect(1).says("xopero plan --out");
    home.xopero(&["apply", "no.xplan"]).expect(1).says("no.xplan");
    home.xopero(&["apply", "c.xplan", "--auto-approve"]).expect(64);
    home.xopero(&["plan", "--out", "./xopero.kdl"]).expect(64).says("declares the backups");
    home.xopero(&["plan", "--out", "no/such/folder/x"]).expect(1).says("no/such/folder/x");
}

#[test]
fn a_plan_of_another_state_is_refused() {
    let (home, other) = (usual(World::new()), usual(World::new()));
    edit(&home, "keep last=100", "keep last=200");
    edit(&other, "keep last=100", "keep last=200");
    home.xopero(&["plan", "--out", "a.xplan"]).success();
    std::fs::copy(path(&home, "a.xplan"), path(&other, "a.xplan")).unwrap();
    other.xopero(&["apply", "a.xplan"]).expect(5).says("lineage");
}

#[test]
fn an_approval_that_fits_nothing_is_told() {
    let home = usual(World::new());
    home.xopero(&["apply", "--approve", "0123456789ab"]).expect(5).says("there is nothing to apply");
    edit(&home, "keep last=100", "keep last=5");
    let refused = home.xopero(&["apply", "--auto-approve"]).expect(4);
    assert!(refused.stderr.contains("last from 100 to 5"), "the numbers: {}", refused.stderr);
    let refused = home.xopero(&["apply", "--auto-approve", "--json"]).expect(4);
    demand_valid(SCHEMA, &refused.json());
    assert!(refused.line("error")["details"][0].as_str().unwrap().starts_with("tightened-retention"));
}

#[test]
fn every_line_for_programs_fits_the_schema() {
    let home = usual(world());
    edit(&home, "keep last=100", "keep last=5");
    edit(&home, "plan \"nightly\"", "plan \"hourly\"");
    let planned = home.xopero(&["plan", "--json", "--out", "a.xplan"]).success().json();
    demand_valid(SCHEMA, &planned);
    assert_eq!((&planned[0]["type"], &planned[0]["format"]), (&Value::from("version"), &Value::from("1.0")));
    let created = planned.iter().find(|line| line["address"] == "plan/hourly" && line["type"] == "change").unwrap();
    assert!(created["at"]["line"].is_u64(), "{created}");
    assert_eq!(planned.last().unwrap()["type"], "saved");
    demand_valid(SCHEMA, &home.xopero(&["apply", "a.xplan", "--json"]).success().json());
    demand_valid(SCHEMA, &home.xopero(&["apply", "--auto-approve", "--json"]).success().json());
    demand_valid(SCHEMA, &home.xopero(&["history", "2", "--json"]).success().json());
    demand_valid(SCHEMA, &home.xopero(&["history", "--json"]).success().json());
    edit(&home, "parts \"git\"", "partz \"git\"");
    demand_valid(SCHEMA, &home.xopero(&["plan", "--json"]).expect(3).json());
}

#[test]
fn a_comment_for_a_pull_request_is_markdown() {
    let home = usual(World::new());
    edit(&home, "local \"destinations/nas\"", "local \"destinations/nas ``` @all\"");
    edit(&home, "keep last=100", "keep last=5");
    let ended = home.xopero(&["plan", "--markdown", "--detailed-exitcode"]).expect(2);
    tidy(&home, &ended);
    let text = &ended.stdout;
    assert!(text.starts_with("### xopero plan `") && text.contains("````diff\n"), "{text}");
    assert!(text.contains("tightened-retention") && text.contains("xopero apply --approve "), "{text}");
    home.xopero(&["plan", "--markdown", "--json"]).expect(64);
}

#[test]
fn the_history_tells_and_a_rollback_goes_back() {
    let home = usual(world());
    let first = std::fs::read_to_string(path(&home, "xopero.kdl")).unwrap();
    edit(&home, "keep last=100", "keep last=200");
    home.apply();
    let shown = home.xopero(&["history"]).success();
    tidy(&home, &shown);
    let rows: Vec<&str> = shown.stdout.lines().collect();
    assert!(rows[1].contains("tester@") && rows[1].contains("1 changed"), "{}", shown.stdout);
    assert!(rows[2].contains(" added"), "{}", shown.stdout);
    home.xopero(&["history", "2"]).success().says("keep.last = 100 -> 200").says("Generation 2: applied");
    home.xopero(&["history", "7"]).expect(1).says("not remembered");

    // Back to fewer backups is as guarded as forward to fewer.
    let refused = home.xopero(&["rollback", "1", "--auto-approve"]).expect(4).says("tightened-retention");
    let start = refused.stderr.find("xopero rollback 1 --approve ").unwrap_or_else(|| panic!("{}", refused.stderr));
    let id = refused.stderr[start..].trim_start_matches("xopero rollback 1 --approve ").get(..12).unwrap();
    let back = home.xopero(&["rollback", "1", "--approve", id]).success().says("Applied as generation 3");
    assert!(back.stderr.contains("xopero.kdl says something else"), "{}", back.stderr);
    home.xopero(&["plan"]).success().says("keep.last = 100 -> 200");
    home.xopero(&["history"]).success().says("back to 1: 1 changed");
    home.run("nightly");

    // The file follows, and there is nothing left to say.
    std::fs::write(path(&home, "xopero.kdl"), first).unwrap();
    home.xopero(&["plan", "--detailed-exitcode"]).success();
    let again = home.xopero(&["rollback", "1", "--auto-approve"]).success().says("Nothing to apply");
    assert!(again.stderr.is_empty(), "{}", again.stderr);
    home.xopero(&["rollback", "9", "--auto-approve"]).expect(1).says("xopero history");
    let lines = home.xopero(&["history", "--json"]).success().json();
    assert_eq!((&lines[1]["rollback_of"], &lines[1]["in_force"]), (&Value::from(1), &Value::from(true)));
}

#[test]
fn one_apply_waits_for_another_or_says_who_it_is() {
    let home = usual(World::new());
    edit(&home, "keep last=100", "keep last=200");
    let body = LockBody {
        id: "1".into(),
        who: "ada@vault".into(),
        pid: 7,
        operation: "apply".into(),
        since: "2026-11-22T00:00:00Z".parse().unwrap(),
    };
    let location = StateLocation::beside(home.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let held = runtime.block_on(StateLock::acquire(&location, Exclusive::Applying, &body)).unwrap();
    let told = home.xopero(&["apply", "--auto-approve"]).expect(6).says("ada@vault").says("2026-11-22T00:00:00Z");
    safe(&told.stderr);
    home.xopero(&["apply", "--auto-approve", "--wait", "1ms"]).expect(6).says("waiting for ada@vault");
    home.xopero(&["apply", "--auto-approve", "--wait", "soon"]).expect(64);
    let waits = home.start(&["apply", "--auto-approve", "--wait", "1m"]);
    drop(held);
    waits.wait().success().says("Applied as generation 2");
}

#[test]
fn a_killed_holder_leaves_nothing_to_clean_up() {
    let home = usual(world());
    let gate = Gate::new();
    home.server.fault(When::kind(Kind::LS_REFS).first(1), Action::Hang(gate.clone()));
    let run = home.start(&["run", "nightly"]);
    assert!(gate.reached_blocking(PATIENCE));
    home.xopero(&["run", "nightly"]).expect(6).says("run nightly").says(&run.id().to_string());
    // The run goes on with what was in force when it began.
    edit(&home, "keep last=100", "keep last=200");
    home.xopero(&["apply", "--auto-approve"]).success().says("Applied as generation 2");
    run.signal(Signal::KILL);
    run.wait().expect(-9);
    gate.release();
    home.xopero(&["run", "nightly"]).success();
}

/// Types an answer on a terminal of 80 columns, when it is asked for, and gives the exit code and the screen.
fn answer(home: &Home, arguments: &[&str], text: &str) -> (i32, String) {
    let size = Winsize { ws_row: 50, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("there are terminals");
    let mut command = home.xopero_command(arguments);
    let side = || Stdio::from(terminal.slave.try_clone().expect("it can be shared"));
    command.stdin(side()).stdout(side()).stderr(side()).env("NO_COLOR", "1");
    let mut child = command.spawn().expect("the executable starts");
    // Held here, or by the command itself, it would never end.
    drop(command);
    drop(terminal.slave);
    let mut terminal = File::from(terminal.master);
    let (mut screen, mut answered) = (Vec::new(), false);
    let mut some = [0; 4096];
    // The end of a terminal is an error on this system.
    while let Ok(count @ 1..) = terminal.read(&mut some) {
        screen.extend_from_slice(&some[..count]);
        if !answered && String::from_utf8_lossy(&screen).contains("is a yes:") {
            terminal.write_all(format!("{text}\n").as_bytes()).expect("it listens");
            answered = true;
        }
    }
    let code = child.wait().expect("it ends").code().expect("it ends by itself");
    (code, String::from_utf8(screen).expect("the screen is UTF-8").replace("\r\n", "\n"))
}

#[test]
fn on_a_terminal_it_is_asked_with_the_plan_on_the_screen() {
    let home = usual(World::new());
    edit(&home, "keep last=100", "keep last=200");
    for no in ["", "y", "YES", "no"] {
        let (code, screen) = answer(&home, &["apply"], no);
        assert_eq!(code, 4, "{screen}");
        assert!(screen.contains("nothing was applied: the plan was not agreed to"), "{screen}");
        assert!(screen.find("keep.last = 100 -> 200").unwrap() < screen.find("Apply this plan?").unwrap(), "{screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    }
    home.xopero(&["plan", "--detailed-exitcode"]).expect(2);
    let (code, screen) = answer(&home, &["apply"], "yes");
    assert!(code == 0 && screen.contains("Applied as generation 2"), "{screen}");

    edit(&home, "keep last=200", "keep last=5");
    let (code, screen) = answer(&home, &["apply"], "yes");
    assert!(code == 4 && !screen.contains("Apply this plan?"), "a guarded change is not asked for:\n{screen}");
    let (code, screen) = answer(&home, &["rollback", "1"], "yes");
    assert!(code == 4 && screen.contains("xopero rollback 1 --approve "), "{screen}");
    let (code, screen) = answer(&home, &["history"], "");
    assert!(code == 0 && screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
}

/// Commits the file as it is, on top of what is checked out.
fn commit(home: &Home, message: &str) -> String {
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"];
        let output = home.command("git").args(who).args(arguments).output().expect("git starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("git writes text").trim().to_owned()
    };
    if !path(home, ".git").exists() {
        git(&["init", "--quiet"]);
    }
    git(&["add", "xopero.kdl"]);
    git(&["commit", "--quiet", "--message", message]);
    git(&["rev-parse", "HEAD"])
}

#[test]
fn a_commit_allows_what_it_names() {
    let home = usual(world());
    edit(&home, "keep last=100", "keep last=90");
    let refused = home.xopero(&["apply", "--auto-approve"]).expect(4).says("the file is in no git repository");
    assert!(refused.stderr.contains("`Xopero-Allow: tighten retention/all`"), "{}", refused.stderr);

    // A generation that is of no commit has nothing that commits could follow.
    commit(&home, "fewer\n\nXopero-Allow: tighten retention/all");
    home.xopero(&["apply", "--auto-approve"])
        .expect(4)
        .says("generation 1 was applied from a file that was not committed");
    edit(&home, "keep last=90", "keep last=200");
    home.xopero(&["plan"]).success();
    let base = commit(&home, "more");
    home.apply();

    edit(&home, "keep last=200", "keep last=80");
    home.xopero(&["apply", "--auto-approve"]).expect(4).says("xopero.kdl is not committed as it is");
    commit(&home, "fewer");
    let shown = home.xopero(&["plan"]).success().says("or end the message of its commit with this line:");
    tidy(&home, &shown);
    assert!(shown.stdout.ends_with("\n  Xopero-Allow: tighten retention/all\n"), "{}", shown.stdout);
    home.xopero(&["apply", "--auto-approve"]).expect(4);
    std::fs::write(
        path(&home, "xopero.kdl"),
        std::fs::read_to_string(path(&home, "xopero.kdl")).unwrap() + "// seen\n",
    )
    .unwrap();
    let allowing = commit(&home, "seen by Bob\n\nXopero-Allow: tighten retention/all\nXopero-Allow: everything");
    let allowed = home.xopero(&["plan"]).success().says("allowed by commit").says("To apply:  xopero apply\n");
    tidy(&home, &allowed);
    let lines = home.xopero(&["plan", "--json"]).success().json();
    demand_valid(SCHEMA, &lines);
    assert_eq!(lines.last().unwrap()["needs_approval"], false);
    home.xopero(&["apply", "--auto-approve"]).success().says("Applied as generation 3");
    home.xopero(&["history", "3"]).success().says("allowed to tighten retention/all").says(&allowing[..8]);
    let history = home.xopero(&["history", "--json"]).success().json();
    demand_valid(SCHEMA, &history);
    assert_eq!(history[1]["allowed"][0]["commit"], allowing.as_str());
    assert_eq!(
        (&history[1]["source"]["commit"], &history[2]["source"]["commit"]),
        (&allowing.into(), &base.clone().into())
    );

    // What was allowed once is not allowed for good.
    edit(&home, "keep last=80", "keep last=70");
    commit(&home, "fewer still");
    home.xopero(&["apply", "--auto-approve"]).expect(4).says("tightened-retention");

    // The branch is set back, and goes on elsewhere.
    let reset = home.command("git").args(["reset", "--quiet", "--hard", &base]).status().unwrap();
    assert!(reset.success());
    edit(&home, "keep last=200", "keep last=300");
    commit(&home, "elsewhere\n\nXopero-Allow: tighten retention/all");
    let rewound =
        home.xopero(&["apply", "--auto-approve"]).expect(4).says("source-rewound").says("does not descend from");
    let start = rewound.stderr.find("--approve ").unwrap();
    let id = &rewound.stderr[start + 10..start + 22];
    assert!(!rewound.stderr.contains("Xopero-Allow"), "no commit allows that: {}", rewound.stderr);
    home.xopero(&["apply", "--approve", id]).success().says("Applied as generation 4");
}

#[test]
fn what_stays_in_force_is_told_where_the_file_cannot_be() {
    let home = usual(world());
    let file = path(&home, "xopero.kdl");
    let good = std::fs::read_to_string(&file).unwrap();
    let stays = |arguments: &[&str], code: i32| {
        let told = home.xopero(arguments).expect(code);
        tidy(&home, &told);
        assert!(told.stderr.contains("note: generation 1 stays in force (applied 20"), "{}", told.stderr);
    };
    for bad in [good.replace("parts \"git\"", "partz \"git\""), "plan {".to_owned()] {
        std::fs::write(&file, bad).unwrap();
        stays(&["plan"], 3);
        stays(&["apply", "--auto-approve"], 3);
        home.xopero(&["status"]).success().says("so generation 1 stays in force");
    }
    let lines = home.xopero(&["plan", "--json"]).expect(3).json();
    demand_valid(SCHEMA, &lines);
    assert_eq!(lines.last().unwrap()["generation"], 1);
    std::fs::remove_file(&file).unwrap();
    stays(&["plan"], 3);
    stays(&["apply", "--auto-approve"], 3);
    home.xopero(&["status"]).success().says("so generation 1 stays in force");

    // Nothing at all is valid, and is not what anybody means.
    std::fs::write(&file, "").unwrap();
    home.xopero(&["plan", "--offline"]).says("generation 1 stays in force");
    home.xopero(&["apply", "--auto-approve", "--offline"]).says("generation 1 stays in force");
    std::fs::write(&file, good).unwrap();
    home.xopero(&["plan", "--detailed-exitcode"]).success();
}
