//! What goes on by itself: the declaration is followed, and plans run when they are due.
//!
//! [`Watch`] is the loop. It is woken by reasons (a file that changed, a time that came, a run that ended, a signal)
//! and reads the whole truth again each time: [`Activator`] decides what becomes of a declaration, and
//! [`scheduled`] joins what is in force with how far each plan has come in its schedule. What is due then is a pure
//! decision of [`crate::schedule::Agenda`].
//!
//! [`Worker`] begins no runs. It takes a share in those that others begin on the same state.

mod activation;
mod alerting;
mod calendar;
mod drain;
mod event;
mod everybody;
mod following;
mod pulse;
mod service_manager;
mod source_memory;
mod vital;
mod watch;
mod worker;

pub use activation::{Activation, Activator, AutoApply};
pub use alerting::Overhearing;
pub use calendar::{NextRuns, Outlook, ScheduledPlan, next_runs, scheduled};
pub use event::{WatchEvent, WatchSink};
pub use everybody::{AnySink, Everybody};
pub use following::Following;
pub use pulse::{NotReady, Pulse, Verdict};
pub use service_manager::ServiceManager;
pub use vital::{Basis, Vital};
pub use watch::Watch;
pub use worker::{Worker, WorkerEvent, WorkerSink};
