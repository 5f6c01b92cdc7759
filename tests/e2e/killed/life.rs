//! One life of a process: it begins, and it is killed at a moment.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use super::companion::{Companion, Help};
use super::estate::Estate;
use crate::scene::PATIENCE;
use crate::support::send_signal;

/// A process that says nothing for so long, and asks for nothing, waits for something: that is a moment, too.
const IDLE: Duration = Duration::from_millis(700);

/// The same of one that waits for its worker, which looks once a second whether there is something to do.
const IDLE_WITH_HELP: Duration = Duration::from_secs(3);

/// Something that a process did.
#[derive(Debug)]
pub enum Deed {
    /// It sent a request.
    Asked,
    /// It wrote a line.
    Said(String),
    /// Its worker wrote a line.
    Helped,
    /// It ended.
    Ended,
}

/// When a process is killed.
#[derive(Debug, Clone)]
pub enum Moment {
    /// After so many requests.
    Asked(u64),
    /// After so many lines.
    Said(u64),
    /// At a named point, as `NAME#COUNT`, which it must come to.
    Point(String),
    /// The same, if it comes to it before it is idle.
    Perhaps(String),
    /// Not at all: it ends by itself.
    Never,
}

/// How a life ended.
#[derive(Debug)]
pub struct End {
    /// The exit code, or the signal with a minus.
    pub code: i32,
    pub lines: Vec<String>,
    pub stderr: String,
    /// Its worker was killed before.
    pub lost_help: bool,
}

impl End {
    pub fn was_killed(&self) -> bool {
        self.code == -9
    }
}

/// A process under way. Killed when the test ends.
pub struct Life<'a> {
    estate: &'a Estate,
    child: Child,
    deeds: Receiver<Deed>,
    stderr: Option<JoinHandle<String>>,
    moment: Moment,
    /// How long it may do nothing.
    idle: Duration,
    companion: Option<Companion>,
    /// How long a companion outlives it.
    outlived: Duration,
}

impl<'a> Life<'a> {
    pub fn begin(estate: &'a Estate, mut command: Command, moment: Moment, help: Option<Help>) -> Self {
        let (sender, deeds) = channel();
        let idle = match moment {
            Moment::Never | Moment::Point(_) => PATIENCE,
            Moment::Asked(_) | Moment::Said(_) | Moment::Perhaps(_) => match &help {
                Some(help) if help.shares => IDLE_WITH_HELP,
                Some(_) | None => IDLE,
            },
        };
        let outlived = help.as_ref().map_or(Duration::ZERO, |help| help.outlives);
        let companion = help.map(|help| Companion::begin(estate, help, &sender));
        estate.listen(sender.clone());
        if let Moment::Point(point) | Moment::Perhaps(point) = &moment {
            command.env("XOPERO_CRASH_AT", point);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable starts");
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = heard(child.stderr.take().expect("it is piped"));
        std::thread::spawn(move || tell(stdout, &sender));
        Self { estate, child, deeds, stderr: Some(stderr), moment, idle, companion, outlived }
    }

    /// Lives until the moment and the delay after it. `meanwhile` is called with the number of each deed.
    pub fn live(mut self, delay: Duration, mut meanwhile: impl FnMut(u64)) -> End {
        let (mut asked, mut said, mut helped, mut lines) = (0, 0, 0, Vec::new());
        let mut lost_help = false;
        loop {
            match self.deeds.recv_timeout(self.idle) {
                Ok(Deed::Asked) => asked += 1,
                Ok(Deed::Helped) => helped += 1,
                Ok(Deed::Said(line)) => {
                    said += 1;
                    lines.push(line);
                }
                Ok(Deed::Ended) => return self.end(lines, lost_help),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            meanwhile(asked + said);
            let is_over = |companion: &Companion| asked + said + helped >= companion.until;
            if let Some(companion) = self.companion.take_if(|companion| is_over(companion)) {
                companion.kill();
                self.estate.lose_workers();
                lost_help = true;
            }
            let is_time = match &self.moment {
                Moment::Asked(count) => asked >= *count,
                Moment::Said(count) => said >= *count,
                Moment::Point(_) | Moment::Perhaps(_) | Moment::Never => false,
            };
            if is_time {
                pass(delay);
                break;
            }
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            send_signal(&self.child, Signal::KILL);
        }
        while let Ok(deed) = self.deeds.recv() {
            match deed {
                Deed::Said(line) => lines.push(line),
                Deed::Asked | Deed::Helped => {}
                Deed::Ended => break,
            }
        }
        self.end(lines, lost_help)
    }

    fn end(&mut self, lines: Vec<String>, lost_help: bool) -> End {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait().expect("it ends");
        if let Some(companion) = self.companion.take() {
            pass(self.outlived);
            companion.kill();
        }
        let code = status.code().or_else(|| status.signal().map(|signal| -signal)).expect("a code or a signal");
        let stderr = self.stderr.take().map(|thread| thread.join().expect("it is read")).unwrap_or_default();
        self.estate.over();
        assert!(!stderr.contains("panicked"), "{stderr}");
        End { code, lines, stderr, lost_help }
    }
}

/// Lets time pass. The moment that comes is a random one, which is what is tried out: nothing is waited for.
fn pass(delay: Duration) {
    let (_kept, never) = channel::<()>();
    let _over = never.recv_timeout(delay);
}

fn tell(stdout: impl Read, deeds: &Sender<Deed>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if deeds.send(Deed::Said(line)).is_err() {
            return;
        }
    }
    let _nobody_waits = deeds.send(Deed::Ended);
}

/// What is said there until its end.
pub fn heard(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it is UTF-8");
        text
    })
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
    }
}
