//! How dangerous a change is, and what asks for approval.

use std::collections::BTreeMap;

use serde::Serialize;

use super::resource::rules;
use crate::model::{
    Address, BackupPlan, CredentialRole, Declaration, Destination, DestinationName, PlanRetention, Project,
    ProjectSelector, Retention, Server,
};

/// How many plans must leave at least before their share counts.
const MANY_PLANS: usize = 3;

/// How dangerous a change is. The later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing to know.
    Safe,
    /// Worth a look.
    Notice,
    /// Needs approval of exactly this change set.
    Guarded,
}

impl Risk {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Notice => "notice",
            Self::Guarded => "guarded",
        }
    }
}

/// What a rail protects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RailKind {
    /// A plan is no longer in the file.
    PlanLeaves,
    /// So many plans leave that it looks like a mistake.
    ManyPlansLeave,
    /// Snapshots are kept for a shorter time or in smaller number.
    TightenedRetention,
    /// A server has another address.
    ServerMoved,
}

impl RailKind {
    /// The name that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlanLeaves => "plan-leaves",
            Self::ManyPlansLeave => "many-plans-leave",
            Self::TightenedRetention => "tightened-retention",
            Self::ServerMoved => "server-moved",
        }
    }
}

/// A reason to ask for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rail {
    /// What it protects from.
    pub kind: RailKind,
    /// What it is about.
    pub addresses: Vec<Address>,
    /// What happens, in numbers where there are some.
    pub message: String,
}

/// Why a change has its risk.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) risk: Risk,
    pub(super) rail: Option<RailKind>,
    pub(super) reason: String,
}

impl Finding {
    fn notice(reason: impl Into<String>) -> Self {
        Self { risk: Risk::Notice, rail: None, reason: reason.into() }
    }

    fn guarded(rail: RailKind, reason: impl Into<String>) -> Self {
        Self { risk: Risk::Guarded, rail: Some(rail), reason: reason.into() }
    }
}

/// What there is to say about the way from one declaration to another.
pub(super) type Findings = BTreeMap<Address, Vec<Finding>>;

pub(super) fn findings(before: &Declaration, after: &Declaration) -> Findings {
    let mut all = Findings::new();
    let mut found = |address: Address, finding: Finding| all.entry(address).or_default().push(finding);
    let keys = |declaration: &Declaration| -> Vec<_> { declaration.recipients.iter().map(|r| r.key.clone()).collect() };
    let (old_keys, new_keys) = (keys(before), keys(after));
    if old_keys.iter().any(|key| !new_keys.contains(key)) {
        found(
            Address::recipients(),
            Finding::notice("who leaves can still open what was sealed for them: replace those tokens"),
        );
    }
    for (name, old) in &before.servers {
        for finding in after.servers.get(name).map_or_else(forgotten_server, |new| server(old, new)) {
            found(Address::server(name), finding);
        }
    }
    for (name, old) in &before.destinations {
        for finding in after.destinations.get(name).map_or_else(forgotten_destination, |new| destination(old, new)) {
            found(Address::destination(name), finding);
        }
    }
    for (name, old) in &before.retentions {
        let finding = match after.retentions.get(name) {
            None => Some(Finding::notice("no plan uses it")),
            Some(new) => tightened(old, new),
        };
        if let Some(finding) = finding {
            found(Address::retention(name), finding);
        }
    }
    for (key, old) in &before.projects {
        let new = after.projects.get(key);
        if new.is_none() {
            found(Address::project(key), Finding::notice("no new backups of it; those that exist are kept"));
        } else if new.is_some_and(|new| new.server != old.server) {
            found(Address::project(key), Finding::notice("its repositories are other ones: the next run is full"));
        }
        for role in roles(old) {
            if new.and_then(|project| project.credential(&role)).is_none() {
                found(
                    Address::credential(key, &role),
                    Finding::notice("no longer used; it still works on the server until it is revoked there"),
                );
            }
        }
    }
    for (name, old) in &before.plans {
        let of_plan = match after.plans.get(name) {
            None => vec![Finding::guarded(
                RailKind::PlanLeaves,
                "no more runs; its backups are kept and nothing prunes them",
            )],
            Some(new) => plan((before, old), (after, new)),
        };
        for finding in of_plan {
            found(Address::plan(name), finding);
        }
    }
    all
}

fn roles(project: &Project) -> Vec<CredentialRole> {
    let additional = project.additional.keys().cloned().map(CredentialRole::Additional);
    [CredentialRole::Main].into_iter().chain(additional).collect()
}

fn forgotten_server() -> Vec<Finding> {
    vec![Finding::notice("forgotten here; backups of it are kept")]
}

