//! The tokens of one account at one server, as far as they are known.
//!
//! The level errs on the side of caution where that costs nothing: a request that is not answered may not have reached
//! the server, so what it will take there cannot come back yet. Together with those under way the level is never more
//! than the believed size. After a refusal nothing is there, not even for those under way: the level is below zero
//! until they are answered. [`Belief`] says how large the bucket is, and [`Window`] how many requests it has under way.

use std::time::{Duration, Instant};

use super::belief::Belief;
use super::lease::Departure;
use super::size::{LONGEST_REST, Size, TOKEN, nanos};
use super::window::{PATIENCE, Stage, Window};
use crate::model::Limit;

/// The shortest rest after a 429 that names no time.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The shortest rest, whatever the server asks for.
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// After a refusal, how long to wait for the first answer before another token goes out.
const TRIAL_STEP: Duration = Duration::from_millis(250);

/// A token in the units of levels that can be below zero.
const WHOLE: i128 = TOKEN.cast_signed();

/// One account's budget at one server.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    belief: Belief,
    level: i128,
    at: Instant,
    /// Tokens that are taken, and what became of them is not known.
    taken: u32,
    /// When a token was taken last.
    taken_at: Instant,
    window: Window,
    rest: Option<Instant>,
    /// Other processes have taken what comes before this time.
    dry: Option<Instant>,
    /// After a refusal tokens go out one by one, not before this time, until one is answered.
    trial: Option<Instant>,
    refusals: u32,
    epoch: u64,
    /// Rests that began, or became longer.
    rests: u64,
    seed: u64,
}

/// A token that was taken. It says what the bucket was like: a refusal of a request that was sent before the last
/// refusal is no news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    epoch: u64,
    rests: u64,
    stage: Stage,
}

impl Bucket {
    /// A bucket that is believed to be full.
    pub(super) fn new(limit: Limit, seed: u64, now: Instant) -> Self {
        let belief = Belief::new(limit, now);
        Self {
            level: belief.size().map_or(0, |size| i128::from(size.capacity) * WHOLE),
            belief,
            at: now,
            taken: 0,
            taken_at: now,
            window: Window::new(now),
            rest: None,
            dry: None,
            trial: None,
            refusals: 0,
            epoch: 0,
            rests: 0,
            seed,
        }
    }

    /// What is believed.
    #[cfg(test)]
    pub(super) const fn size(&self) -> Option<Size> {
        self.belief.size()
    }

    /// Takes what is told from here on. Nothing learned is lost while the same is told.
    pub(super) fn tell(&mut self, limit: Limit, now: Instant) {
        if self.belief.is_of(limit) {
            return;
        }
        self.refill(now);
        let missing = self.full() - self.level;
        self.belief = Belief::new(limit, now);
        // What was taken is gone, whatever the size.
        self.level = self.full() - missing;
    }

    /// What was told.
    pub(super) const fn limit(&self) -> Limit {
        self.belief.limit()
    }

    /// Nothing is there before this time, because others take it.
    pub(super) const fn dry(&mut self, until: Instant) {
        self.dry = Some(until);
    }

    /// No more than so many tokens are there, because others took some.
    pub(super) fn lower(&mut self, available: u64, now: Instant) {
        self.refill(now);
        self.level = self.level.min(i128::from(available).saturating_mul(WHOLE));
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> Option<Token> {
        if self.ready_at(now) > now {
            return None;
        }
        self.taken_at = now;
        self.taken = self.taken.saturating_add(1);
        if let Some(size) = self.belief.size() {
            self.level -= WHOLE;
            self.trial = self.trial.map(|_| now + size.interval().max(TRIAL_STEP));
            if self.level < WHOLE || self.taken >= size.capacity {
                self.belief.spend();
            }
        }
        Some(Token { epoch: self.epoch, rests: self.rests, stage: Stage::Held })
    }

    /// When there is a token, and room to send a request with it: `now`, or the first time at which there will be both if
    /// nobody takes any and nothing is answered.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        let budget = self.budget_at(now);
        let Some(size) = self.belief.size() else { return budget };
        let heard = if self.taken >= size.capacity { self.taken_at + PATIENCE } else { now };
        budget.max(heard).max(self.window.ready_at(size, now))
    }

