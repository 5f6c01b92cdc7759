//! `cargo bench --bench reconcile`: a plan of a large installation, its time and the most memory that it took.
//!
//! 2,000 projects and 2,000 plans are compared with an applied state of the same size, with 100 plans changed. A
//! measurement is not a test: a missed expectation is printed and fails nothing.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::unwrap_used, reason = "a benchmark ends at the first surprise")]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use xopero::change::{Known, change_set};
use xopero::model::{
    Applied, BackupPlan, BaseUrl, Concurrency, Credential, CredentialKind, Cron, Declaration, Destination, Generation,
    KeepRules, Lineage, Part, Pattern, Place, PlanRetention, PlannedProject, Project, ProjectSelector, Retention,
    Sealed, Server, Source, Timetable,
};
use xopero::ui::{Style, change_set as text};

/// Projects, and as many plans.
const SIZE: usize = 2_000;

/// Plans that change.
const CHANGED: usize = 100;

/// What a plan of this size may take.
const EXPECTED: (Duration, i64) = (Duration::from_secs(1), 200);

fn main() {
    let applied = Applied {
        lineage: Lineage::from_parts(1, 1),
        generation: Generation(1),
        declaration: declaration(),
        uids: BTreeMap::new(),
        source: Source { file: "xopero.kdl".into(), sha256: "00".into(), files: Vec::new(), commit: None },
        plan_id: "7f31c09ad2e4".into(),
        applied_by: "ada@vault".into(),
        applied_at: Timestamp::UNIX_EPOCH,
        rollback_of: None,
        allowed: Vec::new(),
    };
    let mut declared = declaration();
    for plan in declared.plans.values_mut().take(CHANGED) {
        let timetable = plan.schedule.as_mut().unwrap();
        timetable.cron.expression = "30 2 * * *".into();
        plan.projects.values_mut().for_each(|planned| planned.exclude.push(Pattern::new("old-*").unwrap()));
    }
    let before = peak();
    let began = Instant::now();
    let set = change_set(Some(&applied), &declared, &Known::default(), Timestamp::UNIX_EPOCH);
    let planned = began.elapsed();
    let shown = text::render(&set, &|_| None, &Style { color: false });
    let took = began.elapsed();
    assert_eq!(set.counts().change, CHANGED);
    let peak = peak();
    say(&format!("{SIZE} projects, {SIZE} plans, {CHANGED} changes, {} lines of text", shown.lines().count()));
    say(&format!("  change set     {:>8.1} ms", planned.as_secs_f64() * 1000.0));
    say(&format!("  with its text  {:>8.1} ms", took.as_secs_f64() * 1000.0));
    say(&format!("  peak memory    {peak:>6} MiB ({before} MiB before)"));
    let (time, memory) = EXPECTED;
    if took > time || peak > memory {
        say(&format!("  MISSED: expected less than {} ms and {memory} MiB", time.as_millis()));
    }
}

fn declaration() -> Declaration {
    let mut declared = Declaration::default();
    let server = Server {
        url: BaseUrl::new("https://bitbucket.example.com").unwrap(),
        ca_file: None,
        timeout: Duration::from_secs(30),
        concurrency: Concurrency::default(),
        rate_limit: None,
    };
    declared.servers.insert("bb".parse().unwrap(), server);
    let place = Place::Local { path: "/srv/backup".into() };
    let destination = Destination { place, encrypt_to: vec!["age1vault".parse().unwrap()] };
    declared.destinations.insert("nas".parse().unwrap(), destination);
    let keep = KeepRules { daily: 14, ..KeepRules::default() };
    let retention = Retention { keep, grace: Duration::from_hours(7 * 24) };
    declared.retentions.insert("gfs".parse().unwrap(), retention);
    for number in 0..SIZE {
        let key = ProjectSelector::new(format!("P{number:04}")).unwrap();
        let project = Project {
            server: "bb".parse().unwrap(),
            main: credential("svc-backup", number),
            additional: BTreeMap::from([("extra-1".parse().unwrap(), credential("svc-extra", number))]),
        };
        declared.projects.insert(key.clone(), project);
        let planned = PlannedProject {
            include: vec![Pattern::new("*").unwrap()],
            exclude: vec![Pattern::new("sandbox-*").unwrap()],
            enabled_credentials: vec!["extra-1".parse().unwrap()],
        };
        let cron = Cron { expression: "30 1 * * *".into(), time_zone: "Europe/Warsaw".into() };
        let plan = BackupPlan {
            projects: BTreeMap::from([(key, planned)]),
            parts: [Part::Git].into(),
            destinations: ["nas".parse().unwrap()].into(),
            retention: PlanRetention::Named("gfs".parse().unwrap()),
            schedule: Some(Timetable::of(cron)),
            verify: None,
            guard: None,
            max_duration: None,
            overdue_after: None,
            paused: None,
        };
        declared.plans.insert(format!("plan-{number:04}").parse().unwrap(), plan);
    }
    declared
}

/// As long as an armored value that is sealed for two recipients.
fn credential(account: &str, number: usize) -> Credential {
    Credential {
        account: account.parse().unwrap(),
        kind: CredentialKind::Token,
        sealed: Sealed::new(format!("{number:064}\n").repeat(12)),
        expires: None,
        same_as: None,
    }
}

/// The most memory that this process had, in MiB.
fn peak() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss() / 1024
}

fn say(line: &str) {
    writeln!(io::stdout().lock(), "{line}").unwrap();
}
