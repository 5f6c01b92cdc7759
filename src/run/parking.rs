//! Tasks that no account has budget for: they hold no worker slot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::model::ProjectSelector;

/// How many tasks of each declared project are throttled.
#[derive(Default)]
pub(super) struct Parking {
    counts: Mutex<BTreeMap<ProjectSelector, usize>>,
    changed: Notify,
}

/// One throttled task.
pub(super) struct Parked {
    parking: Arc<Parking>,
    project: ProjectSelector,
}

impl Parking {
    /// A task is throttled until this is dropped.
    pub(super) fn park(self: &Arc<Self>, project: &ProjectSelector) -> Parked {
        self.change(project, |count| count + 1);
        Parked { parking: Arc::clone(self), project: project.clone() }
    }

    /// How many tasks of a project are throttled.
    pub(super) fn count(&self, project: &ProjectSelector) -> usize {
        self.counts.lock().expect("no holder panics").get(project).copied().unwrap_or(0)
    }

    /// Waits until a count has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn change(&self, project: &ProjectSelector, change: impl FnOnce(usize) -> usize) {
        let mut counts = self.counts.lock().expect("no holder panics");
        let count = counts.entry(project.clone()).or_default();
        *count = change(*count);
        drop(counts);
        self.changed.notify_one();
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.parking.change(&self.project, |count| count.saturating_sub(1));
    }
}
