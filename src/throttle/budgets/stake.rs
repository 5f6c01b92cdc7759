//! What the budgets know of an account that several processes use, and hear of it.

use std::time::Instant;

use super::{Budgets, Holder};
use crate::model::Limit;
use crate::throttle::Grant;
use crate::throttle::size::Size;

/// An account that has a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stake {
    /// Whose.
    pub holder: Holder,
    /// What was told of it.
    pub limit: Limit,
    /// Requests that it may send at this moment, as far as this process believes.
    pub available: u64,
    /// Until when it rests after a refusal, if it does.
    pub rests_until: Option<Instant>,
}

impl Stake {
    /// Whether the account has all that it can have. Otherwise what it has changes with time, also if nothing happens: what
    /// is said of it once is true for that moment only.
    pub fn is_full(&self) -> bool {
        let told = Size::told(self.limit);
        self.rests_until.is_none() && told.is_some_and(|size| self.available >= u64::from(size.capacity))
    }
}

impl Budgets {
    /// All accounts that have a limit, in order.
    pub fn stakes(&mut self, now: Instant) -> Vec<Stake> {
        let indices: Vec<usize> = self.names.values().copied().collect();
        indices.into_iter().filter_map(|index| self.stake(index, now)).collect()
    }

    /// The account of a grant, if it has a limit.
    pub fn stake_of(&mut self, grant: &Grant, now: Instant) -> Option<Stake> {
        self.stake(grant.holder, now)
    }

    /// Other processes have taken what there was: nothing is there before this time.
    pub fn dry(&mut self, holder: &Holder, until: Instant, now: Instant) {
        self.change(holder, now, |account| account.bucket.dry(until));
    }

    /// Other processes have used the account: no more than so many tokens are there.
    pub fn lower(&mut self, holder: &Holder, available: u64, now: Instant) {
        self.change(holder, now, |account| account.bucket.lower(available, now));
    }

    fn change(&mut self, holder: &Holder, now: Instant, change: impl FnOnce(&mut super::Account)) {
        if let Some(index) = self.names.get(holder).copied() {
            change(&mut self.holders[index]);
            self.arrange(index, now);
        }
    }

    fn stake(&mut self, index: usize, now: Instant) -> Option<Stake> {
        let bucket = &mut self.holders[index].bucket;
        let (limit, available) = (bucket.limit(), bucket.available(now)?);
        let rests_until = bucket.rests_until(now);
        let (holder, _) = self.names.iter().find(|(_, known)| **known == index)?;
        Some(Stake { holder: holder.clone(), limit, available, rests_until })
    }
}
