//! The tasks of runs under way, as a queue that several processes work on.
//!
//! One process at a time begins runs: it holds the lock of runs, and is the *coordinator* of those that it began. It
//! puts the tasks of a run into the queue ([`StateStore::enqueue`]); whoever works on the run *claims* some of them, the
//! coordinator's own workers and those of other processes alike. A claim is a [`Claim`]: an owner, and an epoch that
//! grows with every claim of the task. It is a *lease* that the owner renews ([`StateStore::renew`]). A lease that is
//! over is taken back by whoever looks next ([`StateStore::reap`]), and the task waits again, or is set aside when it
//! was lost too often ([`lease`]).
//!
//! Contract: a unique index lets one claim of a repository be held at a time, over all runs and processes. Whatever an
//! owner writes (a snapshot, the end of a task) is written in one transaction with the proof that it holds the claim
//! at its epoch. Whoever was stopped for longer than its lease writes nothing, and learns so.
//!
//! The database's clock is the only clock in here: hosts need not agree on the time. The SQL is the one that SQLite and
//! PostgreSQL share but for two expressions, which stand in [`dialect`].

mod claim;
mod dialect;
mod enqueue;
pub mod lease;
mod look;
mod reap;
mod settle;
#[cfg(test)]
pub(super) mod tests;
mod workers;

pub use claim::{Claim, Claimed};
pub use enqueue::QueuedTask;
pub use look::{Course, Gathered, Group, Look, OpenRun};
pub use settle::Progress;

/// It can be claimed.
const QUEUED: &str = "queued";
/// It is claimed.
const RUNNING: &str = "running";
/// It has a report that the coordinator may not know yet.
const ENDED: &str = "ended";
/// It was lost too often.
const POISONED: &str = "poisoned";
/// The coordinator knows how it ended elsewhere.
const GATHERED: &str = "gathered";

#[cfg(doc)]
use super::StateStore;
