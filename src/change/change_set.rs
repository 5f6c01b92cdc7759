//! From applied to declared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::note::notes;
use super::plan_id::Touched;
use super::risk::{findings, rails};
use super::{Note, PlanId, Rail, Resource, Risk, Value, resources};
use crate::model::{Address, Applied, Declaration, Generation};

/// What happens to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is new.
    Create,
    /// Some of its attributes change.
    Update,
    /// A plan that is no longer in the file: no more runs, its backups are kept.
    Retire,
    /// Anything else that is no longer in the file: it is forgotten here. Backups are kept.
    Remove,
    /// It stays as it is.
    Keep,
}

impl Action {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Retire => "retire",
            Self::Remove => "remove",
            Self::Keep => "keep",
        }
    }
}

/// One attribute that changes. Not both sides are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeChange {
    /// Its path inside the resource.
    pub path: String,
    /// What is in force.
    pub before: Option<Value>,
    /// What is declared.
    pub after: Option<Value>,
}

/// What happens to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The address.
    pub address: Address,
    /// What happens to it.
    pub action: Action,
    /// The attributes that change, by path. Those of a resource that leaves are not listed.
    pub attributes: Vec<AttributeChange>,
    /// Number of attributes that stay as they are.
    pub unchanged: usize,
    /// How dangerous it is.
    pub risk: Risk,
    /// Why.
    pub reasons: Vec<String>,
}

/// How many addresses see which action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// To create.
    pub add: usize,
    /// To update.
    pub change: usize,
    /// To retire.
    pub retire: usize,
    /// To remove.
    pub remove: usize,
}

/// What leads from the applied state to a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// Every address of both sides, sorted.
    pub changes: Vec<Change>,
    /// What people should know. They do not belong to what is approved.
    pub notes: Vec<Note>,
    /// What asks for approval.
    pub rails: Vec<Rail>,
    /// The name of what happens.
    pub plan_id: PlanId,
    /// The generation it starts from.
    pub based_on: Option<Generation>,
}

impl ChangeSet {
    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| change.action == Action::Keep)
    }

    /// Whether it takes effect only with an approval.
    pub fn needs_approval(&self) -> bool {
        !self.rails.is_empty()
    }

    /// How many addresses see which action.
    pub fn counts(&self) -> Counts {
        let count = |action: Action| self.changes.iter().filter(|change| change.action == action).count();
        Counts {
            add: count(Action::Create),
            change: count(Action::Update),
            retire: count(Action::Retire),
            remove: count(Action::Remove),
        }
    }
}

/// Compares what is applied with what is declared. `now` matters to the notes only.
pub fn change_set(applied: Option<&Applied>, declared: &Declaration, now: Timestamp) -> ChangeSet {
    let nothing = Declaration::default();
    let in_force = applied.map_or(&nothing, |applied| &applied.declaration);
    let (before, after) = (resources(in_force), resources(declared));
    let findings = findings(in_force, declared);
    let rails = rails(&findings, in_force, declared);

    let addresses: BTreeSet<&Address> = before.keys().chain(after.keys()).collect();
    let mut changes: Vec<Change> =
        addresses.into_iter().map(|address| compare(address, before.get(address), after.get(address))).collect();
    for change in changes.iter_mut().filter(|change| change.action != Action::Keep) {
        for finding in findings.get(&change.address).into_iter().flatten() {
            change.risk = change.risk.max(finding.risk);
            change.reasons.push(finding.reason.clone());
        }
    }
    let touched: Vec<Touched<'_>> = changes
        .iter()
        .filter(|change| change.action != Action::Keep)
        .map(|change| Touched::new(change, before.get(&change.address), after.get(&change.address)))
        .collect();
    let plan_id = PlanId::of(applied.map(|applied| applied.lineage), &touched, &rails);
    ChangeSet {
        notes: notes(declared, now),
        rails,
        plan_id,
        based_on: applied.map(|applied| applied.generation),
        changes,
    }
}

