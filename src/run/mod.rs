//! One execution of a backup plan.
//!
//! The dispatcher lists the projects ([`scope`], [`inventory`]), makes one task for each repository in scope and keeps as many
//! under way as the server's declaration allows. A task ([`task`]) lists the references, decides per destination
//! what is needed ([`decide`], pure), streams the pack that is, and publishes manifests.
//!
//! Every request goes through [`sending`]: it passes the [`Turnstile`], which the runs of a process share and behind
//! which is [`throttle`](crate::throttle); it goes on with another account where its own has no budget or was refused,
//! and waits when none has any. A wait until the next token is the pace of the server. A task whose accounts have none
//! within half a second is throttled: it holds no worker slot ([`parking`], [`queue`]), and others go on which can. Then
//! the request goes through its server's [`gate`], where everybody waits together while the server is busy.
//!
//! While other processes work on the same state, an account's tokens are reserved there in [`blocks`]. What is left of
//! them is kept for the processes that come later ([`remainders`]).
//!
//! Tasks are claimed from the queue in the state ([`work`]), for which processes can compete; claims are kept alive by the
//! [`keeper`]. Whoever loses one publishes nothing.
//!
//! A task that fails fails alone. What happens is told as [`Event`]s; what happened is the [`Summary`].

mod attempt;
mod blocks;
mod caller;
mod chain;
mod check;
mod conclude;
mod credentials;
mod deadline;
mod decide;
mod destinations;
mod dispatch;
mod error;
mod event;
mod fetching;
mod gate;
mod hours;
mod inventory;
mod journal;
mod keeper;
mod keyring;
mod lanes;
mod ledger;
mod limits;
mod listing;
mod logins;
mod memory;
mod pages;
mod parking;
mod passwords;
mod period;
mod permission;
mod publishing;
mod queue;
pub mod record;
mod remainders;
mod remember;
mod report;
mod rests;
pub mod resume;
mod scope;
mod sending;
mod server;
mod share;
mod shrink;
mod stream;
mod summary;
mod sweep;
mod task;
mod task_report;
mod throttled;
mod turnstile;
mod unexplained;
mod work;

pub use dispatch::{Execution, execute};
pub use error::{Refused, RunError, TaskError, lines};
pub use event::{Event, EventSink, ExchangeReason, TaskName};
pub use ledger::{CredentialUse, Ledger};
pub use period::ThrottledPeriod;
pub use share::{Share, Shared, plan_of, share};
pub use summary::{BusyServer, DestinationFailure, Ending, Outcome, ProjectFailure, Summary, Totals};
pub use task_report::{DestinationResult, TaskReport, TaskResult};
pub use turnstile::Turnstile;
