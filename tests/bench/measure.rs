//! A process between the benchmark and the clients: the kernel adds up what its children cost, and it has no others.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

/// What the client's processes cost.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Cost {
    /// From the first process's start to the last one's end, in seconds.
    pub wall: f64,
    /// User and system time of all processes, in seconds.
    pub cpu: f64,
    /// The most memory that one of the processes had resident at once, in bytes.
    pub memory: f64,
}

/// Programs to run, some of them at the same time.
#[derive(Debug, Deserialize, Serialize)]
pub struct Work {
    /// How many run at a time.
    pub concurrency: usize,
    /// The working directory.
    pub folder: PathBuf,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// Each program with its arguments.
    pub commands: VecDeque<Vec<String>>,
}

impl Work {
    /// Does the work in a process of its own, and says what it cost.
    pub fn measure(&self) -> Cost {
        let this = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(this)
            .arg("--measure")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let mut input = child.stdin.take().expect("it is piped");
        input.write_all(&serde_json::to_vec(self).expect("work is plain data")).expect("the work is read");
        drop(input);
        let output = child.wait_with_output().expect("a started child ends");
        assert!(output.status.success(), "the clients failed");
        serde_json::from_slice(&output.stdout).expect("the cost is printed")
    }

    fn run(self) {
        let Self { concurrency, folder, environment, commands } = self;
        let commands = Mutex::new(commands);
        let next = || commands.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        std::thread::scope(|scope| {
            for _ in 0..concurrency {
                scope.spawn(|| {
                    while let Some(words) = next() {
                        let mut command = Command::new(&words[0]);
                        command.args(&words[1..]).current_dir(&folder).env_clear().envs(environment.clone());
                        let output = command.stdin(Stdio::null()).output().expect("the program starts");
                        let said = String::from_utf8_lossy(&output.stderr);
                        assert!(output.status.success(), "{} failed: {said}", words.join(" "));
                    }
                });
            }
        });
    }
}

/// Reads work, does it, and prints its cost.
#[expect(clippy::disallowed_methods, reason = "measuring time is what this is for")]
pub fn serve() {
    let work: Work = serde_json::from_reader(io::stdin()).expect("the work is plain data");
    let began = Instant::now();
    work.run();
    let wall = began.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("children can be asked for");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let cost = Cost { wall, cpu: seconds(micros), memory: kibibytes(usage.max_rss()) };
    serde_json::to_writer(io::stdout(), &cost).expect("standard output is open");
}

fn seconds(micros: i64) -> f64 {
    std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64()
}

/// Linux counts resident memory in KiB.
fn kibibytes(count: i64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) * 1024.0
}