fn forgotten_destination() -> Vec<Finding> {
    vec![Finding::notice("forgotten here; the backups in it are kept")]
}

fn server(old: &Server, new: &Server) -> Vec<Finding> {
    let mut all = Vec::new();
    if old.url != new.url {
        all.push(Finding::guarded(
            RailKind::ServerMoved,
            format!("its credentials are sealed for {} and will not be sent to {}", old.url, new.url),
        ));
    }
    if old.ca_file != new.ca_file {
        all.push(Finding::notice("other certificates are trusted"));
    }
    all
}

fn destination(old: &Destination, new: &Destination) -> Vec<Finding> {
    let mut all = Vec::new();
    if old.place.identity() != new.place.identity() {
        all.push(Finding::notice("new backups only: those at the old place stay there; the next run is full"));
    }
    if super::Value::set(&old.encrypt_to) != super::Value::set(&new.encrypt_to) {
        all.push(Finding::notice("new backups only: those that exist open as before; the next run is full"));
    }
    all
}

fn plan((before, old): (&Declaration, &BackupPlan), (after, new): (&Declaration, &BackupPlan)) -> Vec<Finding> {
    let mut all = Vec::new();
    // A shared retention that itself changes is reported once, at its own address.
    if old.retention != new.retention
        && let (Some(old_rules), Some(new_rules)) = (effective(before, old), effective(after, new))
    {
        all.extend(tightened(old_rules, new_rules));
    }
    let gone: Vec<&str> =
        old.projects.keys().filter(|key| !new.projects.contains_key(*key)).map(ProjectSelector::as_str).collect();
    if !gone.is_empty() {
        all.push(Finding::notice(format!("no new backups of {}", gone.join(", "))));
    }
    let gone: Vec<&str> = old.destinations.difference(&new.destinations).map(DestinationName::as_str).collect();
    if !gone.is_empty() {
        all.push(Finding::notice(format!("no new backups in {}; those that exist are kept", gone.join(", "))));
    }
    let gone: Vec<&str> = old.parts.difference(&new.parts).map(|part| part.as_str()).collect();
    if !gone.is_empty() {
        all.push(Finding::notice(format!("no new backups of the part {}", gone.join(", "))));
    }
    for (key, planned) in &new.projects {
        if let Some(old) = old.projects.get(key) {
            let scope = |include, exclude| (super::Value::set::<&_>(include), super::Value::set::<&_>(exclude));
            if scope(&old.include, &old.exclude) != scope(&planned.include, &planned.exclude) {
                all.push(Finding::notice(format!("other repositories of {key} are in scope")));
            }
        }
    }
    all
}

fn effective<'a>(declaration: &'a Declaration, plan: &'a BackupPlan) -> Option<&'a Retention> {
    match &plan.retention {
        PlanRetention::Named(name) => declaration.retentions.get(name),
        PlanRetention::Own(own) => Some(own),
    }
}

fn tightened(old: &Retention, new: &Retention) -> Option<Finding> {
    let mut what: Vec<String> = rules(old.keep)
        .into_iter()
        .zip(rules(new.keep))
        .filter(|((_, before), (_, after))| after < before)
        .map(|((rule, before), (_, after))| format!("{rule} from {before} to {after}"))
        .collect();
    if new.grace < old.grace {
        what.push("a shorter grace".to_owned());
    }
    let reason = || format!("keeps fewer backups: {}", what.join(", "));
    (!what.is_empty()).then(|| Finding::guarded(RailKind::TightenedRetention, reason()))
}

/// The rails of a change set, one for each kind.
pub(super) fn rails(findings: &Findings, before: &Declaration, after: &Declaration) -> Vec<Rail> {
    let mut all: BTreeMap<RailKind, (Vec<Address>, Vec<String>)> = BTreeMap::new();
    for (address, list) in findings {
        for Finding { rail, reason, risk: _ } in list {
            if let Some(kind) = rail {
                let (addresses, reasons) = all.entry(*kind).or_default();
                addresses.push(address.clone());
                if !reasons.contains(reason) {
                    reasons.push(reason.clone());
                }
            }
        }
    }
    let leaving: Vec<Address> =
        before.plans.keys().filter(|name| !after.plans.contains_key(*name)).map(Address::plan).collect();
    if leaving.len() >= MANY_PLANS && leaving.len().saturating_mul(10) > before.plans.len().saturating_mul(3) {
        let message = format!("{} of {} plans leave; is the file complete?", leaving.len(), before.plans.len());
        all.insert(RailKind::ManyPlansLeave, (leaving, vec![message]));
    }
    all.into_iter().map(|(kind, (addresses, reasons))| Rail { kind, addresses, message: reasons.join("; ") }).collect()
}
