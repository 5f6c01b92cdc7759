//! Every named point: a process dies there, the invariants hold, and what comes next finishes the work.

use std::os::unix::fs::PermissionsExt;

use fake_bitbucket::{Account, Action, Kind, Options, Permission, When, World};
use rustix::process::Signal;
use xopero::crash::CrashPoint;

use super::estate::{Estate, PLANS};
use super::keeping::{Keeping, end_takings, remove_all};
use super::life::{End, Moment};
use crate::alerts::{Inbox, with};
use crate::file;
use crate::proof::usual;
use crate::scene::{files, strays};
use crate::support::{Ended, Home, file_text, token_of};

/// What comes to a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scenario {
    /// The first apply, into an empty folder.
    FirstApply,
    /// A run over repositories with new commits.
    Run,
    /// `run --resume` after a run that was killed.
    Resume,
    /// A watch that begins to follow schedules.
    FirstWatch,
    /// A watch with a time that was missed.
    Watch,
    /// A watch after a run that was killed.
    WatchResumes,
    /// An edit of the file.
    Edit,
    /// The first half of a rotation: the new token comes.
    TokenComes,
    /// The second half: the old one goes.
    TokenGoes,
    /// A run that fails, with somebody who is to be told.
    Alert,
    /// A snapshot is unpacked to be judged.
    Unpack,
}

const fn scenario(point: CrashPoint) -> Scenario {
    match point {
        CrashPoint::DirectoryMade
        | CrashPoint::DatabaseMade
        | CrashPoint::SchemaWritten
        | CrashPoint::SchemaCommitted
        | CrashPoint::GenerationWritten
        | CrashPoint::GenerationRecorded
        | CrashPoint::DestinationBound
        | CrashPoint::ObservationsWritten
        | CrashPoint::ObservationsRecorded
        | CrashPoint::ConditionsWritten
        | CrashPoint::ConditionsRecorded
        | CrashPoint::MarkerDue
        | CrashPoint::MarkerStored
        | CrashPoint::ChangeAgreed
        | CrashPoint::DestinationsReady => Scenario::FirstApply,
        CrashPoint::ListingWritten
        | CrashPoint::ListingRecorded
        | CrashPoint::RunsAbandoned
        | CrashPoint::RunStartWritten
        | CrashPoint::RunStarted
        | CrashPoint::TasksEnqueued
        | CrashPoint::TasksClaimed
        | CrashPoint::TasksWritten
        | CrashPoint::TasksRecorded
        | CrashPoint::SnapshotWritten
        | CrashPoint::SnapshotRecorded
        | CrashPoint::RunEndWritten
        | CrashPoint::RunEnded
        | CrashPoint::DestinationSwept
        | CrashPoint::PackPartSent
        | CrashPoint::PackDue
        | CrashPoint::PackStored
        | CrashPoint::ManifestDue
        | CrashPoint::ManifestStored
        | CrashPoint::ReportDue
        | CrashPoint::ReportStored => Scenario::Run,
        CrashPoint::RunCarried => Scenario::Resume,
        CrashPoint::TimeDealtWith => Scenario::FirstWatch,
        CrashPoint::ActivationDue | CrashPoint::Activated | CrashPoint::RunHandedOver | CrashPoint::RunReturned => {
            Scenario::Watch
        }
        CrashPoint::ResumeDue => Scenario::WatchResumes,
        CrashPoint::FileStaged | CrashPoint::FilePut => Scenario::Edit,
        CrashPoint::RotationBegun
        | CrashPoint::TokenMade
        | CrashPoint::TokenSafe
        | CrashPoint::TokenProven
        | CrashPoint::TokenInstalled => Scenario::TokenComes,
        CrashPoint::TokenLeaves | CrashPoint::TokenRevoked | CrashPoint::RotationForgotten => Scenario::TokenGoes,
        CrashPoint::PacksUnpacked => Scenario::Unpack,
        CrashPoint::AlertsWritten | CrashPoint::AlertsRecorded | CrashPoint::AlertSent => Scenario::Alert,
    }
}

fn points(wanted: &[Scenario]) -> Vec<CrashPoint> {
    CrashPoint::ALL.iter().copied().filter(|point| wanted.contains(&scenario(*point))).collect()
}

