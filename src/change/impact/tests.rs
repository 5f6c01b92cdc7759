//! The laws of impact: for every declaration, every listing and every catalogue.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::change::{Catalogue, ChangeSet, Glimpse, Glimpses, Known, Wanted, change_set, sample};
use crate::model::{
    Applied, DestinationId, KeepRules, ListedRepository, PlanName, RateLimit, Reach, Retention, RunId, ServerSeen,
    SnapshotId, SnapshotRecord, Uid,
};
use crate::retention::{Point, Standing, decide};

/// Fewer than are told by name.
const SLUGS: [&str; 5] = ["core-a", "core-b", "ops", "sandbox-x", "web-a"];

fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

/// The identity of a plan or server.
fn uid(name: &str) -> Uid {
    Uid::from_parts(name.bytes().map(u64::from).sum(), 1)
}

fn applied(declaration: Declaration) -> Applied {
    let mut applied = sample::applied(declaration);
    applied.uids = applied.declaration.plans.keys().map(|name| (Address::plan(name), uid(name.as_str()))).collect();
    applied
}

/// What makes a snapshot: plan, repository, age in hours, packs, bytes, and whether it is sound.
type Made = (usize, u64, i64, u64, u64, u8);

const PLANS: [&str; 3] = ["a", "b", "c"];

fn record(number: usize, made: &Made) -> (SnapshotRecord, bool) {
    let (plan, repository, age, packs, bytes, standing) = *made;
    let number = u64::try_from(number).unwrap();
    let name: PlanName = PLANS[plan].parse().unwrap();
    let record = SnapshotRecord {
        id: SnapshotId::from_parts(number, 0),
        run: RunId::from_parts(number, 0),
        plan: uid(name.as_str()),
        plan_name: name,
        destination: DestinationId::from_parts(1, 1),
        destination_name: "nas".parse().unwrap(),
        server: uid("bb"),
        repository: RepoId(repository),
        project: "PAY".parse().unwrap(),
        slug: "core-a".parse().unwrap(),
        created: now().checked_sub(SignedDuration::from_hours(age)).unwrap(),
        references: 1,
        packs,
        bytes,
        suspect: (standing == 1).then(|| "it shrank".to_owned()),
        content: String::new(),
        key: String::new(),
        manifest_bytes: 1,
    };
    (record, standing == 2)
}

fn catalogue(records: impl IntoIterator<Item = (SnapshotRecord, bool)>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (record, damaged) in records {
        catalogue.add(&record, damaged);
    }
    catalogue
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..9u64, Just(u64::MAX), any::<u64>()]
}

fn snapshots() -> impl Strategy<Value = Vec<Made>> {
    let one = (0..PLANS.len(), 0..3u64, -50..9000i64, numbers(), numbers(), 0..4u8);
    proptest::collection::vec(one, 0..40)
}

fn retentions() -> impl Strategy<Value = Retention> {
    (0..4u32, 0..9u32, prop_oneof![0..9u32, Just(u32::MAX)], 0..40u64).prop_map(|(last, daily, weekly, grace)| {
        let keep = KeepRules { last, daily, weekly, ..KeepRules::default() };
        Retention { keep, grace: std::time::Duration::from_hours(24 * grace) }
    })
}

prop_compose! {
    /// Listings of some repositories with sizes, by a run or by a look.
    fn listings()(
        slugs in proptest::sample::subsequence(SLUGS.to_vec(), 0..=SLUGS.len()),
        sizes in proptest::collection::vec(proptest::option::of(numbers()), SLUGS.len()),
        by_a_look in any::<bool>(),
        complete in any::<bool>(),
    ) -> Known {
        let mut observations = sample::listing(&slugs);
        let projects = observations.inventories.values_mut().next().unwrap();
        let inventory = projects.values_mut().next().unwrap();
        for (repository, size) in inventory.repositories.values_mut().zip(sizes) {
            repository.stored = size;
        }
        let mut known = Known::default();
        if by_a_look {
            let repositories = inventory.repositories.clone();
            known.glimpses.add(&"bb".parse().unwrap(), "PAY".parse().unwrap(), Glimpse { repositories, complete });
        } else {
            known.observations = observations;
        }
        known
    }
}

