//! What is believed of one account's bucket at one server.
//!
//! The belief errs on the side of caution where that costs nothing: a request that is not answered may not have
//! reached the server, so what it will take there cannot come back yet.
//!
//! Beliefs are corrected by what happens. A refusal lowers what explains it ([`Watch`]): the rate to what was measured
//! between two refusals, the size to what a burst had; each by half at most, so that a belief that is `n` times too
//! high is right after `log2(n)` refusals. What the server's bucket allows is never refused: a belief that is not too
//! high is *safe*. From there more is tried, one step at a time, on an account that uses all that is believed: back to
//! what was told by eighths, and beyond that, because several nodes behind a balancer have a bucket each. A step that
//! is refused costs one refusal, and the next one comes later and is half as large; what was proven before it is
//! believed again. The file's limit is not exceeded.
//!
//! **The bound.** An account that nobody else uses begins at most `13 + s/20` rests in `s` seconds, for what is told up
//! to 80 tokens and 25 per second. The first refusal teaches nothing, because the account may have been used before;
//! 7 halvings bring the size to one token and 5 the rate to one per second, if each refusal teaches only one of them;
//! and there is one step a minute at most, each with a refusal and perhaps a later one. That is an argument and no
//! proof, because a refusal may lower less than by half: the simulation asserts it at every refusal. More that is told
//! in vain costs one refusal for each doubling.
//!
//! Where what was told is true it is never refused if the file sets it, and otherwise once for each step beyond it: the
//! first after five minutes of full use, each later one after twice that time, up to an hour.

use std::time::{Duration, Instant};

use super::size::{FASTEST, LONGEST_REST, Size, TOKEN, nanos};
use super::watch::Watch;
use crate::model::{Limit, LimitSource, RateLimit};

/// The shortest rest after a 429 that names no time.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The shortest rest, whatever the server asks for.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// How long a lowered belief stands before it comes a step of an eighth nearer to what was told.
const RECOVERY: Duration = Duration::from_mins(1);

/// The longest time between two such steps: one that is refused doubles it.
const RECOVERY_AT_LEAST: Duration = Duration::from_mins(10);

/// How long an account must use all it has without a refusal before more is tried, if the server told its limit.
const RAISE_AFTER: Duration = Duration::from_mins(5);

/// The same for a limit that nobody told.
const RAISE_ASSUMED_AFTER: Duration = Duration::from_secs(30);

/// The longest time between two such trials: one that is refused doubles it.
const RAISE_AT_LEAST: Duration = Duration::from_hours(1);

/// A step that is refused is halved for the next time, at most as often as this.
const MOST_HALVINGS: u32 = 10;

/// With as many requests under way as the bucket has tokens, how long to wait for an answer before another is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// After a refusal, how long to wait for the first answer before another token goes out.
const TRIAL_STEP: Duration = Duration::from_millis(250);

/// One account's budget at one server, as far as it is known.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    limit: Limit,
    /// What was told; `None` is no limit.
    told: Option<Size>,
    /// What is believed.
    size: Option<Size>,
    /// What is believed without the step that is being tried.
    proven: Option<Size>,
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
    /// Rests that began, or became longer.
    rests: u64,
    watch: Watch,
    /// When the belief changed last, and since then: the answers, and whether all that was believed was used once.
    changed: Instant,
    used: u64,
    spent: bool,
    /// How long it takes until the next step back to what was told, and until one beyond it.
    recover_after: Duration,
    raise_after: Duration,
    /// Whether the next step back is one of the size.
    widens: bool,
    finer: Finer,
    seed: u64,
}

/// How often steps were halved, because they were refused: a limit between two steps is found like this.
#[derive(Debug, Clone, Copy, Default)]
struct Finer {
    capacity: u32,
    rate: u32,
    beyond: u32,
}

/// A token that was taken. It says what the bucket was like: a refusal of a request that was sent before the last
/// refusal is no news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    epoch: u64,
    rests: u64,
}

