//! Killed anywhere: the real process, at every named point and at random moments, while files change, runs run and
//! limits are hit. After each kill the invariants hold, and what comes next finishes the work.
//!
//! All of it on SQLite, and on the server that `XOPERO_TEST_POSTGRES` names, where a second host takes part.
//!
//! `XOPERO_KILLS=10000 cargo test --test e2e killed_anywhere_for_long -- --ignored` goes on for long, and
//! `killed_anywhere_on_a_server_for_long` does on a server. Both say their seed, as does what fails;
//! `XOPERO_KILLS_SEED` takes it. Moments are counted in requests and lines, so a seed repeats what is done and roughly
//! when, and never the schedule of threads.

mod companion;
mod dice;
mod estate;
mod inquest;
mod keeping;
mod life;
mod moments;
mod points;

pub use keeping::end_all_leases;
