//! Two hosts and one estate: folders of their own, a state on a PostgreSQL server, and one destination.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use fake_bitbucket::{Repository, World, judge};
use rustix::process::{Signal, geteuid};
use tempfile::TempDir;
use url::Url;
use xopero::crash::CrashPoint;

use crate::json_schema::demand_valid;
use crate::postgres::Database;
use crate::proof::name_of;
use crate::scene::{Live, PATIENCE, edit, listed, readers, run, stored, summary, task, tidy};
use crate::support::{Ended, Home};
use crate::worker::{hold_the_run, hold_the_worker};

/// Three small repositories, which are as many as the run itself begins, and a large one after them. The destination is
/// where every host finds it.
fn scene(database: &Database) -> (Home, Vec<Repository>) {
    let world = World::new();
    let small = ["a-1", "a-2", "a-3"].map(|name| world.project("PAY").repository(name, |recipe| recipe));
    let large = world.project("PAY").repository("large", |recipe| recipe.bulk(3, 14_000_000));
    let mut home = Home::new(world, readers(&["main"]));
    home.set("XOPERO_STATE", &database.address(None));
    home.apply_usual();
    let everywhere = home.destination("nas");
    edit(&home, "local \"destinations/nas\"", &format!("local \"{}\"", everywhere.display()));
    edit(&home, "concurrency listing=4 packs=2", "concurrency listing=1 packs=1");
    (home, small.into_iter().chain([large]).collect())
}

/// Another host: a folder with copies of the file and of the identity, and nothing else.
pub struct Elsewhere {
    pub folder: TempDir,
}

impl Elsewhere {
    pub fn of(home: &Home) -> Self {
        let folder = tempfile::Builder::new().prefix("xopero-e2e-elsewhere-").tempdir().expect("a temporary folder");
        for name in ["xopero.kdl", "identity.txt"] {
            fs::copy(home.path().join(name), folder.path().join(name)).expect("it can be copied");
        }
        Self { folder }
    }

    pub fn command(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = home.xopero_command(arguments);
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("XOPERO_IDENTITY_FILE", self.folder.path().join("identity.txt"));
        command
    }

    /// A worker that is known to be there.
    fn worker(&self, home: &Home) -> Live {
        let mut worker = Live::of(self.command(home, &["worker", "--json"]));
        worker.until("worker_started");
        worker
    }

    fn run(&self, home: &Home) -> Live {
        Live::of(self.command(home, &["run", "nightly", "--json"]))
    }
}

/// Says that the worker is lost, as the state finds a minute later by itself.
fn lose_the_worker(database: &Database) {
    let schema = &database.schema;
    database.execute(&format!(
        "UPDATE {schema}.queue SET lease_until = 0
         WHERE state = 'running' AND owner NOT IN (SELECT owner FROM {schema}.queue_runs)"
    ));
}

/// Each repository has one snapshot that is equal to it, and nothing is left over, in no folder.
fn complete(home: &Home, there: &Elsewhere, repositories: &[Repository], ended: &Ended) {
    assert_eq!(listed(home), ["PAY/a-1", "PAY/a-2", "PAY/a-3", "PAY/large"]);
    assert_eq!(stored(home, "nas", "snapshots").len(), 4, "one manifest for each");
    judge::compare(&repositories[3].path(), &home.restore("PAY/large")).expect("they are equal");
    assert_eq!(summary(&run(home, 0))["totals"]["unchanged"], 4);
    assert_eq!(stored(home, "nas", "packs").len(), 4, "one pack for each");
    tidy(home, ended);
    let of_a_host = [there.folder.path(), home.path()].map(|folder| folder.join(".xopero/state.db"));
    assert!(of_a_host.iter().all(|file| !file.exists()), "the state is on the server");
    let left: Vec<PathBuf> = crate::scene::files(there.folder.path());
    let known = ["xopero.kdl", "identity.txt", ".gitignore"];
    let is_known = |path: &&PathBuf| path.file_name().is_some_and(|name| known.iter().any(|known| name == *known));
    assert!(left.iter().all(|path| is_known(&path)), "{left:?}");
}

