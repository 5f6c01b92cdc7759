//! A watch under a service manager, its log, and what it keeps to itself.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::proof::usual;
use crate::scene::{PATIENCE, safe};
use crate::support::{Home, edit, send_signal};
use crate::watch::{Watching, miss, world};

/// The socket of a service manager.
pub struct Manager {
    socket: UnixDatagram,
    /// Where it listens.
    pub path: String,
    heard: Vec<String>,
}

impl Manager {
    pub fn new(home: &Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("it is free");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
        Self { socket, path: path.to_str().expect("it is UTF-8").to_owned(), heard: Vec::new() }
    }

    /// The next message with a line that begins like this.
    pub fn until(&mut self, beginning: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let size = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error} after {:?}", self.heard));
            let message = String::from_utf8(buffer[..size].to_vec()).expect("it is UTF-8");
            self.heard.push(message.clone());
            if message.lines().any(|line| line.starts_with(beginning)) {
                return message;
            }
        }
    }
}

#[test]
fn the_service_manager_hears_how_it_stands() {
    let home = usual(world());
    let mut manager = Manager::new(&home);
    let path = manager.path.clone();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "200000")];
    let watch = Watching::start_in(&home, &variables, &[]);
    assert_eq!(manager.until("READY=1"), "READY=1\nSTATUS=generation 1 is in force\n");
    manager.until("WATCHDOG=1");
    manager.until("WATCHDOG=1");
    edit(&home, "keep last=100", "keep last=200");
    manager.until("STATUS=generation 2 is in force");

    watch.signal(Signal::HUP);
    let reloading = manager.until("RELOADING=1");
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    manager.until("READY=1");

    watch.signal(Signal::TERM);
    let stopping = manager.until("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=") && stopping.contains("STATUS=stopping; "), "{stopping}");
    assert_eq!(watch.ended(), Some(0));
    let before_ready = manager.heard.iter().take_while(|message| !message.contains("READY=1"));
    assert!(before_ready.into_iter().all(|message| message == "WATCHDOG=1\n"), "{:?}", manager.heard);
}

#[test]
fn a_log_of_json_has_run_plan_repository_and_account() {
    let home = usual(world());
    // Of everything that is logged.
    let variables = [("XOPERO_LOG", "trace")];
    let mut command = home.xopero_command(&["run", "nightly", "--log-format", "json", "--json"]);
    command.envs(variables).env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt"));
    let output = command.output().expect("it starts");
    let text = String::from_utf8(output.stderr).expect("it is UTF-8");
    safe(&text);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("lines are JSON")).collect();
    let of_tasks: Vec<_> = lines.iter().filter(|line| line["message"] == "the task is over").collect();
    assert_eq!(of_tasks.len(), 2, "{text}");
    for line in &of_tasks {
        assert_eq!((&line["plan"], &line["account"]), (&"nightly".into(), &"main".into()), "{line}");
        assert!(line["repository"].as_str().is_some_and(|name| name.starts_with("PAY/")), "{line}");
        assert!(line["run"].as_str().is_some_and(|run| run.len() == 26), "{line}");
        assert!(line["level"] == "info" && line["at"].is_string(), "{line}");
    }
    assert!(!text.contains("token-of-"), "{text}");
    home.xopero(&["status", "--log-level", "loud=very"]).expect(64).says("write a level");
}

/// Runs a watch until it has made up for a missed run, and gives what it wrote to stderr.
fn watched(home: &Home, arguments: &[&str], journal: bool) -> String {
    miss(home);
    let mut manager = Manager::new(home);
    let (path, file) = (home.path().join("stderr"), home.path().join("stderr"));
    let stderr = File::create(&path).expect("it can be made");
    let metadata = stderr.metadata().expect("it is there");
    let mut command = home.xopero_command(&[&["watch"], arguments].concat());
    command.env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt")).env("NOTIFY_SOCKET", &manager.path);
    if journal {
        command.env("JOURNAL_STREAM", format!("{}:{}", metadata.dev(), metadata.ino()));
    }
    let mut child = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("it starts");
    manager.until("STATUS=generation 2 is in force; nightly under way");
    manager.until("STATUS=generation 2 is in force\n".trim_end());
    while manager.heard.last().is_some_and(|message| message.contains("under way")) {
        manager.until("STATUS=generation 2");
    }
    send_signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    std::fs::read_to_string(file).expect("it is UTF-8")
}

