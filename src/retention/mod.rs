//! Which snapshots stay, and why.
//!
//! [`decide()`] looks at the snapshots that one plan has of one repository in one destination, and gives the [`Fate`] of
//! each. Nothing here deletes anything: a fate is a value that people are shown before anybody acts on it.
//!
//! - A **rule** (`keep daily=14`) keeps the newest snapshot of each of its newest periods. A snapshot stays if one rule
//!   keeps it. Periods are those of the wall clock in the plan's time zone, and periods without a snapshot do not count.
//! - A snapshot **leaves** the rules when newer ones take its places, or when the rules are tightened. From then on it
//!   stays for the **grace** all the same.
//! - What is suspect or damaged takes no place of a sound snapshot, and while the newest is suspect, nothing leaves.
//! - Snapshots from the future take no places either: a clock that was wrong must not push out what is real.
//!
//! The newest sound snapshot always stays.

mod decide;
mod rule;

pub use decide::{Fate, Point, Reason, Standing, decide};
pub use rule::Rule;
