//! What is believed of one bucket.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::Departure;
use super::super::bucket::{Bucket, Token};
use super::{millis, start, told, unlimited};
use crate::model::{Limit, LimitSource, RateLimit};

fn bucket(limit: Limit, now: Instant) -> Bucket {
    Bucket::new(limit, 7, now)
}

/// Takes and answers as many as there are.
fn drain(bucket: &mut Bucket, now: Instant) -> u32 {
    let mut count = 0;
    while let Some(token) = bucket.take(now) {
        bucket.answered(token, now);
        count += 1;
    }
    count
}

fn refuse(bucket: &mut Bucket, asked: Option<Duration>, now: Instant) -> Instant {
    let token = bucket.take(now).unwrap();
    bucket.refused(token, asked, now).unwrap()
}

#[test]
fn a_full_bucket_allows_its_burst_and_then_the_rate() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    assert_eq!(drain(&mut bucket, now), 60);
    assert_eq!(bucket.ready_at(now), now + millis(200));
    assert!(bucket.take(now + millis(199)).is_none());
    assert_eq!(drain(&mut bucket, now + Duration::from_secs(2)), 10);
    assert_eq!(drain(&mut bucket, now + Duration::from_hours(1)), 60);
}

#[test]
fn what_is_not_answered_may_still_take_its_token() {
    let now = start();
    let mut bucket = bucket(told(10, 5), now);
    let slow = bucket.take(now).unwrap();
    let later = now + Duration::from_mins(1);
    assert_eq!(drain(&mut bucket, later), 9, "the server's tenth token may go to the slow one");
    bucket.answered(slow, later);
    assert_eq!(drain(&mut bucket, later + Duration::from_mins(1)), 10);
}

#[test]
fn a_small_bucket_waits_for_answers_but_not_for_ever() {
    let now = start();
    let mut bucket = bucket(told(1, 50), now);
    let slow = bucket.take(now).unwrap();
    assert_eq!(bucket.clone().ready_at(now + Duration::from_secs(9)), now + Duration::from_secs(10));
    bucket.answered(slow, now + millis(300));
    assert_eq!(bucket.ready_at(now + millis(300)), now + millis(320));
}

#[test]
fn a_limit_that_nobody_told_is_taken_a_tenth_lower() {
    let now = start();
    let usual = RateLimit::Bucket { burst: 60, refill_per_second: 5 };
    let mut bucket = bucket(Limit { limit: usual, source: LimitSource::Assumed }, now);
    assert_eq!(drain(&mut bucket, now), 54);
    assert_eq!(drain(&mut bucket, now + Duration::from_secs(10)), 45);
}

#[test]
fn without_a_limit_nothing_is_paced_until_a_429() {
    let now = start();
    let mut bucket = bucket(unlimited(), now);
    for _ in 0..5000 {
        let token = bucket.take(now).unwrap();
        bucket.answered(token, now);
    }
    let until = refuse(&mut bucket, None, now);
    assert!(bucket.take(until.checked_sub(millis(1)).unwrap()).is_none());
    let rested = u32::try_from((until - now).as_millis()).unwrap();
    assert_eq!(drain(&mut bucket, until), 1 + rested * 9 / 2000 - 1);
    assert!(bucket.ready_at(until) > until, "there is a limit");
}

#[test]
fn quirk_08_rests_are_what_the_server_asks_clamped_and_jittered() {
    let now = start();
    for (asked, least) in [(Duration::ZERO, millis(50)), (millis(7000), millis(7000)), (Duration::MAX, millis(600_000))]
    {
        let until = refuse(&mut bucket(told(60, 5), now), Some(asked), now);
        assert!(until >= now + least && until <= now + least + least / 8, "{asked:?}");
    }
    let ends = [1, 2, 3].map(|seed| refuse(&mut Bucket::new(told(60, 5), seed, now), Some(millis(10_000)), now));
    assert!(ends[0] != ends[1] && ends[1] != ends[2]);
}

#[test]
fn rests_double_while_refused_and_start_anew_after_an_answer() {
    let mut now = start();
    let mut bucket = bucket(told(60, 60), now);
    for expected in [1, 2, 4, 8] {
        let until = refuse(&mut bucket, None, now);
        assert_eq!((until - now).as_millis() * 7 / 8000, expected * 7 / 8, "{:?}", until - now);
        now = until;
    }
    let token = bucket.take(now).unwrap();
    bucket.answered(token, now);
    let until = refuse(&mut bucket, None, now);
    assert!((until - now) < millis(1126));
}

#[test]
fn after_a_rest_tokens_go_out_one_by_one_until_one_is_answered() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    let until = refuse(&mut bucket, Some(Duration::from_secs(8)), now);
    let first = bucket.take(until).unwrap();
    assert!(bucket.take(until).is_none());
    assert_eq!(bucket.ready_at(until), until + millis(250), "a slow answer does not stop everything");
    bucket.answered(first, until);
    assert!(drain(&mut bucket, until) >= 39);
}

