//! Declarations to test with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::model::{
    Address, Applied, BackupPlan, BaseUrl, Concurrency, Credential, CredentialKind, Cron, Declaration, Destination,
    Generation, Inventory, KeepRules, Lineage, ListedRepository, Observations, Part, Place, PlanRetention,
    PlannedProject, Project, ProjectId, Recipient, RepoId, RepositoryState, Retention, Sealed, Server, Source,
    Timetable, Uid,
};

/// One of everything, with one additional credential that no plan enables.
pub(crate) fn declaration() -> Declaration {
    let key = |text: &str| text.parse().unwrap();
    Declaration {
        recipients: vec![
            Recipient { key: key("age1daemon"), name: Some("daemon@backup-01".into()) },
            Recipient { key: key("age1breakglass"), name: None },
        ],
        servers: BTreeMap::from([("bb".parse().unwrap(), server("https://bitbucket.example.com"))]),
        destinations: BTreeMap::from([(
            "nas".parse().unwrap(),
            Destination {
                place: Place::Local { path: "backups".into() },
                encrypt_to: vec![key("age1vault"), key("age1offline")],
            },
        )]),
        retentions: BTreeMap::from([("gfs".parse().unwrap(), retention(14))]),
        projects: BTreeMap::from([("PAY".parse().unwrap(), project(&["extra-1", "extra-2"]))]),
        plans: BTreeMap::from([("nightly".parse().unwrap(), plan(&["extra-1"], Some("30 1 * * *")))]),
        alerts: BTreeMap::new(),
        moved: BTreeMap::new(),
        retired: BTreeSet::new(),
    }
}

/// Generation 41, with a declaration in force.
pub(crate) fn applied(declaration: Declaration) -> Applied {
    Applied {
        lineage: Lineage::from_parts(1, 1),
        generation: Generation(41),
        declaration,
        uids: BTreeMap::from([
            (Address::plan(&"nightly".parse().unwrap()), Uid::from_parts(1, 1)),
            (Address::server(&"bb".parse().unwrap()), Uid::from_parts(1, 2)),
        ]),
        source: Source { file: "xopero.kdl".into(), sha256: "00".into(), files: Vec::new(), commit: None },
        plan_id: "7f31c09ad2e4".into(),
        applied_by: "ada@vault".into(),
        applied_at: Timestamp::UNIX_EPOCH,
        rollback_of: None,
        allowed: Vec::new(),
    }
}

/// A listing of the sample's project, with numbers in this order and a snapshot of 1 GiB for each.
pub(crate) fn listing(slugs: &[&str]) -> Observations {
    let repository = |slug: &&str| ListedRepository {
        project: "PAY".parse().unwrap(),
        project_id: ProjectId(1),
        slug: slug.parse().unwrap(),
        state: RepositoryState::Available,
        archived: false,
        stored: Some(1 << 30),
    };
    let repositories = (1..).map(RepoId).zip(slugs.iter().map(repository)).collect();
    let inventory = Inventory { observed_at: Timestamp::UNIX_EPOCH, repositories };
    let of_server = BTreeMap::from([("PAY".parse().unwrap(), inventory)]);
    Observations { inventories: BTreeMap::from([("bb".parse().unwrap(), of_server)]), ..Observations::default() }
}

fn server(url: &str) -> Server {
    Server {
        url: BaseUrl::new(url).unwrap(),
        ca_file: None,
        timeout: Duration::from_secs(30),
        concurrency: Concurrency::default(),
        rate_limit: None,
    }
}

fn retention(daily: u32) -> Retention {
    let keep = KeepRules { last: 3, daily, weekly: 8, ..KeepRules::default() };
    Retention { keep, grace: Duration::from_hours(7 * 24) }
}