    /// When the account has budget: `now`, or the first time at which it will if nobody takes any. What only the answers
    /// to those under way can tell is not waited for: they are the pace of the server, and no lack of budget.
    pub(super) fn budget_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        let filled = match self.belief.size() {
            Some(size) if self.level < WHOLE && self.taken < size.capacity => self.filled_at(WHOLE, size),
            Some(_) | None => now,
        };
        [self.rest, self.dry, self.trial].into_iter().flatten().fold(filled, Instant::max)
    }

    /// Whether it rests after a refusal.
    pub(super) fn is_resting(&self, now: Instant) -> bool {
        self.rests_until(now).is_some()
    }

    /// Until when it rests after a refusal.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rest.filter(|until| *until > now)
    }

    /// Whether nothing was refused since the token was taken.
    pub(super) const fn is_current(&self, token: Token) -> bool {
        token.epoch == self.epoch
    }

    /// How many requests can be sent at this moment; `None` is no limit.
    pub(super) fn available(&mut self, now: Instant) -> Option<u64> {
        self.refill(now);
        self.belief.size().map(|_| u64::try_from(self.level.max(0) / WHOLE).unwrap_or(u64::MAX))
    }

    /// Whether a request can be sent with the token: no rest began since it was taken.
    pub(super) const fn is_good(&self, token: Token) -> bool {
        token.rests == self.rests
    }

    /// Sends a request with the token, if it is good and few enough are under way.
    pub(super) fn depart(&mut self, token: &mut Token, now: Instant) -> Departure {
        if !self.is_good(*token) {
            return Departure::Overtaken;
        }
        self.refill(now);
        if let Some(size) = self.belief.size()
            && token.stage == Stage::Owed
            && self.level < 0
        {
            return Departure::Waits { until: self.filled_at(0, size) };
        }
        match self.window.send(&mut token.stage, self.belief.size(), now) {
            Ok(()) => Departure::Goes,
            Err(until) => Departure::Waits { until },
        }
    }

    /// The server was busy: the request is answered, and will be sent again. The server may have taken a token, and will
    /// take another one, which is taken here at once, if need be from what is still to come: so the request does not have
    /// to stand in line again, and is not sent before there is a token for it. Until then it is not under way.
    pub(super) fn again(&mut self, token: &mut Token, now: Instant) {
        self.refill(now);
        if let Stage::Sent(_) = token.stage {
            self.window.answered(token.stage, now);
            token.stage = Stage::Owed;
            if self.belief.size().is_some() {
                self.level -= WHOLE;
            }
        }
    }

    /// Gives a token back: nothing was sent with it.
    pub(super) fn put_back(&mut self, token: Token, now: Instant) {
        self.lose(token, now);
        if self.belief.size().is_some() {
            self.level = (self.level + WHOLE).min(self.full());
        }
        if self.is_current(token) {
            self.trial = self.trial.map(|trial| trial.min(now));
        }
    }

    /// The request may have been sent, and nobody waits for its answer.
    pub(super) fn lose(&mut self, token: Token, now: Instant) {
        self.refill(now);
        self.window.leave(token.stage);
        self.taken = self.taken.saturating_sub(1);
    }

    /// The request was answered with something else than 429.
    pub(super) fn answered(&mut self, token: Token, now: Instant) {
        self.come_back(token, now);
        if self.is_current(token) {
            (self.refusals, self.trial) = (0, None);
            self.belief.answer(now);
        }
    }

    /// The request was answered with 429. Tells until when the account rests, if that is news.
    pub(super) fn refused(&mut self, token: Token, asked: Option<Duration>, now: Instant) -> Option<Instant> {
        self.come_back(token, now);
        if !self.is_current(token) {
            self.empty();
            let until = now + self.jittered(asked?.clamp(SHORTEST_REST, LONGEST_REST));
            if self.rest < Some(until) {
                (self.rest, self.rests) = (Some(until), self.rests + 1);
            }
            return None;
        }
        let size = self.belief.refuse(now);
        self.empty();
        let unasked = size.interval().max(FIRST_REST.saturating_mul(1 << self.refusals.min(10)));
        let until = now + self.jittered(asked.unwrap_or(unasked).clamp(SHORTEST_REST, LONGEST_REST));
        self.refusals = self.refusals.saturating_add(1);
        (self.epoch, self.rests) = (self.epoch + 1, self.rests + 1);
        (self.rest, self.trial) = (Some(until), Some(until));
        Some(until)
    }

    fn come_back(&mut self, token: Token, now: Instant) {
        self.refill(now);
        self.window.answered(token.stage, now);
        self.taken = self.taken.saturating_sub(1);
    }

    /// When a level that is below `level` gets there.
    fn filled_at(&self, level: i128, size: Size) -> Instant {
        let missing = (level - self.level).max(0).cast_unsigned();
        self.at + nanos(missing.div_ceil(u128::from(size.rate)))
    }

    /// Nothing is there, and those under way may still take what comes.
    fn empty(&mut self) {
        self.level = -i128::from(self.taken) * WHOLE;
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        self.at = self.at.max(now);
        let Some(size) = self.belief.size() else { return };
        let came = u128::from(size.rate).saturating_mul(elapsed).min(i128::MAX.cast_unsigned());
        let full = self.full();
        self.level = self.level.saturating_add(came.cast_signed());
        if self.level > full {
            self.level = full;
            self.belief.spill(self.taken < size.capacity, now);
        }
    }

    /// The level of a full bucket: some of its tokens may still have to be taken from the server's.
    fn full(&self) -> i128 {
        let capacity = self.belief.size().map_or(0, |size| i128::from(size.capacity));
        (capacity - i128::from(self.taken)) * WHOLE
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
