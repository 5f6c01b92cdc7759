//! What is left of the budgets of accounts, told from one process to the next.
//!
//! The server's buckets know nothing of processes: a run that begins seconds after another one finds them as that one
//! left them. So what is believed to be left is kept in the state, now and then, at the end of each run, and as soon as
//! an account is refused; each run begins with that, whichever process it belongs to. It is never more than what the
//! process believes anyway.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Turnstile;
use crate::state::{StateError, StateStore};
use crate::throttle::{Holder, Stake};

/// How often it is kept. What was used since is unknown to the next process if this one is killed.
const KEEP: Duration = Duration::from_secs(5);

/// Where it is kept, once a run has begun.
#[derive(Default)]
pub(super) struct Remainders(Mutex<Option<Arc<StateStore>>>);

/// Keeps what is left of the budgets until it is dropped.
pub(super) struct Keeping {
    turnstile: Turnstile,
    state: Arc<StateStore>,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Recalls what was left, by this process or another one, and begins to keep it.
    pub(super) async fn begin(turnstile: &Turnstile, state: &Arc<StateStore>) -> Result<Self, StateError> {
        turnstile.recall(state).await?;
        *turnstile.remainders().inner() = Some(Arc::clone(state));
        let (turnstile, state) = (turnstile.clone(), Arc::clone(state));
        let task = tokio::spawn({
            let (turnstile, state) = (turnstile.clone(), Arc::clone(&state));
            async move {
                loop {
                    tokio::time::sleep(KEEP).await;
                    if let Err(error) = turnstile.leave(&state).await {
                        not_kept(&error);
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
    fn inner(&self) -> MutexGuard<'_, Option<Arc<StateStore>>> {
        self.0.lock().expect("no holder panics")
    }
}

impl Turnstile {
    /// Keeps at once that an account was refused: whoever comes after a kill must leave it alone as long.
    pub(super) async fn keep_refused(&self, holder: &Holder) {
        let Some(state) = self.remainders().inner().clone() else { return };
        let Some(stake) = self.stakes().into_iter().find(|stake| stake.holder == *holder) else { return };
        if let Err(error) = self.leave_one(&state, stake).await {
            not_kept(&error);
        }
    }

    async fn recall(&self, state: &StateStore) -> Result<(), StateError> {
        for Stake { holder, limit, .. } in self.stakes() {
            let Some((available, rest)) = state.left_budget(&holder, limit).await? else { continue };
            self.lower(&holder, available);
            if let Some(rest) = rest {
                self.dry(&holder, self.clock().monotonic() + rest);
            }
        }
        Ok(())
    }

    /// Of an account whose bucket is full there is nothing to say. Of any other it is said every time: what was said
    /// before has grown since.
    async fn leave(&self, state: &StateStore) -> Result<(), StateError> {
        for stake in self.stakes().into_iter().filter(|stake| !stake.is_full()) {
            self.leave_one(state, stake).await?;
        }
        Ok(())
    }

    async fn leave_one(&self, state: &StateStore, stake: Stake) -> Result<(), StateError> {
        let Stake { holder, limit, available, rests_until } = stake;
        let rest = rests_until.map(|until| until.saturating_duration_since(self.clock().monotonic()));
        state.leave_budget(&holder, limit, (available, rest)).await
    }
}

fn not_kept(error: &StateError) {
    tracing::warn!(%error, "what is left of the budgets is not kept");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::turnstile::Entry;
    use super::*;
    use crate::clock::{Clock as _, ManualClock, SystemClock};
    use crate::model::{BaseUrl, CredentialRole, Limit, LimitSource, RateLimit};
    use crate::state::StateLocation;
    use crate::throttle::{Ask, Outcome, Steadiness};

    fn process(burst: u32, refill_per_second: u32) -> Turnstile {
        let turnstile = Turnstile::new(Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH)));
        let holder = Holder::new(&BaseUrl::new("https://bb.example.com").unwrap(), &"svc".parse().unwrap());
        let limit = RateLimit::Bucket { burst, refill_per_second };
        turnstile.tell(holder, Limit { limit, source: LimitSource::File });
        turnstile
    }

    async fn state() -> (tempfile::TempDir, Arc<StateStore>) {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        (home, Arc::new(state))
    }

    #[tokio::test]
    async fn each_run_begins_with_the_least_that_anybody_left() {
        let (_home, state) = state().await;
        // As good as nothing comes back.
        let (first, second) = (process(60, 0), process(60, 0));
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
        assert_eq!(available(&first), 7);
        let _next_run = Keeping::begin(&first, &state).await.unwrap();
        assert_eq!(available(&first), 3, "others have used the account between its runs");
        assert_eq!(state.left_budget(&holder, second.stakes()[0].limit).await.unwrap(), Some((3, None)));
    }

    #[tokio::test]
    async fn what_stays_used_up_is_kept_again_and_again() {
        let (_home, state) = state().await;
        // What is stored grows by the clock of the state; that of the process stands still.
        let process = process(100_000, 1000);
        let Stake { holder, limit, .. } = process.stakes().remove(0);
        let left = async || state.left_budget(&holder, limit).await.unwrap().map_or(0, |(available, _)| available);
        let keeping = Keeping::begin(&process, &state).await.unwrap();
        keeping.keep().await.unwrap();
        assert_eq!(state.left_budget(&holder, limit).await.unwrap(), None, "of a full bucket there is nothing to say");
        process.lower(&holder, 0);
        keeping.keep().await.unwrap();
        while left().await < 500 {
            tokio::task::yield_now().await;
        }
        let before = SystemClock.monotonic();
        keeping.keep().await.unwrap();
        let grown = left().await;
        let most = SystemClock.monotonic().saturating_duration_since(before).as_millis() + 50;
        assert!(u128::from(grown) <= most, "{grown} came in {most} ms");
    }

    #[tokio::test]
    async fn that_an_account_rests_is_kept_at_once() {
        let (_home, state) = state().await;
        let (first, second) = (process(60, 5), process(60, 5));
        let holder = first.stakes()[0].holder.clone();
        let _keeping = Keeping::begin(&first, &state).await.unwrap();
        let members = vec![(CredentialRole::Main, "svc".parse().unwrap(), holder.clone())];
        let rotation = first.add_rotation(first.open(), "PAY".parse().unwrap(), members);
        let (arrival, except) = (first.arrive(), BTreeSet::new());
        let ask = Ask { rotation, arrival, keep: None, steadiness: Steadiness::Any, except: &except };
        let Entry::Admitted(pass) = first.ask(ask) else { panic!("it is full") };
        pass.settle(Outcome::RateLimited { retry_after: Some(Duration::from_mins(5)) });
        first.keep_refused(&holder).await;
        let _next = Keeping::begin(&second, &state).await.unwrap();
        let rotation = vec![(CredentialRole::Main, "svc".parse().unwrap(), holder)];
        let rotation = second.add_rotation(second.open(), "PAY".parse().unwrap(), rotation);
        let Entry::Queued(place) = second.ask(Ask { rotation, ..ask }) else { panic!("it rests") };
        assert!(place.prospect() > Duration::from_mins(4));
    }
}
