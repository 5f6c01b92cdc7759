//! What is left of the budgets of accounts, told from one process to the next.
//!
//! The server's buckets know nothing of processes: a run that begins seconds after another one finds them as that one
//! left them. So what is believed to be left is kept in the state, now and then and at the end of each run, and the first
//! run of another process begins with that. It is never more than what the process believes anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Turnstile;
use crate::state::{StateError, StateStore};
use crate::throttle::{Holder, Stake};

/// How often it is kept. What was used since is unknown to the next process if this one is killed.
const KEEP: Duration = Duration::from_secs(5);

/// What this process knows of it.
#[derive(Default)]
pub(super) struct Remainders(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The accounts of which it is known what earlier processes left.
    recalled: BTreeSet<Holder>,
    /// What was written last.
    written: BTreeMap<Holder, (u64, Option<Instant>)>,
}

/// Keeps what is left of the budgets until it is dropped.
pub(super) struct Keeping {
    turnstile: Turnstile,
    state: Arc<StateStore>,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Recalls what earlier processes left, once for each account, and begins to keep it.
    pub(super) async fn begin(turnstile: &Turnstile, state: &Arc<StateStore>) -> Result<Self, StateError> {
        turnstile.recall(state).await?;
        let (turnstile, state) = (turnstile.clone(), Arc::clone(state));
        let task = tokio::spawn({
            let (turnstile, state) = (turnstile.clone(), Arc::clone(&state));
            async move {
                loop {
                    tokio::time::sleep(KEEP).await;
                    if let Err(error) = turnstile.leave(&state).await {
                        tracing::warn!(%error, "what is left of the budgets is not kept");
                    }
                }
            }
        });
        Ok(Self { turnstile, state, task })
    }

    /// Keeps it at once.
    pub(super) async fn keep(&self) -> Result<(), StateError> {
        self.turnstile.leave(&self.state).await
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Remainders {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }
}

impl Turnstile {
    async fn recall(&self, state: &StateStore) -> Result<(), StateError> {
        for Stake { holder, limit, .. } in self.stakes() {
            if self.remainders().inner().recalled.contains(&holder) {
                continue;
            }
            let left = state.left_budget(&holder, limit).await?;
            self.remainders().inner().recalled.insert(holder.clone());
            let Some((available, rest)) = left else { continue };
            self.lower(&holder, available);
            if let Some(rest) = rest {
                self.dry(&holder, self.clock().monotonic() + rest);
            }
        }
        Ok(())
    }

    /// An account whose bucket stays full, or empty, is written once.
    async fn leave(&self, state: &StateStore) -> Result<(), StateError> {
        let now = self.clock().monotonic();
        for Stake { holder, limit, available, rests_until } in self.stakes() {
            let rest = rests_until.map(|until| until.saturating_duration_since(now));
            let left = (available, rests_until);
            if self.remainders().inner().written.get(&holder) == Some(&left) {
                continue;
            }
            state.leave_budget(&holder, limit, (available, rest)).await?;
            self.remainders().inner().written.insert(holder, left);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::model::{BaseUrl, Limit, LimitSource, RateLimit};
    use crate::state::StateLocation;

    fn process() -> Turnstile {
        let turnstile = Turnstile::new(Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH)));
        let holder = Holder::new(&BaseUrl::new("https://bb.example.com").unwrap(), &"svc".parse().unwrap());
        // As good as nothing comes back.
        let limit = RateLimit::Bucket { burst: 60, refill_per_second: 0 };
        turnstile.tell(holder, Limit { limit, source: LimitSource::File });
        turnstile
    }

    #[tokio::test]
    async fn a_process_begins_with_what_another_one_left_and_keeps_what_it_knows_better() {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        let state = Arc::new(state);
        let (first, second) = (process(), process());
        let holder = first.stakes()[0].holder.clone();
        let available = |process: &Turnstile| process.levels()[0].available;
        let keeping = Keeping::begin(&first, &state).await.unwrap();
        assert_eq!(available(&first), 60, "nobody left anything");
        first.lower(&holder, 7);
        keeping.keep().await.unwrap();
        let keeps_second = Keeping::begin(&second, &state).await.unwrap();
        assert_eq!(available(&second), 7);
        second.lower(&holder, 3);
        keeps_second.keep().await.unwrap();
        let _goes_on = Keeping::begin(&first, &state).await.unwrap();
        assert_eq!(available(&first), 7, "its own memory is exact");
        assert_eq!(state.left_budget(&holder, second.stakes()[0].limit).await.unwrap(), Some((3, None)));
    }
}
