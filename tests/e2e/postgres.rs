//! The state on a PostgreSQL server: `XOPERO_TEST_POSTGRES` names one, and each test has a schema of its own there.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use fake_bitbucket::{Action, Gate, Kind, Repository, When, World, judge};
use rustix::process::Signal;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tokio::net::TcpSocket;
use url::Url;

use crate::scene::{Live, PATIENCE, files, listed, readers, strays, summary, tidy};
use crate::support::{Ended, Home};
use crate::watch::Watching;

/// Names the server.
const SERVER: &str = "XOPERO_TEST_POSTGRES";

/// The server asks for no password, so it stands in the address only to be looked for.
const PASSWORD: &str = "hunter%2F2-canary";

/// A schema of the server, which goes away with it.
pub struct Database {
    server: Url,
    pub schema: String,
}

impl Database {
    /// Nothing, if no server is named.
    #[expect(clippy::disallowed_methods, reason = "what tests run on is said in the environment")]
    pub fn make() -> Option<Self> {
        let Ok(server) = std::env::var(SERVER) else {
            // Straight to the stream: what a test prints is only shown if it fails.
            writeln!(std::io::stderr(), "NOT RUN on PostgreSQL: {SERVER} names no server").expect("it can be told");
            return None;
        };
        Some(Self::on(server.parse().expect("it is an address")))
    }

    /// On this server.
    pub fn on(server: Url) -> Self {
        let number = tempfile::Builder::new().prefix("").rand_bytes(12).tempdir().expect("a name");
        let name = number.path().file_name().expect("it has a name").to_string_lossy().to_lowercase();
        let schema = format!("xopero_e2e_{}_{name}", std::process::id());
        let database = Self { server, schema };
        database.execute(&format!("CREATE SCHEMA {}", database.schema));
        database
    }

    /// Does something there, besides any state.
    pub fn execute(&self, statement: &str) {
        self.try_to(statement).expect("the server does it");
    }

    fn try_to(&self, statement: &str) -> Result<(), sqlx::Error> {
        sqlx::any::install_default_drivers();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = AnyConnection::connect(self.server.as_str()).await?;
            connection.execute(AssertSqlSafe(statement.to_owned())).await?;
            connection.close().await
        })
    }

    /// Waits until nobody is connected who came by an address of this.
    pub fn come_to_rest(&self) {
        self.execute(&format!(
            "SET statement_timeout = '60s';
             DO $$ BEGIN
                 WHILE EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '{}') LOOP
                     PERFORM pg_sleep(0.002);
                     PERFORM pg_stat_clear_snapshot();
                 END LOOP;
             END $$",
            self.schema
        ));
    }

    /// The address of the state, at the server itself or through somebody in between.
    pub fn address(&self, through: Option<SocketAddr>) -> String {
        let mut url = self.server.clone();
        if let Some(through) = through {
            url.set_host(Some(&through.ip().to_string())).expect("it is a host");
            url.set_port(Some(through.port())).expect("it has a port");
        }
        url.set_password(Some(PASSWORD)).expect("it can have one");
        let options = format!("-csearch_path={}", self.schema);
        url.query_pairs_mut().append_pair("options", &options).append_pair("application_name", &self.schema);
        url.into()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let gone = self.try_to(&format!("DROP SCHEMA {} CASCADE", self.schema));
        // A second panic would end the whole process, and nobody would hear of the first.
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

/// The way to the server, which can be cut and mended: what a restart is for those who are connected.
struct Way {
    address: SocketAddr,
    /// Keeps the port from everybody else while nobody listens there.
    _held: TcpSocket,
    server: Url,
    open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Way {
    fn open(server: &Url) -> Self {
        let held = TcpSocket::new_v4().expect("there are sockets");
        held.set_reuseaddr(true).expect("it can be shared with the one who listens");
        held.bind(([127, 0, 0, 1], 0).into()).expect("there is a port");
        let address = held.local_addr().expect("it has an address");
        let listener = TcpListener::bind(address).expect("nobody else listens there");
        let (open, streams) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let mut way = Self { address, _held: held, server: server.clone(), open, streams, accepting: None };
        way.accept(listener);
        way
    }

    fn accept(&mut self, listener: TcpListener) {
        let (open, streams, server) = (Arc::clone(&self.open), Arc::clone(&self.streams), self.server.clone());
        self.accepting = Some(std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if !open.load(Ordering::SeqCst) {
                    break;
                }
                streams.lock().expect("no holder panics").push(client.try_clone().expect("it can be shared"));
                forward(client, &server);
            }
        }));
    }

    /// Ends all connections, and refuses new ones.
    fn cut(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        // The one who waits for a client sees that it is over.
        drop(TcpStream::connect(self.address));
        self.accepting.take().expect("it was open").join().expect("it ends");
        for stream in self.streams.lock().expect("no holder panics").drain(..) {
            let _already_over = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&mut self) {
        self.open.store(true, Ordering::SeqCst);
        // A process that another test begins shares the one who listened before until it executes.
        let listener = std::iter::repeat_with(|| TcpListener::bind(self.address))
            .find(|bound| bound.as_ref().map_err(std::io::Error::kind).err() != Some(ErrorKind::AddrInUse));
        self.accept(listener.expect("it is tried again").expect("the port was held"));
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if self.accepting.is_some() {
            self.cut();
        }
    }
}

