//! What follows the declaration by itself: which plans run when.
//!
//! [`scheduled`] joins what is in force with how far each plan has come in its schedule; what follows from it at an
//! instant is a pure decision of [`crate::schedule::Agenda`].

mod calendar;

pub use calendar::{NextRuns, Outlook, ScheduledPlan, next_runs, scheduled};
