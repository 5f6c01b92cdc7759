//! A budget that several processes share.
//!
//! Each process keeps its pace with [`Budgets`](super::Budgets) of its own. Where several use one account, what they
//! may send together is one value that they keep in a common place: whoever needs tokens reads it, reserves a block,
//! and writes it back before anybody else reads it. A block is spent without asking anybody; what is left of it is
//! given back.
//!
//! A block loses a token whenever one comes back to the common bucket ([`Block::aged`]). So the common bucket lacks at
//! least what is left of all blocks together: each grows the lack by its size, which then shrinks at the rate, and so
//! does each block. The common bucket is full only when no block is worth anything, and no token is given out twice.
//! That a block is worth at least one token until it is worth none, and what is on its way to the server, are within
//! the [`RESERVE`] that is not given out.
//!
//! The same value tells a process what an earlier one left of a bucket that it used alone ([`SharedBudget::leave`]).
//!
//! All who share it must ask with one clock, which is the common place's. Levels are integers, exact, and do not drift.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::size::{FASTEST, LONGEST_REST, SLOWEST, Size, TOKEN, nanos};
use crate::model::{Limit, RateLimit};

/// Units of one token. A bucket of more than eighteen million tokens is full with so many.
#[expect(clippy::cast_possible_truncation, reason = "a trillion fits")]
const UNITS: u64 = TOKEN as u64;

/// The largest block.
const MOST: u32 = 20;

/// This part of a bucket is not given out in blocks.
const RESERVE: u32 = 4;

/// What several processes may send together in the name of one account. It is stored as it is: what is told of the
/// account comes with [`SharedBudget::tell`] whenever it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedBudget {
    /// Tokens of a full bucket.
    capacity: u32,
    /// Thousandths of a token that come back each second.
    rate: u64,
    /// Trillionths of a token that are there.
    level: u64,
    /// When that was.
    at: Timestamp,
    /// Until when the account rests after a 429.
    rests_until: Option<Timestamp>,
    /// Counts the rests.
    epoch: u64,
    /// Whether all who use the account take from here. Otherwise somebody uses it alone.
    open: bool,
}

/// Tokens that one process may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "what is not spent is given back"]
pub struct Block {
    /// How many.
    pub tokens: u32,
    epoch: u64,
    /// How many there were.
    size: u32,
    /// At which rate it loses tokens.
    rate: u64,
}

/// What a process gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// A block, of as many tokens as were wanted or as there are.
    Granted(Block),
    /// Nothing is there before this time, and then one token if nobody else takes it.
    NoneUntil(Timestamp),
}

impl SharedBudget {
    /// A full bucket; nothing if there is no limit.
    pub fn full(limit: Limit, now: Timestamp) -> Option<Self> {
        let Size { capacity, rate } = Size::told(limit)?;
        let mut budget = Self { capacity, rate, level: 0, at: now, rests_until: None, epoch: 0, open: false };
        budget.level = budget.full_level();
        Some(budget)
    }

    /// Takes what is told from here on: what was taken is gone, whatever the size. Nothing changes while the same is
    /// told; a limit that is lifted leaves the last one.
    pub fn tell(&mut self, limit: Limit, now: Timestamp) {
        let Some(told) = Size::told(limit) else { return };
        if told == self.size() {
            return;
        }
        self.advance(now);
        let missing = self.full_level() - self.level;
        (self.capacity, self.rate) = (told.capacity, told.rate);
        self.level = self.full_level().saturating_sub(missing);
    }

    /// Reserves up to `want` tokens, and at least one if any is there.
    pub fn reserve(&mut self, now: Timestamp, want: u32) -> Share {
        self.advance(now);
        let there = u32::try_from(self.level / UNITS).unwrap_or(u32::MAX);
        let tokens = want.max(1).min(there);
        if tokens == 0 || self.rests_until.is_some() {
            let missing = u128::from(UNITS.saturating_sub(self.level)).div_ceil(u128::from(self.size().rate));
            let next = self.at.saturating_add(nanos(missing)).unwrap_or(Timestamp::MAX);
            return Share::NoneUntil(self.rests_until.map_or(next, |until| until.max(next)));
        }
        self.level -= u64::from(tokens) * UNITS;
        Share::Granted(Block { tokens, epoch: self.epoch, size: tokens, rate: self.size().rate })
    }

