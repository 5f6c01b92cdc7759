//! Trials of more than what is believed: when they come, how large they are, and what proves them.

use std::time::{Duration, Instant};

use super::size::{Size, TOKEN};
use crate::model::{Limit, LimitSource, RateLimit};

/// How long a belief has to stand: refusals that are further apart have nothing to do with each other, and nothing is
/// tried earlier.
pub(super) const QUIET: Duration = Duration::from_mins(1);

/// The same where nobody told a limit.
pub(super) const QUIET_ASSUMED: Duration = Duration::from_secs(30);

/// The longest time after a trial that was refused until the next one: each one doubles it.
const RETRY_AT_LEAST: Duration = Duration::from_mins(10);

/// How long an account must use all it has without a refusal before more than what was told is tried.
pub(super) const RAISE_AFTER: Duration = Duration::from_mins(5);

/// The longest time between two such trials.
const RAISE_AT_LEAST: Duration = Duration::from_hours(1);

/// How long an account must be without a pause before it is known to need more.
pub(super) const BUSY: Duration = Duration::from_secs(15);

/// A step that is refused is halved for the next time, at most as often as this.
const MOST_HALVINGS: u32 = 5;

/// What a trial raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The rate, back to what was told.
    Rate,
    /// The size, back to what was told.
    Capacity,
    /// The rate, beyond that.
    Beyond,
}

/// A time in which an account was never without work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spell {
    from: Instant,
    pub(super) answered: u64,
}

/// How trials of one kind go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stride {
    /// How often the step is halved.
    halvings: u32,
    /// Whether the last one was proven.
    proven: bool,
    /// How long it takes until the next one, at first, now, and at most; and not before which time it comes.
    shortest: Duration,
    pause: Duration,
    longest: Duration,
    from: Option<Instant>,
}

impl Stride {
    const fn new(halvings: u32, shortest: Duration, longest: Duration) -> Self {
        Self { halvings, proven: false, shortest, pause: shortest, longest, from: None }
    }

    /// Trials of what was told.
    pub(super) fn back(limit: Limit) -> Self {
        Self::new(1, quiet(limit), RETRY_AT_LEAST)
    }

    /// Trials of more than that.
    pub(super) fn beyond(limit: Limit) -> Self {
        // What nobody told is found sooner by doubling.
        if is_told(limit) {
            Self::new(1, RAISE_AFTER, RAISE_AT_LEAST)
        } else {
            Self::new(0, QUIET_ASSUMED, RAISE_AT_LEAST)
        }
    }

    /// The last trial is proven; after two of them steps are larger.
    pub(super) const fn prove(&mut self) {
        if self.proven {
            self.halvings = self.halvings.saturating_sub(1);
        }
        (self.proven, self.pause, self.from) = (true, self.shortest, None);
    }

    /// The last trial was refused: the next one is half as large, and comes after twice the time.
    pub(super) fn refuse(&mut self, now: Instant) {
        self.halvings = (self.halvings + 1).min(MOST_HALVINGS);
        self.pause = self.pause.saturating_mul(2).min(self.longest);
        (self.proven, self.from) = (false, Some(now + self.pause));
    }

    /// Whether it is time for the next one, of a belief that has stood for so long.
    pub(super) fn is_due(&self, stood: Duration, now: Instant) -> bool {
        stood >= self.pause && self.from.is_none_or(|from| from <= now)
    }

    /// How long an account must be without a pause before it is known to need more than was told.
    pub(super) const fn pause(&self) -> Duration {
        self.pause
    }

    /// How much more to try than there is.
    pub(super) fn step(&self, of: u64) -> u64 {
        (of >> self.halvings).max(1)
    }
}

impl Spell {
    /// It begins.
    pub(super) const fn new(now: Instant) -> Self {
        Self { from: now, answered: 0 }
    }

    /// Whether it lasts for so long, with half of what is believed used at least.
    pub(super) fn uses(self, size: Size, time: Duration, now: Instant) -> bool {
        let lasts = now.saturating_duration_since(self.from);
        lasts >= time && u128::from(self.answered) * 2 * TOKEN >= u128::from(size.rate) * lasts.as_nanos()
    }

    /// Whether another belief could not have given what was answered: a full bucket and what was under way at the
    /// beginning come on top of the rate.
    pub(super) fn exceeds(self, size: Size, now: Instant) -> bool {
        let came = u128::from(size.rate) * now.saturating_duration_since(self.from).as_nanos();
        u128::from(self.answered) * TOKEN > came + 2 * u128::from(size.capacity) * TOKEN
    }
}

/// How long a belief has to stand before it is trusted.
pub(super) fn quiet(limit: Limit) -> Duration {
    if is_told(limit) { QUIET } else { QUIET_ASSUMED }
}

/// Whether somebody told a limit.
pub(super) const fn is_told(limit: Limit) -> bool {
    match (limit.limit, limit.source) {
        (RateLimit::Unlimited, _) | (_, LimitSource::Assumed) => false,
        (_, LimitSource::Server | LimitSource::Account | LimitSource::File) => true,
    }
}
