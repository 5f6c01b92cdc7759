//! What a change set says, and the laws that hold for every one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::model::{
    Address, Applied, BaseUrl, Declaration, Generation, Guard, Percent, Place, PlanName, PlanRetention, Sealed,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn plan_at(applied: Option<&Applied>, declared: &Declaration, now: Timestamp) -> ChangeSet {
    change_set(applied, declared, &Known::default(), now)
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn moved(declared: &mut Declaration, from: &str, to: &str) {
    declared.moved.insert(address(from), address(to));
}

fn rail(set: &ChangeSet, kind: RailKind) -> &Rail {
    set.rails.iter().find(|rail| rail.kind == kind).unwrap_or_else(|| panic!("no {kind:?} in {:?}", set.rails))
}

/// The sample with ten plans, `plan-00` and so on.
fn ten_plans() -> Declaration {
    let mut declared = sample::declaration();
    let plan = declared.plans.values().next().unwrap().clone();
    declared.plans = (0..10).map(|n| (format!("plan-{n:02}").parse().unwrap(), plan.clone())).collect();
    declared
}

fn from_sample(edit: impl FnOnce(&mut Declaration)) -> ChangeSet {
    let before = sample::declaration();
    let mut after = before.clone();
    edit(&mut after);
    plan_at(Some(&sample::applied(before)), &after, NOW)
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
    let set = plan_at(None, &sample::declaration(), NOW);
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
            content: None,
        }]
    );
}

#[test]
fn what_vanishes_is_retired_or_forgotten() {
    let set = from_sample(|after| {
        let plan = after.plans.remove(&"nightly".parse().unwrap()).unwrap();
        after.plans.insert("other".parse().unwrap(), plan);
        after.projects.values_mut().next().unwrap().additional.clear();
        after
            .plans
            .values_mut()
            .flat_map(|plan| plan.projects.values_mut())
            .for_each(|p| p.enabled_credentials.clear());
    });
    assert_eq!(
        touched(&set),
        [
            ("credential/PAY/extra-1", Action::Remove, Risk::Notice),
            ("credential/PAY/extra-2", Action::Remove, Risk::Notice),
            ("plan/nightly", Action::Retire, Risk::Guarded),
            ("plan/other", Action::Create, Risk::Safe),
        ]
    );
    assert_eq!(kinds(&set), [RailKind::PlanLeaves]);
}

