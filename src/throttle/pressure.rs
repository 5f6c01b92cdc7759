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
const LONGEST_NAMED: Duration = Duration::from_mins(10);

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    const BUSY: Reply = Reply::Busy { retry_after: None };

    fn go(pressure: &mut Pressure, now: Instant) -> Admitted {
        match pressure.admit(now) {
            Admission::Go(admitted) => admitted,
            other => panic!("{other:?}"),
        }
    }

    /// One request that is served and leaves.
    fn served(pressure: &mut Pressure, now: Instant) -> Option<Shift> {
        let admitted = go(pressure, now);
        let shift = pressure.settle(admitted, Reply::Served, now);
        pressure.leave(admitted, now);
        shift
    }

    fn rest_of(shift: Option<Shift>) -> Instant {
        match shift {
            Some(Shift::Rests { until, .. }) => until,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quirk_09_a_busy_server_is_left_alone_by_everybody_and_probed_by_one() {
        let start = SystemClock.monotonic();
        let mut pressure = Pressure::new(8, 1);
        let all: Vec<_> = (0..8).map(|_| go(&mut pressure, start)).collect();
        assert_eq!(pressure.admit(start), Admission::Full);
        let until = rest_of(pressure.settle(all[0], BUSY, start));
        for admitted in &all[1..] {
            assert_eq!(pressure.settle(*admitted, BUSY, start), None, "one round trip, one refusal");
        }
        assert_eq!(pressure.limit(), 4);
        for admitted in all {
            pressure.leave(admitted, start);
        }
        assert_eq!(pressure.admit(start), Admission::Rests { until });
        let probe = go(&mut pressure, until);
        assert!(probe.is_probe());
        assert_eq!(pressure.admit(until), Admission::Full, "one probe");
        assert_eq!(pressure.settle(probe, Reply::Served, until), Some(Shift::Serves { limit: 4 }));
        pressure.leave(probe, until);
        let again: Vec<_> = (0..4).map(|_| go(&mut pressure, until)).collect();
        assert_eq!(pressure.admit(until), Admission::Full);
        assert!(again.iter().all(|admitted| !admitted.is_probe()));
    }

    #[test]
    fn rests_double_with_jitter_unless_the_server_names_a_time() {
        let mut now = SystemClock.monotonic();
        let mut pressure = Pressure::new(2, 7);
        for doubled in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let admitted = go(&mut pressure, now);
            let until = rest_of(pressure.settle(admitted, BUSY, now));
            pressure.leave(admitted, now);
            let quarters = (until - now).as_secs_f64() / doubled * 4.0;
            assert!((3.0..=5.0).contains(&quarters), "{quarters} quarters of {doubled} s");
            now = until;
        }
        for (named, taken) in [(0, 1), (7, 7), (86_400, 600)] {
            let mut pressure = Pressure::new(2, 7);
            let admitted = go(&mut pressure, now);
            let reply = Reply::Busy { retry_after: Some(Duration::from_secs(named)) };
            assert_eq!(rest_of(pressure.settle(admitted, reply, now)) - now, Duration::from_secs(taken));
        }
    }

    #[test]
    fn answers_raise_the_limit_by_one_a_round_up_to_what_is_declared() {
        let mut now = SystemClock.monotonic();
        let mut pressure = Pressure::new(4, 1);
        for _ in 0..3 {
            let admitted = go(&mut pressure, now);
            now = rest_of(pressure.settle(admitted, BUSY, now));
            pressure.leave(admitted, now);
        }
        assert_eq!(pressure.limit(), 1);
        let mut limits = Vec::new();
        for _ in 0..12 {
            served(&mut pressure, now);
            limits.push(pressure.limit());
        }
        assert_eq!(limits, [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]);
    }

    #[test]
    fn a_server_that_answers_nobody_is_given_up_after_the_patience() {
        let start = SystemClock.monotonic();
        let (mut now, mut probes) = (start, 0);
        let mut pressure = Pressure::new(4, 3);
        let shift = loop {
            let admitted = go(&mut pressure, now);
            let shift = pressure.settle(admitted, BUSY, now);
            pressure.leave(admitted, now);
            probes += 1;
            match shift {
                Some(Shift::Rests { until, .. }) => now = until,
                other => break other,
            }
        };
        assert_eq!((shift, now - start), (Some(Shift::GivenUp), PATIENCE));
        assert!((30..60).contains(&probes), "{probes} probes in half an hour");
        assert_eq!(pressure.admit(now + PATIENCE), Admission::GivenUp);
        let mut patient = Pressure::new(4, 3);
        let admitted = go(&mut patient, start);
        let until = rest_of(patient.settle(admitted, BUSY, start));
        served(&mut patient, until);
        let later = start + PATIENCE * 2;
        let admitted = go(&mut patient, later);
        assert!(matches!(patient.settle(admitted, BUSY, later), Some(Shift::Rests { .. })), "an answer begins anew");
    }

    #[test]
    fn a_probe_that_learns_nothing_makes_room_for_another() {
        let start = SystemClock.monotonic();
        let mut pressure = Pressure::new(4, 1);
        let (first, packs) = (go(&mut pressure, start), go(&mut pressure, start));
        let until = rest_of(pressure.settle(first, BUSY, start));
        pressure.leave(first, start);
        let lost = go(&mut pressure, until);
        pressure.leave(packs, until);
        assert_eq!(pressure.admit(until), Admission::Full, "what left was not the probe");
        pressure.leave(lost, until);
        assert!(go(&mut pressure, until).is_probe());
    }

    /// What a made-up server and its clients do.
    #[derive(Debug, Clone)]
    enum Step {
        Begin,
        Serve(usize),
        Refuse(usize, Option<u64>),
        Drop(usize),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Begin),
            4 => (0usize..9).prop_map(Step::Serve),
            2 => (0usize..9, proptest::option::of(0u64..2000)).prop_map(|(which, named)| Step::Refuse(which, named)),
            1 => (0usize..9).prop_map(Step::Drop),
            2 => (0u64..90_000).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// Never above what is declared, never below one; while the server rests nobody is sent, and never two probes.
        #[test]
        fn the_limit_stays_in_bounds_and_probes_are_alone(
            ceiling in 1u32..40, seed: u64, steps in proptest::collection::vec(step(), 1..300),
        ) {
            let mut now = SystemClock.monotonic();
            let mut pressure = Pressure::new(ceiling, seed);
            let mut under_way: Vec<Admitted> = Vec::new();
            let mut rest: Option<Instant> = None;
            for step in steps {
                match step {
                    Step::Begin => {
                        let before = under_way.len();
                        match pressure.admit(now) {
                            Admission::Go(admitted) => {
                                prop_assert!(rest.is_none_or(|until| until <= now), "sent while everybody rests");
                                prop_assert!(admitted.is_probe() || before < pressure.limit() as usize);
                                prop_assert_eq!(admitted.is_probe(), rest.is_some());
                                under_way.push(admitted);
                                if rest.is_some() {
                                    prop_assert_eq!(pressure.admit(now), Admission::Full, "a second probe");
                                }
                            }
                            Admission::Full => prop_assert!(
                                before >= pressure.limit() as usize || under_way.iter().any(|it| it.is_probe())
                            ),
                            Admission::Rests { until } => prop_assert_eq!(Some(until), rest),
                            Admission::GivenUp => break,
                        }
                    }
                    Step::Serve(which) | Step::Refuse(which, _) | Step::Drop(which) if !under_way.is_empty() => {
                        let admitted = under_way.remove(which % under_way.len());
                        let before = pressure.limit();
                        let reply = match step {
                            Step::Serve(_) => Some(Reply::Served),
                            Step::Refuse(_, named) => {
                                Some(Reply::Busy { retry_after: named.map(Duration::from_secs) })
                            }
                            _ => None,
                        };
                        match reply.and_then(|reply| pressure.settle(admitted, reply, now)) {
                            Some(Shift::Rests { until, limit }) => {
                                prop_assert!(until > now && until <= now + LONGEST_NAMED);
                                prop_assert_eq!(limit, (before / 2).max(1));
                                rest = Some(until);
                            }
                            Some(Shift::Serves { .. }) => rest = None,
                            Some(Shift::GivenUp) => break,
                            None => prop_assert!(pressure.limit() >= before, "only a rest lowers it"),
                        }
                        pressure.leave(admitted, now);
                        if admitted.is_probe() && reply.is_none() && rest.is_some() {
                            rest = rest.map(|until| until.max(now));
                        }
                    }
                    Step::Pass(millis) => now += Duration::from_millis(millis),
                    Step::Serve(_) | Step::Refuse(..) | Step::Drop(_) => {}
                }
                prop_assert!((1..=ceiling).contains(&pressure.limit()));
            }
        }

        /// Whatever happened, a server that serves again is used in full after as many answers as it takes.
        #[test]
        fn a_server_that_serves_again_is_used_in_full(ceiling in 1u32..40, refusals in 0u32..12, seed: u64) {
            let mut now = SystemClock.monotonic();
            let mut pressure = Pressure::new(ceiling, seed);
            for _ in 0..refusals {
                let admitted = go(&mut pressure, now);
                now = rest_of(pressure.settle(admitted, BUSY, now));
                pressure.leave(admitted, now);
            }
            for _ in 0..ceiling * ceiling {
                served(&mut pressure, now);
            }
            prop_assert_eq!(pressure.limit(), ceiling);
        }
    }
}
