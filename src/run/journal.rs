//! The record of the tasks while a run is under way: what is told was written before.
//!
//! Whoever has something to record hands it over and goes on; one writer takes what has gathered and writes it in one
//! transaction. So the record follows what happens at the pace of the disk, and a kill loses what nobody was told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::{Event, EventSink};
use crate::state::{StateError, StateStore, TaskRow};

/// Entries that may wait for the writer before those who hand over wait too.
const WAITING: usize = 256;

/// Entries that are written together.
const TOGETHER: usize = 64;

/// How long entries gather before they are written: people do not notice it, and a transaction each would keep the disk
/// from what else is under way.
const GATHER: Duration = Duration::from_millis(40);

/// A row to write, if there is one, and what to tell then.
type Entry = (Option<TaskRow>, Event);

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
    pub(super) async fn enter(&self, row: Option<TaskRow>, event: Event) -> bool {
        let sender = self.sender.lock().expect("no holder panics").clone();
        match sender {
            Some(sender) => sender.send((row, event)).await.is_ok(),
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
        for row in entries.iter_mut().filter_map(|(row, _)| row.take()) {
            rows.insert((row.server, row.repository), row);
        }
        if !rows.is_empty() {
            state.record_tasks(&rows.into_values().collect::<Vec<_>>()).await?;
        }
        for (_, event) in entries.drain(..) {
            events.emit(&event);
        }
    }
    Ok(())
}