prop_compose! {
    /// Everything that can be known.
    fn everything()(
        mut known in listings(),
        made in snapshots(),
        (burst, refill_per_second) in (prop_oneof![0..9u32, Just(u32::MAX)], prop_oneof![0..9u32, Just(u32::MAX)]),
        unlimited in any::<bool>(),
    ) -> Known {
        let bucket = RateLimit::Bucket { burst, refill_per_second };
        let server = ServerSeen {
            observed_at: now(),
            reach: Reach::Answered,
            version: None,
            limit: Some(if unlimited { RateLimit::Unlimited } else { bucket }),
            exceptions: BTreeMap::from([("svc-extra-1".parse().unwrap(), bucket)]),
            limits_asked: None,
        };
        known.observations.servers.insert("bb".parse().unwrap(), server);
        known.catalogue = Some(catalogue(made.iter().enumerate().map(|(number, made)| record(number, made))));
        known
    }
}

fn between(before: Option<&Declaration>, after: &Declaration, known: &Known) -> ChangeSet {
    change_set(before.cloned().map(applied).as_ref(), after, known, now())
}

/// The repositories that a plan takes, by what is known.
fn taken(plan: &BackupPlan, known: &Known) -> BTreeSet<String> {
    let (server, key) = ("bb".parse().unwrap(), "PAY".parse().unwrap());
    let listed = known.observations.inventories.get(&server).and_then(|projects| projects.get(&key));
    let listed = listed.map(|inventory| &inventory.repositories);
    let seen = known.glimpses.of(&server, &key).map(|(_, glimpse)| &glimpse.repositories);
    let all: &BTreeMap<RepoId, ListedRepository> = listed.or(seen).unwrap();
    let planned = &plan.projects[&key.into()];
    all.values().map(|one| &one.slug).filter(|slug| planned.selects(slug)).map(ToString::to_string).collect()
}

