//! How large a bucket is, and how fast it fills.
//!
//! A token is a trillion units, and a rate of one thousandth of a token per second adds one unit each nanosecond:
//! levels are integers, exact, and do not drift.

use std::time::Duration;

use crate::model::{Limit, LimitSource, RateLimit};

/// Units of one token.
pub(super) const TOKEN: u128 = 1_000_000_000_000;

/// No limit is believed to be slower (thousandths per second): one that is nothing is asked now and then.
pub(super) const SLOWEST: u64 = 2;

/// No limit is believed to be faster.
pub(super) const FASTEST: u64 = 10_000_000;

/// The longest rest that is taken, whatever the server asks for. A jitter of a sixteenth comes on top.
pub(super) const LONGEST_REST: Duration = Duration::from_mins(10);

/// A bucket of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// Tokens of a full bucket. At least 1.
    pub(super) capacity: u32,
    /// Thousandths of a token that come back each second.
    pub(super) rate: u64,
}

impl Size {
    /// The usual limit, less a tenth for those who use the account besides us.
    pub(super) const ASSUMED: Self = Self { capacity: 54, rate: 4500 };

    fn of(limit: RateLimit) -> Option<Self> {
        match limit {
            RateLimit::Unlimited => None,
            RateLimit::Bucket { burst, refill_per_second } => Some(Self {
                capacity: burst.max(1),
                rate: (u64::from(refill_per_second) * 1000).clamp(SLOWEST, FASTEST),
            }),
        }
    }

    /// What to believe of a limit before anything is known; `None` is no limit.
    pub(super) fn told(limit: Limit) -> Option<Self> {
        match limit.source {
            LimitSource::Assumed => Self::of(limit.limit).map(|size| Self {
                capacity: size.capacity.min(Self::ASSUMED.capacity),
                rate: size.rate.min(Self::ASSUMED.rate),
            }),
            LimitSource::Server | LimitSource::Account | LimitSource::File => Self::of(limit.limit),
        }
    }

    /// Time in which one token comes back.
    pub(super) fn interval(self) -> Duration {
        nanos(TOKEN.div_ceil(u128::from(self.rate)))
    }
}

/// A time in nanoseconds.
pub(super) fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}
