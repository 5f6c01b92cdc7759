//! The claims that a run holds in this process, kept alive.
//!
//! They are renewed together, by a task of its own. Whoever works on a repository hears when its claim is lost: because
//! another worker has it, or because nobody could say for so long that it is held ([`lease`]), on monotonic time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::model::{RunId, Uid};
use crate::state::queue::{Claim, lease};
use crate::state::{StateError, StateStore};

/// How long a renewal may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon a renewal that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);

/// What this process holds of a run.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    state: Arc<StateStore>,
    run: RunId,
    owner: Uid,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

struct Inner {
    held: BTreeMap<Claim, CancellationToken>,
    /// When the last renewal that succeeded was sent.
    renewed: Instant,
    /// Held in the state and by nobody here, at the last renewal.
    orphans: BTreeSet<Claim>,
    /// Whether others may work on the run, which only its coordinator says.
    open: bool,
}

impl Keeper {
    /// Holds nothing yet.
    pub(super) fn start(state: Arc<StateStore>, run: RunId, owner: Uid, clock: Arc<dyn Clock>) -> Self {
        let renewed = clock.monotonic();
        let inner = Inner { held: BTreeMap::new(), renewed, orphans: BTreeSet::new(), open: false };
        let shared = Arc::new(Shared { state, run, owner, clock, inner: Mutex::new(inner) });
        let task = tokio::spawn(Arc::clone(&shared).keep());
        Self { shared, task }
    }

    /// Who holds the claims.
    pub(super) fn owner(&self) -> Uid {
        self.shared.owner
    }

    /// Keeps a claim. What comes back is cancelled when it is lost.
    pub(super) fn hold(&self, claim: Claim) -> CancellationToken {
        self.shared.inner().held.entry(claim).or_default().clone()
    }

    /// A claim is settled, or given back.
    pub(super) fn let_go(&self, claim: &Claim) {
        self.shared.inner().held.remove(claim);
    }

    /// Lets others work on the run, or not any more. Does nothing if it is so already.
    pub(super) async fn open(&self, open: bool) -> Result<(), StateError> {
        if std::mem::replace(&mut self.shared.inner().open, open) == open {
            return Ok(());
        }
        self.shared.open_for(open).await
    }

    /// Whether what is held is known to be held.
    pub(super) fn is_trusted(&self) -> bool {
        self.shared.is_trusted(self.shared.clock.monotonic())
    }

    /// Looks at once which claims are held.
    pub(super) async fn renew(&self) -> Result<(), StateError> {
        self.shared.renew().await
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn keep(self: Arc<Self>) {
        let mut wait = lease::RENEW;
        loop {
            tokio::time::sleep(wait).await;
            wait = match tokio::time::timeout(PATIENCE, self.renew()).await {
                Ok(Ok(())) => lease::RENEW,
                Ok(Err(error)) => {
                    tracing::warn!(run = %self.run, %error, "claims are not renewed");
                    TRY_AGAIN
                }
                Err(_elapsed) => TRY_AGAIN,
            };
            self.judge(self.clock.monotonic());
        }
    }

    async fn renew(&self) -> Result<(), StateError> {
        let sent = self.clock.monotonic();
        let (before, open) = {
            let inner = self.inner();
            (inner.held.keys().copied().collect::<BTreeSet<_>>(), inner.open)
        };
        let held = self.state.renew(self.owner, lease::LEASE).await?;
        if open {
            self.open_for(true).await?;
        }
        let forgotten = {
            let mut inner = self.inner();
            inner.renewed = sent;
            // What was claimed meanwhile may not be among them.
            for lost in before.difference(&held) {
                if let Some(token) = inner.held.remove(lost) {
                    token.cancel();
                }
            }
            let orphans: BTreeSet<_> = held.into_iter().filter(|claim| !inner.held.contains_key(claim)).collect();
            // One whose end is being written looks the same for a moment.
            let forgotten: Vec<_> = orphans.intersection(&inner.orphans).copied().collect();
            inner.orphans = orphans;
            forgotten
        };
        self.state.release(&forgotten).await
    }

    /// Gives everything up that may be another's by now.
    fn judge(&self, now: Instant) {
        if !self.is_trusted(now) {
            for (_, token) in std::mem::take(&mut self.inner().held) {
                token.cancel();
            }
        }
    }

    fn is_trusted(&self, now: Instant) -> bool {
        lease::is_trusted(now.saturating_duration_since(self.inner().renewed))
    }

    async fn open_for(&self, open: bool) -> Result<(), StateError> {
        let time = if open { lease::LEASE } else { Duration::ZERO };
        self.state.open_to_others(self.run, self.owner, time).await
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::model::RepoId;
    use crate::state::StateLocation;

    fn claim(epoch: u64) -> Claim {
        let (run, server) = (RunId::from_parts(1, 1), Uid::from_parts(1, 2));
        Claim { run, server, repository: RepoId(epoch), owner: Uid::from_parts(1, 3), epoch }
    }

    async fn keeper() -> (tempfile::TempDir, Arc<ManualClock>, Keeper) {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let (run, owner) = (RunId::from_parts(1, 1), Uid::from_parts(1, 3));
        let keeper = Keeper::start(Arc::new(state), run, owner, Arc::<ManualClock>::clone(&clock));
        (home, clock, keeper)
    }

    #[tokio::test]
    async fn whoever_is_not_renewed_for_long_gives_up_what_it_holds() {
        let (_home, clock, keeper) = keeper().await;
        let (one, other) = (keeper.hold(claim(1)), keeper.hold(claim(2)));
        keeper.let_go(&claim(2));
        clock.advance(Duration::from_secs(44));
        keeper.shared.judge(clock.monotonic());
        assert!(!one.is_cancelled());
        clock.advance(Duration::from_secs(1));
        keeper.shared.judge(clock.monotonic());
        assert!(one.is_cancelled() && !other.is_cancelled(), "what was let go is nobody's business");
    }

    #[tokio::test]
    async fn what_the_state_does_not_say_is_held_is_lost() {
        let (_home, _clock, keeper) = keeper().await;
        let lost = keeper.hold(claim(1));
        keeper.renew().await.unwrap();
        assert!(lost.is_cancelled() && keeper.shared.inner().held.is_empty());
    }
}
