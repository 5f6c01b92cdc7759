//! How much the destinations in force can still take.

use std::path::Path;
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::text::{Labels, label};
use crate::model::{Applied, DestinationName};
use crate::store::free_bytes;

/// A file system that does not answer in this time has no figure, and the others wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

type Answers = Vec<(DestinationName, u64)>;

/// A look at the file systems.
#[derive(Default)]
pub(super) struct Room {
    /// One that does not answer is asked once, and not again until it does.
    look: Option<JoinHandle<Answers>>,
}

impl Room {
    /// Adds what is known of those that answer.
    pub(super) async fn register(&mut self, applied: Option<&Applied>, base: &Path, registry: &mut Registry) {
        let Some(applied) = applied else { return };
        let look = self.look.get_or_insert_with(|| {
            let places: Vec<_> = applied.declaration.destinations.iter().map(place).collect();
            let base = base.to_owned();
            tokio::task::spawn_blocking(move || {
                let free = |(name, place)| Some((name, free_bytes(&place, &base)?));
                places.into_iter().filter_map(free).collect()
            })
        });
        let Ok(answers) = tokio::time::timeout(PATIENCE, look).await else { return };
        self.look = None;
        let free = Family::<Labels, Gauge>::default();
        for (name, bytes) in answers.unwrap_or_default() {
            free.get_or_create(&label("destination", name)).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        registry.register(
            "xopero_storage_free_bytes",
            "What the file system of a destination can still take, if it is one of this machine and answers",
            free,
        );
    }
}

fn place(
    (name, destination): (&DestinationName, &crate::model::Destination),
) -> (DestinationName, crate::model::Place) {
    (name.clone(), destination.place.clone())
}
