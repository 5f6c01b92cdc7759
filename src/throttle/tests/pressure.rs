//! What a busy server is given.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::pressure::{Admission, Admitted, LONGEST_NAMED, PATIENCE, Pressure, Reply, Shift};
use super::start;

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
    let began = start();
    let mut pressure = Pressure::new(8, 1);
    let all: Vec<_> = (0..8).map(|_| go(&mut pressure, began)).collect();
    assert_eq!(pressure.admit(began), Admission::Full);
    let until = rest_of(pressure.settle(all[0], BUSY, began));
    for admitted in &all[1..] {
        assert_eq!(pressure.settle(*admitted, BUSY, began), None, "one round trip, one refusal");
    }
    assert_eq!(pressure.limit(), 4);
    for admitted in all {
        pressure.leave(admitted, began);
    }
    assert_eq!(pressure.admit(began), Admission::Rests { until });
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
    let mut now = start();
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
    let mut now = start();
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
    let began = start();
    let (mut now, mut probes) = (began, 0);
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
    assert_eq!((shift, now - began), (Some(Shift::GivenUp), PATIENCE));
    assert!((30..60).contains(&probes), "{probes} probes in half an hour");
    assert_eq!(pressure.admit(now + PATIENCE), Admission::GivenUp);
    let mut patient = Pressure::new(4, 3);
    let admitted = go(&mut patient, began);
    let until = rest_of(patient.settle(admitted, BUSY, began));
    served(&mut patient, until);
    let later = began + PATIENCE * 2;
    let admitted = go(&mut patient, later);
    assert!(matches!(patient.settle(admitted, BUSY, later), Some(Shift::Rests { .. })), "an answer begins anew");
}

#[test]
fn a_probe_that_learns_nothing_makes_room_for_another() {
    let began = start();
    let mut pressure = Pressure::new(4, 1);
    let (first, packs) = (go(&mut pressure, began), go(&mut pressure, began));
    let until = rest_of(pressure.settle(first, BUSY, began));
    pressure.leave(first, began);
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
        let mut now = start();
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
        let mut now = start();
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
