//! Until when a plan is paused.

use jiff::Timestamp;

use super::zone_of;
use crate::model::BackupPlan;

/// The instant from which on the schedule of a paused plan is followed again: a pause with a last day is over when that
/// day begins where the schedule is read, one without ends never, which is [`Timestamp::MAX`].
pub fn paused_until(plan: &BackupPlan) -> Option<Timestamp> {
    let pause = plan.paused.as_ref()?;
    let zone = zone_of(plan.schedule.as_ref().map(|timetable| &timetable.cron));
    let begins = pause.until.and_then(|day| day.to_zoned(zone).ok());
    Some(begins.map_or(Timestamp::MAX, |begins| begins.timestamp()))
}
