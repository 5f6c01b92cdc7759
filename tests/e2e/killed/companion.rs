//! A worker that takes a share in what another process does, from another host where there is one, and is killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fake_bitbucket::{Action, Fault, Gate, Kind, When};

use super::estate::Estate;
use super::life::{Deed, heard};
use crate::scene::PATIENCE;

/// What a worker is there for.
#[derive(Debug, Clone, Copy)]
pub struct Help {
    /// It is killed after so many deeds of both, or after the one that it helps.
    pub until: u64,
    /// How long after it.
    pub outlives: Duration,
    /// Nothing is fetched before the worker takes its share, so that there is one.
    pub shares: bool,
}

/// A worker under way. Killed when the test ends.
pub struct Companion {
    child: Child,
    pub until: u64,
    stderr: Option<JoinHandle<String>>,
    /// What nothing is fetched before.
    held: Option<(Fault, Gate)>,
}

impl Companion {
    /// Begins one that is known to be there.
    pub fn begin(estate: &Estate, help: Help, deeds: &Sender<Deed>) -> Self {
        let mut command = estate.command_elsewhere(&["worker", "--json"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable starts");
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = Some(heard(child.stderr.take().expect("it is piped")));
        let held = help.shares.then(|| {
            let gate = Gate::new();
            (estate.home.server.fault(When::kind(Kind::FETCH), Action::Hang(gate.clone())), gate)
        });
        let (ready, is_ready) = channel();
        let (gate, deeds) = (held.as_ref().map(|(_, gate)| gate.clone()), deeds.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _known_already = ready.send(());
                if let Some(gate) = gate.as_ref().filter(|_| line.contains("\"run_joined\"")) {
                    gate.release();
                }
                let _nobody_waits = deeds.send(Deed::Helped);
            }
        });
        let companion = Self { child, until: help.until, stderr, held };
        is_ready.recv_timeout(PATIENCE).expect("a worker says that it is there");
        companion
    }

    /// Kills it. It never ends by itself, and fears nothing.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().expect("it can be asked");
        let _already_over = self.child.kill();
        self.child.wait().expect("it ends");
        let stderr = self.stderr.take().map(|thread| thread.join().expect("it is read")).unwrap_or_default();
        assert!(ended.is_none() && !stderr.contains("panicked"), "a worker ended with {ended:?}: {stderr}");
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _already_over = self.child.kill();
        let _already_over = self.child.wait();
        if let Some((fault, gate)) = &self.held {
            fault.remove();
            gate.release();
        }
    }
}