proptest! {
    #[test]
    fn what_does_not_change_means_nothing(declared in sample::declarations(), known in everything()) {
        prop_assert_eq!(between(Some(&declared), &declared, &known).impacts, []);
    }

    #[test]
    fn what_leaves_was_kept_before_and_is_not_after(
        (before, after) in (retentions(), retentions()),
        made in snapshots(),
    ) {
        let records: Vec<_> = made.iter().enumerate().map(|(number, made)| record(number, made)).collect();
        let rules = |_: &&str| Rules { before: (&before, TimeZone::UTC), after: (&after, TimeZone::UTC) };
        let plans = PLANS.iter().map(|name| (uid(name), rules(name))).collect();
        let found = leaving(&plans, &catalogue(records.clone()), now());

        let mut expected = 0;
        let mut bytes: u64 = 0;
        for plan in PLANS {
            for repository in 0..3 {
                let own = |(record, _): &&(SnapshotRecord, bool)| {
                    record.plan == uid(plan) && record.repository == RepoId(repository)
                };
                let points: Vec<Point> = records.iter().filter(own).map(|(record, damaged)| {
                    let standing = match (damaged, &record.suspect) {
                        (true, _) => Standing::Damaged,
                        (false, Some(_)) => Standing::Suspect,
                        (false, None) => Standing::Sound,
                    };
                    Point { id: record.id, created: record.created, standing }
                }).collect();
                let kept = |rules: &Retention| -> Vec<bool> {
                    decide(&points, rules, &TimeZone::UTC, now(), now()).iter().map(crate::retention::Fate::stays).collect()
                };
                expected += kept(&before).into_iter().zip(kept(&after)).filter(|sides| *sides == (true, false)).count();
            }
        }
        for (record, _) in &records {
            bytes = bytes.saturating_add(record.bytes);
        }
        let volume = found.map(|leaving| leaving.volume).unwrap_or_default();
        prop_assert_eq!(volume.snapshots, u64::try_from(expected).unwrap());
        prop_assert!(volume.snapshots <= u64::try_from(records.len()).unwrap() && volume.bytes <= bytes);
        prop_assert!(found.is_none_or(|leaving| leaving.from >= now()), "the grace begins with the change");
    }

    #[test]
    fn the_order_in_which_snapshots_are_found_means_nothing(
        (before, after) in (retentions(), retentions()),
        made in snapshots().prop_flat_map(|made| {
            let numbered: Vec<(usize, Made)> = made.into_iter().enumerate().collect();
            (Just(numbered.clone()), Just(numbered).prop_shuffle())
        }),
    ) {
        let of = |made: &[(usize, Made)]| catalogue(made.iter().map(|(number, made)| record(*number, made)));
        let rules = |_: &&str| Rules { before: (&before, TimeZone::UTC), after: (&after, TimeZone::UTC) };
        let plans: BTreeMap<Uid, Rules<'_>> = PLANS.iter().map(|name| (uid(name), rules(name))).collect();
        prop_assert_eq!(leaving(&plans, &of(&made.0), now()), leaving(&plans, &of(&made.1), now()));
    }

    #[test]
    fn the_order_of_the_file_means_nothing(
        (before, after) in (sample::declarations(), sample::declarations()),
        known in everything(),
    ) {
        let mut reversed = after.clone();
        sample::reverse_lists(&mut reversed);
        prop_assert_eq!(between(Some(&before), &after, &known).impacts, between(Some(&before), &reversed, &known).impacts);
    }

    #[test]
    fn what_is_not_wanted_is_not_missed(
        (before, other) in (sample::declarations(), sample::declarations()),
        known in everything(),
        (projects, destinations, whole) in (any::<bool>(), any::<bool>(), 0..4u8),
    ) {
        // Most of the time as it was, with other rules and times.
        let mut after = Declaration { retentions: other.retentions.clone(), ..before.clone() };
        for (name, plan) in &mut after.plans {
            let Some(new) = other.plans.get(name) else { continue };
            let old = std::mem::replace(plan, new.clone());
            if !projects {
                plan.projects = old.projects;
            }
            if !destinations {
                plan.destinations = old.destinations;
            }
        }
        let after = if whole == 0 { other } else { after };
        let wanted = Wanted::between(Some(&applied(before.clone())), &after);
        let mut less = known.clone();
        if !wanted.listings {
            less.observations.inventories.clear();
        }
        if !wanted.catalogue {
            less.catalogue = None;
        }
        prop_assert_eq!(between(Some(&before), &after, &known), between(Some(&before), &after, &less));
    }

    #[test]
    fn what_enters_and_what_leaves_explain_the_scope(
        (before, after) in (sample::declarations(), sample::declarations()),
        known in listings(),
    ) {
        let set = between(Some(&before), &after, &known);
        for (name, old) in &before.plans {
            let Some(new) = after.plans.get(name) else { continue };
            let (was, is) = (taken(old, &known), taken(new, &known));
            let effect = set.impacts.iter().filter(|impact| impact.address == Address::plan(name)).find_map(|impact| {
                let Effect::Scope { entering, leaving, .. } = &impact.effect else { return None };
                let names = |names: &Names| -> BTreeSet<String> { names.told.iter().map(ToString::to_string).collect() };
                Some((names(entering), names(leaving)))
            });
            let (entering, leaving) = effect.clone().unwrap_or_default();
            prop_assert!(entering.is_disjoint(&leaving));
            prop_assert_eq!(&entering, &is.difference(&was).cloned().collect());
            prop_assert_eq!(&leaving, &was.difference(&is).cloned().collect());
            prop_assert_eq!(effect.is_some(), was != is);
            let explained: BTreeSet<String> = was.difference(&leaving).chain(&entering).cloned().collect();
            prop_assert_eq!(explained, is);
        }
    }

    #[test]
    fn absurd_numbers_do_no_harm(
        before in proptest::option::of(sample::declarations()),
        mut after in sample::declarations(),
        known in everything(),
        declared in proptest::option::of((numbers(), numbers())),
    ) {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        for server in after.servers.values_mut() {
            server.rate_limit = declared.map(|(burst, refill)| crate::model::TokenBucket {
                burst: number(burst),
                refill_per_second: number(refill),
            });
        }
        for impact in between(before.as_ref(), &after, &known).impacts {
            if let Effect::Work { requests, seconds, more, .. } = impact.effect {
                prop_assert!(requests > 0 && seconds.is_none_or(|seconds| seconds <= requests));
                prop_assert!(more.is_none_or(|(_, fewer)| seconds.is_none_or(|seconds| fewer <= seconds)));
            }
        }
    }

    #[test]
    fn a_look_decides_nothing(
        before in proptest::option::of(sample::declarations()),
        after in sample::declarations(),
        known in listings(),
    ) {
        let blind = Known { glimpses: Glimpses::default(), ..known.clone() };
        let (seeing, blind) = (between(before.as_ref(), &after, &known), between(before.as_ref(), &after, &blind));
        prop_assert_eq!((&seeing.plan_id, &seeing.rails), (&blind.plan_id, &blind.rails));
        prop_assert_eq!((seeing.changes, seeing.notes), (blind.changes, blind.notes));
    }
}

