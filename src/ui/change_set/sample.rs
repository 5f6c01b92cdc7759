//! Change sets to look at.

use jiff::Timestamp;

use crate::change::{Allowed, Catalogue, ChangeSet, Content, Glimpse, Glimpses, Known, change_set, sample};
use crate::model::{
    Address, BaseUrl, Declaration, DestinationId, Percent, Place, RateLimit, Reach, RepoId, RunId, Sealed, ServerSeen,
    SnapshotId, SnapshotRecord, Uid,
};

/// The scenes whose texts are in `tests/fixtures/plan`.
pub(super) const SCENES: [&str; 13] = [
    "allowed-by-commit",
    "credential-sealed-anew",
    "first-apply",
    "first-look",
    "guarded-leave",
    "list-of-patterns",
    "many-changes",
    "rename",
    "retention-tightened",
    "retired",
    "schedule",
    "scope",
    "server-moved",
];

pub(super) fn now() -> Timestamp {
    "2026-11-22T00:00:00Z".parse().unwrap()
}

pub(super) fn after(edit: impl FnOnce(&mut Declaration)) -> ChangeSet {
    let mut declared = sample::declaration();
    edit(&mut declared);
    change_set(Some(&sample::applied(sample::declaration())), &declared, &Known::default(), now())
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

/// What a scene leads to.
pub(super) fn scene(name: &str) -> ChangeSet {
    let known = known();
    let plan = |edit: &dyn Fn(&mut Declaration)| planned(&sample::declaration(), edit, &known);
    match name {
        "allowed-by-commit" => {
            let messages = [("4c1d9e2290ab3f77", "tidy up\n\nXopero-Allow: tighten retention/gfs\n")];
            let known = Known { allowed: Allowed::by(messages), ..known };
            planned(
                &sample::declaration(),
                &|declared| declared.retentions.values_mut().next().unwrap().keep.daily = 7,
                &known,
            )
        }
        "credential-sealed-anew" => {
            let mut known = Known::default();
            let anew = |account: &str| Sealed::new(format!("{account}, sealed anew"));
            for (account, content) in [("svc-backup", Content::Same), ("svc-extra-1", Content::Other)] {
                known.contents.learn(&Sealed::new(format!("ciphertext of {account}")), &anew(account), content);
            }
            let seal = |declared: &mut Declaration| {
                let project = declared.projects.values_mut().next().unwrap();
                for credential in project.additional.values_mut().chain([&mut project.main]) {
                    credential.sealed = anew(credential.account.as_str());
                }
            };
            planned(&sample::declaration(), &seal, &known)
        }
        "first-apply" => {
            let mut declared = sample::declaration();
            let key = "age10gragpv26w0gse85md709kmt3fc8zgnt8qnw7qptae402e2c9asqtsfjjv";
            declared.recipients[0].key = key.parse().unwrap();
            declared.destinations.values_mut().next().unwrap().encrypt_to = vec![key.parse().unwrap()];
            change_set(None, &declared, &known, now())
        }
        "first-look" => {
            let mut listed = sample::listing(&["core-a", "core-b", "ledger", "sandbox-x", "web"]).inventories;
            let mut glimpses = Glimpses::default();
            for (server, projects) in &mut listed {
                for (project, inventory) in std::mem::take(projects) {
                    let mut repositories = inventory.repositories;
                    for repository in repositories.values_mut() {
                        repository.stored = None;
                    }
                    glimpses.add(server, project, Glimpse { repositories, complete: true });
                }
            }
            let known = Known { glimpses, ..Known::default() };
            change_set(None, &sample::declaration(), &known, now())
        }
        "guarded-leave" => plan(&|declared| {
            let plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
            declared.plans.insert("every-night".parse().unwrap(), plan);
        }),
        "list-of-patterns" => {
            let patterns = |declared: &mut Declaration, numbers: std::ops::Range<u32>| {
                let plan = declared.plans.values_mut().next().unwrap();
                plan.projects.values_mut().next().unwrap().include =
                    numbers.map(|n| format!("component-{n:02}-*").try_into().unwrap()).collect();
            };
            let mut before = sample::declaration();
            patterns(&mut before, 0..12);
            planned(&before, &|declared| patterns(declared, 2..13), &known)
        }
        "many-changes" => many_changes(),
        "rename" => plan(&|declared| {
            let mut plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
            plan.projects.values_mut().next().unwrap().enabled_credentials.push("extra-2".parse().unwrap());
            declared.plans.insert("every-night".parse().unwrap(), plan);
            let address = |name: &str| Address::parse(name).unwrap();
            declared.moved.insert(address("plan/nightly"), address("plan/every-night"));
        }),
        "retention-tightened" => plan(&|declared| {
            let retention = declared.retentions.values_mut().next().unwrap();
            retention.keep.daily = 7;
            retention.keep.weekly = 0;
        }),
        "retired" => {
            let mut before = sample::declaration();
            let hot = before.plans.values().next().unwrap().clone();
            before.plans.insert("hot".parse().unwrap(), hot);
            let retire = |declared: &mut Declaration| {
                declared.plans.remove(&"nightly".parse().unwrap());
                declared.retired.insert(Address::parse("plan/nightly").unwrap());
            };
            planned(&before, &retire, &known)
        }
        "schedule" => plan(&|declared| {
            let timetable = declared.plans.values_mut().next().unwrap().schedule.as_mut().unwrap();
            timetable.cron.expression = "30 2,14 * * *".into();
        }),
        "scope" => plan(&|declared| {
            let plan = declared.plans.values_mut().next().unwrap();
            plan.guard = Some(crate::model::Guard { max_repositories_removed: Percent::new(20).unwrap() });
            let planned = plan.projects.values_mut().next().unwrap();
            planned.exclude = vec!["core-*".to_owned().try_into().unwrap()];
        }),
        "server-moved" => plan(&|declared| {
            declared.servers.values_mut().next().unwrap().url = BaseUrl::new("https://git.example.com").unwrap();
        }),
        other => panic!("no scene {other}"),
    }
}

fn planned(before: &Declaration, edit: &dyn Fn(&mut Declaration), known: &Known) -> ChangeSet {
    let mut declared = before.clone();
    edit(&mut declared);
    change_set(Some(&sample::applied(before.clone())), &declared, known, now())
}

/// Six hundred repositories, a limit that the server told, and forty nights of snapshots.
fn known() -> Known {
    let names = (0..600).map(|n| match n % 3 {
        0 => format!("core-{n:03}"),
        1 => format!("web-{n:03}"),
        _ => format!("sandbox-{n:03}"),
    });
    let names: Vec<String> = names.collect();
    let mut observations = sample::listing(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let seen = ServerSeen {
        observed_at: now(),
        reach: Reach::Answered,
        version: Some("9.4.1".into()),
        limit: Some(RateLimit::Bucket { burst: 60, refill_per_second: 5 }),
        exceptions: std::collections::BTreeMap::new(),
        limits_asked: None,
    };
    observations.servers.insert("bb".parse().unwrap(), seen);
    let mut catalogue = Catalogue::default();
    for night in 1..=40u64 {
        catalogue.add(&snapshot(night), false);
    }
    Known { observations, catalogue: Some(catalogue), allowed: Allowed::by([]), ..Known::default() }
}

/// One of a chain that began anew after twenty nights.
fn snapshot(night: u64) -> SnapshotRecord {
    let age = jiff::SignedDuration::from_hours(24 * (41 - i64::try_from(night).unwrap()));
    let packs = 1 + (night - 1) % 20;
    SnapshotRecord {
        id: SnapshotId::from_parts(night, 0),
        run: RunId::from_parts(night, 0),
        plan: Uid::from_parts(1, 1),
        plan_name: "nightly".parse().unwrap(),
        destination: DestinationId::from_parts(1, 1),
        destination_name: "nas".parse().unwrap(),
        server: Uid::from_parts(1, 2),
        repository: RepoId(1),
        project: "PAY".parse().unwrap(),
        slug: "core-000".parse().unwrap(),
        created: now().checked_sub(age).unwrap(),
        references: 3,
        packs,
        bytes: (4 << 30) + packs * (10 << 20),
        suspect: None,
        content: String::new(),
        key: "servers/x".into(),
        manifest_bytes: 0,
    }
}
