//! What is believed of an account's bucket, and how refusals and quiet times change it.
//!
//! - A single refusal teaches nothing: others may use the account. One that comes before the belief stood for a *quiet
//!   time* (a minute, or half of one where nobody told a limit) takes back the last trial that was proven, and halves
//!   the size and the rate if there is none.
//! - After a quiet time more is tried, the rate or the size, on an account that uses what is believed: back to what was
//!   told, and beyond it, because several nodes behind a balancer have a bucket each. A trial of the rate is proven when
//!   more was answered than what was believed before could give, and one of the size after a quiet time. One that is
//!   refused is taken back; the next one comes later and is half as large. The file's limit is not exceeded.
//!
//! # The bound
//!
//! Say that each node of a server gives `C` tokens and `R` per second, that `c` and `r` are told, and that nobody else
//! uses the account. Let `h` be how often both must be halved until `c <= C` and `r <= R`, which is the logarithm to
//! base 2 of the larger of the quotients, rounded up. Then in a time `t` at most
//!
//! ```text
//! rests = h + t/QUIET + (1 if h > 0)
//! ```
//!
//! refusals begin a rest, whatever the latencies, however many nodes there are, and however requests are spread.
//!
//! *What is not too high is never refused.* The bucket (`bucket.rs`) keeps `level + under way <= c`. Let `S` be the
//! tokens of a node. `S >= level + not arrived` holds at the start, where both are full. A request that is granted
//! moves a token from the level to those under way; one that arrives takes one from both sides; both sides grow with
//! time, the right one no faster (`r <= R`) and no further (`c <= C`); other nodes only do better. A refusal sets the
//! level to minus those under way, which makes the right side nothing at most. So whoever is granted a token, which
//! takes a whole one from the level, finds it. A request that is sent again after a 503 takes another one, and is not
//! sent while the level is below zero: there are tokens for all who hold one then. Only a request whose caller did not wait for the answer, or waited for
//! [`PATIENCE`](super::window::PATIENCE), is not counted under way as long as it should.
//!
//! *Each refusal is paid for.* Call trials that begin, and single refusals that teach nothing, *marks*: each comes a
//! quiet time after the last change, refusal or mark, so there are `t/QUIET` of them; and one more, because the first
//! refusal needs no quiet time if nothing was tried before, which happens only if `h > 0`. What is left are refusals
//! that take a trial back, before or after it was proven: its mark pays for that, once. And those that halve what no
//! trial raised: it is halved `h` times at most, because then it is not too high and is not refused.
//!
//! *Whatever the server does*, and whoever else uses the account: with a rate of less than a token in a quiet time,
//! nothing is refused twice in one. So the bound holds with the halvings until then in place of `h`.
//!
//! *All refusals.* With each rest at most those are refused that were under way: [`room`](super::window::room), which
//! is 4, or what two round trips take at the rate, as long as none takes longer than `PATIENCE`. So at most `rests *
//! room` requests are refused. Of a server that told to have no limit nothing bounds what is under way when it refuses
//! for the first time.
//!
//! Where what was told is true, nothing but trials beyond it is refused, since they cannot be proven: the first comes
//! after five minutes of full use, each later one after twice that time, up to an hour.

use std::time::{Duration, Instant};

use super::size::{FASTEST, SLOWEST, Size};
use super::trial::{BUSY, Kind, Spell, Stride, is_told, quiet};
use crate::model::{Limit, LimitSource};

/// That many proven trials are remembered.
const MOST_STEPS: usize = 16;

/// What is believed of one account's bucket.
#[derive(Debug, Clone)]
pub(super) struct Belief {
    limit: Limit,
    /// What was told; `None` is no limit.
    told: Option<Size>,
    /// What is believed, with what is tried.
    size: Option<Size>,
    /// What is believed without it.
    proven: Option<Size>,
    trial: Option<Kind>,
    /// The trials that were proven one after the other, with what was believed before each.
    steps: Vec<(Kind, Size)>,
    /// Whether nothing was refused or tried.
    fresh: bool,
    /// When the last refusal was, or the last change; and what was seen since.
    since: Instant,
    seen: Seen,
    spell: Spell,
    /// Steps back to what was told, of the rate and of the size, and beyond it.
    rate: Stride,
    capacity: Stride,
    beyond: Stride,
    /// Whether the size was tried last.
    widened: bool,
}

/// What was seen of an account.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// All that was believed was used.
    spent: bool,
    /// Tokens found no room, and all were used after that: a larger size would have held more.
    spilled: bool,
    drained: bool,
}

impl Belief {
    /// Believes what is told.
    pub(super) fn new(limit: Limit, now: Instant) -> Self {
        let told = Size::told(limit);
        Self {
            limit,
            told,
            size: told,
            proven: told,
            trial: None,
            steps: Vec::new(),
            fresh: true,
            since: now,
            seen: Seen::default(),
            spell: Spell::new(now),
            rate: Stride::back(limit),
            capacity: Stride::back(limit),
            beyond: Stride::beyond(limit),
            widened: false,
        }
    }

    /// Whether this is what was told.
    pub(super) fn is_of(&self, limit: Limit) -> bool {
        self.limit == limit
    }

    /// What was told.
    pub(super) const fn limit(&self) -> Limit {
        self.limit
    }

