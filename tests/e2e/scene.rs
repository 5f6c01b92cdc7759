//! What the tests of bad input share: a run that is watched line by line, and what must hold after every run.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fake_bitbucket::{Account, Options};
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::support::{Ended, Home, send_signal, token_of};

/// How long an event may take before a test gives up on it. It takes moments, but for a machine that has more to do.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// A server that knows these accounts, each with its token, and lets them read everything.
pub fn readers(names: &[&str]) -> Options {
    names.iter().fold(Options::new(), |options, name| options.account(Account::reader(name, &token_of(name))))
}

/// The usual file with additional credentials: all of them declared, those of `enabled` switched on; applied.
pub fn apply_pool(home: &Home, additional: &[(&str, &str)], enabled: &[&str]) {
    let enable = match enabled {
        [] => String::new(),
        names => format!(" {{\n        enable-credentials \"{}\"\n    }}", names.join("\" \"")),
    };
    home.write_file(&["nas"], &format!("project \"PAY\" server=\"bb\" {{\n}}\nplan \"nightly\" {{\n    project \"PAY\"{enable}\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}}\n"));
    home.add_credential("PAY", None, "main");
    for (name, account) in additional {
        home.add_credential("PAY", Some(name), account);
    }
    home.apply();
}

/// Puts `with` in place of `from` in the file, and applies it.
pub fn edit(home: &Home, from: &str, with: &str) {
    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).expect("the file can be read");
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    std::fs::write(&path, text.replacen(from, with, 1)).expect("the file can be written");
    home.apply();
}

/// Lets the file's server time out soon, but not before a machine with more to do has answered.
pub fn impatient(home: &Home) {
    edit(home, "concurrency listing", "timeout \"10s\"\n    concurrency listing");
}

/// Runs the plan with `--json`, demands an exit code and everything that holds for every run.
pub fn run(home: &Home, code: i32) -> Ended {
    let ended = home.xopero(&["run", "nightly", "--json"]).expect(code);
    tidy(home, &ended);
    ended
}

/// The same for people.
pub fn run_for_people(home: &Home, code: i32) -> Ended {
    let ended = home.xopero(&["run", "nightly"]).expect(code);
    tidy(home, &ended);
    ended
}

/// The report of one task.
pub fn task(ended: &Ended, slug: &str) -> Value {
    let mut lines = ended.json().into_iter().filter(|line| line["type"] == "task_finished");
    let found = lines.find(|line| line["report"]["slug"] == slug);
    found.unwrap_or_else(|| panic!("no task {slug} in\n{}", ended.stdout))["report"].clone()
}

/// The error of a task with its causes, and its hint.
pub fn complaint(ended: &Ended, slug: &str) -> String {
    let report = task(ended, slug);
    assert_eq!(report["result"], "failed", "{report}");
    let lines = report["error"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let hint = report["hint"].as_str().unwrap_or_default();
    lines.chain([hint]).collect::<Vec<_>>().join("\n")
}

/// The summary of a run.
pub fn summary(ended: &Ended) -> Value {
    ended.line("run_finished")["summary"].clone()
}

/// What must hold after every command: no secret anywhere, no control character in the output, no stray file.
pub fn tidy(home: &Home, ended: &Ended) {
    safe(&ended.stdout);
    safe(&ended.stderr);
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains("token-of-"), "a token was printed:\n{text}");
        assert!(!text.contains("AGE-SECRET-KEY"), "an identity was printed:\n{text}");
    }
    for path in files(home.path()) {
        if path.file_name().is_some_and(|name| name == "identity.txt" || name == "backup.txt") {
            continue;
        }
        let content = std::fs::read(&path).expect("files can be read");
        for secret in [b"token-of-".as_slice(), b"dG9rZW4tb2Yt", b"AGE-SECRET-KEY"] {
            let found = content.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} holds a secret", path.display());
        }
    }
    strays(home);
}

