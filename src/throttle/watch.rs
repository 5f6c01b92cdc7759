//! What happened at an account since its last refusal, and what the next one says about its limit.
//!
//! A refusal says: the bucket was empty. What was answered between two refusals, over the time between them, is what
//! came back: the rate, or less if the bucket was full for a while. What was answered since the belief had most is
//! the size, if the bucket had time to fill. Where both can be to blame, both are: what is then too low is found by
//! trying more, and what stays too high costs the next refusal.

use std::time::{Duration, Instant};

use super::size::{SLOWEST, Size, TOKEN};

/// What was seen since a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    /// The last refusal; `None` if there was none: others may have used the account before us.
    since: Option<Instant>,
    answered: u64,
    /// The most that was believed to be in the bucket or under way, when that was last, and the answers until then.
    peak: u128,
    peak_at: Instant,
    before: u64,
    /// What found no room in the bucket.
    spilled: u128,
}

impl Watch {
    /// Nothing is known of the server's bucket.
    pub(super) const fn blind(now: Instant) -> Self {
        Self { since: None, answered: 0, peak: 0, peak_at: now, before: 0, spilled: 0 }
    }

    /// The server's bucket is empty.
    pub(super) const fn refused(now: Instant) -> Self {
        Self { since: Some(now), ..Self::blind(now) }
    }

    /// A request was answered.
    pub(super) const fn answer(&mut self) {
        self.answered = self.answered.saturating_add(1);
    }

    /// What is believed to be in the bucket or under way to it, and what found no room.
    pub(super) const fn fill(&mut self, level: u128, spilled: u128, now: Instant) {
        self.spilled = self.spilled.saturating_add(spilled);
        if level >= self.peak {
            (self.peak, self.peak_at, self.before) = (level, now, self.answered);
        }
    }

    /// A limit that explains the refusal that comes now, in place of the one that does not. Each step takes an eighth
    /// at least, and half at most, because a short time measures badly.
    pub(super) fn explain(&self, believed: Size, now: Instant) -> Option<Size> {
        let elapsed = now.saturating_duration_since(self.since?);
        let peak = u64::try_from(self.peak / TOKEN).unwrap_or(u64::MAX);
        let came = tokens(believed.rate, now.saturating_duration_since(self.peak_at));
        let burst = self.answered - self.before;
        let mut size = believed;
        // The smallest bucket has one token: if nothing was answered it had no time to fill.
        let too_large = peak > 1 && burst > 0;
        if too_large {
            let had = burst.saturating_sub(came);
            let capacity = had.clamp(peak / 2, peak - 1);
            size.capacity = u32::try_from(capacity).unwrap_or(size.capacity).clamp(1, size.capacity);
        }
        // A bucket that had twice the time to fill was full, however slowly it does.
        let was_full = too_large && self.spilled >= self.peak && came <= peak / 2;
        if !was_full {
            let measured = u128::from(self.answered) * TOKEN / elapsed.as_nanos().max(1);
            let measured = u64::try_from(measured).unwrap_or(u64::MAX);
            let most = believed.rate - believed.rate.div_ceil(8);
            size.rate = measured.clamp(believed.rate / 2, most).max(SLOWEST);
        }
        Some(size)
    }
}

fn tokens(rate: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(rate).saturating_mul(time.as_nanos()) / TOKEN).unwrap_or(u64::MAX)
}
