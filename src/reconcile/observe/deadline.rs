//! How long a look may take, and how much it may ask of an account.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::MOST_REQUESTS;
use crate::clock::Clock;
use crate::model::AccountName;

/// The whole look.
const TOTAL: Duration = Duration::from_secs(10);

/// One request.
pub(super) const ONE: Duration = Duration::from_secs(5);

/// The end of a look.
pub(super) struct Deadline<'a> {
    clock: &'a dyn Clock,
    end: Instant,
}

impl<'a> Deadline<'a> {
    /// A look that begins at this moment.
    pub(super) fn begin(clock: &'a dyn Clock) -> Self {
        Self { clock, end: clock.monotonic() + TOTAL }
    }

    /// Waits for one answer, as long as one may take and as long as there is time; `None` if it did not come. When the
    /// time is over nothing is begun.
    pub(super) async fn within<T>(&self, answer: impl Future<Output = T>) -> Option<T> {
        let left = self.end.saturating_duration_since(self.clock.monotonic()).min(ONE);
        if left.is_zero() {
            return None;
        }
        tokio::time::timeout(left, answer).await.ok()
    }
}

/// How much accounts may be asked yet.
pub(super) struct Budget {
    limit: Option<u32>,
    accounts: Mutex<BTreeMap<AccountName, Spent>>,
}

/// What was asked of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Requests that were sent.
    pub(super) requests: u32,
    /// Why it is left alone, if it is.
    pub(super) closed: Option<Closed>,
}

/// Why an account is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// It answered 429.
    RateLimited,
    /// It is not accepted.
    Refused,
}

impl Budget {
    /// The budget of a look at everything that is in use.
    pub(super) fn sparing() -> Self {
        Self { limit: Some(MOST_REQUESTS), accounts: Mutex::default() }
    }

    /// The budget of a look that a person asked for.
    pub(super) fn generous() -> Self {
        Self { limit: None, accounts: Mutex::default() }
    }

    /// Takes one request; false if there is none left.
    pub(super) fn take(&self, account: &AccountName) -> bool {
        let mut accounts = self.accounts.lock().expect("no holder panics");
        let spent = accounts.entry(account.clone()).or_default();
        if spent.closed.is_some() || self.limit.is_some_and(|limit| spent.requests >= limit) {
            return false;
        }
        spent.requests = spent.requests.saturating_add(1);
        true
    }

    /// Leaves an account alone from here on.
    pub(super) fn close(&self, account: &AccountName, why: Closed) {
        self.accounts.lock().expect("no holder panics").entry(account.clone()).or_default().closed = Some(why);
    }

    /// Whether an account is left alone.
    pub(super) fn is_closed(&self, account: &AccountName) -> bool {
        let accounts = self.accounts.lock().expect("no holder panics");
        accounts.get(account).is_some_and(|spent| spent.closed.is_some())
    }

    /// What was asked of each account.
    pub(super) fn spent(&self) -> BTreeMap<AccountName, Spent> {
        let mut spent = self.accounts.lock().expect("no holder panics").clone();
        spent.retain(|_, spent| spent.requests > 0);
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[tokio::test]
    async fn when_the_time_is_over_nothing_is_begun() {
        let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
        let deadline = Deadline::begin(&clock);
        assert_eq!(deadline.within(async { 7 }).await, Some(7));
        clock.advance(TOTAL);
        let begun = async { panic!("it was begun") };
        assert_eq!(deadline.within::<()>(begun).await, None);
    }

    #[tokio::test]
    async fn one_answer_does_not_take_all_the_time() {
        let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
        let deadline = Deadline::begin(&clock);
        clock.advance(TOTAL.saturating_sub(Duration::from_millis(1)));
        assert_eq!(deadline.within(std::future::pending::<()>()).await, None);
    }

    #[test]
    fn an_account_answers_so_often_and_not_when_it_was_closed() {
        let (one, two): (AccountName, AccountName) = ("one".parse().unwrap(), "two".parse().unwrap());
        let budget = Budget::sparing();
        assert_eq!((0..99).filter(|_| budget.take(&one)).count(), MOST_REQUESTS as usize);
        assert!(budget.take(&two));
        budget.close(&two, Closed::RateLimited);
        assert!(!budget.take(&two));
        let spent = |requests, closed| Spent { requests, closed };
        let expected = [(one, spent(MOST_REQUESTS, None)), (two.clone(), spent(1, Some(Closed::RateLimited)))];
        assert_eq!(budget.spent(), expected.into());
        let generous = Budget::generous();
        assert_eq!((0..99).filter(|_| generous.take(&two)).count(), 99);
    }
}
