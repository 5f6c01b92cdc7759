//! The lanes to a server: how many requests of this process are under way at once, whatever the run.
//!
//! What a server is declared to bear does not grow with the number of runs. So runs that go on side by side share the
//! lanes to it, and what is known of how busy it is. When the last of them ends it is forgotten. A server that was given
//! up is asked anew by the next run, however long those go on that gave it up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio::sync::{Notify, Semaphore};

use crate::model::{BaseUrl, Concurrency};
use crate::throttle::Pressure;

/// The lanes to one server.
pub(super) struct Lanes {
    /// Listings and REST calls.
    pub(super) listing: Semaphore,
    /// Packs.
    pub(super) packs: Semaphore,
    pressure: Mutex<Pressure>,
    /// Tells those who wait for a place that something has changed.
    pub(super) changed: Notify,
}

impl Lanes {
    /// Lanes to a server that is not known to be busy.
    pub(super) fn new(concurrency: Concurrency, seed: u64) -> Self {
        let (listing, packs) = (usize::from(concurrency.listing), usize::from(concurrency.packs));
        let ceiling = u32::from(concurrency.listing).saturating_add(u32::from(concurrency.packs));
        Self {
            listing: Semaphore::new(listing),
            packs: Semaphore::new(packs),
            pressure: Mutex::new(Pressure::new(ceiling, seed)),
            changed: Notify::new(),
        }
    }

    /// How busy the server is.
    pub(super) fn pressure(&self) -> MutexGuard<'_, Pressure> {
        self.pressure.lock().expect("no holder panics")
    }
}

/// A server, and what it is declared to bear: a run that began under another declaration keeps its own lanes.
type Key = (String, u16, u16);

/// The lanes that are in use in this process.
#[derive(Default)]
pub(super) struct Roads(Mutex<BTreeMap<Key, Weak<Lanes>>>);

impl Roads {
    /// The lanes to a server, which whoever goes there shares.
    pub(super) fn to(&self, server: &BaseUrl, concurrency: Concurrency, seed: u64) -> Arc<Lanes> {
        let key = (server.origin(), concurrency.listing, concurrency.packs);
        let mut roads = self.0.lock().expect("no holder panics");
        if let Some(known) = roads.get(&key).and_then(Weak::upgrade).filter(|known| !known.pressure().is_given_up()) {
            return known;
        }
        roads.retain(|_, lanes| lanes.strong_count() > 0);
        let lanes = Arc::new(Lanes::new(concurrency, seed));
        roads.insert(key, Arc::downgrade(&lanes));
        lanes
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::throttle::{Admission, PATIENCE, Reply};

    #[test]
    fn runs_share_the_lanes_to_a_server_as_long_as_one_goes_there() {
        let (roads, bears) = (Roads::default(), Concurrency { listing: 4, packs: 2 });
        let server = BaseUrl::new("https://bb.example.com").unwrap();
        let one = roads.to(&server, bears, 1);
        let place = one.packs.try_acquire().unwrap();
        assert_eq!(roads.to(&server, bears, 2).packs.available_permits(), 1);
        assert_eq!(roads.to(&server, Concurrency { packs: 3, ..bears }, 2).packs.available_permits(), 3);
        let other = BaseUrl::new("https://other.example.com").unwrap();
        assert_eq!(roads.to(&other, bears, 2).packs.available_permits(), 2);
        drop(place);
        drop(one);
        roads.to(&other, bears, 3);
        assert_eq!(roads.0.lock().unwrap().len(), 1, "what nobody uses is forgotten");
    }

    #[test]
    fn a_run_that_begins_asks_a_server_anew_that_another_one_gave_up() {
        let (roads, bears) = (Roads::default(), Concurrency { listing: 4, packs: 2 });
        let server = BaseUrl::new("https://bb.example.com").unwrap();
        let long = roads.to(&server, bears, 1);
        let mut now = SystemClock.monotonic();
        {
            let mut pressure = long.pressure();
            while let Admission::Go(place) = pressure.admit(now) {
                let _shift = pressure.settle(place, Reply::Busy { retry_after: None }, now);
                pressure.leave(place, now);
                now += PATIENCE;
            }
        }
        assert!(long.pressure().is_given_up());
        let next = roads.to(&server, bears, 2);
        assert!(matches!(next.pressure().admit(now), Admission::Go(_)));
        let shared = roads.to(&server, bears, 3);
        assert!(Arc::ptr_eq(&next, &shared), "the next ones share again");
    }
}
