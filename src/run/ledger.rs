//! What a task cost: requests, exchanges and waits, by credential and by account.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ExchangeReason;
use super::period::{ThrottledPeriod, covered, total_millis};
use crate::model::{AccountName, Address};
use crate::throttle::Lease;

/// Stretches that the record of a run tells one by one.
const STRETCHES: usize = 200;

/// What one credential was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialUse {
    /// Its account.
    pub account: AccountName,
    /// Requests that were sent with it.
    pub requests: u64,
    /// Answers 429 to them.
    pub rate_limited: u64,
}

/// How often requests were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// All of them.
    pub(super) requests: u64,
    /// How many of them were git requests.
    pub(super) git_requests: u64,
}

/// The account book of a task, a listing, or a whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Requests that were sent, by account. Refused ones count: they cost the server's attention too.
    pub requests: BTreeMap<AccountName, u64>,
    /// How many of them were git requests.
    pub git_requests: u64,
    /// Answers 429, by account.
    pub rate_limited: BTreeMap<AccountName, u64>,
    /// The credentials that were used, by their addresses.
    pub credentials: BTreeMap<Address, CredentialUse>,
    /// How often a request went on with another account.
    pub exchanges: u64,
    /// How many of them came before the server had to refuse.
    pub exchanges_ahead: u64,
    /// How many of them came because enough was under way in the name of the account: they have nothing to do with budgets.
    pub exchanges_for_room: u64,
    /// All of them by the account that was left.
    pub exchanged: BTreeMap<AccountName, u64>,
    /// Milliseconds of waits for the next token, or for answers to others, that are the pace of the server, and no throttling.
    pub paced_ms: u64,
    /// Waits for a server that is busy, and before another attempt. They have nothing to do with budgets.
    pub waits: u64,
    /// Their sum in milliseconds.
    pub waited_ms: u64,
    /// How often a task waited because no account had budget.
    pub throttled_waits: u64,
    /// The sum of those waits in milliseconds. Tasks that waited at the same time all count.
    pub throttled_ms: u64,
    /// The times of waiting: of a task each of its own, of a run those in which any task waited.
    pub throttled: Vec<ThrottledPeriod>,
    /// Milliseconds for which an account was left alone after answers 429. Of a whole run only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rested_ms: BTreeMap<AccountName, u64>,
}

impl Ledger {
    /// Enters what was sent with a credential.
    pub(super) fn sent(&mut self, lease: &Lease, sent: Sent) {
        *self.requests.entry(lease.account.clone()).or_default() += sent.requests;
        self.git_requests += sent.git_requests;
        self.used(lease).requests += sent.requests;
    }

    /// Enters an answer 429.
    pub fn limited(&mut self, lease: &Lease) {
        *self.rate_limited.entry(lease.account.clone()).or_default() += 1;
        self.used(lease).rate_limited += 1;
    }

    /// Enters that a request goes on with another account than this one.
    pub fn exchange(&mut self, from: &AccountName, reason: ExchangeReason) {
        self.exchanges += 1;
        match reason {
            ExchangeReason::RateLimited => {}
            ExchangeReason::NoBudget => self.exchanges_ahead += 1,
            ExchangeReason::NoRoom => self.exchanges_for_room += 1,
        }
        *self.exchanged.entry(from.clone()).or_default() += 1;
    }

    /// Enters a wait that has nothing to do with budgets.
    pub fn wait(&mut self, duration: Duration) {
        self.waits += 1;
        self.waited_ms += u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    }

    /// Enters a wait for budget.
    pub fn throttle(&mut self, period: ThrottledPeriod) {
        self.throttled_waits += 1;
        self.throttled_ms += period.millis();
        self.throttled.push(period);
    }

    fn used(&mut self, lease: &Lease) -> &mut CredentialUse {
        let unused = || CredentialUse { account: lease.account.clone(), requests: 0, rate_limited: 0 };
        self.credentials.entry(Address::credential(&lease.project, &lease.role)).or_insert_with(unused)
    }

