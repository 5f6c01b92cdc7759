//! When the next run is: five cron fields in a time zone.
//!
//! A schedule means the wall clock. Where the clock jumps forward, a time that does not exist runs at the end of the
//! gap; where it is set back, a fixed time runs once, at its first occurrence, and an interval (`*/30`) runs on
//! through both hours. Lists and ranges of times (`0 2,14 * * *`) are fixed times, each by itself.

mod cron;
mod error;

pub use cron::{Schedule, time_zones, zone_of};
pub use error::ScheduleError;