#[test]
fn refusals_of_requests_under_way_are_no_news() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    let tokens: Vec<_> = (0..8).map(|_| bucket.take(now).unwrap()).collect();
    let rests: Vec<_> = tokens.iter().map(|token| bucket.refused(*token, None, now)).collect();
    assert_eq!(rests.iter().flatten().count(), 1);
    let longer = bucket.take(rests[0].unwrap()).unwrap();
    assert!(bucket.is_current(longer) && !bucket.is_current(tokens[1]));
}

#[test]
fn the_longest_rest_that_was_asked_for_counts() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    let (one, other) = (bucket.take(now).unwrap(), bucket.take(now).unwrap());
    bucket.refused(one, Some(Duration::from_secs(1)), now);
    bucket.refused(other, Some(Duration::from_secs(30)), now);
    assert!(bucket.take(now + millis(29_999)).is_none());
}

#[test]
fn a_single_refusal_teaches_nothing_and_a_second_one_soon_halves_both() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    let believed = |bucket: &Bucket| bucket.size().map(|size| (size.capacity, size.rate)).unwrap();
    let mut later = refuse(&mut bucket, None, now);
    assert_eq!(believed(&bucket), (60, 5000));
    later = refuse(&mut bucket, None, later + Duration::from_mins(2));
    assert_eq!(believed(&bucket), (60, 5000), "it stood for a minute");
    later = refuse(&mut bucket, None, later + Duration::from_secs(50));
    assert_eq!(believed(&bucket), (30, 2500));
    refuse(&mut bucket, None, later + Duration::from_secs(1));
    assert_eq!(believed(&bucket), (15, 1250));
}

/// Sends as fast as the belief allows, to a server with another rate, and tells the refusals of each minute.
fn against(bucket: &mut Bucket, rate: u64, capacity: u64, minutes: u64) -> Vec<u32> {
    let began = start();
    let mut now = began;
    let (mut level, mut since) = (capacity * 1_000_000_000, began);
    let mut refusals = vec![0; usize::try_from(minutes).unwrap()];
    loop {
        now = bucket.ready_at(now).max(now);
        let minute = (now - began).as_secs() / 60;
        if minute >= minutes {
            return refusals;
        }
        let token = bucket.take(now).unwrap();
        level = (level + u64::try_from((now - since).as_micros()).unwrap() * rate).min(capacity * 1_000_000_000);
        since = now;
        if level >= 1_000_000_000 {
            level -= 1_000_000_000;
            bucket.answered(token, now);
        } else {
            bucket.refused(token, Some(Duration::from_secs(1)), now);
            refusals[usize::try_from(minute).unwrap()] += 1;
        }
    }
}

#[test]
fn a_lower_rate_is_learned_by_halves_and_tried_with_care() {
    let now = start();
    let refusals = against(&mut bucket(told(60, 5), now), 2000, 60, 30);
    assert_eq!(refusals[0], 3, "once for nothing, and two halves");
    assert!(refusals.iter().sum::<u32>() <= 3 + 10, "{refusals:?}");
}

#[test]
fn more_nodes_than_one_are_found_with_time_unless_the_file_sets_the_limit() {
    let now = start();
    let mut server = bucket(told(60, 5), now);
    let refusals = against(&mut server, 15_000, 180, 40);
    assert!(refusals.iter().sum::<u32>() <= 4, "{refusals:?}");
    assert!(server.size().unwrap().rate > 10_000, "a higher rate is believed");
    let limit = RateLimit::Bucket { burst: 60, refill_per_second: 5 };
    let mut file = bucket(Limit { limit, source: LimitSource::File }, now);
    assert_eq!(against(&mut file, 15_000, 180, 20).iter().sum::<u32>(), 0);
    let later = file.ready_at(now);
    drain(&mut file, later);
    assert_eq!(file.ready_at(later), later + millis(200));
}

#[test]
fn those_under_way_at_a_refusal_may_still_take_what_comes() {
    let now = start();
    let mut bucket = bucket(told(10, 1), now);
    let slow = [(); 3].map(|()| bucket.take(now).unwrap());
    let until = refuse(&mut bucket, Some(Duration::from_secs(1)), now);
    assert!(until < now + Duration::from_secs(2));
    assert_eq!(bucket.ready_at(until), now + Duration::from_secs(4), "three tokens come that are not ours");
    bucket.refused(slow[0], None, now + Duration::from_secs(2));
    bucket.answered(slow[1], now + Duration::from_secs(2));
    assert_eq!(bucket.ready_at(now + Duration::from_secs(2)), now + Duration::from_secs(5), "then there was nothing");
}