/// No file of a write that did not end.
pub fn strays(home: &Home) {
    let left: Vec<_> = files(home.path()).into_iter().filter(|path| path.to_string_lossy().contains('#')).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// No character that a terminal obeys or that hides text.
pub fn safe(text: &str) {
    let hidden = |c: char| {
        (c < ' ' && c != '\n')
            || ('\u{7f}'..='\u{9f}').contains(&c)
            || ('\u{200b}'..='\u{200f}').contains(&c)
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let found: Vec<_> = text.chars().filter(|c| hidden(*c)).collect();
    assert!(found.is_empty(), "{found:?} in\n{text:?}");
}

/// All regular files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("folders can be read") {
            let entry = entry.expect("folders can be read");
            let kind = entry.file_type().expect("files can be looked at");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The stored files whose path contains `part`.
pub fn stored(home: &Home, destination: &str, part: &str) -> Vec<PathBuf> {
    let all = files(&home.destination(destination)).into_iter();
    all.filter(|path| path.to_string_lossy().contains(part)).collect()
}

/// The snapshots that the state lists, as `PROJECT/SLUG`, sorted; the destination by itself lists the same.
pub fn listed(home: &Home) -> Vec<String> {
    let names = |ended: Ended| -> Vec<String> {
        let rows = ended.success().json().into_iter();
        let mut names: Vec<_> =
            rows.map(|row| row["repository"].as_str().expect("a row names its repository").to_owned()).collect();
        names.sort();
        names
    };
    let recorded = names(home.xopero(&["snapshots", "--json"]));
    let from = home.destination("nas");
    let stored =
        home.xopero_as("backup.txt", &["snapshots", "--json", "--from", from.to_str().expect("the path is UTF-8")]);
    assert_eq!(recorded, names(stored));
    recorded
}

/// An address at which nobody listens, and nobody else can.
pub struct Nobody(TcpSocket);

impl Nobody {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("there is a free port");
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }
}

/// A run whose lines of JSON are watched while it is under way. Killed when the test ends.
pub struct Live {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    /// What the other stream says, and which of the two is watched.
    other: Option<JoinHandle<String>>,
    watched: Watched,
}

/// Where a run writes its lines.
#[derive(Clone, Copy)]
enum Watched {
    /// With `--json`.
    Stdout,
    /// Without it: the summary for people is on standard output.
    Stderr,
}

impl Live {
    /// Starts the plan with `--json`.
    pub fn start(home: &Home) -> Self {
        Self::start_with(home, &[])
    }

    /// Starts the plan with `--json` and further arguments.
    pub fn start_with(home: &Home, arguments: &[&str]) -> Self {
        Self::launch(home, &[&["run", "nightly", "--json"], arguments].concat(), Watched::Stdout)
    }

    /// Starts the plan as people do.
    pub fn start_for_people(home: &Home) -> Self {
        Self::launch(home, &["run", "nightly"], Watched::Stderr)
    }

    /// Starts a worker with an identity and `--json`.
    pub fn worker(home: &Home, identity: &str) -> Self {
        Self::launch_as(home, identity, &["worker", "--json"], Watched::Stdout)
    }

    fn launch(home: &Home, arguments: &[&str], watched: Watched) -> Self {
        Self::launch_as(home, "identity.txt", arguments, watched)
    }

    fn launch_as(home: &Home, identity: &str, arguments: &[&str], watched: Watched) -> Self {
        let mut command = home.xopero_command(arguments);
        command.env("XOPERO_IDENTITY_FILE", home.path().join(identity));
        Self::spawn(command, watched)
    }

    /// Starts a command that was prepared, with `--json` among its arguments.
    pub fn of(command: Command) -> Self {
        Self::spawn(command, Watched::Stdout)
    }

    fn spawn(mut command: Command, watched: Watched) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the executable starts");
        let stdout: Box<dyn Read + Send> = Box::new(child.stdout.take().expect("it is piped"));
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().expect("it is piped"));
        let (live, mut other) = match watched {
            Watched::Stdout => (stdout, stderr),
            Watched::Stderr => (stderr, stdout),
        };
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(live).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        let other = std::thread::spawn(move || {
            let mut text = String::new();
            other.read_to_string(&mut text).expect("both streams are UTF-8");
            text
        });
        Self { child, lines, seen: Vec::new(), other: Some(other), watched }
    }

    /// Waits for a line of this type.
    pub fn until(&mut self, kind: &str) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {kind} line:\n{}", self.seen.join("\n"))
            };
            self.seen.push(line.clone());
            let value: Value = serde_json::from_str(&line).expect("every line is JSON");
            if value["type"] == kind {
                return value;
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.child, signal);
    }

    /// Lets it stand still, and waits until it does.
    pub fn stand_still(&self) {
        self.signal(Signal::STOP);
        let process = Pid::from_child(&self.child);
        waitpid(Some(process), WaitOptions::UNTRACED).expect("it is a child").expect("it stands still");
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt;
        self.seen.extend(self.lines.iter());
        let status = self.child.wait().expect("it ends");
        let code = status.code().or_else(|| status.signal().map(|signal| -signal)).expect("a code or a signal");
        let lines = self.seen.join("\n") + "\n";
        let other = self.other.take().map(|thread| thread.join().expect("it is read")).unwrap_or_default();
        let (stdout, stderr) = match self.watched {
            Watched::Stdout => (lines, other),
            Watched::Stderr => (other, lines),
        };
        Ended { code, stdout, stderr }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
    }
}
