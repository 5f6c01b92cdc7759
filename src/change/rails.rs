//! What stands in the way of a change set.

use std::collections::BTreeMap;

use super::impact::{Names, Scope};
use super::moves::Moves;
use super::risk::{Finding, Findings};
use super::{Known, Rail, RailKind, Risk, SourceStep, Way};
use crate::model::{Address, BackupPlan, Declaration, Percent};

/// The share of plans, or of a plan's repositories, that may leave at once.
const SHARE: u8 = 30;

/// How many of them must leave at least before their share counts.
const MANY: usize = 3;

/// Nodes that are shown to be copied.
const NODES: usize = 10;

/// What there is to say about the plans that are no longer declared.
pub(super) fn leaving_plans(before: &Declaration, after: &Declaration, moves: &Moves) -> Findings {
    let mut all = Findings::new();
    for (name, plan) in before.plans.iter().filter(|(name, _)| !after.plans.contains_key(*name)) {
        let address = Address::plan(name);
        let reason = "no more runs; its backups are kept and nothing prunes them";
        let finding = if after.retired.contains(&address) || moves.retired.contains(&address) {
            Finding::notice(reason)
        } else {
            let retire = Way {
                when: "to retire it and keep its backups, add to the file".to_owned(),
                lines: vec![format!("retired \"{address}\" {{ backups \"keep\"; }}")],
            };
            let similar = similar(plan, before, after).map(|new| Way {
                when: format!("if {new} is the same plan under another name, add to the file"),
                lines: vec![format!("moved \"{address}\" to=\"{new}\"")],
            });
            Finding::guarded(RailKind::PlanLeaves, reason).with(similar.into_iter().chain([retire]))
        };
        all.insert(address, vec![finding]);
    }
    all
}

/// A plan that is new, over the same projects and with a destination in common.
fn similar(plan: &BackupPlan, before: &Declaration, after: &Declaration) -> Option<Address> {
    let added = after.plans.iter().filter(|(name, _)| !before.plans.contains_key(*name));
    let alike = |new: &BackupPlan| {
        new.projects.keys().eq(plan.projects.keys()) && !new.destinations.is_disjoint(&plan.destinations)
    };
    let mut alike = added.filter(|(_, new)| alike(new)).map(|(name, _)| Address::plan(name));
    alike.next()
}

/// The rails of a change set, one for each kind.
pub(super) fn rails(
    findings: &Findings,
    before: &Declaration,
    after: &Declaration,
    moves: &Moves,
    known: &Known,
) -> Vec<Rail> {
    let mut all: BTreeMap<RailKind, Rail> = BTreeMap::new();
    for (address, list) in findings {
        for Finding { risk, rail, reason, ways } in list {
            if let Some(kind) = *rail {
                add(&mut all, kind, *risk, address, reason, ways);
            }
        }
    }
    for (address, reason) in &moves.refused {
        add(&mut all, RailKind::MoveConflict, Risk::Refused, address, &format!("{address} is {reason}"), &[]);
    }
    if let Some(rail) = many_plans(before, after) {
        all.insert(rail.kind, rail);
    }
    for (address, reason) in repositories(before, after, known) {
        add(&mut all, RailKind::RepositoriesLeave, Risk::Guarded, &address, &reason, &[]);
    }
    let left: Vec<Address> = before.plans.keys().map(Address::plan).collect();
    let meant = |address: &Address| after.retired.contains(address) || moves.retired.contains(address);
    if after.plans.is_empty() && !left.iter().all(meant) {
        let message = format!("the file has no plan, and {} in force: what is in force stays", are(left.len()));
        let way =
            Way { when: "if all of them are to go, retire each of them in the file".to_owned(), lines: Vec::new() };
        let rail = Rail {
            kind: RailKind::NoPlans,
            risk: Risk::Refused,
            addresses: left,
            message,
            ways: vec![way],
            trailers: Vec::new(),
            allowed_by: Vec::new(),
        };
        all.insert(RailKind::NoPlans, rail);
    }
    if let SourceStep::Rewound { applied, found } = &known.source {
        let message = format!("the source is at {found}, which does not descend from {applied}, which is in force");
        let rail = Rail {
            kind: RailKind::SourceRewound,
            risk: Risk::Guarded,
            addresses: Vec::new(),
            message,
            ways: Vec::new(),
            trailers: Vec::new(),
            allowed_by: Vec::new(),
        };
        all.insert(RailKind::SourceRewound, rail);
    }
    all.into_values().collect()
}

