//! What has another name than it was applied under.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::Known;
use crate::model::{
    Address, Credential, CredentialName, CredentialReference, CredentialRole, Declaration, Observations, PlanRetention,
    Project, ProjectSelector, ServerName,
};

/// The moves of a file, resolved against what is applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    /// The applied address of what is declared under another one.
    pub(super) origins: BTreeMap<Address, Address>,
    /// Plans that moved to a name that is retired: their own names.
    pub(super) retired: BTreeSet<Address>,
    /// Moves that cannot be meant, with the reason. Nothing of them is followed.
    pub(super) refused: Vec<(Address, String)>,
    /// Moves of what is not applied under the old name.
    pub(super) idle: Vec<(Address, Address)>,
}

impl Moves {
    /// Follows the moves of `declared` from what is `applied`.
    pub(super) fn resolve(applied: &BTreeSet<&Address>, present: &BTreeSet<&Address>, declared: &Declaration) -> Self {
        let mut moves = Self::default();
        let mut passed: BTreeSet<&Address> = BTreeSet::new();
        let mut sources: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
        for from in declared.moved.keys() {
            match end(from, &declared.moved) {
                Err(around) => moves.refused.push((from.clone(), around)),
                Ok((to, between)) if applied.contains(from) => {
                    passed.extend(between);
                    sources.entry(to).or_default().push(from);
                }
                Ok(_) => {}
            }
        }
        for (to, from) in sources {
            let problem = match from[..] {
                [only] => problem(only, to, applied, present, declared),
                _ => Some(format!("{} are moved to one name, {to}: two would become one", listed(&from))),
            };
            match problem {
                Some(problem) => moves.refused.extend(from.into_iter().map(|from| (from.clone(), problem.clone()))),
                None if present.contains(to) => {
                    moves.origins.insert(to.clone(), from[0].clone());
                }
                None => {
                    moves.retired.insert(from[0].clone());
                }
            }
        }
        let is_idle = |from: &&Address| !applied.contains(*from) && !passed.contains(*from);
        let refused: BTreeSet<&Address> = moves.refused.iter().map(|(from, _)| from).collect();
        let idle = declared.moved.iter().filter(|(from, _)| is_idle(from) && !refused.contains(*from));
        moves.idle = idle.map(|(from, to)| (from.clone(), to.clone())).collect();
        moves
    }

    /// `applied` under the names of the file.
    pub(super) fn rename<'a>(&self, applied: &'a Declaration) -> Cow<'a, Declaration> {
        if self.origins.is_empty() {
            return Cow::Borrowed(applied);
        }
        let mut renamed = applied.clone();
        // Names inside a project are told by the project's old name: they go first.
        let (inner, outer): (Vec<_>, Vec<_>) = self.origins.iter().partition(|(to, _)| to.kind() == "credential");
        for (to, from) in inner.into_iter().chain(outer) {
            rename(&mut renamed, from, to);
        }
        Cow::Owned(renamed)
    }

    /// What is known, with servers under the names of the file.
    pub(super) fn rename_known<'a>(&self, known: &'a Known) -> Cow<'a, Known> {
        let moved = self.origins.iter().filter(|(to, _)| to.kind() == "server");
        let moved: Vec<(ServerName, ServerName)> =
            moved.filter_map(|(to, from)| Some((name(from)?, name(to)?))).collect();
        if moved.is_empty() {
            return Cow::Borrowed(known);
        }
        let mut renamed = known.clone();
        let Observations { servers, inventories, .. } = &mut renamed.observations;
        // All of them are taken out first: one may get the name of another.
        let taken: Vec<_> =
            moved.iter().map(|(from, to)| (to, servers.remove(from), inventories.remove(from))).collect();
        for (to, server, listed) in taken {
            if let Some(server) = server {
                servers.entry(to.clone()).or_insert(server);
            }
            if let Some(listed) = listed {
                inventories.insert(to.clone(), listed);
            }
        }
        Cow::Owned(renamed)
    }
}

/// Where a chain of moves ends, with the names on the way. An error, if it leads back to where it was.
fn end<'a>(
    from: &'a Address,
    moved: &'a BTreeMap<Address, Address>,
) -> Result<(&'a Address, Vec<&'a Address>), String> {
    let mut between = Vec::new();
    let mut at = &moved[from];
    while let Some(next) = moved.get(at) {
        if at == from || between.contains(&at) {
            return Err(format!("the moves go round in a circle: {}", listed(&[&[from][..], &between].concat())));
        }
        between.push(at);
        at = next;
    }
    Ok((at, between))
}