/// The points that a process under way comes to, for whoever chooses one.
pub fn of_backups() -> Vec<CrashPoint> {
    points(&[Scenario::Run, Scenario::Resume, Scenario::FirstWatch, Scenario::Watch, Scenario::WatchResumes])
}

fn at(point: CrashPoint) -> Moment {
    Moment::Point(point.as_str().to_owned())
}

fn demand_killed(point: CrashPoint, end: &End) {
    assert!(end.was_killed(), "{point} is not reached: {}\n{}\n{}", end.code, end.stderr, end.lines.join("\n"));
}

/// Waits until a watch has done what both plans still owe of one time, and ends it. `before` is how many runs were done
/// before they were due: whether one has ended by the time of the kill is a matter of chance.
fn finish(estate: &Estate, before: usize) {
    let runs = before + PLANS.len() - done(estate);
    let mut watch = crate::watch::Watching::start(&estate.home, &[]);
    watch.line("watch_started");
    for _ in 0..runs {
        let ended = watch.line("run_ended");
        assert_eq!(ended["outcome"], "done", "{ended}");
    }
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    estate.over();
}

/// How many runs are done.
fn done(estate: &Estate) -> usize {
    let runs = estate.home.xopero(&["runs", "--limit", "1000", "--json"]).success().json();
    runs.iter().filter(|run| run["state"] == "done").count()
}

/// What holds wherever the state is kept.
macro_rules! wherever {
    ($($test:ident,)+) => {
        mod in_a_file {
            use super::Keeping;
            $(
                #[test]
                fn $test() {
                    super::$test(&Keeping::File);
                }
            )+
        }

        mod on_a_server {
            use super::Keeping;
            $(
                #[test]
                fn $test() {
                    if let Some(keeping) = Keeping::server() {
                        super::$test(&keeping);
                    }
                }
            )+
        }
    };
}

wherever! {
    an_apply_that_is_killed_at_any_point_is_made_again,
    a_run_that_is_killed_at_any_point_is_repeated,
    a_resumed_run_that_is_killed_is_resumed_again,
    a_watch_that_is_killed_at_any_point_loses_no_run,
    an_edit_that_is_killed_leaves_the_old_text_or_the_new_one,
    a_rotation_that_is_killed_at_any_point_goes_on,
    what_is_to_be_told_arrives_though_whoever_tells_it_is_killed_at_any_point,
}

fn an_apply_that_is_killed_at_any_point_is_made_again(keeping: &Keeping) {
    let mut estate = Estate::declared(keeping);
    let no_file = [CrashPoint::DirectoryMade, CrashPoint::DatabaseMade];
    for point in points(&[Scenario::FirstApply]) {
        if estate.is_shared() && no_file.contains(&point) {
            continue;
        }
        estate.forget();
        let end = estate.life(&["apply", "--auto-approve"], at(point));
        demand_killed(point, &end);
        estate.inquest();
        let end = estate.life(&["apply", "--auto-approve"], Moment::Never);
        assert_eq!(end.code, 0, "{point}: {}", end.stderr);
        let ours = estate.home.path().join(".xopero");
        let ignored = std::fs::read_to_string(ours.join(".gitignore")).unwrap_or_default();
        assert!(ignored == "*\n" || estate.is_shared() && !ours.exists(), "{point}");
        estate.inquest();
    }
    estate.settle();
}

fn a_run_that_is_killed_at_any_point_is_repeated(keeping: &Keeping) {
    let mut estate = Estate::applied(keeping);
    // What is another thing on a server is the same every time.
    let repetitions = if estate.is_shared() { 1 } else { 2 };
    for (number, point) in points(&[Scenario::Run]).into_iter().enumerate() {
        for repetition in 1..=repetitions {
            for repository in &estate.repositories {
                if repository.slug() == "large" {
                    repository.commit_large("main", 1_200_000);
                } else {
                    repository.commit("main");
                }
            }
            let moment = Moment::Point(format!("{point}#{repetition}"));
            let end = estate.life(&["run", "nightly", "--json"], moment);
            if repetition == 1 || end.code != 0 {
                demand_killed(point, &end);
            }
            estate.inquest();
        }
        estate.settle();
        if number % 8 == 0 {
            estate.prove(number as u64);
        }
    }
}

