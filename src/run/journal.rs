//! The record of the tasks while a run is under way: what is told was written before.
//!
//! Whoever has something to record hands it over and goes on; one writer takes what has gathered and writes it in one
//! transaction. So the record follows what happens at the pace of the disk, and a kill loses what nobody was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::{Event, EventSink};
use crate::state::queue::{Claim, Progress};
use crate::state::{StateError, StateStore, TaskRow};

/// Entries that may wait for the writer before those who hand over wait too.
const WAITING: usize = 256;

/// Entries that are written together.
const TOGETHER: usize = 64;

/// How long entries gather before they are written: people do not notice it, and a transaction each would keep the disk
/// from what else is under way.
const GATHER: Duration = Duration::from_millis(40);

/// Something to write, and what to tell then.
pub(super) struct Entry {
    row: Option<TaskRow>,
    /// The claim without which the row is not written, and nothing is told; and whether it ends with it.
    claim: Option<(Claim, bool)>,
    event: Event,
}

impl Entry {
    /// Only something to tell.
    pub(super) const fn told(event: Event) -> Self {
        Self { row: None, claim: None, event }
    }

    /// How far a task is that nobody has claimed.
    pub(super) const fn free(row: TaskRow, event: Event) -> Self {
        Self { row: Some(row), claim: None, event }
    }

    /// How far a task is that goes on.
    pub(super) const fn on_the_way(claim: Claim, row: TaskRow, event: Event) -> Self {
        Self { row: Some(row), claim: Some((claim, false)), event }
    }

    /// How a task ended.
    pub(super) const fn end(claim: Claim, row: TaskRow, event: Event) -> Self {
        Self { row: Some(row), claim: Some((claim, true)), event }
    }
}

/// The way to the writer.
pub(super) struct Journal {
    sender: Mutex<Option<Sender<Entry>>>,
    writer: Mutex<Option<JoinHandle<Result<(), StateError>>>>,
}

impl Journal {
    /// Begins to write.
    pub(super) fn open(state: Arc<StateStore>, events: Arc<dyn EventSink>) -> Self {
        let (sender, receiver) = channel(WAITING);
        let writer = tokio::spawn(write(state, events, receiver));
        Self { sender: Mutex::new(Some(sender)), writer: Mutex::new(Some(writer)) }
    }

    /// Hands over. Tells whether the writer is still there; if not, [`Journal::close`] tells why.
    pub(super) async fn enter(&self, entry: Entry) -> bool {
        let sender = self.sender.lock().expect("no holder panics").clone();
        match sender {
            Some(sender) => sender.send(entry).await.is_ok(),
            None => false,
        }
    }

    /// Waits until everything is written. Nothing can be handed over from here on.
    pub(super) async fn close(&self) -> Result<(), StateError> {
        drop(self.sender.lock().expect("no holder panics").take());
        let writer = self.writer.lock().expect("no holder panics").take();
        match writer {
            Some(writer) => writer.await.expect("writing does not panic"),
            None => Ok(()),
        }
    }
}

async fn write(
    state: Arc<StateStore>,
    events: Arc<dyn EventSink>,
    mut receiver: Receiver<Entry>,
) -> Result<(), StateError> {
    let mut entries: Vec<Entry> = Vec::with_capacity(TOGETHER);
    while receiver.recv_many(&mut entries, TOGETHER).await > 0 {
        let gather = async {
            while entries.len() < TOGETHER {
                let room = TOGETHER - entries.len();
                if receiver.recv_many(&mut entries, room).await == 0 {
                    break;
                }
            }
        };
        let _time_is_up = tokio::time::timeout(GATHER, gather).await;
        // A task that went on before it was written that it waits: only where it is counts.
        let mut rows = BTreeMap::new();
        for entry in &mut entries {
            if let Some(row) = entry.row.take() {
                rows.insert((row.server, row.repository), (row, entry.claim));
            }
        }
        let (mut free, mut progress) = (Vec::new(), Vec::new());
        for (row, claim) in rows.into_values() {
            match claim {
                None => free.push(row),
                Some((claim, ended)) => progress.push(Progress { claim, row, ended }),
            }
        }
        let recorded = !free.is_empty() || !progress.is_empty();
        let lost = if recorded { state.settle(&free, &progress).await? } else { BTreeSet::new() };
        for Entry { claim, event, .. } in entries.drain(..) {
            // What is not recorded is told by whoever has the task.
            if claim.is_none_or(|(claim, _)| !lost.contains(&claim)) {
                events.emit(&event);
            }
        }
    }
    Ok(())
}
