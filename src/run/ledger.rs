//! What a task cost: requests, exchanges and waits, by account.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::AccountName;

/// A time in which a task waited because no account had budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ThrottledPeriod {
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
}

/// The account book of a task, a listing, or a whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Requests that were sent, by account. Refused ones count: they cost the server's attention too.
    pub requests: BTreeMap<AccountName, u64>,
    /// How many of them were git requests.
    pub git_requests: u64,
    /// Answers 429, by account.
    pub rate_limited: BTreeMap<AccountName, u64>,
    /// How often a request went on with another account.
    pub exchanges: u64,
    /// The times of waiting.
    pub throttled: Vec<ThrottledPeriod>,
}

impl Ledger {
    /// Adds another account book to this one.
    pub fn add(&mut self, other: &Self) {
        for (account, count) in &other.requests {
            *self.requests.entry(account.clone()).or_default() += count;
        }
        for (account, count) in &other.rate_limited {
            *self.rate_limited.entry(account.clone()).or_default() += count;
        }
        self.git_requests += other.git_requests;
        self.exchanges += other.exchanges;
        self.throttled.extend(&other.throttled);
    }

    /// Requests of all accounts.
    pub fn total_requests(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Milliseconds of waiting. Periods of tasks that waited at the same time all count.
    pub fn throttled_millis(&self) -> u64 {
        let millis = |period: &ThrottledPeriod| period.until.as_millisecond() - period.from.as_millisecond();
        self.throttled.iter().map(millis).map(|millis| millis.max(0).unsigned_abs()).sum()
    }
}
