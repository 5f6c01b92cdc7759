//! The fake server in a process of its own, which answers what it saw.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use fake_bitbucket::{Account, Entry, FakeBitbucket, Kind, Options, Repository, World};
use serde::{Deserialize, Serialize};

use crate::Run;
use crate::arguments::{Arguments, Part};
use crate::figures::Traffic;
use crate::measure::Cost;

/// The project with the large repository.
pub const LARGE: &str = "LARGE";

/// The project with the small ones.
pub const SMALL: &str = "SMALL";

/// The account that both clients use, and its token.
pub const ACCOUNT: &str = "bench";
pub const TOKEN: &str = "token-of-bench";

/// Commits that make a megabyte of pack in [`generated`].
const COMMITS_PER_MB: usize = 2500;

/// How long requests may take to end after their client has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the server says once it runs.
#[derive(Debug, Deserialize, Serialize)]
struct Hello {
    url: String,
    large: String,
    clone_urls: Vec<(String, String)>,
}

/// The server process, seen from outside. It ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The server's base.
    pub url: String,
    /// The large repository in a few words.
    pub large: String,
    clone_urls: Vec<(String, String)>,
}

impl Served {
    /// Starts it and waits until its repositories are made.
    pub fn start(arguments: &Arguments) -> Self {
        let this = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(this);
        command.arg("--serve").args(["--large-mb", &arguments.large_mb.to_string()]);
        command.args(["--small", &arguments.small.to_string()]);
        if let Some(path) = &arguments.mirror {
            command.arg("--mirror").arg(path);
        }
        match arguments.only {
            None => {}
            Some(Part::Full) => drop(command.args(["--only", "full"])),
            Some(Part::Small | Part::Unchanged) => drop(command.args(["--only", "small"])),
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program starts again");
        let ask = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let Hello { url, large, clone_urls } = read(&mut answers);
        Self { child, ask, answers, url, large, clone_urls }
    }

    /// The address of every repository of a project.
    pub fn clone_urls(&self, project: &str) -> impl Iterator<Item = &str> {
        self.clone_urls.iter().filter(move |(of, _)| of == project).map(|(_, url)| url.as_str())
    }

    /// Does something and says what it cost and what the server saw of it.
    pub fn observe(&mut self, work: impl FnOnce() -> Cost) -> Run {
        let _before: Traffic = self.traffic();
        let cost = work();
        Run { cost, traffic: self.traffic() }
    }

    /// What the server saw since it was asked the last time.
    fn traffic(&mut self) -> Traffic {
        let ask = self.ask.as_mut().expect("it is open until the end");
        ask.write_all(b"\n").expect("the server listens");
        read(&mut self.answers)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.ask.take());
        // Its end of input lets it stop by itself, and its folder go with it.
        let _ended = self.child.wait();
    }
}

fn read<T: for<'a> Deserialize<'a>>(answers: &mut impl BufRead) -> T {
    let mut line = String::new();
    answers.read_line(&mut line).expect("the server answers");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the server answered {line:?}: {error}"))
}

/// Is the server process: makes the repositories, says hello, then counts at every line of its input.
pub fn serve(arguments: &Arguments) {
    let world = World::new();
    let mut large = String::new();
    if arguments.wants(Part::Full) {
        let project = world.project(LARGE);
        let repository = match &arguments.mirror {
            Some(path) => project.existing("large", path),
            None => generated(&project, arguments.large_mb),
        };
        large = described(&repository, arguments.mirror.as_deref());
    }
    if arguments.wants(Part::Small) {
        world.project(SMALL).many("small", arguments.small);
    }
    let server = FakeBitbucket::start_blocking(world, Options::new().account(Account::reader(ACCOUNT, TOKEN)));
    let clone_url = |repository: &Repository| (repository.project_key(), server.clone_url(repository));
    let clone_urls = server.world().repositories().iter().map(clone_url).collect();
    print(&Hello { url: server.url().to_owned(), large, clone_urls });
    for _asked in io::stdin().lock().lines() {
        let over = server.log().wait_for_blocking(PATIENCE, |entries| entries.iter().all(Entry::is_over));
        assert!(over, "a request did not end");
        print(&traffic(&server.log().snapshot()));
        server.log().clear();
    }
}

fn print(value: &impl Serialize) {
    let mut line = serde_json::to_vec(value).expect("it is plain data");
    line.push(b'\n');
    io::stdout().write_all(&line).expect("standard output is open");
}

fn traffic(entries: &[Entry]) -> Traffic {
    let mut traffic = Traffic { git_requests: 0, rest_requests: 0, bytes: 0 };
    for entry in entries {
        match entry.kind {
            Kind::GitInfoRefs | Kind::GitUploadPack { .. } | Kind::GitReceivePack => traffic.git_requests += 1,
            Kind::Rest | Kind::Other => traffic.rest_requests += 1,
        }
        traffic.bytes += entry.request_bytes + entry.response_bytes;
    }
    traffic
}

/// Text files that change a line at a time, packed with deltas and a bitmap, as a server's maintenance leaves them.
fn generated(project: &fake_bitbucket::Project, megabytes: usize) -> Repository {
    let commits = megabytes.max(1) * COMMITS_PER_MB;
    let repository =
        project.repository("large", |recipe| recipe.commits(commits).files(200).file_size(6000).branches(20).tag("v1"));
    let mut repack = Command::new("git");
    repack.arg("--git-dir").arg(repository.path()).args([
        "repack",
        "-a",
        "-d",
        "-f",
        "--write-bitmap-index",
        "--quiet",
    ]);
    assert!(repack.status().expect("git is installed").success(), "the large repository was not packed");
    repository
}

fn described(repository: &Repository, mirror: Option<&Path>) -> String {
    let mut text = String::new();
    if let Some(name) = mirror.and_then(Path::file_name) {
        write!(text, "{}, ", name.display()).expect("strings take everything");
    }
    let megabytes = repository.size() / 1_000_000;
    write!(text, "{megabytes} MB").expect("strings take everything");
    text
}
