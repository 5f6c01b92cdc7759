//! When accounts were left alone after answers 429, and what that says of their budgets at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use jiff::Timestamp;

use super::ThrottledPeriod;
use super::period::{covered, total_millis};
use crate::model::{AccountName, Address, ConditionKind, Seen, ServerName, Sighting};

/// Rests of one account that are told apart.
const MOST: usize = 1000;

/// The rests of accounts, by server.
#[derive(Default)]
pub(super) struct Rests(Mutex<BTreeMap<(ServerName, AccountName), Vec<ThrottledPeriod>>>);

impl Rests {
    /// Notes that an account is left alone.
    pub(super) fn note(&self, server: &ServerName, account: &AccountName, rest: ThrottledPeriod) {
        let mut rests = self.0.lock().expect("no holder panics");
        let rests = rests.entry((server.clone(), account.clone())).or_default();
        rests.push(rest);
        if rests.len() > MOST {
            *rests = covered(std::mem::take(rests), MOST / 2);
        }
    }

    /// For how long each account was left alone until `end`.
    pub(super) fn millis(&self, end: Timestamp) -> BTreeMap<AccountName, u64> {
        let mut sums = BTreeMap::new();
        for ((_, account), rests) in &*self.0.lock().expect("no holder panics") {
            let past = rests.iter().map(|rest| ThrottledPeriod { from: rest.from, until: rest.until.min(end) });
            *sums.entry(account.clone()).or_default() += total_millis(&covered(past.collect(), MOST));
        }
        sums
    }

    /// What the run says of the budgets of the accounts that it `used`. That one had none holds until somebody asks
    /// again, if `unfinished` work still waits for it; otherwise there is nothing to tell of a rest that is over soon.
    pub(super) fn sightings(
        &self,
        used: BTreeSet<(ServerName, AccountName)>,
        unfinished: bool,
        now: Timestamp,
    ) -> Vec<Sighting> {
        let rests = self.0.lock().expect("no holder panics");
        let seen = |key: &(ServerName, AccountName)| {
            let until = rests.get(key).and_then(|rests| rests.iter().map(|rest| rest.until).max());
            match until.filter(|until| unfinished && *until > now) {
                Some(until) => Seen::Holds {
                    reason: "RateLimited",
                    message: format!("its budget is used up; it rests until {}", until.strftime("%Y-%m-%d %H:%M UTC")),
                },
                None => Seen::Not,
            }
        };
        used.into_iter()
            .map(|key| {
                let (seen, address) = (seen(&key), Address::account(&key.0, &key.1));
                Sighting { address, kind: ConditionKind::Throttled, seen }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key(account: &str) -> (ServerName, AccountName) {
        ("bb".parse().unwrap(), account.parse().unwrap())
    }

    fn rests() -> Rests {
        let rests = Rests::default();
        for (account, from, until) in [("main", 1, 3), ("main", 2, 5), ("one", 7, 90)] {
            let (server, account) = key(account);
            rests.note(&server, &account, ThrottledPeriod { from: at(from), until: at(until) });
        }
        rests
    }

    #[test]
    fn a_rest_counts_once_and_until_the_end_of_the_run() {
        let millis = rests().millis(at(10));
        assert_eq!(millis.into_values().collect::<Vec<_>>(), [4_000, 3_000]);
    }

    #[test]
    fn only_work_that_is_left_makes_an_account_throttled() {
        let used = || [key("idle"), key("main"), key("one")].into();
        let holds = |unfinished| -> Vec<bool> {
            let all = rests().sightings(used(), unfinished, at(10));
            all.iter().map(|sighting| matches!(sighting.seen, Seen::Holds { .. })).collect()
        };
        assert_eq!(holds(true), [false, false, true]);
        assert_eq!(holds(false), [false, false, false]);
        let told = rests().sightings(used(), true, at(10)).pop().unwrap();
        let expected = "its budget is used up; it rests until 1970-01-01 00:01 UTC";
        assert!(matches!(&told.seen, Seen::Holds { message, .. } if message == expected), "{told:?}");
    }
}