    /// Gives back tokens of a block with which nothing was sent. After a 429 nothing comes back: they were not there.
    pub fn give_back(&mut self, now: Timestamp, block: Block) {
        if block.epoch == self.epoch {
            self.advance(now);
            let level = u64::from(block.tokens).saturating_mul(UNITS).saturating_add(self.level);
            self.level = level.min(self.full_level());
        }
    }

    /// Notes that the server refused the account, which rests until then, and that the bucket was empty. A block that
    /// was reserved before must not be spent after it.
    pub fn refused(&mut self, now: Timestamp, until: Timestamp) {
        self.advance(now);
        let until = until.min(after_longest(now));
        self.rests_until = Some(self.rests_until.map_or(until, |earlier| earlier.max(until)));
        (self.level, self.epoch) = (0, self.epoch.wrapping_add(1));
    }

    /// Whoever used the account alone shares it from here on: no more is there than it believes.
    pub fn open(&mut self, now: Timestamp, available: u64) {
        self.lower(now, available);
        self.open = true;
    }

    /// Somebody uses the account alone from here on, and believes that so many tokens are there.
    pub fn close(&mut self, now: Timestamp) -> u64 {
        self.advance(now);
        self.open = false;
        self.level / UNITS
    }

    /// Whether all who use the account take from here.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// No more than so many tokens are there.
    pub fn lower(&mut self, now: Timestamp, available: u64) {
        self.advance(now);
        self.level = self.level.min(available.saturating_mul(UNITS));
    }

    /// What somebody who used the account alone leaves behind: no more is there than it believes, and the account rests
    /// until then, if it does.
    pub fn leave(&mut self, now: Timestamp, available: u64, rests_until: Option<Timestamp>) {
        self.lower(now, available);
        self.rests_until = self.rests_until.max(rests_until.map(|until| until.min(after_longest(now))));
    }

    /// What is there, and until when the account rests.
    pub fn left(&mut self, now: Timestamp) -> (u64, Option<Timestamp>) {
        self.advance(now);
        (self.level / UNITS, self.rests_until)
    }

    fn advance(&mut self, now: Timestamp) {
        let last = after_longest(now);
        // A time far ahead was read from a clock that went back since.
        if self.at > last {
            self.at = now;
        }
        let elapsed = u128::try_from(now.duration_since(self.at).as_nanos()).unwrap_or(0);
        let came = u64::try_from(elapsed.saturating_mul(u128::from(self.size().rate))).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(came).min(self.full_level());
        self.at = self.at.max(now);
        self.rests_until = self.rests_until.map(|until| until.min(last)).filter(|until| *until > now);
    }

    fn full_level(&self) -> u64 {
        u64::from(self.size().capacity).saturating_mul(UNITS)
    }

    /// What is stored may come from anywhere.
    fn size(&self) -> Size {
        Size { capacity: self.capacity.max(1), rate: self.rate.clamp(SLOWEST, FASTEST) }
    }
}

impl Block {
    /// What is left some time after it was asked for.
    pub fn aged(self, age: Duration) -> Self {
        let lost = age.as_nanos().saturating_mul(u128::from(self.rate)) / u128::from(UNITS);
        let left = self.size.saturating_sub(u32::try_from(lost).unwrap_or(u32::MAX));
        Self { tokens: self.tokens.min(left), ..self }
    }
}

/// What processes give out together of a limit, and how many tokens one of them reserves at a time.
pub fn shared_part(limit: Limit) -> Option<(Limit, u32)> {
    let RateLimit::Bucket { burst, refill_per_second } = limit.limit else { return None };
    let burst = (burst - burst.div_ceil(RESERVE).min(burst)).max(1);
    let limit = Limit { limit: RateLimit::Bucket { burst, refill_per_second }, source: limit.source };
    Some((limit, (burst / RESERVE).clamp(1, MOST)))
}

