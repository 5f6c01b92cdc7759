//! The only reader of wall and monotonic time, and of randomness for identifiers.
//!
//! Decisions take `now` as an argument. Whoever has to act at a time asks a [`Clock`]; tests give a
//! [`ManualClock`] that moves when it is told to.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// A source of time.
pub trait Clock: Send + Sync {
    /// The wall-clock time. It may jump.
    fn now(&self) -> Timestamp;

    /// The monotonic time. It never goes back.
    fn monotonic(&self) -> Instant;
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one reader")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one reader")]
    fn monotonic(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Instant)>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new((now, SystemClock.monotonic())))
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        let mut times = self.0.lock().expect("no holder panics");
        times.0 = times.0.saturating_add(by).expect("durations saturate");
        times.1 += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().expect("no holder panics").0
    }

    fn monotonic(&self) -> Instant {
        self.0.lock().expect("no holder panics").1
    }
}

/// 128 random bits from the operating system, of which identifiers use 80.
pub fn random_bits() -> u128 {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    u128::from_ne_bytes(bytes)
}
