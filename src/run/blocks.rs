//! Tokens of accounts that other processes use as well.
//!
//! Alone, a process goes by its own [`Turnstile`]. While others work on the same state a request also needs a token of
//! a block, which this process reserved in the state ([`SharedBudget`](crate::throttle::SharedBudget)). Where none is
//! left, the account has no budget until then: whoever wanted it gives up its turn, and goes on with another account
//! or waits, as for any bucket that is empty.
//!
//! Only the coordinator of a run was ever alone. It opens each account with what it believes is there, and closes it
//! when it is alone again, so that what was used alone and what others used is known to the other. A worker waits until
//! an account is open, but not for ever: its coordinator may not know a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use jiff::SignedDuration;

use super::Turnstile;
use super::work::Role;
use crate::model::{Limit, RunId};
use crate::state::{StateError, StateStore};
use crate::throttle::{Block, Holder, Share, Stake, shared_part};

/// How soon to ask again at the earliest.
const SOONEST: Duration = Duration::from_millis(20);

/// How soon a worker looks again whether an account is open.
const LOOK: Duration = Duration::from_millis(500);

/// How long it does so.
const PATIENCE: Duration = Duration::from_secs(10);

/// The blocks of this process.
#[derive(Default)]
pub(super) struct Blocks(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The runs that others work on.
    runs: BTreeSet<RunId>,
    /// Where blocks are reserved, while there are such runs.
    company: Option<(Arc<StateStore>, Role)>,
    accounts: BTreeMap<Holder, Arc<tokio::sync::Mutex<Account>>>,
}

/// What this process holds of an account.
#[derive(Default)]
struct Account {
    /// What is given out, once the account is shared.
    limit: Option<Limit>,
    /// With when it was asked for.
    block: Option<(Block, Instant)>,
    /// Nothing is there before this time.
    dry: Option<Instant>,
    /// Since when this process waits until it is open.
    waits: Option<Instant>,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cover {
    Covered,
    DryUntil(Instant),
}

/// What the state says of an account.
enum Said {
    Share(Share, SignedDuration),
    NotOpen,
}

impl Turnstile {
    /// Others work on a run: from here on, its accounts are shared. Does nothing if it is so already.
    pub(super) async fn accompany(&self, run: RunId, state: &Arc<StateStore>, role: Role) -> Result<(), StateError> {
        {
            let mut inner = self.blocks().inner();
            inner.runs.insert(run);
            inner.company.get_or_insert_with(|| (Arc::clone(state), role));
        }
        if role == Role::Coordinator {
            for stake in self.stakes() {
                let Some(account) = self.blocks().account(&stake.holder) else { continue };
                let mut account = account.lock().await;
                if account.limit.is_none() {
                    account.open(state, &stake).await?;
                }
            }
        }
        Ok(())
    }

    /// Nobody else works on a run: what is left of the blocks is given back, once that is so for all runs here.
    pub(super) async fn part(&self, run: RunId) -> Result<(), StateError> {
        let (company, accounts) = {
            let mut inner = self.blocks().inner();
            inner.runs.remove(&run);
            if !inner.runs.is_empty() {
                return Ok(());
            }
            (inner.company.take(), std::mem::take(&mut inner.accounts))
        };
        let Some((state, role)) = company else { return Ok(()) };
        for (holder, account) in accounts {
            let mut account = account.lock().await;
            let Some(limit) = account.limit.take() else { continue };
            let left = account.left(self.clock().monotonic());
            let changed = state.change_budget(&holder, limit, |budget, now| {
                if let Some(block) = left {
                    budget.give_back(now, block);
                }
                (role == Role::Coordinator).then(|| budget.close(now))
            });
            if let Some(available) = changed.await?.flatten() {
                self.lower(&holder, available);
            }
        }
        Ok(())
    }

    /// Takes a token for a request in the name of an account. Where none is left, the account is dry for a while.
    pub(super) async fn cover(&self, stake: &Stake) -> Result<bool, StateError> {
        let Some((state, role)) = self.blocks().inner().company.clone() else { return Ok(true) };
        let Some(account) = self.blocks().account(&stake.holder) else { return Ok(true) };
        // One asks, and the others find what it got.
        let mut account = account.lock().await;
        match account.cover(&state, role, stake, || self.clock().monotonic()).await? {
            Cover::Covered => Ok(true),
            Cover::DryUntil(until) => {
                self.dry(&stake.holder, until);
                Ok(false)
            }
        }
    }

