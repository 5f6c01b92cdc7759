//! Whether a plan should have succeeded again: also if nothing ran at all.

use std::time::Duration;

use jiff::Timestamp;

use super::{Schedule, paused_until};
use crate::model::{BackupPlan, Timetable};

/// Runs that are late are told at the latest after this, and not before [`PATIENCE_LEAST`].
const PATIENCE_MOST: Duration = Duration::from_hours(12);

/// Runs take time: nobody is told earlier than this.
const PATIENCE_LEAST: Duration = Duration::from_mins(15);

/// A plan that should have succeeded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overdue {
    /// When a run was due; with a limit of the plan's own, when that was reached.
    pub due: Timestamp,
    /// The limit, if the plan has one of its own.
    pub within: Option<Duration>,
}

/// Whether a plan is overdue at `now`. `begun` is when its last success began; before the first one, it is there since
/// `known_since`. What is paused is never overdue, and nor is what has neither a schedule nor a limit.
pub fn overdue(
    plan: &BackupPlan,
    begun: Option<Timestamp>,
    known_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Overdue> {
    if paused_until(plan).is_some_and(|until| now < until) {
        return None;
    }
    let from = begun.or(known_since)?;
    if let Some(within) = plan.overdue_after {
        let due = from.saturating_add(within).ok()?;
        return (now > due).then_some(Overdue { due, within: Some(within) });
    }
    late(plan.schedule.as_ref()?, from, now).map(|due| Overdue { due, within: None })
}

/// The time at which a run was due that should have succeeded by `now`: the first after `from`.
fn late(timetable: &Timetable, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let schedule = Schedule::parse(&timetable.cron).ok()?;
    let due = schedule.next(from)?.timestamp();
    let following = schedule.next(due)?.timestamp();
    let between = Duration::try_from(following.duration_since(due)).unwrap_or_default();
    let patience = (between / 2).clamp(PATIENCE_LEAST, PATIENCE_MOST) + timetable.jitter;
    let latest = due.saturating_add(patience).ok()?;
    (now > latest).then_some(due)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::{Cron, KeepRules, Part, Pause, PlanRetention, Retention};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn plan(expression: Option<&str>) -> BackupPlan {
        let cron = |expression: &str| Cron { expression: expression.into(), time_zone: "UTC".into() };
        BackupPlan {
            projects: BTreeMap::new(),
            parts: BTreeSet::from([Part::Git]),
            destinations: BTreeSet::new(),
            retention: PlanRetention::Own(Retention { keep: KeepRules::default(), grace: Duration::ZERO }),
            schedule: expression.map(|expression| Timetable::of(cron(expression))),
            verify: None,
            guard: None,
            max_duration: None,
            overdue_after: None,
            paused: None,
        }
    }

    fn is_late(plan: &BackupPlan, now: &str) -> bool {
        overdue(plan, Some(at("2026-11-22T00:00:00Z")), None, at(now)).is_some()
    }

    #[test]
    fn patience_grows_with_the_interval_and_the_jitter() {
        let mut often = plan(Some("*/5 * * * *"));
        assert!(!is_late(&often, "2026-11-22T00:20:00Z") && is_late(&often, "2026-11-22T00:20:01Z"));
        often.schedule.as_mut().unwrap().jitter = Duration::from_mins(1);
        assert!(!is_late(&often, "2026-11-22T00:21:00Z"));
        let monthly = plan(Some("0 0 1 * *"));
        assert!(!is_late(&monthly, "2026-12-01T12:00:00Z") && is_late(&monthly, "2026-12-01T12:00:01Z"));
    }

    #[test]
    fn a_limit_of_its_own_counts_from_the_last_success_or_from_the_beginning() {
        let mut limited = plan(None);
        assert!(!is_late(&limited, "2030-01-01T00:00:00Z"), "nothing says when it should run");
        limited.overdue_after = Some(Duration::from_hours(36));
        assert!(!is_late(&limited, "2026-11-23T12:00:00Z") && is_late(&limited, "2026-11-23T12:00:01Z"));
        let first = overdue(&limited, None, Some(at("2026-11-01T00:00:00Z")), at("2026-11-22T00:00:00Z")).unwrap();
        assert_eq!((first.due, first.within), (at("2026-11-02T12:00:00Z"), limited.overdue_after));
        assert_eq!(overdue(&limited, None, None, at("2026-11-22T00:00:00Z")), None);
    }

    #[test]
    fn what_is_paused_is_not_overdue() {
        let mut paused = plan(Some("0 0 * * *"));
        assert!(is_late(&paused, "2026-11-25T00:00:00Z"));
        let until = Some("2026-12-01".parse().unwrap());
        paused.paused = Some(Pause { reason: "migration".into(), until });
        assert!(!is_late(&paused, "2026-11-25T00:00:00Z") && is_late(&paused, "2026-12-01T00:00:00Z"));
    }
}
