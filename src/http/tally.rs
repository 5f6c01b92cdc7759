//! How the requests of a process were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Counts answers by their status; a handle that can be cloned.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<Option<u16>, u64>>>);

impl Tally {
    /// Notes an answer, or that there was none.
    pub(super) fn note(&self, status: Option<u16>) {
        *self.counts_mut().entry(status).or_default() += 1;
    }

    /// How many requests were answered with each status; `None` is no answer at all.
    pub fn counts(&self) -> BTreeMap<Option<u16>, u64> {
        self.counts_mut().clone()
    }

    fn counts_mut(&self) -> MutexGuard<'_, BTreeMap<Option<u16>, u64>> {
        self.0.lock().expect("no holder panics")
    }
}
