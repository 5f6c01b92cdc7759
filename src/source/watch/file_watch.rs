//! Looking at the files whenever it is worth to look.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::hops::{Hops, Print};
use super::settling::{Act, Look, Pace, Settling};
use super::watches::{Hint, Open, Watches, system};
use crate::clock::Clock;
use crate::model::Source;
use crate::source::{Flaw, Snapshot, SourceEvent, SourceTree, read_tree, read_tree_again, whole};

/// Hints that wait to be heard: one is enough.
const HINTS: usize = 8;

/// How often the files may name others while they are looked at.
const MOST_ROUNDS: usize = 4;

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// By the system's notifications, and by a slow poll.
    Events,
    /// By the poll alone: for file systems that give no notifications.
    Poll,
}

/// Follows a file and everything that it names.
pub struct FileWatch {
    clock: Arc<dyn Clock>,
    pace: Pace,
    eyes: Arc<Mutex<Eyes>>,
    settling: Settling<Source, Flaw>,
    /// What was named in what was given last, as kind and name.
    named: BTreeSet<(String, String)>,
    /// What the last look saw, until it is given out: the next one parses only what is other than that.
    seen: Option<Box<SourceTree>>,
    hints: Receiver<Hint>,
    /// Keeps the channel open when the system gives no notifications.
    hinter: Sender<Hint>,
    /// When the files were read last.
    read_at: Option<Instant>,
    /// What the system said when it gave no notifications.
    deaf: Option<String>,
    events: VecDeque<SourceEvent>,
}

/// What touches the disk.
struct Eyes {
    path: PathBuf,
    /// The files that the main one names.
    named: BTreeSet<PathBuf>,
    watches: Watches,
    prints: BTreeMap<PathBuf, Option<Print>>,
}

struct Seen {
    tree: Result<Box<SourceTree>, Flaw>,
    deaf: Result<(), String>,
}

impl FileWatch {
    /// Follows the file at `path`. Its first event is the file itself, or that it is missing.
    pub fn new(path: &Path, notice: Notice, pace: Pace, clock: Arc<dyn Clock>) -> Self {
        let open = match notice {
            Notice::Events => Some(system as Open),
            Notice::Poll => None,
        };
        Self::with(path, open, pace, clock)
    }

    pub(super) fn with(path: &Path, open: Option<Open>, pace: Pace, clock: Arc<dyn Clock>) -> Self {
        let (hinter, hints) = mpsc::channel(HINTS);
        let eyes = Eyes {
            path: path.to_owned(),
            named: BTreeSet::new(),
            watches: Watches::new(open, hinter.clone()),
            prints: BTreeMap::new(),
        };
        Self {
            settling: Settling::new(pace, clock.monotonic()),
            named: BTreeSet::new(),
            seen: None,
            eyes: Arc::new(Mutex::new(eyes)),
            clock,
            pace,
            hints,
            hinter,
            read_at: None,
            deaf: None,
            events: VecDeque::new(),
        }
    }

    /// Looks without delay, as a webhook wants it.
    pub fn wake(&mut self) {
        self.read_at = None;
        self.settling.hint(self.clock.monotonic());
    }

    /// Looks without delay, and gives what it finds also if that is what was given last, as a signal wants it.
    pub fn read_again(&mut self) {
        self.read_at = None;
        self.settling.anew(self.clock.monotonic());
    }

