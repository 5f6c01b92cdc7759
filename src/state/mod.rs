//! What xopero remembers between two commands: the only room that names `sqlx`.
//!
//! One database, the file `.xopero/state.db` beside the declaration or one of a PostgreSQL server that several hosts
//! share, holds three kinds of memory with different lifetimes:
//!
//! - **applied**: immutable generations, moved only from the generation that was looked at ([`StateStore::record_applied`]);
//! - **observed**: what servers, credentials, projects and destinations turned out to be, the repositories that were
//!   listed, the conditions that followed, the passwords that were refused, and which destination is bound to which
//!   identity. It is never part of a plan;
//! - **runs**: runs, their tasks, the catalogue of snapshots and, per destination and repository, the chain that the
//!   next run continues. The tasks of runs under way are in a [`queue`] that several processes may work on.
//!
//! Contract: a snapshot and the chain that ends in it are recorded in one transaction ([`StateStore::publish`]), and
//! the caller does so only after the manifest is stored, so a kill leaves the chain as it was. The database is a
//! cache of what destinations hold, except for the generations. It never holds a secret: sealed values are stored
//! as they stand in the file.
//!
//! The SQL keeps to what SQLite and PostgreSQL share: BIGINT, TEXT, BLOB and `$1`; what they do not share stands in
//! `engine`. Times are milliseconds since 1970. A file has one connection per process, so that writers queue in the
//! pool instead of polling a busy database; a server has a few, and what got in each other's way there is done again.
//! Other processes are kept out by [`StateLock`] while something is changed.

mod agenda;
mod alerts;
mod budgets;
mod catalogue;
mod connections;
mod contention;
mod copy;
mod engine;
mod error;
mod facts;
mod fence;
mod figures;
mod followed;
mod generations;
mod listings;
mod location;
mod lock;
mod migrations;
mod observed;
pub mod queue;
mod refused_logins;

mod row;
mod runs;
mod schema;
mod seen;
mod server;
mod server_address;
mod sqlite;
mod standing;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod verified;

pub use agenda::AgendaRow;
pub use alerts::{Before, ChannelRow, Message, NewMessage, Telling, ToldRow};
pub use catalogue::{Begins, ChainRow, HeldRow, SnapshotFilter};
pub use error::{DatabaseError, StateError};
pub use figures::{NewestRun, RunCount};
pub use location::{StateLocation, StatePlace};
pub use lock::{Exclusive, LockBody, StateLock};
pub use runs::{ABANDONED, DONE, Disorder, RUNNING, RunFilter, RunRow, RunStart};
pub use server_address::{ServerAddress, Surroundings};
pub use standing::Holding;
pub use store::StateStore;
pub use tasks::TaskRow;
pub use verified::Verified;
