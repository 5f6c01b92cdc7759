//! Several who want to know.

use std::sync::Arc;

use super::event::{WatchEvent, WatchSink};
use crate::model::PlanName;
use crate::run::Event;

/// Tells each of them everything, in order.
pub struct Everybody(pub Vec<Arc<dyn WatchSink>>);

impl WatchSink for Everybody {
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
