//! When the next run is: five cron fields in a time zone.
//!
//! A schedule means the wall clock. Where the clock jumps forward, a time that does not exist runs at the end of the
//! gap; where it is set back, a fixed time runs once, at its first occurrence, and an interval (`*/30`) runs on
//! through both hours. Lists and ranges of times (`0 2,14 * * *`) are fixed times, each by itself.

//!
//! [`Schedule`] is the times alone; an [`Agenda`] is what a plan does about them: jitter, closed hours, missed times,
//! overlaps and pauses. Whether a plan should have succeeded again is a question of its own: [`overdue()`].

mod agenda;
mod cron;
mod error;
mod overdue;
mod pause;

pub use agenda::{Agenda, Due, PassedOver, Standing, Step};
pub use cron::{Schedule, time_zones, zone_of};
pub use error::ScheduleError;
pub use overdue::{Overdue, overdue};
pub use pause::paused_until;