#[test]
fn other_times_need_no_listing() {
    let (before, mut after) = (sample::declaration(), sample::declaration());
    for plan in after.plans.values_mut() {
        plan.schedule = None;
    }
    let wanted = |after: &Declaration| Wanted::between(Some(&applied(before.clone())), after).listings;
    assert!(!wanted(&after));
    for plan in after.plans.values_mut() {
        plan.projects.values_mut().for_each(|planned| planned.include.clear());
    }
    assert!(wanted(&after));
}

/// What a first plan says of a look at these repositories.
fn at_first_sight(slugs: &[&str], complete: bool) -> Vec<Effect> {
    let mut known = Known::default();
    let listed = sample::listing(slugs).inventories.into_values().flat_map(BTreeMap::into_values).next().unwrap();
    let mut repositories = listed.repositories;
    for repository in repositories.values_mut() {
        repository.stored = None;
    }
    known.glimpses.add(&"bb".parse().unwrap(), "PAY".parse().unwrap(), Glimpse { repositories, complete });
    let plan = |impact: &Impact| impact.address.as_str() == "plan/nightly";
    let impacts = between(None, &sample::declaration(), &known).impacts;
    impacts.into_iter().filter(plan).map(|impact| impact.effect).collect()
}

#[test]
fn a_first_plan_says_what_a_look_has_seen() {
    let effects = at_first_sight(&["core-a", "sandbox-x", "web-a"], true);
    let scope = effects.iter().find_map(|effect| match effect {
        Effect::Scope { entering, seen, .. } => Some((entering.to_string(), *seen)),
        _ => None,
    });
    assert_eq!(scope, Some(("core-a, web-a".to_owned(), Some(Seen { repositories: 3, complete: true }))));
    let work = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Work { requests, more_repositories, .. } => Some((*requests, *more_repositories)),
            _ => None,
        })
    };
    assert_eq!(work(&effects), Some((5, false)), "a page, and two requests for each of two");
    let unknown = |effect: &Effect| matches!(effect, Effect::Storage { repositories: 0, unknown: 2, .. });
    assert!(effects.iter().any(unknown), "{effects:?}");
    assert_eq!(work(&at_first_sight(&["core-a"], false)), Some((3, true)));

    let none = at_first_sight(&["sandbox-x"], true);
    assert!(none.iter().any(|effect| matches!(effect, Effect::Scope { entering, .. } if entering.total == 0)));
    assert!(!none.iter().any(|effect| matches!(effect, Effect::Storage { .. })), "{none:?}");
}
