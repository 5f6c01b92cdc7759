//! A watch under way, with what the kernel says of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

use crate::home::XoperoHome;

/// How long a line may take before it is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// What Linux tells processor time in, for a second.
const TICKS: f64 = 100.0;

/// A watch. Killed when it is dropped.
pub struct Watching {
    child: Child,
    lines: Receiver<Value>,
}

impl Watching {
    /// Starts it, and waits until it knows that the file is in force.
    pub fn start(home: &XoperoHome) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xopero"));
        command.args(["watch", "--json"]).current_dir(home.folder()).env_clear().envs(home.environment());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("xopero starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(serde_json::from_str(&line).expect("lines are JSON")))
        });
        let watch = Self { child, lines };
        assert_eq!(watch.activated()["result"], "in-sync");
        watch
    }

    /// Waits until a new generation is in force.
    pub fn applied(&mut self) {
        let line = self.activated();
        assert_eq!(line["result"], "applied", "{line}");
    }

    /// Lets time pass, in which it must have nothing to say.
    pub fn wait(&self, time: Duration) {
        match self.lines.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("the watch ended"),
            Ok(line) => panic!("the watch is not idle: {line}"),
        }
    }

    fn activated(&self) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the watch goes on");
            if line["type"] == "activated" {
                return line;
            }
        }
    }

    /// Seconds of processor time so far.
    pub fn cpu(&self) -> f64 {
        let text = self.proc("stat");
        // Behind the name, which may hold anything: the 14th and the 15th field of all.
        let fields: Vec<&str> = text.rsplit_once(')').expect("it has a name").1.split_whitespace().collect();
        let ticks = |index: usize| fields[index].parse::<u32>().map(f64::from).expect("ticks are numbers");
        (ticks(11) + ticks(12)) / TICKS
    }

    /// MiB that are resident, and that were at most.
    pub fn memory(&self) -> (f64, f64) {
        let text = self.proc("status");
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
            let kibibytes = line.split_whitespace().next().and_then(|number| number.parse::<u32>().ok());
            f64::from(kibibytes.expect("it is a number")) / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("it is under way")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
    }
}