/// Whatever happened before: what is listed is stored and whole, and the newest is equal to its repository. A manifest
/// whose process ended before the state heard of it is stored as well.
fn in_order(home: &Home, repositories: &[Repository]) {
    let names = |ended: Ended| -> Vec<String> {
        let rows = ended.success().json().into_iter();
        rows.map(|row| row["repository"].as_str().expect("a row names its repository").to_owned()).collect()
    };
    let recorded = names(home.xopero(&["snapshots", "--json"]));
    let nas = home.destination("nas");
    let from = ["snapshots", "--json", "--from", nas.to_str().expect("the path is UTF-8")];
    let kept = names(home.xopero_as("backup.txt", &from));
    for repository in repositories {
        let name = name_of(repository);
        let count = |names: &[String]| names.iter().filter(|one| **one == name).count();
        assert!((1..=count(&kept)).contains(&count(&recorded)), "{name}: {recorded:?}\n{kept:?}");
    }
    home.xopero_as("backup.txt", &["verify", "PAY/a-1"]).success();
    let copy = home.restore("PAY/large");
    judge::compare(&repositories[3].path(), &copy).expect("they are equal");
    fs::remove_dir_all(copy).expect("it can be removed");
}

/// Ends a worker, and checks what it told.
fn over(worker: Live, signal: Signal, code: i32) {
    worker.signal(signal);
    let ended = worker.wait().expect(code);
    demand_valid("worker-output.schema.json", &ended.json());
}

#[test]
fn they_share_a_run_and_one_of_them_is_killed() {
    let Some(database) = Database::make() else { return };
    let (home, repositories) = scene(&database);
    let there = Elsewhere::of(&home);
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let (worker, live) = (there.worker(&home), Live::start(&home));
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    over(worker, Signal::KILL, -9);
    lose_the_worker(&database);
    of_run.release();
    let ended = live.wait().success();
    of_worker.release();
    assert_eq!(summary(&ended)["totals"]["new"], 4);
    complete(&home, &there, &repositories, &ended);

    // With a living one the run tells what both did.
    for repository in &repositories {
        repository.commit("main");
    }
    let mut worker = there.worker(&home);
    let of_run = hold_the_run(&home);
    let live = Live::start(&home);
    assert!(of_run.reached_blocking(PATIENCE));
    worker.until("task_finished");
    of_run.release();
    let ended = live.wait().success();
    assert_eq!(summary(&ended)["totals"]["changed"], 4);
    assert_eq!(task(&ended, "large")["result"], "changed");
    over(worker, Signal::TERM, 0);
    assert_eq!(stored(&home, "nas", "snapshots").len(), 8);
}

#[test]
fn the_next_run_takes_over_from_another_host_and_lets_its_worker_end() {
    let Some(database) = Database::make() else { return };
    let (home, repositories) = scene(&database);
    let there = Elsewhere::of(&home);
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let (mut worker, live) = (there.worker(&home), Live::start(&home));
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    live.signal(Signal::KILL);
    assert_eq!(live.wait().code, -9);
    of_run.release();
    let mut next = there.run(&home);
    next.until("run_started");
    of_worker.release();
    worker.until("run_left");
    let ended = next.wait().success();
    assert_eq!(summary(&ended)["outcome"], "done");
    over(worker, Signal::TERM, 0);
    complete(&home, &there, &repositories, &ended);
}

#[test]
fn what_a_killed_host_did_not_finish_the_other_one_does() {
    let Some(database) = Database::make() else { return };
    let (home, repositories) = scene(&database);
    let there = Elsewhere::of(&home);
    // What is another thing on a server is the state.
    // What is another thing on a server is how something is claimed and committed there.
    for point in [
        CrashPoint::TasksClaimed,
        CrashPoint::TasksRecorded,
        CrashPoint::SnapshotWritten,
        CrashPoint::SnapshotRecorded,
        CrashPoint::RunEndWritten,
    ] {
        for small in &repositories[..3] {
            small.commit("main");
        }
        repositories[3].commit_large("main", 1_200_000);
        let mut command = home.xopero_command(&["run", "nightly", "--json"]);
        command.env("XOPERO_CRASH_AT", point.as_str());
        let ended = home.input(command, "").wait();
        assert_eq!(ended.code, -9, "{point} is not reached: {}\n{}", ended.stdout, ended.stderr);
        let ended = there.run(&home).wait().success();
        assert_eq!(summary(&ended)["outcome"], "done", "{point}");
        let ended = run(&home, 0);
        assert_eq!(summary(&ended)["totals"]["unchanged"], 4, "{point}");
        in_order(&home, &repositories);
    }
}

/// A server of this test alone, which can be started again.
struct Cluster {
    folder: TempDir,
    programs: PathBuf,
}