fn compare(address: &Address, before: Option<&Resource>, after: Option<&Resource>) -> Change {
    let none = BTreeMap::new();
    let old = before.map_or(&none, |resource| &resource.attributes);
    let new = after.map_or(&none, |resource| &resource.attributes);
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let (same, different): (Vec<&String>, Vec<&String>) =
        paths.into_iter().partition(|path| old.get(*path) == new.get(*path));
    let action = match (before, after) {
        (None, _) => Action::Create,
        (Some(_), None) if address.kind() == "plan" => Action::Retire,
        (Some(_), None) => Action::Remove,
        (Some(_), Some(_)) if different.is_empty() => Action::Keep,
        (Some(_), Some(_)) => Action::Update,
    };
    let attribute = |path: &String| AttributeChange {
        path: path.clone(),
        before: old.get(path).cloned(),
        after: new.get(path).cloned(),
    };
    let attributes = match action {
        Action::Create | Action::Update => different.into_iter().map(attribute).collect(),
        Action::Retire | Action::Remove | Action::Keep => Vec::new(),
    };
    Change {
        address: address.clone(),
        action,
        attributes,
        unchanged: same.len(),
        risk: Risk::Safe,
        reasons: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::{RailKind, sample};
    use super::*;
    use crate::model::{BaseUrl, Declaration, Place, PlanRetention};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn from_sample(edit: impl FnOnce(&mut Declaration)) -> ChangeSet {
        let before = sample::declaration();
        let mut after = before.clone();
        edit(&mut after);
        change_set(Some(&sample::applied(before)), &after, NOW)
    }

    fn touched(set: &ChangeSet) -> Vec<(&str, Action, Risk)> {
        let changes = set.changes.iter().filter(|change| change.action != Action::Keep);
        changes.map(|change| (change.address.as_str(), change.action, change.risk)).collect()
    }

    fn kinds(set: &ChangeSet) -> Vec<RailKind> {
        set.rails.iter().map(|rail| rail.kind).collect()
    }

    #[test]
    fn a_first_apply_creates_everything_and_needs_no_approval() {
        let set = change_set(None, &sample::declaration(), NOW);
        assert_eq!(set.counts(), Counts { add: 9, ..Counts::default() });
        assert!(!set.needs_approval() && !set.is_empty() && set.based_on.is_none());
        assert!(set.changes.iter().all(|change| change.risk == Risk::Safe));
    }

    #[test]
    fn enabling_a_credential_is_a_safe_update_of_the_plan() {
        let set = from_sample(|after| {
            let plan = after.plans.values_mut().next().unwrap();
            let enabled = &mut plan.projects.values_mut().next().unwrap().enabled_credentials;
            enabled.push("extra-2".parse().unwrap());
        });
        assert_eq!(touched(&set), [("plan/nightly", Action::Update, Risk::Safe)]);
        let change = set.changes.iter().find(|change| change.action == Action::Update).unwrap();
        assert_eq!(change.unchanged, 11);
        assert_eq!(
            change.attributes,
            [AttributeChange {
                path: "project.PAY.enable-credentials".into(),
                before: Some(Value::set(["extra-1"])),
                after: Some(Value::set(["extra-1", "extra-2"])),
            }]
        );
    }

    #[test]
    fn what_vanishes_is_retired_or_forgotten() {
        let set = from_sample(|after| {
            after.plans.clear();
            after.destinations.clear();
        });
        assert_eq!(
            touched(&set),
            [("destination/nas", Action::Remove, Risk::Notice), ("plan/nightly", Action::Retire, Risk::Guarded)]
        );
        assert_eq!(kinds(&set), [RailKind::PlanLeaves]);
    }

    #[test]
    fn keeping_less_is_guarded_and_keeping_more_is_not() {
        let retention = |edit: fn(&mut crate::model::Retention)| {
            from_sample(|after| edit(after.retentions.values_mut().next().unwrap()))
        };
        for tighter in [
            retention(|r| r.keep.daily = 13),
            retention(|r| r.keep.last = 0),
            retention(|r| r.grace = Duration::from_secs(1)),
        ] {
            assert_eq!(kinds(&tighter), [RailKind::TightenedRetention]);
            assert_eq!(touched(&tighter), [("retention/gfs", Action::Update, Risk::Guarded)]);
        }
        let wider = retention(|r| r.keep.hourly = 5);
        assert_eq!(touched(&wider), [("retention/gfs", Action::Update, Risk::Safe)]);
    }

    #[test]
    fn a_plan_that_changes_to_a_tighter_retention_is_guarded() {
        let set = from_sample(|after| {
            let mut own = after.retentions.values().next().unwrap().clone();
            own.keep.daily = 1;
            after.plans.values_mut().next().unwrap().retention = PlanRetention::Own(own);
        });
        assert_eq!(touched(&set), [("plan/nightly", Action::Update, Risk::Guarded)]);
        let same = from_sample(|after| {
            let own = after.retentions.values().next().unwrap().clone();
            after.plans.values_mut().next().unwrap().retention = PlanRetention::Own(own);
        });
        assert_eq!(touched(&same), [("plan/nightly", Action::Update, Risk::Safe)]);
    }

    #[test]
    fn a_moved_server_is_guarded_and_a_moved_destination_is_told() {
        let set = from_sample(|after| {
            after.servers.values_mut().next().unwrap().url = BaseUrl::new("https://evil.example.com").unwrap();
            after.destinations.values_mut().next().unwrap().place = Place::Local { path: "/other".into() };
        });
        assert_eq!(
            touched(&set),
            [("destination/nas", Action::Update, Risk::Notice), ("server/bb", Action::Update, Risk::Guarded)]
        );
        assert_eq!(kinds(&set), [RailKind::ServerMoved]);
        assert!(set.rails[0].message.contains("evil.example.com"));
    }

    #[test]
    fn many_plans_that_leave_are_a_rail_of_their_own() {
        let leave = |total: usize, leaving: usize| {
            let mut before = sample::declaration();
            let plan = before.plans.values().next().unwrap().clone();
            before.plans = (0..total).map(|n| (format!("plan-{n:02}").parse().unwrap(), plan.clone())).collect();
            let mut after = before.clone();
            after.plans = before.plans.clone().into_iter().skip(leaving).collect();
            kinds(&change_set(Some(&sample::applied(before)), &after, NOW))
        };
        assert_eq!(leave(10, 4), [RailKind::PlanLeaves, RailKind::ManyPlansLeave]);
        assert_eq!(leave(10, 3), [RailKind::PlanLeaves]);
        assert_eq!(leave(2, 2), [RailKind::PlanLeaves]);
    }

    #[test]
    fn time_and_generation_are_no_part_of_the_id() {
        let before = sample::applied(sample::declaration());
        let mut later = before.clone();
        later.generation = Generation(99);
        let after = Declaration::default();
        let year_2030: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let id = change_set(Some(&before), &after, NOW).plan_id;
        assert_eq!(change_set(Some(&later), &after, year_2030).plan_id, id);
        assert_ne!(change_set(Some(&before), &sample::declaration(), NOW).plan_id, id);
        assert_eq!(id.as_str().to_uppercase().parse(), Ok(id));
        assert!("7f31c09ad2e".parse::<PlanId>().is_err() && "7f31c09ad2eg".parse::<PlanId>().is_err());
    }

    proptest! {
        #[test]
        fn between_equal_declarations_nothing_happens(declared in sample::declarations()) {
            let set = change_set(Some(&sample::applied(declared.clone())), &declared, NOW);
            prop_assert!(set.is_empty() && !set.needs_approval());
            prop_assert_eq!(set.counts(), Counts::default());
        }

        #[test]
        fn a_change_set_is_empty_exactly_when_the_meaning_is_the_same(
            before in sample::declarations(), after in sample::declarations(),
        ) {
            let set = change_set(Some(&sample::applied(before.clone())), &after, NOW);
            prop_assert_eq!(set.is_empty(), resources(&before) == resources(&after));
            prop_assert_eq!(set.needs_approval(), set.changes.iter().any(|change| change.risk == Risk::Guarded));
        }

        #[test]
        fn the_order_of_the_file_means_nothing(before in sample::declarations(), after in sample::declarations()) {
            let mut shuffled = after.clone();
            sample::reverse_lists(&mut shuffled);
            let applied = sample::applied(before);
            prop_assert_eq!(change_set(Some(&applied), &after, NOW), change_set(Some(&applied), &shuffled, NOW));
        }

        #[test]
        fn an_id_names_one_change(
            before in sample::declarations(), one in sample::declarations(), two in sample::declarations(),
        ) {
            let applied = sample::applied(before);
            let (first, second) = (change_set(Some(&applied), &one, NOW), change_set(Some(&applied), &two, NOW));
            prop_assert_eq!(first.plan_id == second.plan_id, resources(&one) == resources(&two));
        }

        #[test]
        fn every_address_of_both_sides_is_listed(before in sample::declarations(), after in sample::declarations()) {
            let set = change_set(Some(&sample::applied(before.clone())), &after, NOW);
            let (old, new) = (resources(&before), resources(&after));
            let listed: BTreeSet<&Address> = set.changes.iter().map(|change| &change.address).collect();
            prop_assert_eq!(listed, old.keys().chain(new.keys()).collect());
            for change in &set.changes {
                let leaves = matches!(change.action, Action::Retire | Action::Remove);
                prop_assert_eq!(leaves, !new.contains_key(&change.address));
                prop_assert_eq!(change.action == Action::Create, !old.contains_key(&change.address));
                prop_assert!(!leaves || change.risk >= Risk::Notice);
            }
        }
    }
}