fn are(plans: usize) -> String {
    if plans == 1 { "1 plan is".to_owned() } else { format!("{plans} plans are") }
}

fn add(all: &mut BTreeMap<RailKind, Rail>, kind: RailKind, risk: Risk, address: &Address, reason: &str, ways: &[Way]) {
    let rail = all.entry(kind).or_insert_with(|| Rail {
        kind,
        risk,
        addresses: Vec::new(),
        message: String::new(),
        ways: Vec::new(),
        trailers: Vec::new(),
        allowed_by: Vec::new(),
    });
    rail.risk = rail.risk.max(risk);
    if !rail.addresses.contains(address) {
        rail.addresses.push(address.clone());
    }
    if rail.message.is_empty() {
        reason.clone_into(&mut rail.message);
    } else if !is_part(&rail.message, reason) {
        rail.message = format!("{}; {reason}", rail.message);
    }
    for way in ways {
        match rail.ways.iter_mut().find(|other| other.when == way.when) {
            Some(same) if same.lines.len() < NODES => same.lines.extend(way.lines.iter().cloned()),
            Some(_) => {}
            None => rail.ways.push(way.clone()),
        }
    }
}

/// Whether a reason is one of those in a message, which semicolons part. It may have some of its own.
fn is_part(message: &str, reason: &str) -> bool {
    let (message, reason) = (format!("; {message}; "), format!("; {reason}; "));
    message.contains(&reason)
}

fn many_plans(before: &Declaration, after: &Declaration) -> Option<Rail> {
    let leaving: Vec<Address> =
        before.plans.keys().filter(|name| !after.plans.contains_key(*name)).map(Address::plan).collect();
    let (number, total) = (leaving.len(), before.plans.len());
    is_many(number, total).then(|| Rail {
        kind: RailKind::ManyPlansLeave,
        risk: Risk::Guarded,
        addresses: leaving,
        message: format!("{number} of {total} plans leave at once (more than {SHARE} %); is the file complete?"),
        ways: Vec::new(),
        trailers: Vec::new(),
        allowed_by: Vec::new(),
    })
}

fn is_many(part: usize, whole: usize) -> bool {
    part >= MANY && part.saturating_mul(100) > whole.saturating_mul(SHARE.into())
}

/// The plans that lose more repositories than they may, by the last listings.
fn repositories(before: &Declaration, after: &Declaration, known: &Known) -> Vec<(Address, String)> {
    let mut all = Vec::new();
    for (name, old) in &before.plans {
        let Some(new) = after.plans.get(name).filter(|new| new.projects != old.projects) else { continue };
        let scope = Scope::of(before, old, &known.observations);
        let gone = scope.shift(&Scope::of(after, new, &known.observations)).into_iter().map(|shift| shift.leaving);
        let gone = gone.fold(Names::default(), Names::and);
        let total = scope.repositories().count();
        // What the plan allowed counts, not what it is about to allow.
        let allowed: Option<Percent> = old.guard.map(|guard| guard.max_repositories_removed);
        let too_many = match allowed {
            Some(share) => share.is_exceeded_by(gone.total, total),
            None => is_many(gone.total, total),
        };
        if too_many {
            let share = allowed.map_or(u64::from(SHARE), |share| share.get().into());
            let reason = format!(
                "{} of {total} repositories leave the scope of {name} (more than {share} %): {gone}",
                gone.total
            );
            all.push((Address::plan(name), reason));
        }
    }
    all
}
