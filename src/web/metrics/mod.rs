//! Figures for Prometheus.
//!
//! Two sources: [`counters`] and [`watch_counters`] hear what goes on in this process and begin at zero with it;
//! [`figures`] are read from the state, so that they survive a restart, and only a watch tells them. No figure has a
//! label for each repository: there may be tens of thousands. Asking often costs little: what was read is given again
//! for a while.

mod counters;
mod figures;
mod page;
mod room;
mod text;
mod watch_counters;

pub use counters::Counters;
pub(super) use page::page;
pub use page::{Metrics, OfWatch};
pub use watch_counters::WatchCounters;