impl Bucket {
    /// A bucket that is believed to be full.
    pub(super) fn new(limit: Limit, seed: u64, now: Instant) -> Self {
        let told = Size::told(limit);
        Self {
            limit,
            told,
            size: told,
            proven: told,
            level: told.map_or(0, |size| u128::from(size.capacity) * TOKEN),
            at: now,
            under_way: 0,
            taken: now,
            rest: None,
            trial: None,
            refusals: 0,
            epoch: 0,
            rests: 0,
            watch: Watch::blind(now),
            changed: now,
            used: 0,
            spent: false,
            recover_after: RECOVERY,
            widens: false,
            finer: Finer::default(),
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
        (self.size, self.proven) = (self.told, self.told);
        // What was taken is gone, whatever the size.
        let full = u128::from(self.free_capacity()) * TOKEN;
        self.level = full.saturating_sub(missing);
        self.watch = Watch::blind(now);
        self.stand(now);
        (self.recover_after, self.raise_after, self.finer) = (RECOVERY, first_raise(limit), Finer::default());
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
        self.under_way = self.under_way.saturating_add(1);
        self.spent |= self.size.is_some_and(|size| self.level < TOKEN || self.under_way >= size.capacity);
        Some(Token { epoch: self.epoch, rests: self.rests })
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

    /// How many requests can be sent at this moment; `None` is no limit.
    pub(super) fn available(&mut self, now: Instant) -> Option<u64> {
        self.refill(now);
        self.size.map(|_| u64::try_from(self.level / TOKEN).unwrap_or(u64::MAX))
    }

    /// Whether a request can be sent with the token: no rest began since it was taken.
    pub(super) const fn is_good(&self, token: Token) -> bool {
        token.rests == self.rests
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
            // It may have taken a token that came after the refusal.
            self.level = self.level.saturating_sub(TOKEN);
            return;
        }
        self.refusals = 0;
        self.trial = None;
        self.watch.answer();
        self.used = self.used.saturating_add(1);
        self.recover(now);
    }

    /// The request was answered with 429. Tells until when the account rests, if that is news.
    pub(super) fn refused(&mut self, token: Token, asked: Option<Duration>, now: Instant) -> Option<Instant> {
        self.lose(now);
        if !self.is_current(token) {
            self.level = 0;
            let until = now + self.jittered(asked?.clamp(SHORTEST_REST, LONGEST_REST));
            if self.rest < Some(until) {
                (self.rest, self.rests) = (Some(until), self.rests + 1);
            }
            return None;
        }
        self.learn(now);
        let size = *self.size.get_or_insert(Size::ASSUMED);
        let unasked = size.interval().max(FIRST_REST.saturating_mul(1 << self.refusals.min(10)));
        let until = now + self.jittered(asked.unwrap_or(unasked).clamp(SHORTEST_REST, LONGEST_REST));
        self.refusals = self.refusals.saturating_add(1);
        (self.epoch, self.rests) = (self.epoch + 1, self.rests + 1);
        self.level = 0;
        self.watch = Watch::refused(now);
        (self.rest, self.trial) = (Some(until), Some(until));
        Some(until)
    }

    /// A refusal came although a token was believed to be there.
    fn learn(&mut self, now: Instant) {
        match self.size {
            None => self.proven = Some(Size::ASSUMED),
            Some(tried) if self.size != self.proven => {
                if tried.rate > self.reference().rate {
                    self.raise_after = self.raise_after.saturating_mul(2).min(RAISE_AT_LEAST);
                } else {
                    self.recover_after = self.recover_after.saturating_mul(2).min(RECOVERY_AT_LEAST);
                }
                let halvings = self.halvings(tried);
                *halvings = (*halvings + 1).min(MOST_HALVINGS);
            }
            Some(size) => self.proven = self.watch.explain(size, now).or(self.proven),
        }
        self.size = self.proven;
        self.stand(now);
    }

    fn stand(&mut self, now: Instant) {
        (self.changed, self.used, self.spent) = (now, 0, false);
    }

    /// The halvings of the step that is tried.
    fn halvings(&mut self, tried: Size) -> &mut u32 {
        if self.proven.is_some_and(|proven| tried.capacity > proven.capacity) {
            &mut self.finer.capacity
        } else if tried.rate > self.reference().rate {
            &mut self.finer.beyond
        } else {
            &mut self.finer.rate
        }
    }

    /// The step that is tried has stood.
    fn prove(&mut self, tried: Size) {
        if self.proven != Some(tried) {
            self.recover_after = RECOVERY;
            let halvings = self.halvings(tried);
            *halvings = halvings.saturating_sub(1);
            self.proven = Some(tried);
        }
    }

    /// What a lowered belief comes back to.
    fn reference(&self) -> Size {
        self.told.unwrap_or(Size::ASSUMED)
    }

    /// After some time without a refusal the belief comes nearer to what was told, or tries more than that.
    fn recover(&mut self, now: Instant) {
        let Some(mut size) = self.size else { return };
        let told = self.reference();
        let stood = now.saturating_duration_since(self.changed);
        if size.capacity < told.capacity || size.rate < told.rate {
            if stood < self.recover_after || !self.spent {
                return;
            }
            self.prove(size);
            let widens = size.capacity < told.capacity && (self.widens || size.rate >= told.rate);
            if widens {
                let step = (told.capacity.div_ceil(8) >> self.finer.capacity).max(1);
                size.capacity = size.capacity.saturating_add(step).min(told.capacity);
            } else {
                let step = (told.rate.div_ceil(8) >> self.finer.rate).max(size.rate.div_ceil(8));
                size.rate = size.rate.saturating_add(step).min(told.rate);
            }
            self.widens = !widens;
            self.size = Some(size);
            return self.stand(now);
        }
        if self.limit.source == LimitSource::File || stood < self.raise_after {
            return;
        }
        let half = u128::from(size.rate) * stood.as_nanos() / TOKEN / 2;
        if u128::from(self.used) >= half {
            self.prove(size);
            // Nodes have equal buckets; what nobody told is found sooner by doubling.
            let more = match (self.limit.source, self.told) {
                (LimitSource::Assumed, _) | (_, None) => size.rate,
                (_, Some(told)) => told.rate,
            };
            let step = (more >> self.finer.beyond).max(size.rate.div_ceil(8));
            size.rate = size.rate.saturating_add(step).min(FASTEST);
            self.size = Some(size);
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
        let spilled = self.level.saturating_sub(full);
        self.level -= spilled;
        self.watch.fill(self.level + u128::from(self.under_way) * TOKEN, spilled, now);
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

const fn first_raise(limit: Limit) -> Duration {
    match (limit.limit, limit.source) {
        (RateLimit::Unlimited, _) | (_, LimitSource::Assumed) => RAISE_ASSUMED_AFTER,
        (_, LimitSource::Server | LimitSource::Account | LimitSource::File) => RAISE_AFTER,
    }
}