/// Passes bytes on between a client and the server, until one of them ends.
fn forward(client: TcpStream, server: &Url) {
    let host = server.host_str().expect("it names a host");
    if host.to_ascii_lowercase().starts_with("%2f") {
        let folder = host.replace("%2F", "/").replace("%2f", "/");
        let socket = format!("{folder}/.s.PGSQL.{}", server.port().unwrap_or(5432));
        let server = UnixStream::connect(socket).expect("the server listens");
        let (other, back) = (server.try_clone().expect("it can be shared"), client.try_clone().expect("it can be"));
        let end = move |stream: &UnixStream| drop(stream.shutdown(Shutdown::Both));
        pump(client, server.try_clone().expect("it can be shared"), move || end(&server));
        pump(other, back.try_clone().expect("it can be shared"), move || drop(back.shutdown(Shutdown::Both)));
    } else {
        let server = TcpStream::connect((host, server.port().unwrap_or(5432))).expect("the server listens");
        let (other, back) = (server.try_clone().expect("it can be shared"), client.try_clone().expect("it can be"));
        let end = move |stream: &TcpStream| drop(stream.shutdown(Shutdown::Both));
        pump(client, server.try_clone().expect("it can be shared"), move || end(&server));
        pump(other, back.try_clone().expect("it can be shared"), move || drop(back.shutdown(Shutdown::Both)));
    }
}

fn pump(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    end: impl FnOnce() + Send + 'static,
) {
    std::thread::spawn(move || {
        let _one_of_them_ended = std::io::copy(&mut from, &mut to);
        end();
    });
}

/// A project with a small repository and one that is held up when it is read first, with the state at `address`.
fn scene(address: &str) -> (Home, Repository, Gate) {
    let world = World::new();
    world.project("PAY").repository("a-small", |recipe| recipe);
    let held = world.project("PAY").repository("held", |recipe| recipe);
    let mut home = Home::new(world, readers(&["main"]));
    home.set("XOPERO_STATE", address);
    home.apply_usual();
    let gate = Gate::new();
    let when = When::kind(Kind::LS_REFS).path_contains("held").first(1);
    home.server.fault(when, Action::Hang(gate.clone()));
    (home, held, gate)
}

/// No password in what was said.
fn untold(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains("canary"), "the password was printed:\n{text}");
    }
}