    /// What is believed; `None` is no limit.
    pub(super) const fn size(&self) -> Option<Size> {
        self.size
    }

    /// All tokens that were there are used.
    pub(super) const fn spend(&mut self) {
        self.seen.spent = true;
        self.seen.drained |= self.seen.spilled;
    }

    /// A token found no room, though it could have been taken if `idle`.
    pub(super) const fn spill(&mut self, idle: bool, now: Instant) {
        self.seen.spilled = true;
        if idle {
            self.spell = Spell::new(now);
        }
    }

    /// A request was refused although a token was believed to be there. Tells what is believed from here on.
    pub(super) fn refuse(&mut self, now: Instant) -> Size {
        let close = !self.fresh && now.saturating_duration_since(self.since) < quiet(self.limit);
        let proven = *self.proven.get_or_insert(Size::ASSUMED);
        if let Some(kind) = self.trial.take() {
            self.stride(kind).refuse(now);
        } else if close {
            self.proven = Some(self.step_back(proven, now));
        }
        (self.size, self.fresh) = (self.proven, false);
        self.stand(now);
        self.size.unwrap_or(proven)
    }

    /// The rate before the last trials that make a difference, or half of one that no trial raised; and half the size,
    /// which may be to blame as well.
    fn step_back(&mut self, proven: Size, now: Instant) -> Size {
        let capacity = (proven.capacity / 2).max(1);
        let mut base = proven;
        while let Some((kind, before)) = self.steps.pop() {
            self.stride(kind).refuse(now);
            if before.rate <= proven.rate - proven.rate / 16 || before.capacity < proven.capacity {
                return Size { capacity: before.capacity.min(capacity), ..before };
            }
            base = before;
        }
        (self.rate, self.capacity) = (Stride::back(self.limit), Stride::back(self.limit));
        Size { capacity, rate: (base.rate / 2).max(SLOWEST) }
    }

    /// A request was answered: after some time without a refusal more is tried.
    pub(super) fn answer(&mut self, now: Instant) {
        self.spell.answered = self.spell.answered.saturating_add(1);
        let (Some(size), Some(proven)) = (self.size, self.proven) else { return };
        let stood = now.saturating_duration_since(self.since);
        if stood < quiet(self.limit) || !self.seen.spent {
            return;
        }
        let (seen, spell) = (self.seen, self.spell);
        if let Some(kind) = self.trial {
            if kind != Kind::Capacity && !spell.exceeds(proven, now) {
                return;
            }
            self.stride(kind).prove();
            (self.proven, self.trial) = (self.size, None);
            self.steps.push((kind, proven));
            if self.steps.len() > MOST_STEPS {
                // The first one is the one that was never tried.
                self.steps.remove(1);
            }
            self.stand(now);
        }
        let Some(kind) = self.wanted(size, seen, spell, stood, now) else { return };
        (self.size, self.trial) = (Some(self.step(kind, size)), Some(kind));
        (self.fresh, self.widened) = (false, kind == Kind::Capacity);
        self.stand(now);
    }

    /// What is to be tried next.
    fn wanted(&self, size: Size, seen: Seen, spell: Spell, stood: Duration, now: Instant) -> Option<Kind> {
        let told = self.reference();
        let busy = |time: Duration| spell.uses(size, time, now);
        let wider = size.capacity < told.capacity && seen.drained && self.capacity.is_due(stood, now);
        let faster = size.rate < told.rate && self.rate.is_due(stood, now) && busy(BUSY);
        let beyond = (told.rate..FASTEST).contains(&size.rate)
            && self.limit.source != LimitSource::File
            && self.beyond.is_due(stood, now)
            && busy(self.beyond.pause());
        match (wider, faster) {
            (true, true) if self.widened => Some(Kind::Rate),
            (true, _) => Some(Kind::Capacity),
            (false, true) => Some(Kind::Rate),
            (false, false) => beyond.then_some(Kind::Beyond),
        }
    }

    /// A larger size.
    fn step(&self, kind: Kind, mut size: Size) -> Size {
        let told = self.reference();
        match kind {
            Kind::Capacity => {
                let step = u32::try_from(self.capacity.step(size.capacity.into())).unwrap_or(u32::MAX);
                size.capacity = size.capacity.saturating_add(step).min(told.capacity);
            }
            Kind::Rate => size.rate = (size.rate + self.rate.step(size.rate)).min(told.rate),
            Kind::Beyond => {
                // Nodes have equal buckets; what nobody told is found sooner by doubling.
                let more = if is_told(self.limit) { told.rate } else { size.rate };
                size.rate = (size.rate + self.beyond.step(more)).min(FASTEST);
            }
        }
        size
    }

    const fn stride(&mut self, kind: Kind) -> &mut Stride {
        match kind {
            Kind::Rate => &mut self.rate,
            Kind::Capacity => &mut self.capacity,
            Kind::Beyond => &mut self.beyond,
        }
    }

    /// What a lowered belief comes back to.
    fn reference(&self) -> Size {
        self.told.unwrap_or(Size::ASSUMED)
    }

    fn stand(&mut self, now: Instant) {
        (self.since, self.seen, self.spell) = (now, Seen::default(), Spell::new(now));
    }
}