    /// Tells the others that an account was refused, and rests.
    pub(super) async fn tell_refusal(&self, stake: &Stake, rests: Duration) -> Result<(), StateError> {
        let Some((state, _)) = self.blocks().inner().company.clone() else { return Ok(()) };
        let Some(account) = self.blocks().account(&stake.holder) else { return Ok(()) };
        let Some((limit, _)) = shared_part(stake.limit) else { return Ok(()) };
        account.lock().await.block = None;
        let told = state.change_budget(&stake.holder, limit, |budget, now| {
            budget.refused(now, now.saturating_add(rests).unwrap_or(jiff::Timestamp::MAX));
        });
        told.await.map(|_| ())
    }
}

impl Blocks {
    /// An account, if accounts are shared.
    fn account(&self, holder: &Holder) -> Option<Arc<tokio::sync::Mutex<Account>>> {
        let mut inner = self.inner();
        inner.company.as_ref()?;
        Some(Arc::clone(inner.accounts.entry(holder.clone()).or_default()))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }
}

impl Account {
    /// Shares an account that this process used alone.
    async fn open(&mut self, state: &StateStore, stake: &Stake) -> Result<(), StateError> {
        let Some((limit, _)) = shared_part(stake.limit) else { return Ok(()) };
        state.change_budget(&stake.holder, limit, |budget, now| budget.open(now, stake.available)).await?;
        self.limit = Some(limit);
        Ok(())
    }

    /// Takes a token of the block, or of a new one.
    async fn cover(
        &mut self,
        state: &StateStore,
        role: Role,
        stake: &Stake,
        clock: impl Fn() -> Instant,
    ) -> Result<Cover, StateError> {
        let asked = clock();
        if let Some(until) = self.dry.filter(|until| *until > asked) {
            return Ok(Cover::DryUntil(until));
        }
        self.dry = None;
        if self.take(asked) {
            return Ok(Cover::Covered);
        }
        let Some((limit, size)) = shared_part(stake.limit) else { return Ok(Cover::Covered) };
        if role == Role::Coordinator && self.limit.is_none() {
            self.open(state, stake).await?;
        }
        let waits = *self.waits.get_or_insert(asked);
        let is_patient = role != Role::Coordinator && asked.saturating_duration_since(waits) < PATIENCE;
        let said = state.change_budget(&stake.holder, limit, |budget, now| {
            if is_patient && !budget.is_open() {
                return Said::NotOpen;
            }
            let share = budget.reserve(now, size);
            let wait = match share {
                Share::Granted(_) => SignedDuration::ZERO,
                Share::NoneUntil(until) => until.duration_since(now),
            };
            Said::Share(share, wait)
        });
        let wait = match said.await? {
            None => return Ok(Cover::Covered),
            Some(Said::NotOpen) => LOOK,
            Some(Said::Share(Share::Granted(block), _)) => {
                (self.limit, self.waits, self.block) = (Some(limit), None, Some((block, asked)));
                // What was got is worth one token at least, however long the answer took.
                if !self.take(clock()) {
                    self.block = None;
                }
                return Ok(Cover::Covered);
            }
            Some(Said::Share(Share::NoneUntil(_), wait)) => {
                (self.limit, self.waits) = (Some(limit), None);
                Duration::try_from(wait).unwrap_or_default().max(SOONEST)
            }
        };
        let until = clock() + wait;
        self.dry = Some(until);
        Ok(Cover::DryUntil(until))
    }

    fn take(&mut self, now: Instant) -> bool {
        let Some(block) = self.left(now).filter(|block| block.tokens > 0) else { return false };
        if let Some((held, _)) = &mut self.block {
            held.tokens = block.tokens - 1;
        }
        true
    }

