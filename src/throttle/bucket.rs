//! What is believed of one account's bucket at one server.
//!
//! A token is a trillion units, and a rate of one thousandth of a token per second adds one unit each nanosecond:
//! levels are integers, exact, and do not drift. The belief errs on the side of caution where that costs nothing: a
//! request that is not answered may not have reached the server, so what it will take there cannot come back yet.
//!
//! Beliefs are corrected by what happens. Two refusals with answers between them measure the rate that is left for
//! us; a refusal after a full bucket measures its size. Both come back slowly to what was told. An account that uses
//! all it has for a long time without a refusal may have more than was told (several nodes behind a balancer): more
//! is tried, carefully, unless the file sets the limit.

use std::time::{Duration, Instant};

use crate::model::{Limit, LimitSource, RateLimit};

/// Units of one token.
const TOKEN: u128 = 1_000_000_000_000;

/// The shortest rest after a 429 that names no time.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest rest that is taken, whatever the server asks for. A jitter of a sixteenth comes on top.
const LONGEST_REST: Duration = Duration::from_mins(10);

/// The shortest rest, whatever the server asks for.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// How long a lowered belief stands before it comes a step of an eighth nearer to what was told.
const RECOVERY: Duration = Duration::from_mins(1);

/// How long an account must use all it has without a refusal before more is tried, if the server told its limit.
const RAISE_AFTER: Duration = Duration::from_mins(5);

/// The same for a limit that nobody told.
const RAISE_ASSUMED_AFTER: Duration = Duration::from_secs(30);

/// The longest time between two such trials: one that is refused doubles it.
const RAISE_AT_LEAST: Duration = Duration::from_hours(1);

/// With as many requests under way as the bucket has tokens, how long to wait for an answer before another is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a refusal, how long to wait for the first answer before another token goes out.
const TRIAL_STEP: Duration = Duration::from_millis(250);

/// No limit is believed to be slower (thousandths per second): one that is nothing is asked now and then.
const SLOWEST: u64 = 2;

/// No limit is believed to be faster.
const FASTEST: u64 = 10_000_000;

/// A bucket of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    /// Tokens of a full bucket. At least 1.
    capacity: u32,
    /// Thousandths of a token that come back each second.
    rate: u64,
}

impl Size {
    fn of(limit: RateLimit) -> Option<Self> {
        match limit {
            RateLimit::Unlimited => None,
            RateLimit::Bucket { burst, refill_per_second } => Some(Self {
                capacity: burst.max(1),
                rate: (u64::from(refill_per_second) * 1000).clamp(SLOWEST, FASTEST),
            }),
        }
    }

    /// The usual limit, less a tenth for those who use the account besides us.
    const ASSUMED: Self = Self { capacity: 54, rate: 4500 };

    fn told(limit: Limit) -> Option<Self> {
        match limit.source {
            LimitSource::Assumed => Size::of(limit.limit).map(|size| Self {
                capacity: size.capacity.min(Self::ASSUMED.capacity),
                rate: size.rate.min(Self::ASSUMED.rate),
            }),
            LimitSource::Server | LimitSource::Account | LimitSource::File => Size::of(limit.limit),
        }
    }

    /// Time in which one token comes back.
    fn interval(self) -> Duration {
        nanos(TOKEN.div_ceil(u128::from(self.rate)))
    }
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

/// From when on answers are counted, and what the server's bucket was then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Window {
    /// Nobody knows: others may have used it before us.
    Unknown,
    /// It had refused: it was empty.
    Empty(Instant),
    /// It had time enough to fill.
    Full(Instant),
}

/// One account's budget at one server, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    limit: Limit,
    /// What was told; `None` is no limit.
    told: Option<Size>,
    /// What is believed.
    size: Option<Size>,
    /// The rate before more was tried.
    proven: u64,
    level: u128,
    at: Instant,
    under_way: u32,
    /// When a token was taken last.
    taken: Instant,
    rest: Option<Instant>,
    /// After a refusal tokens go out one by one, not before this time, until one is answered.
    trial: Option<Instant>,
    refusals: u32,
    epoch: u64,
    window: Window,
    /// Tokens taken, and answers, since then.
    sent: u64,
    answered: u64,
    /// When the belief changed last, the answers since then, and how long it takes until more is tried.
    changed: Instant,
    used: u64,
    raise_after: Duration,
    seed: u64,
}

/// A token that was taken. It says what the bucket was like: a refusal of a request that was sent before the last
/// refusal is no news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    epoch: u64,
}

