//! From applied to declared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::compare::{Compared, compare};
use super::findings::findings;
use super::impact::Impact;
use super::moves::Moves;
use super::note::notes;
use super::plan_id::Touched;
use super::rails::{leaving_plans, rails};
use super::risk::Findings;
use super::{AttributeChange, Known, Note, PlanId, Rail, Risk, impacts, resources};
use crate::model::{Address, AllowedBy, Applied, Declaration, Generation, Uid};

/// What happens to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is new.
    Create,
    /// Some of its attributes change.
    Update,
    /// It has another name; some of its attributes may change besides.
    Move,
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
            Self::Move => "move",
            Self::Retire => "retire",
            Self::Remove => "remove",
            Self::Keep => "keep",
        }
    }
}

/// What happens to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The address, as the file has it; of what leaves, as it is in force.
    pub address: Address,
    /// Its identity, if it has one: servers and plans that are in force do.
    pub uid: Option<Uid>,
    /// What happens to it.
    pub action: Action,
    /// The address that is in force, if it is another one.
    pub moved_from: Option<Address>,
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
    /// To move.
    #[serde(rename = "move")]
    pub moved: usize,
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
    /// What it means for runs and backups, as far as it is known. It does not belong to what is approved.
    pub impacts: Vec<Impact>,
    /// What people should know. They do not belong to what is approved.
    pub notes: Vec<Note>,
    /// What stands in its way.
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

    /// Whether it takes effect only with an approval that commits have not given, if at all.
    pub fn needs_approval(&self) -> bool {
        self.rails.iter().any(|rail| !rail.is_open())
    }

    /// The lines that a commit's message would have to end with to be approval enough. Empty, if no commit can be.
    pub fn trailers(&self) -> Vec<String> {
        let closed = || self.rails.iter().filter(|rail| !rail.is_open());
        if closed().any(|rail| rail.trailers.is_empty()) {
            return Vec::new();
        }
        let mut all: Vec<String> = closed().flat_map(|rail| rail.trailers.iter().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// What commits allow of it that would need an approval otherwise.
    pub fn allowed_by(&self) -> Vec<AllowedBy> {
        let all: BTreeSet<&AllowedBy> = self.rails.iter().flat_map(|rail| &rail.allowed_by).collect();
        all.into_iter().cloned().collect()
    }

    /// Whether no approval lets it through.
    pub fn is_refused(&self) -> bool {
        self.rails.iter().any(|rail| rail.risk == Risk::Refused)
    }

    /// The addresses that are in force of what is declared under others.
    pub fn origins(&self) -> BTreeMap<&Address, &Address> {
        let moved = self.changes.iter().filter_map(|change| Some((&change.address, change.moved_from.as_ref()?)));
        moved.collect()
    }

    /// How many addresses see which action.
    pub fn counts(&self) -> Counts {
        let count = |action: Action| self.changes.iter().filter(|change| change.action == action).count();
        Counts {
            add: count(Action::Create),
            change: count(Action::Update),
            moved: count(Action::Move),
            retire: count(Action::Retire),
            remove: count(Action::Remove),
        }
    }
}

/// Compares what is applied with what is declared.
///
/// What is `known` besides, and `now`, decide what is said about the changes. They decide what happens only where a rail
/// needs them: a source that went back, or repositories that leave in numbers.
pub fn change_set(applied: Option<&Applied>, declared: &Declaration, known: &Known, now: Timestamp) -> ChangeSet {
    let nothing = Declaration::default();
    let in_force = applied.map_or(&nothing, |applied| &applied.declaration);
    let own_names = resources(in_force);
    let after = resources(declared);
    let moves = Moves::resolve(&own_names.keys().collect(), &after.keys().collect(), declared);
    let renamed = moves.rename(in_force);
    let before = if moves.origins.is_empty() { own_names } else { resources(&renamed) };
    let known = moves.rename_known(known);

    let uid = |address: &Address| applied.and_then(|applied| applied.uids.get(origin(&moves, address)).copied());
    let mut findings = findings(&renamed, declared);
    findings.extend(leaving_plans(&renamed, declared, &moves));

    let addresses: BTreeSet<&Address> = before.keys().chain(after.keys()).collect();
    let one = |address: &&Address| {
        let compared = compare(before.get(*address), after.get(*address), &known.contents);
        Change { uid: uid(address), ..change((*address).clone(), compared, &moves, &findings) }
    };
    let changes: Vec<Change> = addresses.iter().map(one).collect();
    let touched: Vec<Touched<'_>> = changes
        .iter()
        .filter(|change| change.action != Action::Keep)
        .map(|change| Touched::new(change, before.get(&change.address), after.get(&change.address)))
        .collect();
    // A source that went back matters only if something changes by it.
    let quiet = touched.is_empty() && moves.refused.is_empty();
    let ground = impacts::Ground { before: &renamed, after: declared, known: &known, uid: &uid, now };
    let impacts = impacts::impacts(&changes, ground);
    let rails = if quiet { Vec::new() } else { rails(&findings, &renamed, declared, &moves, &known) };
    let plan_id = PlanId::of(applied.map(|applied| applied.lineage), &touched, &rails);
    ChangeSet {
        notes: notes(declared, &moves, in_force, now),
        rails: known.allowed.judge(impacts::with_numbers(rails, &impacts)),
        plan_id,
        based_on: applied.map(|applied| applied.generation),
        impacts,
        changes,
    }
}

fn origin<'a>(moves: &'a Moves, address: &'a Address) -> &'a Address {
    moves.origins.get(address).unwrap_or(address)
}

fn change(address: Address, compared: Compared, moves: &Moves, findings: &Findings) -> Change {
    let Compared { before, after, attributes, unchanged } = compared;
    let moved_from = moves.origins.get(&address).cloned();
    let action = match (before, after) {
        (false, _) => Action::Create,
        (true, false) if address.kind() == "plan" => Action::Retire,
        (true, false) => Action::Remove,
        (true, true) if moved_from.is_some() => Action::Move,
        (true, true) if attributes.is_empty() => Action::Keep,
        (true, true) => Action::Update,
    };
    let attributes = match action {
        Action::Create | Action::Update | Action::Move => attributes,
        Action::Retire | Action::Remove | Action::Keep => Vec::new(),
    };
    let mut change =
        Change { address, uid: None, action, moved_from, attributes, unchanged, risk: Risk::Safe, reasons: Vec::new() };
    if action != Action::Keep {
        for finding in findings.get(&change.address).into_iter().flatten() {
            change.risk = change.risk.max(finding.risk);
            change.reasons.push(finding.reason.clone());
        }
    }
    change
}
