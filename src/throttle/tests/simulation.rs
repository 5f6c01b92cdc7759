//! Whole estates, made up from seeds: what must hold whatever happens.
//!
//! - No request goes to an account that rests, or with a credential that was rejected, also if it was granted before.
//! - An account whose limit is known and that nobody else uses is never refused, unless more was tried.
//! - No account is refused more than `belief.rs` proves, with those under way when a rest begins, whatever was told and
//!   whoever else uses it.
//! - No more requests are under way than have room.
//! - Nobody waits for a token that is there.
//! - Nobody is told to wait longer for budget than a token takes, unless the account was refused: what is under way, and
//!   for how long, does not matter.
//! - Runs take turns at an account, and in a run the oldest task comes first.
//! - Every task ends.
//!
//! `XOPERO_SIMULATION_SEEDS=1000000 cargo test --release --lib a_million_estates -- --ignored` runs as many as named;
//! `XOPERO_SIMULATION_FIRST=4711` begins at that seed. A failure names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::estate::Estate;

fn estates(first: u64, count: u64) {
    for seed in first..first + count {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| Estate::new(seed).live())) {
            println!("the estate of seed {seed} failed (XOPERO_SIMULATION_FIRST={seed})");
            resume_unwind(panic);
        }
    }
}

#[test]
fn thousands_of_estates_hold() {
    estates(0, 2000);
}

#[test]
#[ignore = "takes minutes: run it in release after a change to this module"]
#[expect(clippy::disallowed_methods, reason = "what is measured on demand is said in the environment")]
fn a_million_estates_hold() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("XOPERO_SIMULATION_FIRST").unwrap_or(0);
    estates(first, number("XOPERO_SIMULATION_SEEDS").unwrap_or(1_000_000));
}
