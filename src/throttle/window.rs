//! How many requests of one account are under way at a time.
//!
//! Whatever is under way when the server's bucket runs dry is refused with the first. So no more is under way than the
//! believed rate needs: twice what it sends in the longest of the last round trips, and four at least. Whoever has a
//! token and waits for something else is not under way, and takes nobody's room.

use std::time::{Duration, Instant};

use super::size::{Size, TOKEN};

/// That many may be under way whatever the rate is.
pub(super) const FEWEST: u32 = 4;

/// How long to wait for an answer, or for a token that may still be taken, before one more request goes out.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where a request is that has a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is not sent: it may wait for something else.
    Held,
    /// It would be sent if there were room.
    Waits,
    /// It was sent, and the server was busy: it will be sent again, with another token, which may have to come first.
    Owed,
    /// It was sent.
    Sent(Instant),
}

/// The requests of one account that are under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    sent: u32,
    /// Those that have a token and could be sent: nobody else gets a token before them.
    waits: u32,
    sent_at: Instant,
    /// The longest of the last round trips: each one that is shorter lowers it by an eighth at most.
    longest: Duration,
}

impl Window {
    /// Nothing is under way.
    pub(super) const fn new(now: Instant) -> Self {
        Self { sent: 0, waits: 0, sent_at: now, longest: Duration::ZERO }
    }

    /// When there is room for one who has no token yet.
    pub(super) fn ready_at(&self, size: Size, now: Instant) -> Instant {
        self.room_at(self.sent.saturating_add(self.waits), size, now)
    }

    /// Sends the request that is in this stage, if there is room; tells otherwise until when to wait at most.
    pub(super) fn send(&mut self, stage: &mut Stage, size: Option<Size>, now: Instant) -> Result<(), Instant> {
        let until = match (*stage, size) {
            (Stage::Sent(_), _) | (_, None) => now,
            (Stage::Held | Stage::Waits | Stage::Owed, Some(size)) => self.room_at(self.sent, size, now),
        };
        self.leave(*stage);
        if until > now {
            self.waits = self.waits.saturating_add(1);
            *stage = Stage::Waits;
            return Err(until);
        }
        self.sent = self.sent.saturating_add(1);
        self.sent_at = now;
        *stage = Stage::Sent(now);
        Ok(())
    }

    /// The server answered a request.
    pub(super) fn answered(&mut self, stage: Stage, now: Instant) {
        self.leave(stage);
        if let Stage::Sent(at) = stage {
            let trip = now.saturating_duration_since(at);
            self.longest = trip.max(self.longest.saturating_sub(self.longest / 8));
        }
    }

    /// A request is gone, whatever became of it.
    pub(super) const fn leave(&mut self, stage: Stage) {
        match stage {
            Stage::Held | Stage::Owed => {}
            Stage::Waits => self.waits = self.waits.saturating_sub(1),
            Stage::Sent(_) => self.sent = self.sent.saturating_sub(1),
        }
    }

    fn room_at(&self, taken: u32, size: Size, now: Instant) -> Instant {
        if taken < room(size.rate, self.longest) { now } else { now.max(self.sent_at + PATIENCE) }
    }
}

/// How many may be under way at a rate, if a round trip takes so long.
pub(super) fn room(rate: u64, trip: Duration) -> u32 {
    let needed = u128::from(rate).saturating_mul(trip.as_nanos()).saturating_mul(2).div_ceil(TOKEN);
    u32::try_from(needed).unwrap_or(u32::MAX).max(FEWEST)
}