fn problem(
    from: &Address,
    to: &Address,
    applied: &BTreeSet<&Address>,
    present: &BTreeSet<&Address>,
    declared: &Declaration,
) -> Option<String> {
    if from.kind() != to.kind() {
        return Some(format!("moved to {to}, which is not of its kind"));
    }
    if from.kind() == "credential" && additional(from).zip(additional(to)).is_none_or(|(one, other)| one.0 != other.0) {
        return Some(format!("moved to {to}: only additional credentials move, and only inside their project"));
    }
    if present.contains(from) {
        return Some(format!("moved to {to}, and still declared"));
    }
    if applied.contains(to) {
        return Some(format!("moved to {to}, which is in force already: two would become one"));
    }
    let retired = declared.retired.contains(to);
    (!present.contains(to) && !retired).then(|| format!("moved to {to}, which is not declared"))
}

fn listed(addresses: &[&Address]) -> String {
    addresses.iter().map(|address| address.as_str()).collect::<Vec<_>>().join(" and ")
}

/// The project and the name of an additional credential.
fn additional(address: &Address) -> Option<(ProjectSelector, CredentialName)> {
    let (_, rest) = address.as_str().split_once('/')?;
    let (project, name) = rest.rsplit_once('/')?;
    let name = (name != CredentialRole::Main.to_string()).then_some(name)?;
    Some((project.parse().ok()?, name.parse().ok()?))
}

fn name<T: FromStr>(address: &Address) -> Option<T> {
    address.as_str().split_once('/').and_then(|(_, name)| name.parse().ok())
}

/// Gives what is at `from` the name `to`, here and where it is referred to.
fn rename(declaration: &mut Declaration, from: &Address, to: &Address) {
    let Declaration { recipients: _, servers, destinations, retentions, projects, plans, alerts, moved: _, retired: _ } =
        declaration;
    match to.kind() {
        "plan" => {
            if let Some((old, new)) = rekey(plans, from, to) {
                for alerts in alerts.values_mut() {
                    if alerts.plans.remove(&old) {
                        alerts.plans.insert(new.clone());
                    }
                }
            }
        }
        "alerts" => {
            rekey(alerts, from, to);
        }
        "server" => {
            if let Some((old, new)) = rekey(servers, from, to) {
                for project in projects.values_mut().filter(|project| project.server == old) {
                    project.server = new.clone();
                }
            }
        }
        "destination" => {
            if let Some((old, new)) = rekey(destinations, from, to) {
                for plan in plans.values_mut() {
                    if plan.destinations.remove(&old) {
                        plan.destinations.insert(new.clone());
                    }
                }
            }
        }
        "retention" => {
            if let Some((old, new)) = rekey(retentions, from, to) {
                for plan in plans.values_mut().filter(|plan| plan.retention == PlanRetention::Named(old.clone())) {
                    plan.retention = PlanRetention::Named(new.clone());
                }
            }
        }
        "project" => {
            if let Some((old, new)) = rekey(projects, from, to) {
                for plan in plans.values_mut() {
                    if let Some(planned) = plan.projects.remove(&old) {
                        plan.projects.insert(new.clone(), planned);
                    }
                }
                for credential in projects.values_mut().flat_map(credentials_mut) {
                    if let Some(same) = credential.same_as.as_mut().filter(|same| same.project == old) {
                        same.project = new.clone();
                    }
                }
            }
        }
        _ => rename_credential(declaration, from, to),
    }
}

fn rename_credential(declaration: &mut Declaration, from: &Address, to: &Address) {
    let Some(((project, old), (_, new))) = additional(from).zip(additional(to)) else { return };
    if let Some(declared) = declaration.projects.get_mut(&project)
        && let Some(credential) = declared.additional.remove(&old)
    {
        declared.additional.insert(new.clone(), credential);
    }
    let enabled = declaration.plans.values_mut().filter_map(|plan| plan.projects.get_mut(&project));
    for name in enabled.flat_map(|planned| &mut planned.enabled_credentials).filter(|name| **name == old) {
        *name = new.clone();
    }
    let was = CredentialReference { project, role: CredentialRole::Additional(old) };
    for credential in declaration.projects.values_mut().flat_map(credentials_mut) {
        if let Some(same) = credential.same_as.as_mut().filter(|same| **same == was) {
            same.role = CredentialRole::Additional(new.clone());
        }
    }
}

fn credentials_mut(project: &mut Project) -> impl Iterator<Item = &mut Credential> {
    [&mut project.main].into_iter().chain(project.additional.values_mut())
}

fn rekey<K: Ord + Clone + FromStr, V>(map: &mut BTreeMap<K, V>, from: &Address, to: &Address) -> Option<(K, K)> {
    let (old, new): (K, K) = (name(from)?, name(to)?);
    let value = map.remove(&old)?;
    map.insert(new.clone(), value);
    Some((old, new))
}
