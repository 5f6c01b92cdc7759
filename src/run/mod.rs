//! One execution of a backup plan.
//!
//! The dispatcher lists the projects ([`scope`], [`inventory`]), makes one task for each repository in scope and keeps as many
//! under way as the server's declaration allows. A task ([`task`]) lists the references, decides per destination
//! what is needed ([`decide`], pure), streams the pack that is, and publishes manifests. Every request goes through
//! [`credentials`]: it takes a lease of the pool, exchanges it after a 429, and waits when nobody is left. Then it goes
//! through its server's [`gate`], where everybody waits together while the server is busy.
//!
//! A task that fails fails alone. What happens is told as [`Event`]s; what happened is the [`Summary`].

mod attempt;
mod chain;
mod check;
mod conclude;
mod credentials;
mod deadline;
mod decide;
mod dispatch;
mod error;
mod event;
mod fetching;
mod gate;
mod inventory;
mod journal;
mod ledger;
mod listing;
mod memory;
mod pages;
mod period;
mod permission;
mod publishing;
pub mod record;
mod remember;
mod report;
mod rests;
pub mod resume;
mod scope;
mod server;
mod shrink;
mod stream;
mod summary;
mod task;
mod task_report;
mod throttled;

pub use dispatch::{Execution, execute};
pub use error::{Refused, RunError, TaskError};
pub use event::{Event, EventSink, TaskName};
pub use ledger::{CredentialUse, Ledger};
pub use period::ThrottledPeriod;
pub use summary::{BusyServer, DestinationFailure, Ending, Outcome, ProjectFailure, Summary, Totals};
pub use task_report::{DestinationResult, TaskReport, TaskResult};
