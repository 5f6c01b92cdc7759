//! One account that all tasks want: how much of what there is it gets once it has learned.

use std::time::Duration;

use super::estate::{Estate, WAY};
use super::world::Truth;
use super::{start, told, unlimited};
use crate::model::{Limit, LimitSource, RateLimit};

/// The time of learning.
const LEARNING: Duration = Duration::from_mins(10);

/// Then it is measured for so long.
const MEASURED: Duration = Duration::from_mins(30);

/// Percent of what the server's nodes give, of some worlds. `told`, and the truth of each node in tokens and thousandths
/// per second.
fn percent(told: Limit, capacity: u64, rate: u64, nodes: usize) -> Vec<u128> {
    let possible = possible(capacity, rate) * nodes as u128;
    let worlds = (0..2).map(|seed| {
        let mut estate = Estate::alone(seed, Truth::alone(told, capacity, rate, nodes, start()));
        estate.pass(LEARNING);
        let before = estate.counts[0].done;
        let began = estate.now;
        estate.pass(MEASURED);
        let done = estate.counts[0].done - before;
        done * 100 * 1_000_000 / (possible * (estate.now - began).as_millis())
    });
    worlds.collect()
}

/// Requests per thousand seconds. With one token the next request is sent a token's time after the last answer, because
/// nobody knows when a request arrived: on the average that is the way there and back later than it could be.
fn possible(capacity: u64, rate: u64) -> u128 {
    if capacity > 1 {
        return u128::from(rate);
    }
    let period = 1_000_000 / rate + WAY;
    1_000_000 / u128::from(period)
}

#[track_caller]
fn gets(least: u128, limit: Limit, capacity: u64, rate: u64, nodes: usize) {
    let percent = percent(limit, capacity, rate, nodes);
    let (most, fewest) = (percent.iter().max().unwrap(), percent.iter().min().unwrap());
    assert!(*fewest >= least && *most <= 106, "{percent:?} of {rate} per thousand seconds at {nodes} nodes");
}

fn assumed() -> Limit {
    Limit { limit: RateLimit::Bucket { burst: 60, refill_per_second: 5 }, source: LimitSource::Assumed }
}

#[test]
fn what_is_told_is_used_in_full() {
    gets(96, told(60, 5), 60, 5000, 1);
    gets(96, told(1, 1), 1, 1000, 1);
}

#[test]
fn what_is_told_too_high_is_found_out() {
    gets(85, told(60, 5), 10, 5000, 1);
    gets(85, told(60, 5), 20, 2000, 1);
    gets(85, told(60, 5), 60, 1000, 1);
    gets(85, told(60, 25), 60, 500, 1);
    gets(85, unlimited(), 10, 3000, 1);
}

#[test]
fn a_bucket_of_one_token_is_found_out() {
    gets(85, told(80, 25), 1, 1000, 1);
    gets(85, told(80, 25), 2, 1000, 1);
    // Requests overtake each other by more than the time of a token.
    gets(65, told(80, 25), 1, 5000, 1);
}

#[test]
fn a_limit_far_below_what_is_told_is_found_out() {
    gets(85, told(60, 5), 5, 20, 1);
    gets(85, told(60, 25), 5, 20, 1);
    gets(85, unlimited(), 5, 20, 1);
}

#[test]
fn a_limit_that_nobody_told_is_found() {
    gets(85, assumed(), 60, 5000, 1);
    gets(85, assumed(), 40, 12_000, 1);
}

#[test]
fn several_nodes_give_more_than_was_told() {
    gets(70, told(20, 4), 20, 4000, 2);
    gets(70, told(20, 4), 20, 4000, 3);
}
