//! How much budget is left, for whoever watches.

use std::time::Instant;

use super::{Budgets, Holder};

/// The budget of one account that has a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Whose.
    pub holder: Holder,
    /// Requests that it may send at this moment, as far as this process believes.
    pub available: u64,
    /// Whether it rests because it was refused.
    pub resting: bool,
}

impl Budgets {
    /// The budgets of all accounts that have a limit, in order.
    pub fn levels(&mut self, now: Instant) -> Vec<Level> {
        let Self { names, holders, .. } = self;
        let level = |(holder, index): (&Holder, &usize)| {
            let bucket = &mut holders[*index].bucket;
            let resting = bucket.is_resting(now);
            let available = bucket.available(now)?;
            Some(Level { holder: holder.clone(), available: if resting { 0 } else { available }, resting })
        };
        names.iter().filter_map(level).collect()
    }
}
