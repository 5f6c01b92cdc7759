//! Whether the destinations in force can be written, and how much they can still take.

use std::path::Path;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::figures::Figures;
use super::text::{Labels, label};
use crate::model::{Applied, Destination, DestinationId, DestinationName, Lineage};
use crate::store::{Access, Store, failures, free_bytes, is_writable};

/// A file system that does not answer in this time has no figure, and the others wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

type Answers = Vec<(DestinationName, Glance)>;

/// A look at the file systems.
#[derive(Default)]
pub(super) struct Room {
    /// One that does not answer is asked once, and not again until it does.
    look: Option<JoinHandle<Answers>>,
}

/// What is seen of a destination of this machine, without changing anything.
struct Glance {
    free: Option<u64>,
    /// Whether this user may write there.
    is_writable: bool,
    /// Whether it has the marker that it was bound to, which every run demands.
    is_ours: bool,
}

impl Room {
    /// Adds what is known of those that answer.
    pub(super) async fn register(&mut self, figures: &Figures, base: &Path, registry: &mut Registry) {
        let Some(applied) = &figures.applied else { return };
        let look = self.look.get_or_insert_with(|| {
            let places = places(applied, figures);
            let (base, lineage, runtime) = (base.to_owned(), applied.lineage, Handle::current());
            tokio::task::spawn_blocking(move || {
                let glance = |(name, destination, bound): (_, Destination, _)| {
                    Some((name, glance(&destination, bound, &base, lineage, &runtime)?))
                };
                places.into_iter().filter_map(glance).collect()
            })
        });
        let Ok(answers) = tokio::time::timeout(PATIENCE, look).await else { return };
        self.look = None;
        let (free, capabilities) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        for (name, glance) in answers.unwrap_or_default() {
            let of_it = label("destination", name);
            if let Some(bytes) = glance.free {
                free.get_or_create(&of_it).set(i64::try_from(bytes).unwrap_or(i64::MAX));
            }
            for (capability, is_seen) in [("ours", glance.is_ours), ("writable", glance.is_writable)] {
                let labels = [of_it.clone(), label("cap", capability)].concat();
                capabilities.get_or_create(&labels).set(i64::from(is_seen));
            }
        }
        registry.register(
            "xopero_storage_free_bytes",
            "What the file system of a destination can still take, if it is one of this machine and answers",
            free,
        );
        registry.register(
            "xopero_storage_capability",
            "Whether a destination of this machine is seen to have the marker that runs demand, and to be writable",
            capabilities,
        );
    }
}

/// The destinations in force with the identities that they are bound to.
fn places(applied: &Applied, figures: &Figures) -> Vec<(DestinationName, Destination, Option<DestinationId>)> {
    let bound = |wanted: &DestinationName| {
        let mut found = figures.destinations.iter().filter(|(_, name)| *name == wanted);
        found.next().map(|(id, _)| *id)
    };
    let declared = applied.declaration.destinations.iter();
    declared.map(|(name, destination)| (name.clone(), destination.clone(), bound(name))).collect()
}

fn glance(
    destination: &Destination,
    bound: Option<DestinationId>,
    base: &Path,
    lineage: Lineage,
    runtime: &Handle,
) -> Option<Glance> {
    let place = &destination.place;
    let is_writable = is_writable(place, base)?;
    let opened = bound.and_then(|id| Some((id, Store::open(place, base, Access::Read).ok()?)));
    let is_ours = opened.is_some_and(|(id, store)| runtime.block_on(store.demand(id, lineage)).is_ok());
    Some(Glance { free: free_bytes(place, base), is_writable, is_ours })
}

/// Adds what failed at destinations. All kinds of failures are told from the beginning, so that an increase is seen.
pub(super) fn register_failures(registry: &mut Registry) {
    let errors = Family::<Labels, Counter>::default();
    for (attempt, class, count) in failures() {
        let labels = [label("op", attempt.as_str()), label("class", class.as_str())].concat();
        errors.get_or_create(&labels).inc_by(count);
    }
    registry.register(
        "xopero_storage_errors",
        "What failed at destinations, by what was tried and why, since the process began",
        errors,
    );
}