    /// Adds another account book to this one.
    pub fn add(&mut self, other: &Self) {
        let Self { requests, git_requests, rate_limited, credentials, .. } = other;
        add_all(&mut self.requests, requests);
        add_all(&mut self.rate_limited, rate_limited);
        add_all(&mut self.exchanged, &other.exchanged);
        add_all(&mut self.rested_ms, &other.rested_ms);
        for (address, used) in credentials {
            let sum = self.credentials.entry(address.clone()).or_insert_with(|| CredentialUse {
                requests: 0,
                rate_limited: 0,
                ..used.clone()
            });
            sum.requests += used.requests;
            sum.rate_limited += used.rate_limited;
        }
        self.git_requests += git_requests;
        self.exchanges += other.exchanges;
        self.exchanges_ahead += other.exchanges_ahead;
        self.exchanges_for_room += other.exchanges_for_room;
        self.paced_ms = self.paced_ms.saturating_add(other.paced_ms);
        self.waits += other.waits;
        self.waited_ms += other.waited_ms;
        self.throttled_waits += other.throttled_waits;
        self.throttled_ms += other.throttled_ms;
        self.throttled.extend(&other.throttled);
    }

    /// Turns the waits of tasks into the times in which any task waited.
    pub(super) fn close(&mut self) {
        self.throttled = covered(std::mem::take(&mut self.throttled), STRETCHES);
    }

    /// Requests of all accounts.
    pub fn total_requests(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Answers 429 to all accounts.
    pub fn total_rate_limited(&self) -> u64 {
        self.rate_limited.values().sum()
    }

    /// Milliseconds that the times of waiting cover.
    pub fn throttled_for(&self) -> u64 {
        total_millis(&self.throttled)
    }
}

fn add_all(sums: &mut BTreeMap<AccountName, u64>, others: &BTreeMap<AccountName, u64>) {
    for (account, count) in others {
        *sums.entry(account.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::CredentialRole;

    fn lease(name: Option<&str>, account: &str) -> Lease {
        let role = name.map_or(CredentialRole::Main, |name| CredentialRole::Additional(name.parse().unwrap()));
        Lease { project: "PAY".parse().unwrap(), role, account: account.parse().unwrap() }
    }

    fn period(from: i64, until: i64) -> ThrottledPeriod {
        let at = |second| Timestamp::from_second(second).unwrap();
        ThrottledPeriod { from: at(from), until: at(until) }
    }

    #[test]
    fn two_credentials_of_one_account_are_told_apart_and_summed() {
        let mut task = Ledger::default();
        task.sent(&lease(None, "svc"), Sent { requests: 1, git_requests: 0 });
        task.sent(&lease(Some("extra-1"), "svc"), Sent { requests: 3, git_requests: 2 });
        task.limited(&lease(Some("extra-1"), "svc"));
        task.exchange(&"svc".parse().unwrap(), ExchangeReason::RateLimited);
        let mut run = task.clone();
        run.add(&task);
        run.exchange(&"svc".parse().unwrap(), ExchangeReason::NoBudget);
        run.exchange(&"svc".parse().unwrap(), ExchangeReason::NoRoom);
        assert_eq!((run.exchanges, run.exchanges_ahead, run.exchanges_for_room), (4, 1, 1));
        let uses: Vec<_> = run.credentials.iter().map(|(address, used)| (address.as_str(), used.requests)).collect();
        assert_eq!(uses, [("credential/PAY/extra-1", 6), ("credential/PAY/main", 2)]);
        assert_eq!((run.total_requests(), run.total_rate_limited(), run.exchanges), (8, 2, 4));
        assert_eq!((run.requests[&"svc".parse().unwrap()], run.git_requests), (8, 4));
    }

    #[test]
    fn waits_for_a_busy_server_are_not_waits_for_budget() {
        let mut run = Ledger::default();
        for (from, until) in [(1, 5), (2, 6)] {
            let mut task = Ledger::default();
            task.throttle(period(from, until));
            task.wait(Duration::from_millis(500));
            run.add(&task);
        }
        run.close();
        assert_eq!((run.waits, run.waited_ms), (2, 1000));
        assert_eq!((run.throttled_waits, run.throttled_ms, run.throttled_for()), (2, 8_000, 5_000));
        assert_eq!(run.throttled, [period(1, 6)]);
    }

    #[test]
    fn a_book_of_another_version_can_be_read() {
        let book: Ledger = serde_json::from_str(r#"{"requests":{"svc":3},"unheard-of":1}"#).unwrap();
        assert_eq!(book.total_requests(), 3);
    }
}