impl Bucket {
    /// A bucket that is believed to be full.
    pub(super) fn new(limit: Limit, seed: u64, now: Instant) -> Self {
        let told = Size::told(limit);
        Self {
            limit,
            told,
            size: told,
            proven: told.map_or(0, |size| size.rate),
            level: told.map_or(0, |size| u128::from(size.capacity) * TOKEN),
            at: now,
            under_way: 0,
            taken: now,
            rest: None,
            trial: None,
            refusals: 0,
            epoch: 0,
            window: Window::Unknown,
            sent: 0,
            answered: 0,
            changed: now,
            used: 0,
            raise_after: first_raise(limit),
            seed,
        }
    }

    /// Takes what is told from here on. Nothing learned is lost while the same is told.
    pub(super) fn tell(&mut self, limit: Limit, now: Instant) {
        if limit == self.limit {
            return;
        }
        self.refill(now);
        let missing = (u128::from(self.free_capacity()) * TOKEN).saturating_sub(self.level);
        self.limit = limit;
        self.told = Size::told(limit);
        self.size = self.told;
        self.proven = self.told.map_or(0, |size| size.rate);
        // What was taken is gone, whatever the size.
        let full = u128::from(self.free_capacity()) * TOKEN;
        self.level = full.saturating_sub(missing);
        self.watch(Window::Unknown);
        self.changed = now;
        self.used = 0;
        self.raise_after = first_raise(limit);
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> Option<Token> {
        if self.ready_at(now) > now {
            return None;
        }
        if let Some(size) = self.size {
            self.level = self.level.saturating_sub(TOKEN);
            self.trial = self.trial.map(|_| now + size.interval().max(TRIAL_STEP));
        }
        self.taken = now;
        self.sent = self.sent.saturating_add(1);
        self.under_way = self.under_way.saturating_add(1);
        Some(Token { epoch: self.epoch })
    }

    /// When there is a token: `now`, or the first time at which there will be one if nobody takes any.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        let filled = match self.size {
            Some(size) if self.under_way >= size.capacity => now.max(self.taken + PATIENCE),
            Some(size) if self.level < TOKEN => self.at + nanos((TOKEN - self.level).div_ceil(u128::from(size.rate))),
            Some(_) | None => now,
        };
        [self.rest, self.trial].into_iter().flatten().fold(filled, Instant::max)
    }

    /// Whether it rests after a refusal.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.rest.is_some_and(|until| until > now)
    }

    /// Whether nothing was refused since the token was taken.
    pub(super) const fn is_current(&self, token: Token) -> bool {
        token.epoch == self.epoch
    }

    /// Gives a token back: nothing was sent with it.
    pub(super) fn put_back(&mut self, token: Token, now: Instant) {
        self.refill(now);
        self.under_way = self.under_way.saturating_sub(1);
        if self.is_current(token) && self.size.is_some() {
            self.level = (self.level + TOKEN).min(u128::from(self.free_capacity()) * TOKEN);
            self.trial = self.trial.map(|trial| trial.min(now));
        }
    }

    /// The request may have been sent, and nobody waits for its answer.
    pub(super) fn lose(&mut self, now: Instant) {
        self.refill(now);
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The request was answered with something else than 429.
    pub(super) fn answered(&mut self, token: Token, now: Instant) {
        self.lose(now);
        if !self.is_current(token) {
            return;
        }
        self.refusals = 0;
        self.trial = None;
        self.answered = self.answered.saturating_add(1);
        self.used = self.used.saturating_add(1);
        self.recover(now);
    }

    /// The request was answered with 429. Tells until when the account rests, if that is news.
    pub(super) fn refused(&mut self, token: Token, asked: Option<Duration>, now: Instant) -> Option<Instant> {
        self.lose(now);
        if !self.is_current(token) {
            let until = now + self.jittered(asked?.clamp(SHORTEST_REST, LONGEST_REST));
            self.rest = self.rest.max(Some(until));
            return None;
        }
        self.learn(now);
        let size = *self.size.get_or_insert(Size::ASSUMED);
        let unasked = size.interval().max(FIRST_REST).saturating_mul(1 << self.refusals.min(10));
        let until = now + self.jittered(asked.unwrap_or(unasked).clamp(SHORTEST_REST, LONGEST_REST));
        self.refusals = self.refusals.saturating_add(1);
        self.epoch += 1;
        self.level = 0;
        self.watch(Window::Empty(now));
        (self.rest, self.trial) = (Some(until), Some(until));
        Some(until)
    }

    /// A refusal came although a token was believed to be there.
    fn learn(&mut self, now: Instant) {
        let Some(size) = &mut self.size else {
            self.proven = Size::ASSUMED.rate;
            return self.stand(now);
        };
        if size.rate > self.proven {
            size.rate = self.proven;
            self.raise_after = self.raise_after.saturating_mul(2).min(RAISE_AT_LEAST);
            return self.stand(now);
        }
        // However little is left for us: rests are what a starved account is asked rarely by.
        let least = (self.told.unwrap_or(Size::ASSUMED).rate / 16).max(SLOWEST);
        match self.window {
            Window::Empty(since) if self.sent > 1 => {
                let elapsed = now.saturating_duration_since(since).as_nanos().max(1);
                let measured = u128::from(self.answered) * TOKEN / elapsed;
                let measured = u64::try_from(measured).unwrap_or(u64::MAX);
                size.rate = lowered(measured, size.rate).max(least.min(size.rate));
            }
            // The smallest bucket is refused because it fills too fast.
            Window::Full(_) if size.capacity == 1 => {
                size.rate = lowered(size.rate / 4 * 3, size.rate).max(least.min(size.rate));
            }
            Window::Full(since) => {
                let came = u128::from(size.rate) * now.saturating_duration_since(since).as_nanos() / TOKEN;
                let had = u128::from(self.answered).saturating_sub(came);
                let had = u64::try_from(had).unwrap_or(u64::MAX);
                let capacity = lowered(had, u64::from(size.capacity)).max(1);
                size.capacity = u32::try_from(capacity).unwrap_or(size.capacity);
            }
            Window::Empty(_) | Window::Unknown => return,
        }
        self.proven = size.rate;
        self.stand(now);
    }

    fn watch(&mut self, window: Window) {
        (self.window, self.sent, self.answered) = (window, 0, 0);
    }

    fn stand(&mut self, now: Instant) {
        (self.changed, self.used) = (now, 0);
    }

    /// After some time without a refusal the belief comes nearer to what was told, or tries more than that.
    fn recover(&mut self, now: Instant) {
        let Some(size) = &mut self.size else { return };
        let told = self.told.unwrap_or(Size { capacity: size.capacity, rate: FASTEST });
        let stood = now.saturating_duration_since(self.changed);
        if size.capacity < told.capacity || (self.told.is_some() && size.rate < told.rate) {
            let steps = u32::try_from(stood.as_secs() / RECOVERY.as_secs()).unwrap_or(u32::MAX);
            if steps > 0 {
                let more = (told.capacity / 8).max(1).saturating_mul(steps);
                size.capacity = size.capacity.saturating_add(more).min(told.capacity);
                let more = (told.rate / 8).max(1).saturating_mul(u64::from(steps));
                size.rate = size.rate.saturating_add(more).min(told.rate.max(size.rate));
                self.proven = size.rate;
                self.stand(now);
            }
            return;
        }
        if self.limit.source == LimitSource::File || stood < self.raise_after {
            return;
        }
        let half = u128::from(size.rate) * stood.as_nanos() / TOKEN / 2;
        if u128::from(self.used) >= half {
            self.proven = size.rate;
            // Nodes have equal buckets; what nobody told is found sooner by doubling.
            let more = match (self.limit.source, self.told) {
                (LimitSource::Assumed, _) | (_, None) => size.rate,
                (_, Some(told)) => told.rate,
            };
            size.rate = size.rate.saturating_add(more).min(FASTEST);
        }
        self.stand(now);
    }

    fn refill(&mut self, now: Instant) {
        let Some(size) = self.size else {
            self.at = self.at.max(now);
            return;
        };
        let full = u128::from(self.free_capacity()) * TOKEN;
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        self.at = self.at.max(now);
        self.level = self.level.saturating_add(u128::from(size.rate).saturating_mul(elapsed));
        if self.level >= full {
            self.level = full;
            // Tokens that found no room: what follows says nothing about the rate.
            if elapsed > 0 {
                self.watch(if self.under_way == 0 { Window::Full(self.at) } else { Window::Unknown });
            }
        }
    }

    /// Tokens that can be in the bucket while some may still have to be taken from the server's.
    fn free_capacity(&self) -> u32 {
        self.size.map_or(0, |size| size.capacity.saturating_sub(self.under_way))
    }

    /// Up to a sixteenth longer, so that those who were refused together do not come back together.
    fn jittered(&self, rest: Duration) -> Duration {
        let mut bits = self.seed ^ self.epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = u32::try_from((bits >> 33) & 0xff).expect("it is eight bits");
        rest + rest / 4096 * share
    }
}

/// What is believed in place of `believed` after `measured`: an eighth less at least, and no less than half, because a
/// short time measures badly.
fn lowered(measured: u64, believed: u64) -> u64 {
    measured.min(believed - believed.div_ceil(8)).max(believed / 2)
}

const fn first_raise(limit: Limit) -> Duration {
    match (limit.limit, limit.source) {
        (RateLimit::Unlimited, _) | (_, LimitSource::Assumed) => RAISE_ASSUMED_AFTER,
        (_, LimitSource::Server | LimitSource::Account | LimitSource::File) => RAISE_AFTER,
    }
}