#[test]
fn no_more_requests_are_under_way_than_the_rate_needs() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    let mut tokens: Vec<Token> = (0..9).map(|_| bucket.take(now).unwrap()).collect();
    for token in &mut tokens[..4] {
        assert_eq!(bucket.depart(token, now), Departure::Goes);
    }
    let until = now + Duration::from_secs(10);
    assert_eq!(bucket.depart(&mut tokens[4], now), Departure::Waits { until });
    assert_eq!(bucket.ready_at(now), until, "nobody passes one that waits");
    let later = now + Duration::from_secs(2);
    bucket.answered(tokens[0], later);
    for token in &mut tokens[4..] {
        assert_eq!(bucket.depart(token, later), Departure::Goes, "20 are sent in two round trips");
    }
    assert!(bucket.take(later).is_some());
    let again = bucket.depart(&mut tokens[8], later);
    assert_eq!(again, Departure::Goes, "what was sent can be sent again");
    bucket.refused(tokens[1], None, later);
    assert_eq!(bucket.depart(&mut tokens[8], later), Departure::Overtaken);
}

#[test]
fn what_is_told_anew_counts_and_what_is_told_again_changes_nothing() {
    let now = start();
    let mut bucket = bucket(told(60, 5), now);
    drain(&mut bucket, now);
    bucket.tell(told(60, 5), now);
    assert!(bucket.take(now).is_none());
    bucket.tell(told(100, 10), now);
    assert_eq!(drain(&mut bucket, now), 40, "what was taken is gone");
    assert_eq!(bucket.ready_at(now), now + millis(100));
    bucket.tell(unlimited(), now);
    assert!(bucket.take(now).is_some());
}

#[test]
fn a_token_that_was_not_used_comes_back() {
    let now = start();
    let mut bucket = bucket(told(3, 1), now);
    let tokens: Vec<_> = (0..3).map(|_| bucket.take(now).unwrap()).collect();
    bucket.put_back(tokens[1], now);
    assert!(bucket.take(now).is_some());
    assert!(bucket.take(now).is_none());
}

proptest! {
    /// In no time does a bucket give more than its size and what came back in that time; and it gives all of that.
    #[test]
    fn a_bucket_gives_what_came_in_and_nothing_else(
        capacity in 1u32..20,
        rate in 1u32..50,
        steps in proptest::collection::vec(0u64..700_000_007, 1..120),
    ) {
        let mut now = start();
        let mut bucket = bucket(told(capacity, rate), now);
        let mut taken: Vec<Instant> = Vec::new();
        for step in steps {
            now += Duration::from_nanos(step);
            let fits = |since: &Instant| {
                let with_this = taken.iter().filter(|at| *at >= since).count() as u128 + 1;
                let came = (now - *since).as_nanos() * u128::from(rate) / 1_000_000_000;
                with_this <= u128::from(capacity) + came
            };
            let allowed = taken.iter().all(fits);
            let ready = bucket.ready_at(now);
            prop_assert_eq!(ready <= now, allowed);
            if let Some(token) = bucket.take(now) {
                bucket.answered(token, now);
                taken.push(now);
            } else {
                let before = ready.checked_sub(Duration::from_nanos(1)).unwrap();
                prop_assert!(bucket.clone().take(before).is_none());
                prop_assert!(bucket.clone().take(ready).is_some());
            }
        }
    }

    /// A server that refuses at will, also for no reason, is not asked more often than it is promised.
    #[test]
    fn whatever_the_server_does_rests_are_bounded(
        rate in 1u32..30,
        steps in proptest::collection::vec((0u64..4000, 0u8..4, proptest::option::of(0u64..3)), 1..600),
    ) {
        let began = start();
        let mut bucket = bucket(told(40, rate), began);
        let (mut now, mut out, mut rests) = (began, std::collections::VecDeque::new(), 0);
        for (step, what, asked) in steps {
            // Nobody waits for his answer so long that another one goes out in his place.
            now += millis(step);
            if what > 0 && let Some(mut token) = bucket.take(now) {
                let _ = bucket.depart(&mut token, now);
                out.push_back(token);
            }
            while out.len() > 2 || (what != 1 && !out.is_empty()) {
                let token = out.pop_front().unwrap();
                if what == 2 {
                    bucket.answered(token, now);
                } else {
                    rests += u64::from(bucket.refused(token, asked.map(Duration::from_secs), now).is_some());
                }
            }
            let halvings = (f64::from(rate) * 60.0).log2().floor() + 1.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
            let most = halvings as u64 + 1 + (now - began).as_secs() / 60;
            prop_assert!(rests <= most, "{} rests in {:?}, not {}", rests, now - began, most);
        }
    }
}