/// No password, in what was said and in what was written.
fn kept(home: &Home, ended: &Ended) {
    tidy(home, ended);
    untold(ended);
    for path in files(home.path()) {
        let content = std::fs::read(&path).expect("files can be read");
        assert!(!content.windows(6).any(|part| part == b"canary"), "{} holds the password", path.display());
    }
}

#[test]
fn every_command_works_and_tells_no_password() {
    let Some(database) = Database::make() else { return };
    let (mut home, held, gate) = scene(&database.address(None));
    gate.release();
    home.set("XOPERO_LOG", "trace");
    for arguments in [
        &["run", "nightly"][..],
        &["run", "nightly"],
        &["runs"],
        &["runs", "show"],
        &["status"],
        &["history"],
        &["next"],
        &["snapshots"],
        &["plan", "--offline"],
        &["credential", "rotate"],
        &["apply", "--auto-approve"],
    ] {
        kept(&home, &home.xopero(arguments).success());
    }
    home.unset("XOPERO_LOG");
    assert!(!home.path().join(".xopero/state.db").exists());
    assert_eq!(listed(&home), ["PAY/a-small", "PAY/held"]);
    judge::compare(&held.path(), &home.restore("PAY/held")).expect("they are equal");
    kept(&home, &home.xopero(&["snapshots", "nothing-like-this"]));

    // What is wrong with an address is said without it.
    let address = database.address(None);
    home.unset("XOPERO_STATE");
    let typed = home.xopero(&["status", "--state", &address]).expect(64).says("--state-password-file");
    kept(&home, &typed);
    for wrong in ["postgres://tester:canary@127.0.0.1:1/none", "postgres://a:canary#b@localhost/none"] {
        home.set("XOPERO_STATE", wrong);
        let told = home.xopero(&["status"]);
        assert_ne!(told.code, 0);
        kept(&home, &told);
    }
}

#[test]
fn what_concerns_a_host_alone_lies_beside_the_file() {
    let Some(database) = Database::make() else { return };
    let (home, _, gate) = scene(&database.address(None));
    gate.release();
    let mut watch = Watching::start(&home, &["--listen"]);
    assert_eq!(watch.line("listening")["address"], "unix:./.xopero/xopero.sock");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    assert_eq!(std::fs::read_to_string(home.path().join(".xopero/.gitignore")).expect("it is there"), "*\n");
}

#[test]
fn a_state_moves_to_a_server_and_back() {
    let Some(database) = Database::make() else { return };
    let (mut home, held, gate) = scene("sqlite:.xopero/state.db");
    gate.release();
    home.xopero(&["run", "nightly"]).success();
    let (before, history) = (listed(&home), home.xopero(&["history"]).success().stdout);
    let address = database.server.clone();
    let to = format!("{address}?options=-csearch_path%3D{}", database.schema);
    let moved = home.xopero(&["state", "migrate", "--to", &to]).success().says("Copied ").says("XOPERO_STATE");
    kept(&home, &moved);
    home.xopero(&["state", "migrate", "--to", &to]).expect(4).says("is not empty");
    home.set("XOPERO_STATE", &to);
    assert_eq!((listed(&home), home.xopero(&["history"]).success().stdout), (before.clone(), history.clone()));
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 2);
    held.commit("main");
    home.run("nightly");

    home.xopero(&["state", "migrate", "--to", "sqlite:back/state.db", "--json"]).success().line("state_copied");
    home.set("XOPERO_STATE", "sqlite:back/state.db");
    assert_eq!(home.xopero(&["history"]).success().stdout, history);
    assert_eq!(listed(&home).len(), before.len() + 1);
    assert_eq!(home.run("nightly")["totals"]["unchanged"], 2);
    home.xopero(&["state", "migrate", "--to", "sqlite:back/state.db"]).expect(64).says("already");
}

