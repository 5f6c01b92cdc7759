//! Figures for Prometheus.
//!
//! Two sources: [`counters`] hears what goes on in this process and begins at zero with it; [`figures`] are read from
//! the state, so that they survive a restart. No figure has a label for each repository: there may be tens of thousands.
//! Asking often costs little: what was read is given again for a while.

mod counters;
mod figures;
mod page;
mod text;

pub use counters::Counters;
pub use page::Metrics;
pub(super) use page::page;