    /// What is left of the block.
    fn left(&self, now: Instant) -> Option<Block> {
        let (block, asked) = self.block?;
        Some(block.aged(now.saturating_duration_since(asked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::model::{BaseUrl, LimitSource, RateLimit};
    use crate::state::StateLocation;

    /// As good as nothing comes back.
    fn limit(burst: u32) -> Limit {
        Limit { limit: RateLimit::Bucket { burst, refill_per_second: 0 }, source: LimitSource::File }
    }

    fn process(burst: u32) -> (Turnstile, Stake) {
        let turnstile = Turnstile::new(Arc::new(SystemClock));
        let holder = Holder::new(&BaseUrl::new("https://bb.example.com").unwrap(), &"svc".parse().unwrap());
        turnstile.tell(holder, limit(burst));
        let stake = turnstile.stakes().remove(0);
        (turnstile, stake)
    }

    async fn state() -> (tempfile::TempDir, Arc<StateStore>) {
        let home = tempfile::tempdir().unwrap();
        let state = StateStore::open(&StateLocation::beside(home.path()), &SystemClock).await.unwrap();
        (home, Arc::new(state))
    }

    /// How many requests are covered until none is.
    async fn spend(process: &Turnstile, stake: &Stake) -> u64 {
        let mut covered = 0;
        while process.cover(stake).await.unwrap() {
            covered += 1;
        }
        covered
    }

    const WORKER: Role = Role::Worker { most: None };

    #[tokio::test]
    async fn a_worker_waits_for_what_its_coordinator_left_of_an_account() {
        let (_home, state) = state().await;
        let ((coordinator, stake), (worker, of_worker)) = (process(60), process(60));
        let run = RunId::from_parts(1, 1);
        assert!(coordinator.cover(&stake).await.unwrap(), "alone nobody is asked");
        worker.accompany(run, &state, WORKER).await.unwrap();
        assert!(!worker.cover(&of_worker).await.unwrap(), "the coordinator may be using it");
        let levels = worker.levels();
        assert_eq!(levels[0].available, 60, "that it is dry is no news about its size");

        coordinator.lower(&stake.holder, 30);
        coordinator.accompany(run, &state, Role::Coordinator).await.unwrap();
        worker.part(run).await.unwrap();
        worker.accompany(run, &state, WORKER).await.unwrap();
        assert!(worker.cover(&of_worker).await.unwrap() && coordinator.cover(&stake).await.unwrap());
        let others = spend(&worker, &of_worker).await;
        assert_eq!(2 + others + spend(&coordinator, &stake).await, 30);
    }

    #[tokio::test]
    async fn what_is_left_is_given_back_and_what_others_used_is_known_in_the_end() {
        let (_home, state) = state().await;
        let ((coordinator, stake), (worker, of_worker)) = (process(80), process(80));
        let (run, other) = (RunId::from_parts(1, 1), RunId::from_parts(1, 2));
        for run in [run, other] {
            coordinator.accompany(run, &state, Role::Coordinator).await.unwrap();
        }
        worker.accompany(run, &state, WORKER).await.unwrap();
        for _ in 0..7 {
            assert!(worker.cover(&of_worker).await.unwrap() && coordinator.cover(&stake).await.unwrap());
        }
        worker.part(run).await.unwrap();
        coordinator.part(run).await.unwrap();
        assert_eq!(coordinator.levels()[0].available, 80, "another run has company");
        coordinator.part(other).await.unwrap();
        // Three quarters are given out in blocks.
        assert_eq!(coordinator.levels()[0].available, 60 - 14);
    }

    #[tokio::test]
    async fn all_rest_when_one_is_refused() {
        let (_home, state) = state().await;
        let ((coordinator, stake), (worker, of_worker)) = (process(8), process(8));
        let run = RunId::from_parts(1, 1);
        coordinator.accompany(run, &state, Role::Coordinator).await.unwrap();
        worker.accompany(run, &state, WORKER).await.unwrap();
        coordinator.tell_refusal(&stake, Duration::from_mins(1)).await.unwrap();
        assert!(!worker.cover(&of_worker).await.unwrap());
        let dry = worker.blocks().account(&stake.holder).unwrap().lock().await.dry.unwrap();
        assert!(dry.saturating_duration_since(SystemClock.monotonic()) > Duration::from_secs(50));
    }
}