impl Cluster {
    /// Nothing where no server is named for the tests, or none can be started.
    fn start() -> Option<Self> {
        drop(Database::make()?);
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|entries| entries.map_while(Result::ok).map(|entry| entry.path().join("bin")).collect())
            .unwrap_or_default();
        versions.sort();
        let Some(programs) = versions.pop() else {
            // Straight to the stream: what a test prints is only shown if it fails.
            writeln!(std::io::stderr(), "NOT RUN: no PostgreSQL to start is installed").expect("it can be told");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("xopero-pg-").tempdir().expect("a temporary folder");
        // Its owner is another user, where this one is root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        let cluster = Self { folder, programs };
        cluster.does("initdb", &["-D", "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let options =
            format!("-c listen_addresses= -c unix_socket_directories={} -c fsync=off", cluster.folder.path().display());
        cluster.does("pg_ctl", &["-D", "data", "-w", "-l", "log", "-o", &options, "start"]);
        Some(cluster)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = self.programs.join(program);
        let mut command = if geteuid().is_root() {
            // It refuses to run as root.
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // However busy the machine is: it waits a minute by itself.
        command.args(arguments).current_dir(self.folder.path()).env("PGCTLTIMEOUT", PATIENCE.as_secs().to_string());
        command
    }

    fn does(&self, program: &str, arguments: &[&str]) {
        // What the server inherits would stay open for as long as it runs.
        let log = || fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("it can be written");
        let status = self.command(program, arguments).stdout(log()).stderr(log()).status().expect("it starts");
        assert!(status.success(), "{program}: {}", fs::read_to_string(self.log()).unwrap_or_default());
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("programs.log")
    }

    /// Whoever is connected is thrown out, and what was not committed is gone.
    fn restart(&self) {
        self.does("pg_ctl", &["-D", "data", "-w", "-l", "log", "-m", "immediate", "restart"]);
    }

    fn address(&self) -> Url {
        let folder = self.folder.path().to_str().expect("the path is UTF-8").replace('/', "%2F");
        format!("postgres://tester@{folder}/postgres").parse().expect("it is an address")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _already_over = self.command("pg_ctl", &["-D", "data", "-m", "immediate", "stop"]).output();
    }
}

#[test]
fn both_outlive_a_server_that_is_thrown_down_and_started_again() {
    let Some(cluster) = Cluster::start() else { return };
    let database = Database::on(cluster.address());
    let (home, repositories) = scene(&database);
    let there = Elsewhere::of(&home);
    let (of_run, of_worker) = (hold_the_run(&home), hold_the_worker(&home));
    let (worker, live) = (there.worker(&home), Live::start(&home));
    assert!(of_run.reached_blocking(PATIENCE) && of_worker.reached_blocking(PATIENCE));
    cluster.restart();
    of_run.release();
    of_worker.release();
    let ended = live.wait().success();
    assert_eq!(summary(&ended)["totals"]["new"], 4);
    over(worker, Signal::TERM, 0);
    complete(&home, &there, &repositories, &ended);
}

#[test]
fn a_server_that_is_thrown_down_while_a_run_goes_on_publishes_nothing_wrong() {
    let Some(cluster) = Cluster::start() else { return };
    let database = Database::on(cluster.address());
    let (home, repositories) = scene(&database);
    let there = Elsewhere::of(&home);
    let worker = there.worker(&home);
    for moment in ["run_started", "task_finished"] {
        for small in &repositories[..3] {
            small.commit("main");
        }
        repositories[3].commit_large("main", 3_000_000);
        let mut live = Live::start(&home);
        live.until(moment);
        cluster.restart();
        let ended = live.wait();
        tidy(&home, &ended);
        // A statement that was cut off ends what it was for; which one that is, is a matter of chance.
        assert!([0, 1, 8].contains(&ended.code), "{}\n{}\n{}", ended.code, ended.stdout, ended.stderr);
        if ended.code != 0 {
            let told = format!("{}{}", ended.stdout, ended.stderr);
            assert!(told.contains("PostgreSQL") || told.contains("postgres://"), "it names the state:\n{told}");
        }
        let ended = there.run(&home).wait().success();
        assert_eq!(summary(&ended)["outcome"], "done");
        assert_eq!(summary(&run(&home, 0))["totals"]["unchanged"], 4);
        in_order(&home, &repositories);
    }
    over(worker, Signal::TERM, 0);
}