    /// Waits for what happens next. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> SourceEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let due = self.settling.due();
            if self.clock.monotonic() < due {
                tokio::select! {
                    hint = self.hints.recv() => self.heard(hint),
                    () = tokio::time::sleep_until(due.into()) => {}
                }
                continue;
            }
            self.look().await;
        }
    }

    fn heard(&mut self, hint: Option<Hint>) {
        match hint {
            Some(Hint::Moved) => {}
            Some(Hint::Lost) => {
                tracing::warn!("the system lost notifications of changed files; all of them are read again");
                self.read_at = None;
            }
            None => debug_assert!(!self.hinter.is_closed(), "a sender is held here"),
        }
        self.settling.hint(self.clock.monotonic());
    }

    async fn look(&mut self) {
        let now = self.clock.monotonic();
        let read = self.read_at.filter(|read| now.saturating_duration_since(*read) < self.pace.reread);
        let trust_prints = read.is_some() && self.settling.is_at_rest();
        let (eyes, before) = (Arc::clone(&self.eyes), self.seen.take());
        // A file system that hangs must not hold anybody else up.
        let looking = tokio::task::spawn_blocking(move || {
            // A look that panicked left eyes that can look again.
            let mut eyes = eyes.lock().unwrap_or_else(PoisonError::into_inner);
            if trust_prints && eyes.nothing_moved() { None } else { Some(eyes.look(before)) }
        });
        let seen = match looking.await {
            Ok(seen) => seen,
            Err(error) => Some(Seen::panicked(&error)),
        };
        let now = self.clock.monotonic();
        let Some(seen) = seen else { return self.settling.unmoved(now) };
        self.read_at = Some(now);
        match seen.deaf {
            Ok(()) => self.deaf = None,
            Err(reason) => {
                if self.deaf.as_ref() != Some(&reason) {
                    self.events.push_back(SourceEvent::Polling { reason: reason.clone() });
                }
                self.deaf = Some(reason);
            }
        }
        let (look, tree) = match seen.tree {
            Ok(tree) if !tree.sources().is_well_formed() => (Look::Malformed(tree.source()), Some(tree)),
            Ok(tree) if !self.named.is_subset(&tree.sources().named()) => (Look::Fewer(tree.source()), Some(tree)),
            Ok(tree) => (Look::Whole(tree.source()), Some(tree)),
            Err(flaw) => (Look::Broken(flaw), None),
        };
        let act = self.settling.saw(look, now);
        let event = match (act, tree) {
            (Some(Act::Give), Some(tree)) => {
                self.named = tree.sources().named();
                SourceEvent::Changed(Box::new(Snapshot { tree: *tree, tip: None }))
            }
            (None, tree) => {
                self.seen = tree.filter(|_| !self.settling.is_at_rest());
                return;
            }
            (Some(Act::Back), _) => SourceEvent::Back,
            (Some(Act::Broken(Flaw { path, reason }, since)), _) => {
                SourceEvent::Missing { path, reason, since: self.wall(since) }
            }
            (Some(Act::Restless(since)), _) => {
                let reason = "somebody writes to the files without a pause".into();
                let hint = Some("find out which program writes them, and let it write a new file and rename it".into());
                SourceEvent::Stale { reason, hint, since: self.wall(since) }
            }
            (Some(Act::Give), None) => return,
        };
        self.events.push_back(event);
    }

    fn wall(&self, then: Instant) -> jiff::Timestamp {
        let ago = self.clock.monotonic().saturating_duration_since(then);
        self.clock.now().saturating_sub(ago).expect("durations saturate")
    }
}

impl Eyes {
    fn nothing_moved(&self) -> bool {
        let hops = self.hops();
        !self.prints.is_empty() && hops.prints() == self.prints
    }

    fn hops(&self) -> Hops {
        Hops::of(std::iter::once(self.path.as_path()).chain(self.named.iter().map(PathBuf::as_path)))
    }

    /// Watches first and reads then, so that whatever is written after the reading is told. What says the same as
    /// `before` is not parsed again.
    fn look(&mut self, mut before: Option<Box<SourceTree>>) -> Seen {
        let mut deaf = Ok(());
        for _ in 0..MOST_ROUNDS {
            let hops = self.hops();
            deaf = self.watches.follow(&hops);
            if self.hops() != hops {
                continue;
            }
            self.prints = hops.prints();
            let read = match before.take() {
                Some(before) => read_tree_again(&self.path, *before),
                None => read_tree(&self.path),
            };
            let read = match read {
                Ok(tree) => {
                    let directory = tree.main().directory();
                    let named = tree.names().map(|name| directory.join(name)).collect();
                    if self.named != named {
                        self.named = named;
                        before = Some(Box::new(tree));
                        continue;
                    }
                    Ok(tree)
                }
                Err(error) => Err(error),
            };
            return Seen { tree: whole(&self.path, read), deaf };
        }
        let reason = "what it names changes while it is read".into();
        Seen { tree: Err(Flaw { path: self.path.clone(), reason }), deaf }
    }
}

impl Seen {
    fn panicked(error: &tokio::task::JoinError) -> Self {
        Self { tree: Err(Flaw { path: PathBuf::new(), reason: format!("reading failed: {error}") }), deaf: Ok(()) }
    }
}
