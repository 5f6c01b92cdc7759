//! How many requests a busy server is given at once, and when it is left alone.
//!
//! A 503 is about the server, not about an account: the tickets of its git are taken, or it is in maintenance. Another
//! credential would only add to it. So everybody rests together, one request probes when the rest is over, and the
//! number of requests at once is halved with every refusal and grows by one for each round of answers.
//!
//! Like the pool this is a state machine without input or output: [`Pressure::admit`] answers with a pass or with what
//! to wait for, [`Pressure::settle`] is told how the request went, and [`Pressure::leave`] gives the place back. A pack
//! holds its place until it has streamed, long after it was answered.

use std::time::{Duration, Instant};

/// The rest after the first 503 that names no time. It doubles while the server stays busy.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest rest without a word of the server.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The longest rest that is taken because the server asks for it.
pub(super) const LONGEST_NAMED: Duration = Duration::from_mins(10);

/// How long a server that answers nobody is waited for.
pub const PATIENCE: Duration = Duration::from_mins(30);

/// One server's limit on requests at once.
#[derive(Debug, Clone)]
pub struct Pressure {
    /// What is declared.
    ceiling: u32,
    /// What is allowed, from 1 to the ceiling.
    limit: u32,
    /// Requests that have a place.
    in_flight: u32,
    /// Counts the refusals that lowered the limit. A request of an earlier round says nothing about this one.
    round: u64,
    /// Answers of this round since the limit grew.
    answers: u32,
    /// All requests that were served in the round in which they were sent.
    answered: u64,
    /// Refusals in a row.
    refusals: u32,
    /// When the first of them came.
    since: Option<Instant>,
    phase: Phase,
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The server serves.
    Open,
    /// Nobody asks.
    Rests { until: Instant },
    /// One request asks.
    Probes,
    /// It was waited for long enough.
    GivenUp,
}

/// A place among the requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "its place is taken until it is left"]
pub struct Admitted {
    round: u64,
    probe: bool,
}

impl Admitted {
    /// Whether this is the one request that finds out whether the server serves again.
    pub const fn is_probe(self) -> bool {
        self.probe
    }
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go(Admitted),
    /// All places are taken, or somebody else is probing: ask again when something has changed.
    Full,
    /// Everybody rests: ask again at that time, or when something has changed.
    Rests {
        /// The end of the rest.
        until: Instant,
    },
    /// The server answered nobody for [`PATIENCE`].
    GivenUp,
}

/// What became of a request, as far as it says something about the server as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The server did its work: with success or with any other refusal.
    Served,
    /// 503, or a status that is not "running".
    Busy {
        /// What the server asked for, if it did.
        retry_after: Option<Duration>,
    },
}

/// What a reply changed for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// A rest begins.
    Rests {
        /// Its end.
        until: Instant,
        /// How many requests at once there will be after it.
        limit: u32,
    },
    /// A rest is over: the server serves.
    Serves {
        /// How many requests at once there are from here on.
        limit: u32,
    },
    /// The server is not waited for any more.
    GivenUp,
}

impl Pressure {
    /// A server that is not known to be busy. `ceiling` is what is declared; `seed` makes the rests of many clients
    /// differ.
    pub fn new(ceiling: u32, seed: u64) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            ceiling,
            limit: ceiling,
            in_flight: 0,
            round: 0,
            answers: 0,
            answered: 0,
            refusals: 0,
            since: None,
            phase: Phase::Open,
            seed,
        }
    }

    /// How many requests at once there may be.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether the server is not waited for any more.
    pub fn is_given_up(&self) -> bool {
        self.phase == Phase::GivenUp
    }

    /// Counts the requests that were served. Whoever is refused again and again while it grows has a trouble of its
    /// own.
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Takes a place, if there is one.
    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.phase {
            Phase::Open if self.in_flight >= self.limit => return Admission::Full,
            Phase::Open => {}
            Phase::Rests { until } if until > now => return Admission::Rests { until },
            // The one probe does not wait for packs that are still streaming.
            Phase::Rests { .. } => self.phase = Phase::Probes,
            Phase::Probes => return Admission::Full,
            Phase::GivenUp => return Admission::GivenUp,
        }
        self.in_flight += 1;
        Admission::Go(Admitted { round: self.round, probe: self.phase == Phase::Probes })
    }

    /// Learns from the reply to a request. What was sent before the last refusal is not news: a rest lasts until its
    /// probe is served, and many refusals of one round lower the limit once.
    pub fn settle(&mut self, admitted: Admitted, reply: Reply, now: Instant) -> Option<Shift> {
        if self.phase == Phase::GivenUp || admitted.round != self.round {
            return None;
        }
        match reply {
            Reply::Served => {
                (self.refusals, self.since) = (0, None);
                self.answered += 1;
                self.answers += 1;
                if self.answers >= self.limit && self.limit < self.ceiling {
                    (self.limit, self.answers) = (self.limit + 1, 0);
                }
                if self.phase == Phase::Open {
                    return None;
                }
                self.phase = Phase::Open;
                Some(Shift::Serves { limit: self.limit })
            }
            Reply::Busy { retry_after } => {
                let deadline = *self.since.get_or_insert(now) + PATIENCE;
                self.round += 1;
                self.answers = 0;
                self.limit = (self.limit / 2).max(1);
                if now >= deadline {
                    self.phase = Phase::GivenUp;
                    return Some(Shift::GivenUp);
                }
                let until = (now + self.rest(retry_after)).min(deadline);
                self.refusals = self.refusals.saturating_add(1);
                self.phase = Phase::Rests { until };
                Some(Shift::Rests { until, limit: self.limit })
            }
        }
    }

    /// Gives a place back. A probe that ends without a word about the server makes room for another one.
    pub fn leave(&mut self, admitted: Admitted, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if admitted.probe && self.phase == Phase::Probes && admitted.round == self.round {
            self.phase = Phase::Rests { until: now };
        }
    }

    fn rest(&mut self, named: Option<Duration>) -> Duration {
        if let Some(named) = named {
            return named.clamp(FIRST_REST, LONGEST_NAMED);
        }
        let doubled = FIRST_REST.saturating_mul(1 << self.refusals.min(6)).min(LONGEST_REST);
        // Between three and five quarters of it.
        doubled * 3 / 4 + doubled.mul_f64(self.share() / 2.0)
    }

    /// A number from 0 to 1, another one each time.
    fn share(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32;
        f64::from(u32::try_from(mixed & 0xffff_ffff).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }
}
