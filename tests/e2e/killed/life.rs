//! One life of a process: it begins, and it is killed at a moment.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use super::estate::Estate;
use crate::scene::PATIENCE;
use crate::support::send_signal;

/// A process that says nothing for so long, and asks for nothing, waits for something: that is a moment, too.
const IDLE: Duration = Duration::from_millis(700);

/// Something that a process did.
#[derive(Debug)]
pub enum Deed {
    /// It sent a request.
    Asked,
    /// It wrote a line.
    Said(String),
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
    companion: Option<(Child, u64)>,
}

impl<'a> Life<'a> {
    pub fn begin(estate: &'a Estate, arguments: &[&str], input: Option<&str>, moment: Moment) -> Self {
        use std::io::Write;
        let (sender, deeds) = channel();
        estate.listen(sender.clone());
        let mut command = estate.home.xopero_command(arguments);
        command.env("XOPERO_IDENTITY_FILE", estate.home.path().join("identity.txt"));
        if let Moment::Point(point) | Moment::Perhaps(point) = &moment {
            command.env("XOPERO_CRASH_AT", point);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // Who is killed early reads nothing.
        let _unread = stdin.write_all(input.unwrap_or_default().as_bytes());
        drop(stdin);
        let stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        std::thread::spawn(move || tell(stdout, &sender));
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).expect("stderr is UTF-8");
            text
        });
        Self { estate, child, deeds, stderr: Some(stderr), moment, companion: None }
    }

    /// A worker takes a share in what it does. It is killed at a deed, or with it.
    pub fn accompanied_until(mut self, deed: u64) -> Self {
        let mut command = self.estate.home.xopero_command(&["worker", "--json"]);
        command.env("XOPERO_IDENTITY_FILE", self.estate.home.path().join("identity.txt"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.companion = Some((command.spawn().expect("the executable starts"), deed));
        self
    }

    fn part(&mut self) {
        if let Some((mut worker, _)) = self.companion.take() {
            worker.kill().expect("it can be killed");
            worker.wait().expect("it ends");
        }
    }

    /// Lives until the moment and the delay after it. `meanwhile` is called with the number of each deed.
    pub fn live(mut self, delay: Duration, mut meanwhile: impl FnMut(u64)) -> End {
        let (mut asked, mut said, mut lines) = (0, 0, Vec::new());
        let idle = match self.moment {
            Moment::Never | Moment::Point(_) => PATIENCE,
            Moment::Asked(_) | Moment::Said(_) | Moment::Perhaps(_) => IDLE,
        };
        loop {
            match self.deeds.recv_timeout(idle) {
                Ok(Deed::Asked) => asked += 1,
                Ok(Deed::Said(line)) => {
                    said += 1;
                    lines.push(line);
                }
                Ok(Deed::Ended) => return self.end(lines),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
            meanwhile(asked + said);
            if self.companion.as_ref().is_some_and(|(_, deed)| asked + said >= *deed) {
                self.part();
            }
            let is_time = match &self.moment {
                Moment::Asked(count) => asked >= *count,
                Moment::Said(count) => said >= *count,
                Moment::Point(_) | Moment::Perhaps(_) | Moment::Never => false,
            };
            if is_time {
                // The moment is a random one: this delay is what is tried out, and nothing is waited for.
                let (_kept, never) = channel::<()>();
                let _over = never.recv_timeout(delay);
                break;
            }
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            send_signal(&self.child, Signal::KILL);
        }
        while let Ok(deed) = self.deeds.recv() {
            match deed {
                Deed::Said(line) => lines.push(line),
                Deed::Asked => {}
                Deed::Ended => break,
            }
        }
        self.end(lines)
    }

    fn end(&mut self, lines: Vec<String>) -> End {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait().expect("it ends");
        self.part();
        let code = status.code().or_else(|| status.signal().map(|signal| -signal)).expect("a code or a signal");
        let stderr = self.stderr.take().map(|thread| thread.join().expect("it is read")).unwrap_or_default();
        self.estate.over();
        assert!(!stderr.contains("panicked"), "{stderr}");
        End { code, lines, stderr }
    }
}

fn tell(stdout: impl Read, deeds: &Sender<Deed>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if deeds.send(Deed::Said(line)).is_err() {
            return;
        }
    }
    let _nobody_waits = deeds.send(Deed::Ended);
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        self.part();
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
    }
}