fn a_resumed_run_that_is_killed_is_resumed_again(keeping: &Keeping) {
    let mut estate = Estate::applied(keeping);
    for point in points(&[Scenario::Resume]) {
        let end = estate.life(&["run", "nightly", "--json"], at(CrashPoint::TasksRecorded));
        demand_killed(CrashPoint::TasksRecorded, &end);
        let end = estate.life(&["run", "nightly", "--resume", "--json"], at(point));
        demand_killed(point, &end);
        estate.inquest();
        let end = estate.life(&["run", "nightly", "--resume", "--json"], Moment::Never);
        assert_eq!(end.code, 0, "{}", end.stderr);
        estate.inquest();
        estate.settle();
    }
}

fn a_watch_that_is_killed_at_any_point_loses_no_run(keeping: &Keeping) {
    let mut estate = Estate::applied(keeping);
    for point in points(&[Scenario::FirstWatch]) {
        demand_killed(point, &estate.life(&["watch", "--json"], at(point)));
        estate.inquest();
    }
    for point in points(&[Scenario::Watch]) {
        estate.repositories[0].commit("main");
        let before = done(&estate);
        estate.miss();
        estate.change_file();
        demand_killed(point, &estate.life(&["watch", "--json"], at(point)));
        estate.inquest();
        // What was missed runs; what had begun is gone on with. Only what had ended was dealt with.
        finish(&estate, before);
        estate.inquest();
        assert_eq!(estate.strays(), Vec::<String>::new());
    }
    for point in points(&[Scenario::WatchResumes]) {
        let end = estate.life(&["run", "nightly", "--json"], at(CrashPoint::TasksRecorded));
        demand_killed(CrashPoint::TasksRecorded, &end);
        demand_killed(point, &estate.life(&["watch", "--json"], at(point)));
        estate.inquest();
        // Only one plan was due.
        finish(&estate, done(&estate) - 1);
        estate.inquest();
    }
    // A run that was handed over, and had not counted as under way, is begun by the next watch for the same time.
    for point in [CrashPoint::RunStartWritten, CrashPoint::RunStarted] {
        let before = done(&estate);
        estate.miss();
        demand_killed(point, &estate.life(&["watch", "--json"], at(point)));
        finish(&estate, before);
    }
    estate.settle();
}

fn an_edit_that_is_killed_leaves_the_old_text_or_the_new_one(keeping: &Keeping) {
    let mut estate = Estate::applied(keeping);
    let old = file_text(&estate.home);
    let disable = ["credential", "disable", "nightly", "PAY", "extra-1"];
    let enable = ["credential", "enable", "nightly", "PAY", "extra-1"];
    for point in points(&[Scenario::Edit]) {
        let end = estate.life(&disable, at(point));
        demand_killed(point, &end);
        assert_eq!(file_text(&estate.home) == old, point == CrashPoint::FileStaged, "{point}");
        estate.inquest();
        estate.home.xopero(&["validate"]).success();
        if point == CrashPoint::FileStaged {
            estate.home.xopero(&disable).success();
        }
        estate.home.xopero(&enable).success();
        assert_eq!((file_text(&estate.home), estate.strays()), (old.clone(), Vec::new()), "{point}");
    }
}

const PASSWORD: &str = "the-password-of-main";

fn a_rotation_that_is_killed_at_any_point_goes_on(keeping: &Keeping) {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let account = Account::new("main").password(PASSWORD).everywhere(Permission::Read);
    let account = account.named_token(&token_of("main"), "made by hand", &["PROJECT_READ", "REPO_READ"], Some(90));
    let mut home = Home::new(world, Options::new().account(account));
    keeping.hold(&mut home);
    home.write_file(&["nas"], &[file::project("PAY"), file::plan("nightly", "PAY", "", &["nas"])].concat());
    home.add_credential("PAY", None, "main");
    home.apply();
    let rotate = ["credential", "rotate", "PAY", "main", "--with-password"];
    let killed_at = |point: CrashPoint| {
        let mut command = home.xopero_command(&rotate);
        command.env("XOPERO_CRASH_AT", point.as_str());
        let ended = home.input(command, PASSWORD).wait();
        assert_eq!(ended.code, -9, "{point} is not reached: {}", ended.stderr);
        home.run("nightly");
        assert!(home.server.token_names("main").len() <= 2, "{point}: {:?}", home.server.token_names("main"));
    };
    let mut going = points(&[Scenario::TokenGoes]).into_iter();
    for point in points(&[Scenario::TokenComes]) {
        killed_at(point);
        home.xopero_with_input(&rotate, PASSWORD).success().says("is not revoked yet");
        home.apply();
        if let Some(point) = going.next() {
            killed_at(point);
            if point == CrashPoint::RotationForgotten {
                continue;
            }
        }
        home.xopero_with_input(&rotate, PASSWORD).success().says("the old token is revoked");
        assert_eq!(home.server.token_names("main").len(), 1, "{point}");
        strays(&home);
    }
    assert_eq!(going.next(), None, "every point has its rotation");
}