#[test]
fn a_plan_that_leaves_is_told_with_the_nodes_that_make_it_meant() {
    let set = from_sample(|after| {
        let plan = after.plans.remove(&"nightly".parse().unwrap()).unwrap();
        after.plans.insert("every-night".parse().unwrap(), plan);
    });
    let lines: Vec<&String> = rail(&set, RailKind::PlanLeaves).ways.iter().flat_map(|way| &way.lines).collect();
    assert_eq!(
        lines,
        [r#"moved "plan/nightly" to="plan/every-night""#, r#"retired "plan/nightly" { backups "keep"; }"#],
        "a plan over the same projects may be the same plan"
    );
}

#[test]
fn a_retired_plan_needs_no_approval() {
    let mut before = sample::declaration();
    let hot = before.plans.values().next().unwrap().clone();
    before.plans.insert("hot".parse().unwrap(), hot);
    let mut after = before.clone();
    after.plans.remove(&"nightly".parse().unwrap());
    after.retired.insert(address("plan/nightly"));
    let set = plan_at(Some(&sample::applied(before)), &after, NOW);
    assert_eq!(touched(&set), [("plan/nightly", Action::Retire, Risk::Notice)]);
    assert!(!set.needs_approval());
    let again = plan_at(Some(&sample::applied(after.clone())), &after, NOW);
    assert!(again.is_empty());
    let note = again.notes.iter().find(|note| note.kind == NoteKind::MatchesNothing).unwrap();
    assert_eq!(note.address, address("plan/nightly"));
}

#[test]
fn a_file_without_plans_changes_nothing_until_all_of_them_are_retired() {
    let empty = from_sample(|after| after.plans.clear());
    let refused = rail(&empty, RailKind::NoPlans);
    assert_eq!((refused.risk, empty.is_refused()), (Risk::Refused, true));
    assert!(refused.message.contains("1 plan is in force"), "{}", refused.message);
    let meant = from_sample(|after| {
        after.plans.clear();
        after.retired.insert(address("plan/nightly"));
    });
    assert_eq!(kinds(&meant), []);
    assert!(!plan_at(None, &Declaration::default(), NOW).needs_approval(), "nothing is in force");
}

#[test]
fn a_moved_plan_is_the_same_plan() {
    let set = from_sample(|after| {
        let mut plan = after.plans.remove(&"nightly".parse().unwrap()).unwrap();
        plan.schedule = None;
        after.plans.insert("every-night".parse().unwrap(), plan);
        moved(after, "plan/nightly", "plan/every-night");
    });
    assert_eq!(touched(&set), [("plan/every-night", Action::Move, Risk::Safe)]);
    let change = set.changes.iter().find(|change| change.action == Action::Move).unwrap();
    assert_eq!(change.moved_from, Some(address("plan/nightly")));
    let paths: Vec<&str> = change.attributes.iter().map(|attribute| attribute.path.as_str()).collect();
    assert!(paths.iter().all(|path| path.starts_with("schedule")) && !paths.is_empty(), "{paths:?}");
    assert!(!set.needs_approval());
    assert_eq!(set.origins(), BTreeMap::from([(&address("plan/every-night"), &address("plan/nightly"))]));
}

#[test]
fn what_refers_to_something_moved_does_not_change() {
    let set = from_sample(|after| {
        let destination = after.destinations.remove(&"nas".parse().unwrap()).unwrap();
        after.destinations.insert("vault".parse().unwrap(), destination);
        let retention = after.retentions.remove(&"gfs".parse().unwrap()).unwrap();
        after.retentions.insert("long".parse().unwrap(), retention);
        let server = after.servers.remove(&"bb".parse().unwrap()).unwrap();
        after.servers.insert("bitbucket".parse().unwrap(), server);
        let mut project = after.projects.remove(&"PAY".parse().unwrap()).unwrap();
        project.server = "bitbucket".parse().unwrap();
        let extra = project.additional.remove(&"extra-1".parse().unwrap()).unwrap();
        project.additional.insert("first".parse().unwrap(), extra);
        after.projects.insert("MONEY".parse().unwrap(), project);
        let plan = after.plans.values_mut().next().unwrap();
        plan.destinations = BTreeSet::from(["vault".parse().unwrap()]);
        plan.retention = PlanRetention::Named("long".parse().unwrap());
        let mut planned = plan.projects.remove(&"PAY".parse().unwrap()).unwrap();
        planned.enabled_credentials = vec!["first".parse().unwrap()];
        plan.projects.insert("MONEY".parse().unwrap(), planned);
        for (from, to) in [
            ("destination/nas", "destination/vault"),
            ("retention/gfs", "retention/long"),
            ("server/bb", "server/bitbucket"),
            ("project/PAY", "project/MONEY"),
        ] {
            moved(after, from, to);
        }
    });
    // The name of a credential is told by the project that it is in by then.
    let moves: Vec<&str> = set
        .changes
        .iter()
        .filter(|change| change.action == Action::Move)
        .map(|change| change.address.as_str())
        .collect();
    assert_eq!(moves, ["destination/vault", "project/MONEY", "retention/long", "server/bitbucket"]);
    let plan = set.changes.iter().find(|change| change.address == address("plan/nightly")).unwrap();
    let paths: Vec<&str> = plan.attributes.iter().map(|attribute| attribute.path.as_str()).collect();
    assert_eq!(paths, ["project.MONEY.enable-credentials"]);

    let renamed = from_sample(|after| {
        let project = after.projects.values_mut().next().unwrap();
        let extra = project.additional.remove(&"extra-1".parse().unwrap()).unwrap();
        project.additional.insert("first".parse().unwrap(), extra);
        let plan = after.plans.values_mut().next().unwrap();
        plan.projects.values_mut().next().unwrap().enabled_credentials = vec!["first".parse().unwrap()];
        moved(after, "credential/PAY/extra-1", "credential/PAY/first");
    });
    assert_eq!(touched(&renamed), [("credential/PAY/first", Action::Move, Risk::Safe)]);
}

#[test]
fn moves_chain_and_those_that_are_done_are_told() {
    let rename = |to: &str, moves: &[(&str, &str)]| {
        let mut after = sample::declaration();
        let plan = after.plans.remove(&"nightly".parse().unwrap()).unwrap();
        after.plans.insert(to.parse().unwrap(), plan);
        for (from, to) in moves {
            moved(&mut after, &format!("plan/{from}"), &format!("plan/{to}"));
        }
        after
    };
    let after = rename("c", &[("nightly", "b"), ("b", "c")]);
    let set = plan_at(Some(&sample::applied(sample::declaration())), &after, NOW);
    assert_eq!(touched(&set), [("plan/c", Action::Move, Risk::Safe)]);
    assert!(set.notes.iter().all(|note| note.kind != NoteKind::MatchesNothing), "both links are in use");

    let again = plan_at(Some(&sample::applied(after.clone())), &after, NOW);
    assert!(again.is_empty() && !again.needs_approval());
    let done = again.notes.iter().filter(|note| note.kind == NoteKind::MatchesNothing);
    let done: Vec<&str> = done.map(|note| note.address.as_str()).collect();
    assert_eq!(done, ["plan/b", "plan/nightly"]);
}

#[test]
fn moves_that_cannot_be_meant_are_refused() {
    let refused = |edit: &dyn Fn(&mut Declaration), expected: &str| {
        let mut before = ten_plans();
        before.plans = before.plans.into_iter().take(3).collect();
        let mut after = before.clone();
        edit(&mut after);
        let set = plan_at(Some(&sample::applied(before)), &after, NOW);
        let rail = rail(&set, RailKind::MoveConflict);
        assert!(set.is_refused() && rail.message.contains(expected), "{}", rail.message);
    };
    let take = |after: &mut Declaration, name: &str| after.plans.remove(&name.parse().unwrap()).unwrap();
    refused(
        &|after| {
            take(after, "plan-00");
            moved(after, "plan/plan-00", "plan/x");
            moved(after, "plan/x", "plan/plan-00");
        },
        "circle",
    );
    refused(
        &|after| {
            let plan = take(after, "plan-00");
            take(after, "plan-01");
            after.plans.insert("one".parse().unwrap(), plan);
            moved(after, "plan/plan-00", "plan/one");
            moved(after, "plan/plan-01", "plan/one");
        },
        "two would become one",
    );
    refused(&|after| moved(after, "plan/plan-00", "plan/plan-01"), "still declared");
    refused(
        &|after| {
            take(after, "plan-00");
            moved(after, "plan/plan-00", "plan/plan-01");
        },
        "in force already",
    );
    refused(
        &|after| {
            take(after, "plan-00");
            moved(after, "plan/plan-00", "plan/nowhere");
        },
        "not declared",
    );
    refused(
        &|after| {
            take(after, "plan-00");
            moved(after, "plan/plan-00", "retention/gfs");
        },
        "not of its kind",
    );
}

#[test]
fn a_plan_may_be_retired_under_the_name_it_was_moved_to() {
    let mut before = ten_plans();
    before.plans = before.plans.into_iter().take(2).collect();
    let mut after = before.clone();
    after.plans.remove(&"plan-00".parse().unwrap());
    moved(&mut after, "plan/plan-00", "plan/old");
    after.retired.insert(address("plan/old"));
    let set = plan_at(Some(&sample::applied(before)), &after, NOW);
    assert_eq!(touched(&set), [("plan/plan-00", Action::Retire, Risk::Notice)]);
    assert!(!set.needs_approval());
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
fn a_server_with_another_address_is_refused_until_everything_is_sealed_for_it() {
    let elsewhere = |after: &mut Declaration| {
        after.servers.values_mut().next().unwrap().url = BaseUrl::new("https://evil.example.com").unwrap();
    };
    let set = from_sample(elsewhere);
    let refused = rail(&set, RailKind::SealedElsewhere);
    assert!(refused.message.starts_with("3 credentials are sealed for https://bitbucket.example.com"));
    assert!(refused.message.contains("https://evil.example.com") && set.is_refused());
    assert_eq!(
        refused.ways[0].lines,
        [
            "xopero credential add PAY --account svc-backup",
            "xopero credential add PAY extra-1 --account svc-extra-1",
            "xopero credential add PAY extra-2 --account svc-extra-2",
        ]
    );
    let sealed_anew = from_sample(|after| {
        elsewhere(after);
        let project = after.projects.values_mut().next().unwrap();
        for credential in project.additional.values_mut().chain([&mut project.main]) {
            credential.sealed = Sealed::new(format!("{} anew", credential.account));
        }
    });
    assert_eq!(kinds(&sealed_anew), [RailKind::ServerMoved]);
    assert!(!sealed_anew.is_refused());
}

#[test]
fn a_project_on_another_server_is_refused_until_its_credentials_are_sealed_for_it() {
    let set = from_sample(|after| {
        let mut other = after.servers.values().next().unwrap().clone();
        other.url = BaseUrl::new("https://other.example.com").unwrap();
        after.servers.insert("other".parse().unwrap(), other);
        after.projects.values_mut().next().unwrap().server = "other".parse().unwrap();
    });
    assert_eq!(rail(&set, RailKind::SealedElsewhere).addresses, [address("project/PAY")]);
}

#[test]
fn a_destination_at_another_place_is_told() {
    let set = from_sample(|after| {
        after.destinations.values_mut().next().unwrap().place = Place::Local { path: "/other".into() };
    });
    assert_eq!(touched(&set), [("destination/nas", Action::Update, Risk::Notice)]);
}

#[test]
fn a_source_that_went_back_is_guarded_if_something_changes_by_it() {
    let step = SourceStep::Rewound { applied: "4c1d9e2".into(), found: "90ab3f7".into() };
    let known = Known { source: step, ..Known::default() };
    let applied = sample::applied(sample::declaration());
    let mut after = sample::declaration();
    assert!(!change_set(Some(&applied), &after, &known, NOW).needs_approval());
    after.recipients.pop();
    let set = change_set(Some(&applied), &after, &known, NOW);
    let rewound = rail(&set, RailKind::SourceRewound);
    assert!(rewound.message.contains("4c1d9e2") && rewound.message.contains("90ab3f7"), "{}", rewound.message);
    assert_ne!(plan_at(Some(&applied), &after, NOW).plan_id, set.plan_id, "what was approved was no rewind");
}

#[test]
fn a_guard_of_a_plan_counts_its_repositories() {
    let known = Known {
        observations: sample::listing(&["a-1", "a-2", "a-3", "b-1", "b-2", "b-3", "b-4", "b-5"]),
        ..Known::default()
    };
    let leaving = |guard: Option<u8>, exclude: &str| {
        let mut before = sample::declaration();
        before.plans.values_mut().next().unwrap().guard =
            guard.map(|share| Guard { max_repositories_removed: Percent::new(share).unwrap() });
        let mut after = before.clone();
        let planned = after.plans.values_mut().flat_map(|plan| plan.projects.values_mut()).next().unwrap();
        planned.exclude.push(exclude.to_owned().try_into().unwrap());
        // What the plan is about to allow does not count.
        after.plans.values_mut().next().unwrap().guard = None;
        change_set(Some(&sample::applied(before)), &after, &known, NOW)
    };
    let many = leaving(None, "a-*");
    assert_eq!(
        rail(&many, RailKind::RepositoriesLeave).message,
        "3 of 8 repositories leave the scope of nightly (more than 30 %): a-1, a-2, a-3"
    );
    assert_eq!(kinds(&leaving(None, "a-1")), [], "one of eight");
    assert_eq!(kinds(&leaving(Some(10), "a-1")), [RailKind::RepositoriesLeave]);
    assert_eq!(kinds(&leaving(Some(50), "a-*")), []);
}

#[test]
fn many_plans_that_leave_are_a_rail_of_their_own() {
    let leave = |total: usize, leaving: usize| {
        let mut before = sample::declaration();
        let plan = before.plans.values().next().unwrap().clone();
        before.plans = (0..total).map(|n| (format!("plan-{n:02}").parse().unwrap(), plan.clone())).collect();
        let mut after = before.clone();
        after.plans = before.plans.clone().into_iter().skip(leaving).collect();
        kinds(&plan_at(Some(&sample::applied(before)), &after, NOW))
    };
    assert_eq!(leave(10, 4), [RailKind::PlanLeaves, RailKind::ManyPlansLeave]);
    assert_eq!(leave(10, 3), [RailKind::PlanLeaves]);
    assert_eq!(leave(2, 1), [RailKind::PlanLeaves]);
    let mut after = ten_plans();
    after.plans = after.plans.into_iter().skip(4).collect();
    after.retired = (0..4).map(|n| address(&format!("plan/plan-{n:02}"))).collect();
    let set = plan_at(Some(&sample::applied(ten_plans())), &after, NOW);
    assert_eq!(kinds(&set), [RailKind::ManyPlansLeave], "also if each of them is said to be meant");
    assert!(rail(&set, RailKind::ManyPlansLeave).message.starts_with("4 of 10 plans leave"));
    after.retired.clear();
    let set = plan_at(Some(&sample::applied(ten_plans())), &after, NOW);
    let leaves = rail(&set, RailKind::PlanLeaves);
    assert_eq!(leaves.message, "no more runs; its backups are kept and nothing prunes them", "once for all of them");
    let named = "plan/plan-00, plan/plan-01, plan/plan-02, plan/plan-03: no more runs";
    assert!(leaves.line().starts_with(named), "{}", leaves.line());
    let many = Rail { addresses: (0..7).map(|n| address(&format!("plan/{n}"))).collect(), ..leaves.clone() };
    assert!(many.line().starts_with("plan/0, plan/1, plan/2, plan/3, plan/4, 2 more: no more"), "{}", many.line());
    let told = Rail { message: "plan/0 is moved twice".into(), addresses: vec![address("plan/0")], ..leaves.clone() };
    assert_eq!(told.line(), told.message, "what names it already does not name it twice");
}

#[test]
fn time_and_generation_are_no_part_of_the_id() {
    let before = sample::applied(sample::declaration());
    let mut later = before.clone();
    later.generation = Generation(99);
    let after = Declaration::default();
    let year_2030: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    let id = plan_at(Some(&before), &after, NOW).plan_id;
    assert_eq!(plan_at(Some(&later), &after, year_2030).plan_id, id);
    assert_ne!(plan_at(Some(&before), &sample::declaration(), NOW).plan_id, id);
    assert_eq!(id.as_str().to_uppercase().parse(), Ok(id));
    assert!("7f31c09ad2e".parse::<PlanId>().is_err() && "7f31c09ad2eg".parse::<PlanId>().is_err());
}

proptest! {
    #[test]
    fn between_equal_declarations_nothing_happens(declared in sample::declarations()) {
        let set = plan_at(Some(&sample::applied(declared.clone())), &declared, NOW);
        prop_assert!(set.is_empty() && !set.needs_approval());
        prop_assert_eq!(set.counts(), Counts::default());
    }

    #[test]
    fn a_change_set_is_empty_exactly_when_the_meaning_is_the_same(
        before in sample::declarations(), after in sample::declarations(),
    ) {
        let set = plan_at(Some(&sample::applied(before.clone())), &after, NOW);
        prop_assert_eq!(set.is_empty(), resources(&before) == resources(&after));
        prop_assert_eq!(set.needs_approval(), set.changes.iter().any(|change| change.risk >= Risk::Guarded));
    }

    #[test]
    fn the_order_of_the_file_means_nothing(before in sample::declarations(), after in sample::declarations()) {
        let mut shuffled = after.clone();
        sample::reverse_lists(&mut shuffled);
        let applied = sample::applied(before);
        prop_assert_eq!(plan_at(Some(&applied), &after, NOW), plan_at(Some(&applied), &shuffled, NOW));
    }

    #[test]
    fn an_id_names_one_change(
        before in sample::declarations(), one in sample::declarations(), two in sample::declarations(),
    ) {
        let applied = sample::applied(before);
        let (first, second) = (plan_at(Some(&applied), &one, NOW), plan_at(Some(&applied), &two, NOW));
        prop_assert_eq!(first.plan_id == second.plan_id, resources(&one) == resources(&two));
    }

    #[test]
    fn every_address_of_both_sides_is_listed(before in sample::declarations(), after in sample::declarations()) {
        let set = plan_at(Some(&sample::applied(before.clone())), &after, NOW);
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

    #[test]
    fn what_a_change_set_says_leads_from_one_side_to_the_other(
        before in sample::declarations(), mut after in sample::declarations(),
    ) {
        // A plan that is in force goes on under another name.
        if let Some(name) = before.plans.keys().find(|name| !after.plans.contains_key(*name)).cloned() {
            let renamed: PlanName = "renamed".parse().unwrap();
            after.moved.insert(Address::plan(&name), Address::plan(&renamed));
            after.plans.insert(renamed, before.plans[&name].clone());
        }
        let set = plan_at(Some(&sample::applied(before.clone())), &after, NOW);
        prop_assert_eq!(carried_out(resources(&before), &set), resources(&after));
        prop_assert_eq!(carried_out(resources(&after), &plan_at(Some(&sample::applied(after.clone())), &after, NOW)), resources(&after));
    }
}

/// Resources after a change set was followed word by word, and nothing but it was known.
fn carried_out(mut resources: BTreeMap<Address, Resource>, set: &ChangeSet) -> BTreeMap<Address, Resource> {
    for change in &set.changes {
        let from = change.moved_from.as_ref().unwrap_or(&change.address);
        let resource = resources.remove(from);
        let mut resource = match change.action {
            Action::Retire | Action::Remove => continue,
            Action::Create => resource.unwrap_or_default(),
            Action::Update | Action::Move | Action::Keep => resource.expect("it is in force"),
        };
        for AttributeChange { path, before, after, content: _ } in &change.attributes {
            assert_eq!(resource.attributes.remove(path), *before, "{} {path}", change.address);
            resource.attributes.extend(after.clone().map(|after| (path.clone(), after)));
        }
        resources.insert(change.address.clone(), resource);
    }
    resources
}
