//! The plans in force with their times.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use crate::model::{Address, Applied, BackupPlan, PlanName, Timetable, Uid};
use crate::schedule::{Agenda, Due, ScheduleError, Standing, Step, paused_until};
use crate::state::AgendaRow;

/// A plan in force that has a schedule.
#[derive(Debug, Clone)]
pub struct ScheduledPlan<'a> {
    /// Its name.
    pub name: &'a PlanName,
    /// Its identity.
    pub uid: Uid,
    /// The plan.
    pub plan: &'a BackupPlan,
    /// Its times. What was valid when it was applied can be unreadable here: a time zone that this machine lacks.
    pub agenda: Result<Agenda, ScheduleError>,
    /// How far it has come. Absent if nobody has followed this schedule yet.
    pub row: Option<AgendaRow>,
    /// When the timetable came into force, at the latest.
    since: Timestamp,
}

impl ScheduledPlan<'_> {
    /// What is remembered of the timetable: other times are another timetable.
    pub fn timetable(&self) -> String {
        self.plan.schedule.as_ref().map(times).unwrap_or_default()
    }

    /// How it stands at `now`, for somebody who is there to begin runs since `awake_since`.
    pub fn standing(&self, now: Timestamp, awake_since: Timestamp) -> Standing {
        // Who follows a schedule for the first time does not make up for what was before. The times of another
        // timetable are not those of this one.
        let dealt_with = match &self.row {
            Some(row) if row.timetable == self.timetable() => row.dealt_with,
            Some(row) => row.dealt_with.max(self.since),
            None => now,
        };
        Standing { dealt_with, under_way: false, held: false, paused_until: paused_until(self.plan), awake_since }
    }
}

fn times(timetable: &Timetable) -> String {
    format!("{} {}", timetable.cron.expression, timetable.cron.time_zone)
}

/// The plans in force that have a schedule, by their names.
pub fn scheduled<'a>(applied: &'a Applied, rows: &BTreeMap<Uid, AgendaRow>) -> Vec<ScheduledPlan<'a>> {
    let plans = applied.declaration.plans.iter().filter_map(|(name, plan)| {
        let timetable = plan.schedule.as_ref()?;
        let uid = *applied.uids.get(&Address::plan(name))?;
        let (agenda, row) = (Agenda::new(timetable, uid), rows.get(&uid).cloned());
        Some(ScheduledPlan { name, uid, plan, agenda, row, since: applied.applied_at })
    });
    plans.collect()
}

/// When a plan runs next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextRuns {
    /// The plan.
    pub plan: PlanName,
    /// Its next runs.
    pub outlook: Outlook,
}

/// What comes of a plan's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// It has none: it runs when it is started.
    ByHand,
    /// It cannot be read here.
    Unreadable {
        /// Why.
        why: String,
    },
    /// It is not followed before an end, if one is known.
    Paused {
        /// Why.
        reason: String,
        /// When it is followed again.
        until: Option<Timestamp>,
        /// The first times after that.
        then: Vec<Due>,
    },
    /// It is followed.
    Runs {
        /// A time that nothing ran at, and that is made up for.
        makes_up_for: Option<Zoned>,
        /// The times.
        times: Vec<Due>,
    },
}

/// The next `count` runs of every plan in force; the plan that begins first is the first.
pub fn next_runs(applied: &Applied, rows: &BTreeMap<Uid, AgendaRow>, count: usize, now: Timestamp) -> Vec<NextRuns> {
    let plans = scheduled(applied, rows);
    let mut all: Vec<NextRuns> =
        plans.iter().map(|plan| NextRuns { plan: plan.name.clone(), outlook: outlook(plan, count, now) }).collect();
    let by_hand = applied.declaration.plans.iter().filter(|(_, plan)| plan.schedule.is_none());
    all.extend(by_hand.map(|(name, _)| NextRuns { plan: name.clone(), outlook: Outlook::ByHand }));
    all.sort_by_key(|next| first(&next.outlook, now));
    all
}

fn outlook(plan: &ScheduledPlan<'_>, count: usize, now: Timestamp) -> Outlook {
    let agenda = match &plan.agenda {
        Ok(agenda) => agenda,
        Err(error) => return Outlook::Unreadable { why: error.to_string() },
    };
    if let (Some(until), Some(pause)) = (paused_until(plan.plan).filter(|until| now < *until), &plan.plan.paused) {
        let until = (until < Timestamp::MAX).then_some(until);
        let then = until.map(|until| agenda.upcoming(just_before(until), count)).unwrap_or_default();
        return Outlook::Paused { reason: pause.reason.clone(), until, then };
    }
    let standing = plan.standing(now, Timestamp::MIN);
    let makes_up_for = match agenda.step(&standing, now) {
        Step::Begin { scheduled, .. } => Some(scheduled),
        Step::Wait { .. } | Step::PassOver { .. } | Step::Hold => None,
    };
    Outlook::Runs { makes_up_for, times: agenda.upcoming(now, count) }
}

/// A time in the first moment after a pause is not in it any more.
fn just_before(until: Timestamp) -> Timestamp {
    until.saturating_sub(Duration::from_millis(1)).unwrap_or(until)
}

/// When something begins: what will never begin by itself is the last.
fn first(outlook: &Outlook, now: Timestamp) -> Timestamp {
    let of = |times: &[Due]| times.first().map_or(Timestamp::MAX, |due| due.begins);
    match outlook {
        Outlook::Runs { makes_up_for: Some(_), .. } => now,
        Outlook::Runs { makes_up_for: None, times } | Outlook::Paused { then: times, .. } => of(times),
        Outlook::ByHand | Outlook::Unreadable { .. } => Timestamp::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::{Cron, Pause};

    #[test]
    fn what_is_shown_after_a_pause_is_what_begins_after_it() {
        let mut declaration = sample::declaration();
        let name = declaration.plans.keys().next().unwrap().clone();
        let plan = declaration.plans.get_mut(&name).unwrap();
        plan.schedule = Some(Timetable::of(Cron { expression: "0 0 * * *".into(), time_zone: "UTC".into() }));
        plan.paused = Some(Pause { reason: "moving".into(), until: Some(jiff::civil::date(2026, 12, 1)) });
        let applied = sample::applied(declaration);
        let (now, first): (Timestamp, Timestamp) =
            ("2026-11-22T12:00:00Z".parse().unwrap(), "2026-12-01T00:00:00Z".parse().unwrap());
        let all = next_runs(&applied, &BTreeMap::new(), 1, now);
        let Outlook::Paused { then, .. } = &all.iter().find(|next| next.plan == name).unwrap().outlook else {
            panic!("{all:?}")
        };
        assert_eq!(then[0].begins, first);
        let plans = scheduled(&applied, &BTreeMap::new());
        let plan = plans.iter().find(|plan| *plan.name == name).unwrap();
        let standing = Standing { dealt_with: "2026-11-30T00:00:00Z".parse().unwrap(), ..plan.standing(now, now) };
        let step = plan.agenda.as_ref().unwrap().step(&standing, first);
        assert!(matches!(step, Step::Begin { late: false, .. }), "{step:?}");
    }
}