fn what_is_to_be_told_arrives_though_whoever_tells_it_is_killed_at_any_point(keeping: &Keeping) {
    for point in points(&[Scenario::Alert]) {
        let inbox = Inbox::open();
        let mut home = with(&format!("alerts \"ops\" {{\n    webhook \"{}/hook\"\n}}\n", inbox.address));
        keeping.hold(&mut home);
        keeping.forget(&home);
        remove_all(&home.path().join("destinations"));
        home.apply();
        home.server.fault(When::kind(Kind::LS_REFS), Action::status(404));
        let mut command = home.xopero_command(&["run", "nightly"]);
        command.env("XOPERO_CRASH_AT", point.as_str());
        let ended = home.input(command, "").wait();
        assert_eq!(ended.code, -9, "{point} is not reached: {}", ended.stderr);
        let before = inbox.came();
        assert_eq!(before.len(), usize::from(point == CrashPoint::AlertSent), "{point}");

        end_takings(&home);
        let ended = home.xopero(&["run", "nightly"]).expect(1);
        let after = inbox.came();
        let [told] = &after[..] else { panic!("{point}: {} messages\n{}", after.len(), ended.stderr) };
        assert_eq!(told.phases(), ["begins failed"], "{point}");
        // Whoever got it before knows it again.
        assert!(before.iter().all(|before| before.identity() == told.identity()), "{point}");

        home.xopero(&["run", "nightly"]).expect(1);
        assert_eq!(inbox.came().len(), 0, "{point}: it is told once, whoever was killed");
        strays(&home);
    }
}

/// Kills a command that reads backups at a point.
fn kill_reader(home: &Home, arguments: &[&str], point: CrashPoint) {
    let mut command = home.xopero_command(arguments);
    command.env("XOPERO_CRASH_AT", point.as_str());
    command.env("XOPERO_IDENTITY_FILE", home.path().join("backup.txt"));
    let ended = Ended::from(&command.output().expect("the executable starts"));
    assert_eq!(ended.code, -9, "{point} is not reached: {}", ended.stderr);
}

#[test]
fn what_a_killed_verification_left_in_clear_is_removed_by_whatever_comes_next() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(3));
    let mut home = usual(world);
    home.run("nightly");
    let temporary = home.path().join("temporary");
    std::fs::create_dir(&temporary).expect("the folder is new");
    home.set("TMPDIR", temporary.to_str().expect("the path is UTF-8"));
    let verify = ["verify", "PAY/ledger"];
    let next: [(&str, &[&str]); 4] = [
        ("backup.txt", &verify),
        ("backup.txt", &["restore", "PAY/ledger", "--to", "restored"]),
        ("backup.txt", &["export", "PAY/ledger", "--bundle", "ledger.bundle"]),
        ("identity.txt", &["run", "nightly"]),
    ];
    for point in points(&[Scenario::Unpack]) {
        for (identity, next) in next {
            kill_reader(&home, &verify, point);
            let left: Vec<_> = std::fs::read_dir(&temporary).expect("it is there").map(Result::unwrap).collect();
            let [left] = &left[..] else { panic!("{left:?}") };
            assert_eq!(left.metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
            assert!(files(&left.path()).iter().any(|file| file.extension().is_some_and(|ending| ending == "pack")));
            home.xopero_as(identity, next).success().says("left in clear");
            assert_eq!(std::fs::read_dir(&temporary).expect("it is there").count(), 0, "{next:?}");
        }
        kill_reader(&home, &["restore", "PAY/ledger", "--to", "again"], point);
        let half = || files(home.path()).iter().filter(|path| path.to_string_lossy().contains(".partial/")).count();
        assert_ne!(half(), 0);
        home.xopero_as("backup.txt", &["restore", "PAY/ledger", "--to", "again"]).success();
        assert_eq!(half(), 0);
    }
}