#[test]
fn in_the_journal_lines_have_a_priority_and_no_time() {
    let text = watched(&usual(world()), &[], true);
    assert!(text.contains("<6>") && text.contains(" nightly: done: 2 new"), "{text}");
    assert!(text.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{text}");
    let is_a_time = |word: &str| word.parse::<jiff::Timestamp>().is_ok();
    assert!(!text.split_whitespace().any(is_a_time), "{text}");
}

#[test]
fn a_watch_tells_in_json_where_the_log_is_json() {
    let text = watched(&usual(world()), &["--log-format", "json"], false);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("lines are JSON")).collect();
    let ended = lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains("2 new")));
    let ended = ended.unwrap_or_else(|| panic!("{text}"));
    assert!(ended["plan"] == "nightly" && ended["run"].is_string() && ended["at"].is_string(), "{ended}");
}

#[test]
fn a_broken_file_is_a_line_with_its_place() {
    let home = usual(world());
    let path = home.path().join("xopero.kdl");
    let good = std::fs::read_to_string(&path).expect("it can be read");
    std::fs::write(&path, format!("{good}\n  servr \"x\"\n")).expect("it is written");
    let mut command = home.xopero_command(&["watch", "--log-format", "json"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.expect("it is text")).expect("it is JSON"));
    let broken = lines.find(|line| line["code"].is_string()).expect("it is told");
    let place = (broken["file"].as_str(), broken["line"].as_u64(), broken["column"].as_u64());
    assert_eq!(place, (Some("xopero.kdl"), Some(good.lines().count() as u64 + 2), Some(3)), "{broken}");
    let stays = lines.next().expect("it goes on");
    assert!(stays["message"].as_str().is_some_and(|text| text.contains("generation 1 stays")), "{stays}");
    send_signal(&child, Signal::TERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_process_that_dies_leaves_no_picture_of_its_memory() {
    let home = usual(world());
    let mut manager = Manager::new(&home);
    let mut command = home.command("sh");
    command.args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" watch --json", env!("CARGO_BIN_EXE_xopero")]);
    command.env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt")).env("NOTIFY_SOCKET", &manager.path);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    manager.until("READY=1");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).expect("it is under way");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("there is one");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    send_signal(&child, Signal::ABORT);
    let status = child.wait().expect("it ends");
    assert!(status.signal().is_some() && !status.core_dumped(), "{status:?}");
}

#[test]
fn the_units_are_valid_and_allowed_little() {
    let home = Home::new(world(), crate::proof::options());
    for (name, says) in [("xopero.service", "Follow the file"), ("xopero-worker.service", "Help with the runs")] {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd/").to_owned() + name;
        let unit = std::fs::read_to_string(example).expect("it can be read");
        let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts something");
        // What it starts is a command line of this version.
        let arguments: Vec<_> = start.split(' ').skip(1).chain(["--help"]).collect();
        home.xopero(&arguments).success().says(says);
        if home.command("systemd-analyze").arg("--version").output().is_err() {
            continue;
        }
        let path = home.path().join(name);
        let unit = unit.replace("/usr/local/bin/xopero", env!("CARGO_BIN_EXE_xopero"));
        std::fs::write(&path, unit).expect("it is written");
        for arguments in [&["verify"][..], &["security", "--offline=true", "--threshold=15"]] {
            let output = home.command("systemd-analyze").args(arguments).arg(&path).output().expect("it starts");
            let text = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&text));
        }
    }
}
