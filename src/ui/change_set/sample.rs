//! Change sets to look at.

use jiff::Timestamp;

use crate::change::{ChangeSet, change_set, sample};
use crate::model::{Declaration, Place, Sealed};

pub(super) fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

pub(super) fn after(edit: impl FnOnce(&mut Declaration)) -> ChangeSet {
    let mut declared = sample::declaration();
    edit(&mut declared);
    change_set(Some(&sample::applied(sample::declaration())), &declared, now())
}

pub(super) fn many_changes() -> ChangeSet {
    after(|declared| {
        let mut plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
        declared.projects.values_mut().next().unwrap().main.sealed = Sealed::new("another");
        declared.retentions.values_mut().next().unwrap().keep.daily = 7;
        declared.destinations.values_mut().next().unwrap().place = Place::Local { path: "/a\u{1b}[2J".into() };
        let planned = plan.projects.values_mut().next().unwrap();
        planned.include = (0..12).map(|n| format!("component-{n:02}-*").try_into().unwrap()).collect();
        plan.schedule = None;
        declared.plans.insert("hot".parse().unwrap(), plan);
    })
}
