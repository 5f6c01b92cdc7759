//! Several who want to know.

use std::sync::Arc;

use super::event::{WatchEvent, WatchSink};
use super::vital::Vital;
use super::worker::{WorkerEvent, WorkerSink};
use crate::model::PlanName;
use crate::run::Event;

/// Whoever wants to know of a watch or of a worker.
pub trait AnySink: WatchSink + WorkerSink {}

impl<T: WatchSink + WorkerSink> AnySink for T {}

/// Tells each of them everything, in order.
pub struct Everybody<S: ?Sized>(pub Vec<Arc<S>>);

impl WatchSink for Everybody<dyn WatchSink> {
    fn tell(&self, event: &WatchEvent<'_>) {
        self.0.iter().for_each(|sink| sink.tell(event));
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.0.iter().for_each(|sink| sink.tell_of_run(plan, event));
    }

    fn turned(&self) {
        self.0.iter().for_each(|sink| sink.turned());
    }

    fn is_alive(&self, plan: &PlanName) {
        self.0.iter().for_each(|sink| sink.is_alive(plan));
    }
}

impl WorkerSink for Everybody<dyn WorkerSink> {
    fn tell(&self, event: &WorkerEvent<'_>) {
        self.0.iter().for_each(|sink| sink.tell(event));
    }

    fn tell_of_run(&self, plan: &PlanName, event: &Event) {
        self.0.iter().for_each(|sink| sink.tell_of_run(plan, event));
    }

    fn vital(&self, vital: Vital<'_>) {
        self.0.iter().for_each(|sink| sink.vital(vital));
    }
}
