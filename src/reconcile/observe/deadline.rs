//! How long a look may take, and how much it may ask of an account.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::MOST_REQUESTS;
use crate::clock::Clock;
use crate::http::Authorization;
use crate::model::{AccountName, LoginRefusal};

/// The whole look.
const TOTAL: Duration = Duration::from_secs(10);

/// One request.
pub(super) const ONE: Duration = Duration::from_secs(5);

/// So many passwords of one account are found wrong in one look. Bitbucket counts them together, and locks at five.
const MOST_WRONG: u32 = 2;

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

/// How much accounts may be asked yet, and with which secrets.
pub(super) struct Budget {
    limit: Option<u32>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    accounts: BTreeMap<AccountName, Spent>,
    /// What the server refuses: another secret of the same account may be good.
    refused: Vec<Authorization>,
}

/// What was asked of an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Requests that were sent.
    pub(super) requests: u32,
    /// Whether it answered 429.
    pub(super) limited: bool,
    /// Passwords of it that were wrong.
    wrong: u32,
    /// Whether it has to solve a CAPTCHA, which locks its passwords and no token.
    captcha: bool,
}

/// Why a question is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spared {
    /// The account was asked as often as one look may.
    Enough,
    /// The account has answered 429.
    RateLimited,
    /// The server refuses this secret.
    Refused,
    /// The account has to solve a CAPTCHA.
    Captcha,
    /// Other passwords of the account were wrong.
    WrongPasswords,
}

impl Spared {
    /// The same for people.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Enough => "its account was asked often enough",
            Self::RateLimited => "its account has no budget left",
            Self::Refused => "the server has refused the same secret",
            Self::Captcha => "its account has to solve a CAPTCHA before the server takes a password of it",
            Self::WrongPasswords => "other passwords of its account were wrong, and one more might lock the account",
        }
    }
}

impl Budget {
    /// The budget of a look at everything that is in use.
    pub(super) fn sparing() -> Self {
        Self { limit: Some(MOST_REQUESTS), inner: Mutex::default() }
    }

    /// The budget of a look that a person asked for.
    pub(super) fn generous() -> Self {
        Self { limit: None, inner: Mutex::default() }
    }

    /// Takes one request.
    pub(super) fn take(&self, authorization: &Authorization) -> Result<(), Spared> {
        let inner = &mut *self.inner();
        if inner.refused.iter().any(|refused| refused.is_same_secret(authorization)) {
            return Err(Spared::Refused);
        }
        let spent = inner.accounts.entry(authorization.account().clone()).or_default();
        if spent.limited {
            return Err(Spared::RateLimited);
        }
        if self.limit.is_some_and(|limit| spent.requests >= limit) {
            return Err(Spared::Enough);
        }
        spent.requests = spent.requests.saturating_add(1);
        Ok(())
    }

    /// Leaves an account alone from here on: it has answered 429.
    pub(super) fn limit(&self, account: &AccountName) {
        self.inner().accounts.entry(account.clone()).or_default().limited = true;
    }

    /// Whether an account has answered 429.
    pub(super) fn is_limited(&self, account: &AccountName) -> bool {
        self.inner().accounts.get(account).is_some_and(|spent| spent.limited)
    }

    /// Shows a secret to nobody from here on.
    pub(super) fn refuse(&self, authorization: &Authorization) {
        self.inner().refused.push(authorization.clone());
    }

    /// What the refusal of a password says of the other passwords of its account.
    pub(super) fn refuse_password(&self, account: &AccountName, reason: LoginRefusal) {
        let inner = &mut *self.inner();
        let spent = inner.accounts.entry(account.clone()).or_default();
        match reason {
            LoginRefusal::WrongSecret => spent.wrong = spent.wrong.saturating_add(1),
            LoginRefusal::Captcha => spent.captcha = true,
            LoginRefusal::NotAccepted | LoginRefusal::Unlicensed | LoginRefusal::BasicBlocked => {}
        }
    }

    /// Whether one more password of an account may be tried.
    pub(super) fn try_password(&self, account: &AccountName) -> Result<(), Spared> {
        match self.inner().accounts.get(account) {
            Some(spent) if spent.captcha => Err(Spared::Captcha),
            Some(spent) if spent.wrong >= MOST_WRONG => Err(Spared::WrongPasswords),
            Some(_) | None => Ok(()),
        }
    }

    /// What was asked of each account.
    pub(super) fn spent(&self) -> BTreeMap<AccountName, Spent> {
        let mut spent = self.inner().accounts.clone();
        spent.retain(|_, spent| spent.requests > 0);
        spent
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
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

    fn token(account: &str, secret: &str) -> Authorization {
        Authorization::bearer(account.parse().unwrap(), &secret.into()).unwrap()
    }

    #[test]
    fn an_account_answers_so_often_and_not_when_it_was_limited() {
        let (one, two) = (token("one", "a"), token("two", "b"));
        let budget = Budget::sparing();
        assert_eq!((0..99).filter(|_| budget.take(&one).is_ok()).count(), MOST_REQUESTS as usize);
        assert_eq!(budget.take(&one), Err(Spared::Enough));
        assert_eq!(budget.take(&two), Ok(()));
        budget.limit(two.account());
        assert_eq!(budget.take(&token("two", "c")), Err(Spared::RateLimited), "a bucket is its account's");
        let spent = budget.spent().into_values().map(|spent| (spent.requests, spent.limited));
        assert_eq!(spent.collect::<Vec<_>>(), [(MOST_REQUESTS, false), (1, true)]);
        let generous = Budget::generous();
        assert_eq!((0..99).filter(|_| generous.take(&two).is_ok()).count(), 99);
    }

    #[test]
    fn a_refusal_is_of_one_secret_and_a_captcha_of_all_passwords() {
        let budget = Budget::generous();
        let (dead, good) = (token("svc", "dead"), token("svc", "good"));
        budget.refuse(&dead);
        assert_eq!((budget.take(&dead), budget.take(&good)), (Err(Spared::Refused), Ok(())));
        let svc = dead.account();
        for _ in 0..MOST_WRONG {
            assert_eq!(budget.try_password(svc), Ok(()));
            budget.refuse_password(svc, LoginRefusal::WrongSecret);
        }
        assert_eq!(budget.try_password(svc), Err(Spared::WrongPasswords));
        budget.refuse_password(svc, LoginRefusal::Captcha);
        assert_eq!((budget.try_password(svc), budget.take(&good)), (Err(Spared::Captcha), Ok(())));
        assert_eq!(budget.try_password(&"other".parse().unwrap()), Ok(()));
    }
}
