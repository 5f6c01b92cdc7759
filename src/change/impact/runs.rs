//! When a plan runs next.

use jiff::civil::Date;
use jiff::{Timestamp, Zoned};

use super::Effect;
use crate::model::BackupPlan;
use crate::schedule::Schedule;

/// Runs that are shown on either side.
const SHOWN: usize = 3;

/// The next runs on both sides, if they differ. A plan that never ran by itself and does not begin to has none.
pub(super) fn runs(before: Option<&BackupPlan>, after: Option<&BackupPlan>, now: Timestamp) -> Option<Effect> {
    let of = |plan: Option<&BackupPlan>| plan.map(|plan| upcoming(plan, now)).unwrap_or_default();
    let (before, after) = (of(before), of(after));
    (before != after).then_some(Effect::Runs { before, after })
}

/// A pause with an end is over in the first moment of its last day. Without an end nothing comes after it.
fn upcoming(plan: &BackupPlan, now: Timestamp) -> Vec<Zoned> {
    // What cannot be read was refused before; a state of an older version is shown as far as it can be.
    let Some(schedule) = plan.schedule.as_ref().and_then(|timetable| Schedule::parse(&timetable.cron).ok()) else {
        return Vec::new();
    };
    let end = match &plan.paused {
        None => return schedule.upcoming(now, SHOWN),
        Some(pause) => pause.until,
    };
    let begins = |date: Date| -> Option<Timestamp> {
        let zone = schedule.next(now)?.time_zone().clone();
        // The last moment before the day, because the first run after it may be in its first moment.
        let midnight = date.to_zoned(zone).ok()?.timestamp();
        midnight.checked_sub(std::time::Duration::from_millis(1)).ok()
    };
    end.and_then(begins).map(|from| schedule.upcoming(from.max(now), SHOWN)).unwrap_or_default()
}
