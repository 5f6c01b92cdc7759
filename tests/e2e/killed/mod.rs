//! Killed anywhere: the real process, at every named point and at random moments, while files change, runs run and
//! limits are hit. After each kill the invariants hold, and what comes next finishes the work.
//!
//! `XOPERO_KILLS=10000 cargo test --test e2e killed_anywhere_for_long -- --ignored` goes on for long; what fails says
//! its seed, which `XOPERO_KILLS_SEED` takes. Moments are counted in requests and lines, so a seed repeats what is done
//! and roughly when, and never the schedule of threads.

mod companion;
mod dice;
mod estate;
mod inquest;
mod keeping;
mod life;
mod moments;
mod points;

pub use keeping::end_all_leases;
