//! A gate holds responses until a test lets them pass.

use std::sync::Arc;
use std::time::Duration;

use crate::signal::Signal;

/// Holds whatever reaches it until [`Gate::release`]; a cheap handle that can be cloned.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    state: Arc<Signal<State>>,
}

#[derive(Debug, Default)]
struct State {
    arrived: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a response stands at the gate, or has passed it.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until this many responses have come to the gate.
    pub async fn reached_by(&self, count: usize) {
        self.state.wait(|state| state.arrived >= count).await;
    }

    /// Like [`Gate::reached`] for a thread; gives false when the time is over.
    #[must_use]
    pub fn reached_blocking(&self, timeout: Duration) -> bool {
        self.reached_by_blocking(1, timeout)
    }

    /// Like [`Gate::reached_by`] for a thread; gives false when the time is over.
    #[must_use]
    pub fn reached_by_blocking(&self, count: usize, timeout: Duration) -> bool {
        self.state.wait_blocking(timeout, |state| state.arrived >= count)
    }

    /// Opens the gate for good.
    pub fn release(&self) {
        self.state.update(|state| state.open = true);
    }

    /// How many responses have come to the gate.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.state.read(|state| state.arrived)
    }

    pub(crate) async fn pass(&self) {
        self.state.update(|state| state.arrived += 1);
        self.state.wait(|state| state.open).await;
    }
}
