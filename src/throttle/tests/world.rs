//! Servers for the simulation, with exact buckets and others who use them.

use std::time::{Duration, Instant};

use crate::model::{Limit, LimitSource, RateLimit};

/// Numbers that follow from a seed.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.bits() % (high - low + 1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.bits() % 100 < percent
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.bits() % count as u64).unwrap()
    }
}

/// What a server says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Done,
    Limited(Option<Duration>),
    /// The token is not accepted.
    Rejected,
    /// 503.
    Busy,
}

/// One account as its server knows it.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) server: usize,
    pub(super) name: String,
    /// What we are told.
    pub(super) told: Limit,
    /// Whether what we are told is the truth, and nobody else uses it: one node, no thief.
    pub(super) plain: bool,
    /// Tokens and thousandths of tokens per second, of each node.
    pub(super) limit: Option<(u64, u64)>,
    /// The nodes: levels in trillionths of a token, and when.
    nodes: Vec<(u128, Instant)>,
    /// How others wait between their requests.
    pub(super) thief: Option<Duration>,
    hint: Hint,
}

#[derive(Debug, Clone, Copy)]
enum Hint {
    None,
    Computed,
    Zero,
    Long,
}

const TOKEN: u128 = 1_000_000_000_000;

impl Truth {
    pub(super) fn new(server: usize, number: usize, nodes: usize, dice: &mut Dice, now: Instant) -> Self {
        let (capacity, rate) = (dice.between(1, 40), dice.between(1, 12));
        // Slower than can be told, and much slower than what is.
        let slow = dice.chance(4).then(|| dice.between(50, 500));
        let unlimited = dice.chance(10);
        let thief = dice.chance(20).then(|| Duration::from_millis(dice.between(100, 3000)));
        let bucket = |burst: u64, rate: u64| RateLimit::Bucket {
            burst: u32::try_from(burst).unwrap(),
            refill_per_second: u32::try_from(rate).unwrap(),
        };
        let honest = if unlimited { RateLimit::Unlimited } else { bucket(capacity, rate) };
        let (limit, source) = match dice.between(0, 9) {
            0 => (bucket(60, 5), LimitSource::Assumed),
            1 => (RateLimit::Unlimited, LimitSource::Server),
            2 => (bucket(dice.between(1, 80), dice.between(1, 25)), LimitSource::File),
            3 => (honest, LimitSource::File),
            _ => (honest, LimitSource::Server),
        };
        let exact = limit == honest && source != LimitSource::Assumed && slow.is_none();
        let hint = match dice.between(0, 19) {
            0..=7 => Hint::Computed,
            8..=13 => Hint::None,
            14..=17 => Hint::Zero,
            _ => Hint::Long,
        };
        let full = u128::from(capacity) * TOKEN;
        Self {
            server,
            name: format!("svc-{server}-{number}"),
            told: Limit { limit, source },
            plain: exact && thief.is_none() && nodes == 1,
            limit: (!unlimited).then_some((capacity, slow.unwrap_or(rate * 1000))),
            nodes: vec![(full, now); nodes],
            thief,
            hint,
        }
    }

    /// One request of anybody comes in.
    pub(super) fn come(&mut self, dice: &mut Dice, now: Instant) -> Reply {
        let Some((capacity, rate)) = self.limit else { return Reply::Done };
        let node = dice.below(self.nodes.len());
        let (level, since) = &mut self.nodes[node];
        let came = (now - *since).as_nanos() * u128::from(rate);
        *level = (*level + came).min(u128::from(capacity) * TOKEN);
        *since = now;
        if *level >= TOKEN {
            *level -= TOKEN;
            return Reply::Done;
        }
        let missing = u64::try_from((TOKEN - *level).div_ceil(u128::from(rate))).unwrap();
        Reply::Limited(match self.hint {
            Hint::None => None,
            Hint::Computed => {
                let seconds = Duration::from_nanos(missing).as_millis().div_ceil(1000);
                Some(Duration::from_secs(u64::try_from(seconds).unwrap()))
            }
            Hint::Zero => Some(Duration::from_secs(1)),
            Hint::Long => Some(Duration::from_secs(dice.between(1, 700))),
        })
    }

    /// An account with a limit of its own, for worlds of one account.
    pub(super) fn alone(told: Limit, capacity: u64, rate: u64, nodes: usize, now: Instant) -> Self {
        let nodes = vec![(u128::from(capacity) * TOKEN, now); nodes];
        let limit = Some((capacity, rate));
        Self { server: 0, name: "svc".to_owned(), told, plain: false, limit, nodes, thief: None, hint: Hint::None }
    }

    /// Requests that this account can have answered at most until `now`, if it began full.
    pub(super) fn most(&self, time: Duration) -> Option<u128> {
        let (capacity, rate) = self.limit?;
        let one = u128::from(capacity) + time.as_nanos() * u128::from(rate) / TOKEN + 1;
        Some(one * self.nodes.len() as u128)
    }
}