fn project(additional: &[&str]) -> Project {
    let credential = |account: &str, expires: Option<&str>| Credential {
        account: account.parse().unwrap(),
        kind: CredentialKind::Token,
        sealed: Sealed::new(format!("ciphertext of {account}")),
        expires: expires.map(|date| date.parse().unwrap()),
        same_as: None,
    };
    Project {
        server: "bb".parse().unwrap(),
        main: credential("svc-backup", Some("2027-03-01")),
        additional: additional
            .iter()
            .map(|name| (name.parse().unwrap(), credential(&format!("svc-{name}"), None)))
            .collect(),
    }
}

fn plan(enabled: &[&str], schedule: Option<&str>) -> BackupPlan {
    let planned = PlannedProject {
        include: vec!["*".to_owned().try_into().unwrap()],
        exclude: vec!["sandbox-*".to_owned().try_into().unwrap()],
        enabled_credentials: enabled.iter().map(|name| name.parse().unwrap()).collect(),
    };
    BackupPlan {
        projects: BTreeMap::from([("PAY".parse().unwrap(), planned)]),
        parts: BTreeSet::from([Part::Git]),
        destinations: BTreeSet::from(["nas".parse().unwrap()]),
        retention: PlanRetention::Named("gfs".parse().unwrap()),
        schedule: schedule
            .map(|expression| Timetable::of(Cron { expression: expression.into(), time_zone: "Europe/Warsaw".into() })),
        verify: None,
        guard: None,
        max_duration: None,
        overdue_after: None,
        paused: None,
    }
}

/// The same lists in another order.
pub(crate) fn reverse_lists(declaration: &mut Declaration) {
    declaration.recipients.reverse();
    for destination in declaration.destinations.values_mut() {
        destination.encrypt_to.reverse();
    }
    for planned in declaration.plans.values_mut().flat_map(|plan| plan.projects.values_mut()) {
        planned.include.reverse();
        planned.exclude.reverse();
        planned.enabled_credentials.reverse();
    }
}

prop_compose! {
    fn backup_plans()(
        enabled in proptest::sample::subsequence(vec!["extra-1", "extra-2"], 0..=2),
        schedule in proptest::option::of(Just("15 * * * *")),
        own in proptest::option::of(1u32..3),
        include in proptest::sample::subsequence(vec!["core-*", "web-*", "*"], 1..=3),
    ) -> BackupPlan {
        let mut plan = plan(&enabled, schedule);
        if let Some(daily) = own {
            plan.retention = PlanRetention::Own(retention(daily));
        }
        for planned in plan.projects.values_mut() {
            planned.include = include.iter().map(|text| (*text).to_owned().try_into().unwrap()).collect();
        }
        plan
    }
}

prop_compose! {
    /// Small declarations that often share parts.
    pub(crate) fn declarations()(
        names in proptest::sample::subsequence(vec!["age1a", "age1b", "age1c"], 0..=3),
        port in 1000u16..1002,
        place in "[ab]",
        encrypt_to in proptest::sample::subsequence(vec!["age1x", "age1y"], 1..=2),
        daily in 1u32..3,
        additional in proptest::sample::subsequence(vec!["extra-1", "extra-2"], 0..=2),
        token in "[pq]",
        plans in proptest::collection::btree_map("[a-f]", backup_plans(), 0..6),
    ) -> Declaration {
        let mut declaration = declaration();
        declaration.recipients =
            names.iter().map(|key| Recipient { key: key.parse().unwrap(), name: None }).collect();
        declaration.servers = BTreeMap::from([("bb".parse().unwrap(), server(&format!("https://bb.example.com:{port}")))]);
        for destination in declaration.destinations.values_mut() {
            destination.place = Place::Local { path: place.clone() };
            destination.encrypt_to = encrypt_to.iter().map(|key| key.parse().unwrap()).collect();
        }
        declaration.retentions = BTreeMap::from([("gfs".parse().unwrap(), retention(daily))]);
        let mut project = project(&additional);
        project.main.sealed = Sealed::new(token);
        declaration.projects = BTreeMap::from([("PAY".parse().unwrap(), project)]);
        declaration.plans = plans.into_iter().map(|(name, plan)| (name.parse().unwrap(), plan)).collect();
        declaration
    }
}