#[test]
fn one_of_two_who_apply_at_the_same_time_gets_through() {
    let Some(database) = Database::make() else { return };
    let (home, _, gate) = scene(&database.address(None));
    gate.release();
    for round in 2..5 {
        let path = home.path().join("xopero.kdl");
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let (from, to) = (format!("keep last={}00", round - 1), format!("keep last={round}00"));
        std::fs::write(&path, text.replacen(&from, &to, 1)).expect("the file can be written");
        let changes = home.xopero(&["plan", "--offline", "--json"]).success();
        let id = changes.json().iter().find_map(|line| line["plan_id"].as_str().map(str::to_owned)).expect("an id");
        let apply = || home.start(&["apply", "--offline", "--approve", &id]);
        let both = [apply(), apply()];
        let ended = both.map(|one| {
            let ended = one.wait();
            kept(&home, &ended);
            ended
        });
        // The other one meets the lock, another generation than it looked at, or nothing that is left to do.
        let applied = |ended: &Ended| ended.stdout.contains("Applied as generation");
        assert_eq!(ended.iter().filter(|ended| applied(ended)).count(), 1, "{}{}", ended[0].stderr, ended[1].stderr);
        assert!(ended.iter().all(|ended| applied(ended) || [0, 5, 6].contains(&ended.code)));
        let history = home.xopero(&["history", "--json"]).success();
        let newest = history.json().iter().filter_map(|line| line["generation"].as_u64()).max();
        assert_eq!(newest, Some(round));
    }
}

#[test]
fn a_run_elsewhere_is_named() {
    let Some(database) = Database::make() else { return };
    let (home, _, gate) = scene(&database.address(None));
    let first = Live::start(&home);
    assert!(gate.reached_blocking(PATIENCE));
    let second = home.xopero(&["run", "nightly"]).expect(6).says("is locked by tester@").says("run nightly");
    untold(&second);
    home.xopero(&["runs"]).success().says("running");
    gate.release();
    kept(&home, &first.wait().success());
    home.xopero(&["run", "nightly"]).success();
}

#[test]
fn a_run_outlives_the_restart_of_its_database() {
    let Some(database) = Database::make() else { return };
    let mut way = Way::open(&database.server);
    let (home, held, gate) = scene(&database.address(Some(way.address)));
    let mut run = Live::start(&home);
    run.until("task_finished");
    assert!(gate.reached_blocking(PATIENCE));
    way.cut();
    gate.release();
    way.mend();
    let ended = run.wait().success();
    kept(&home, &ended);
    assert_eq!(summary(&ended)["totals"]["new"], 2);
    assert_eq!(listed(&home), ["PAY/a-small", "PAY/held"]);
    judge::compare(&held.path(), &home.restore("PAY/held")).expect("they are equal");
    home.xopero(&["run", "nightly"]).success();
}

#[test]
fn who_lost_the_lock_to_another_publishes_nothing() {
    let Some(database) = Database::make() else { return };
    let mut way = Way::open(&database.server);
    let (mut home, held, gate) = scene(&database.address(Some(way.address)));
    let mut run = Live::start(&home);
    run.until("task_finished");
    assert!(gate.reached_blocking(PATIENCE));
    way.cut();
    // Another host reaches the database, and does the work.
    let there = home.set("XOPERO_STATE", &database.address(None));
    home.xopero(&["run", "nightly"]).success();
    let stored = crate::scene::stored(&home, "nas", "");
    way.mend();
    gate.release();
    let ended = run.wait().expect(1).says("was lost to tester@");
    kept(&home, &ended);
    let is_new = |path: &&std::path::PathBuf| !stored.contains(path) && !path.to_string_lossy().contains("/runs/");
    let now = crate::scene::stored(&home, "nas", "");
    assert!(!now.iter().filter(is_new).any(|path| path.to_string_lossy().contains("snapshots")), "{now:?}");
    home.set("XOPERO_STATE", &there.expect("it was set"));
    home.xopero(&["run", "nightly"]).success();
    assert_eq!(listed(&home), ["PAY/a-small", "PAY/held"]);
    judge::compare(&held.path(), &home.restore("PAY/held")).expect("they are equal");
    strays(&home);
}