fn after_longest(now: Timestamp) -> Timestamp {
    now.saturating_add(LONGEST_REST).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::LimitSource;

    fn limit(burst: u32, refill_per_second: u32) -> Limit {
        Limit { limit: RateLimit::Bucket { burst, refill_per_second }, source: LimitSource::File }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn granted(share: Share) -> Block {
        match share {
            Share::Granted(block) => block,
            Share::NoneUntil(until) => panic!("nothing until {until}"),
        }
    }

    #[test]
    fn a_block_is_what_is_wanted_or_what_is_there_and_comes_back_at_the_rate() {
        let mut budget = SharedBudget::full(limit(60, 5), at(0)).unwrap();
        assert_eq!(granted(budget.reserve(at(0), 50)).tokens, 50);
        assert_eq!(granted(budget.reserve(at(0), 50)).tokens, 10);
        assert_eq!(budget.reserve(at(199), 50), Share::NoneUntil(at(200)));
        assert_eq!(granted(budget.reserve(at(1000), 50)).tokens, 5);
        assert_eq!(granted(budget.reserve(at(3_600_000), 500)).tokens, 60);
    }

    #[test]
    fn unused_tokens_come_back_unless_the_account_was_refused() {
        let mut budget = SharedBudget::full(limit(10, 1), at(0)).unwrap();
        let (one, other) = (granted(budget.reserve(at(0), 5)), granted(budget.reserve(at(0), 5)));
        budget.give_back(at(0), Block { tokens: 3, ..one });
        assert_eq!(granted(budget.reserve(at(0), 9)).tokens, 3);
        budget.refused(at(0), at(4000));
        budget.give_back(at(0), other);
        assert_eq!(budget.reserve(at(0), 1), Share::NoneUntil(at(4000)));
        assert_eq!(granted(budget.reserve(at(4000), 9)).tokens, 4);
    }

    #[test]
    fn what_is_told_anew_keeps_what_was_taken() {
        let mut budget = SharedBudget::full(limit(60, 5), at(0)).unwrap();
        let _ = granted(budget.reserve(at(0), 50));
        budget.tell(limit(60, 5), at(0));
        budget.tell(limit(100, 10), at(0));
        assert_eq!(granted(budget.reserve(at(0), 99)).tokens, 50);
        assert_eq!(budget.reserve(at(0), 1), Share::NoneUntil(at(100)));
        assert!(SharedBudget::full(Limit { limit: RateLimit::Unlimited, ..limit(1, 1) }, at(0)).is_none());
    }

    #[test]
    fn a_clock_that_went_back_and_a_rest_without_end_stop_nobody_for_long() {
        let mut budget = SharedBudget::full(limit(10, 1), at(0)).unwrap();
        let _ = granted(budget.reserve(at(86_400_000), 10));
        assert_eq!(budget.reserve(at(0), 1), Share::NoneUntil(at(1000)));
        budget.refused(at(0), Timestamp::MAX);
        assert_eq!(budget.reserve(at(0), 1), Share::NoneUntil(at(600_000)));
    }

    #[test]
    fn what_was_stored_by_nobody_we_know_does_no_harm() {
        let stored = r#"{"capacity":0,"rate":0,"level":18446744073709551615,"at":"9999-12-30T22:00:00Z","rests_until":null,"epoch":18446744073709551615,"open":true}"#;
        let mut budget: SharedBudget = serde_json::from_str(stored).unwrap();
        assert_eq!(granted(budget.reserve(at(0), 9)).tokens, 1);
        assert_eq!(budget.reserve(at(0), 1), Share::NoneUntil(at(500_000)));
        budget.refused(at(0), at(1));
        budget.tell(limit(u32::MAX, u32::MAX), at(2));
        assert!(matches!(budget.reserve(at(60_000), u32::MAX), Share::Granted(_)));
    }

    #[test]
    fn a_limit_is_given_out_in_parts_and_something_is_left() {
        let part = |burst| {
            let (limit, block) = shared_part(limit(burst, 5)).unwrap();
            let RateLimit::Bucket { burst, .. } = limit.limit else { panic!("it has a limit") };
            (burst, block)
        };
        assert_eq!([1, 4, 60, 1000].map(part), [(1, 1), (3, 1), (45, 11), (750, 20)]);
        assert_eq!(shared_part(Limit { limit: RateLimit::Unlimited, ..limit(1, 1) }), None);
    }

    #[test]
    fn whoever_was_alone_says_what_is_there_and_hears_it_in_the_end() {
        let mut budget = SharedBudget::full(limit(60, 5), at(0)).unwrap();
        assert!(!budget.is_open());
        budget.open(at(0), 7);
        assert!(budget.is_open());
        assert_eq!(granted(budget.reserve(at(0), 50)).tokens, 7);
        budget.open(at(1000), 1000);
        assert_eq!(budget.close(at(1000)), 5);
        assert!(!budget.is_open());
    }

    proptest! {
        /// Blocks that are left lying are never worth more than what the common bucket lacks, but for one token each.
        #[test]
        fn what_lies_in_blocks_is_lacking_in_the_bucket(
            capacity in 1u32..60,
            rate in 1u32..50,
            steps in proptest::collection::vec((0i64..400, 0usize..4, 1u32..20, proptest::bool::ANY), 1..80),
        ) {
            let mut now = 0;
            let mut budget = SharedBudget::full(limit(capacity, rate), at(0)).unwrap();
            let mut blocks: [Option<(Block, i64)>; 4] = [None; 4];
            let aged = |(block, since): (Block, i64), now: i64| {
                block.aged(Duration::from_millis(u64::try_from(now - since).unwrap()))
            };
            for (step, who, want, gives_back) in steps {
                now += step;
                match blocks[who].take().map(|held| aged(held, now)) {
                    Some(block) if gives_back => budget.give_back(at(now), block),
                    _ => if let Share::Granted(block) = budget.reserve(at(now), want) {
                        blocks[who] = Some((block, now));
                    },
                }
                budget.advance(at(now));
                let lying: u64 = blocks.iter().flatten().map(|held| u64::from(aged(*held, now).tokens)).sum();
                prop_assert!(lying * UNITS <= budget.full_level() - budget.level + 4 * UNITS);
            }
        }

        /// In no time do all processes together get more than a full bucket and what came back in that time; they get
        /// all of that; and it does not matter that it is stored in between.
        #[test]
        fn all_together_get_what_one_would(
            capacity in 1u32..20,
            rate in 1u32..50,
            steps in proptest::collection::vec((0i64..700, 1u32..8, proptest::option::of(1u32..4)), 1..80),
        ) {
            let mut now = 0;
            let mut budget = SharedBudget::full(limit(capacity, rate), at(0)).unwrap();
            // Thousandths of a token.
            let mut level = i64::from(capacity) * 1000;
            for (step, want, unused) in steps {
                now += step;
                level = (level + step * i64::from(rate)).min(i64::from(capacity) * 1000);
                let stored = serde_json::to_string(&budget).unwrap();
                budget = serde_json::from_str(&stored).unwrap();
                match budget.reserve(at(now), want) {
                    Share::Granted(block) => {
                        prop_assert_eq!(i64::from(block.tokens), i64::from(want).min(level / 1000));
                        let unused = unused.unwrap_or(0).min(block.tokens);
                        budget.give_back(at(now), Block { tokens: unused, ..block });
                        level -= i64::from(block.tokens - unused) * 1000;
                    }
                    Share::NoneUntil(until) => {
                        prop_assert!(level < 1000);
                        let millis = (1000 - level + i64::from(rate) - 1) / i64::from(rate);
                        prop_assert!(until > at(now + millis - 1) && until <= at(now + millis), "{until}");
                    }
                }
            }
        }
    }
}
