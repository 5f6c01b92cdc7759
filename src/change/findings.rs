//! What there is to say about each change.

use std::collections::BTreeSet;

use super::resource::rules;
use super::risk::{Finding, Findings};
use super::{RailKind, Way};
use crate::model::{
    Address, BackupPlan, Credential, CredentialRole, Declaration, Destination, DestinationName, Place, PlanRetention,
    Project, ProjectSelector, Retention, Server, add_command,
};

/// What there is to say about the way from `before` to `after`, which are under the same names.
pub(super) fn findings(before: &Declaration, after: &Declaration) -> Findings {
    let mut all = Findings::new();
    let mut found = |address: Address, finding: Finding| all.entry(address).or_default().push(finding);
    let keys = |declaration: &Declaration| -> BTreeSet<_> {
        declaration.recipients.iter().map(|recipient| recipient.key.clone()).collect()
    };
    if !keys(before).is_subset(&keys(after)) {
        let reason = "who leaves can still open what was sealed for them: replace those tokens";
        found(Address::recipients(), Finding::notice(reason));
    }
    for (name, old) in &before.servers {
        let of_server = match after.servers.get(name) {
            None => vec![Finding::notice("forgotten here; backups of it are kept")],
            Some(new) => server((before, old), (after, new), |project| project.server == *name),
        };
        for finding in of_server {
            found(Address::server(name), finding);
        }
    }
    for (name, old) in &before.destinations {
        let of_destination = match after.destinations.get(name) {
            None => vec![Finding::notice("forgotten here; the backups in it are kept")],
            Some(new) => destination(old, new),
        };
        for finding in of_destination {
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
        for finding in project((before, old), (after, new), key) {
            found(Address::project(key), finding);
        }
        for role in roles(old).filter(|role| new.and_then(|project| project.credential(role)).is_none()) {
            let reason = "no longer used; it still works on the server until it is revoked there";
            found(Address::credential(key, &role), Finding::notice(reason));
        }
    }
    for (name, old) in &before.plans {
        if let Some(new) = after.plans.get(name) {
            let of_plan = plan((before, old), (after, new));
            for finding in of_plan {
                found(Address::plan(name), finding);
            }
        }
    }
    for (address, of_alerts) in super::alerting::findings(before, after) {
        for finding in of_alerts {
            found(address.clone(), finding);
        }
    }
    all
}

fn roles(project: &Project) -> impl Iterator<Item = CredentialRole> {
    let additional = project.additional.keys().cloned().map(CredentialRole::Additional);
    [CredentialRole::Main].into_iter().chain(additional)
}

fn server(
    (before, old): (&Declaration, &Server),
    (after, new): (&Declaration, &Server),
    on_it: impl Fn(&Project) -> bool,
) -> Vec<Finding> {
    let mut all = Vec::new();
    if old.url != new.url {
        let projects = after.projects.iter().filter(|(_, project)| on_it(project));
        let left: Vec<(&ProjectSelector, CredentialRole, &Credential)> =
            projects.flat_map(|(key, project)| not_sealed_anew(before, key, project)).collect();
        all.push(if left.is_empty() {
            let reason = format!("every credential will be sent to {} instead of {}", new.url, old.url);
            Finding::guarded(RailKind::ServerMoved, reason)
        } else {
            sealed_elsewhere(&left, &old.url.to_string(), &new.url.to_string())
        });
    }
    if old.ca_file != new.ca_file {
        all.push(Finding::notice("other certificates are trusted"));
    }
    all
}

/// The credentials of a project that are the same sealed values as before.
fn not_sealed_anew<'a>(
    before: &'a Declaration,
    key: &'a ProjectSelector,
    project: &'a Project,
) -> impl Iterator<Item = (&'a ProjectSelector, CredentialRole, &'a Credential)> {
    let old = before.projects.get(key);
    roles(project).filter_map(move |role| {
        let credential = project.credential(&role).filter(|credential| credential.same_as.is_none())?;
        let same = old?.credential(&role).is_some_and(|old| old.sealed == credential.sealed);
        same.then_some((key, role, credential))
    })
}

/// Commands that are told.
const COMMANDS: usize = 8;

fn sealed_elsewhere(left: &[(&ProjectSelector, CredentialRole, &Credential)], old: &str, new: &str) -> Finding {
    let command = |(key, role, credential): &(&ProjectSelector, CredentialRole, &Credential)| {
        add_command(key, role, &credential.account, credential.kind)
    };
    let mut lines: Vec<String> = left.iter().take(COMMANDS).map(command).collect();
    if left.len() > COMMANDS {
        lines.push(format!("# and so on for {} more", left.len() - COMMANDS));
    }
    let number = left.len();
    let (noun, verb) = if number == 1 { ("credential is", "it is") } else { ("credentials are", "they are") };
    let reason = format!("{number} {noun} sealed for {old}; {verb} not sent to {new}");
    let way = Way { when: "if the new address is right, seal them for it".to_owned(), lines };
    Finding::refused(RailKind::SealedElsewhere, reason).with([way])
}

fn destination(old: &Destination, new: &Destination) -> Vec<Finding> {
    let mut all = Vec::new();
    if old.place.identity() != new.place.identity() {
        all.push(Finding::notice("new backups only: those at the old place stay there; the next run is full"));
    }
    if let (Place::S3(old), Place::S3(new)) = (&old.place, &new.place) {
        let meant_for = |place: &crate::model::S3Place| format!("bucket {} at {}", place.bucket, place.origin());
        let same_keys = old.access_key == new.access_key || old.secret_key == new.secret_key;
        if meant_for(old) != meant_for(new) && same_keys {
            let reason =
                format!("its keys are sealed for {}; they are not used for {}", meant_for(old), meant_for(new));
            let way = Way { when: "seal both keys for the new place".to_owned(), lines: Vec::new() };
            all.push(Finding::refused(RailKind::SealedElsewhere, reason).with([way]));
        }
    }
    if super::Value::set(&old.encrypt_to) != super::Value::set(&new.encrypt_to) {
        all.push(Finding::notice("new backups only: those that exist open as before; the next run is full"));
    }
    all
}

fn project(
    (before, old): (&Declaration, &Project),
    (after, new): (&Declaration, Option<&Project>),
    key: &ProjectSelector,
) -> Vec<Finding> {
    let Some(new) = new else {
        return vec![Finding::notice("no new backups of it; those that exist are kept")];
    };
    if new.server == old.server {
        return Vec::new();
    }
    let mut all = vec![Finding::notice("its repositories are other ones: the next run is full")];
    let url = |declaration: &Declaration, project: &Project| {
        declaration.servers.get(&project.server).map(|server| server.url.to_string()).unwrap_or_default()
    };
    let (old_url, new_url) = (url(before, old), url(after, new));
    let left: Vec<_> = not_sealed_anew(before, key, new).collect();
    if old_url != new_url && !left.is_empty() {
        all.push(sealed_elsewhere(&left, &old_url, &new_url));
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
    let mut gone = |what: &str, names: Vec<&str>, end: &str| {
        if !names.is_empty() {
            all.push(Finding::notice(format!("no new backups {what} {}{end}", names.join(", "))));
        }
    };
    let projects = old.projects.keys().filter(|key| !new.projects.contains_key(*key));
    gone("of", projects.map(ProjectSelector::as_str).collect(), "; those that exist are kept");
    let destinations = old.destinations.difference(&new.destinations);
    gone("in", destinations.map(DestinationName::as_str).collect(), "; those that exist are kept");
    gone("of the part", old.parts.difference(&new.parts).map(|part| part.as_str()).collect(), "");
    all
}

/// The rules that a plan falls under.
pub(super) fn effective<'a>(declaration: &'a Declaration, plan: &'a BackupPlan) -> Option<&'a Retention> {
    match &plan.retention {
        PlanRetention::Named(name) => declaration.retentions.get(name),
        PlanRetention::Own(own) => Some(own),
    }
}

fn tightened(old: &Retention, new: &Retention) -> Option<Finding> {
    let rules = rules(old.keep).into_iter().zip(rules(new.keep));
    let fewer = rules.filter(|((_, before), (_, after))| after < before);
    let mut what: Vec<String> =
        fewer.map(|((rule, before), (_, after))| format!("{rule} from {before} to {after}")).collect();
    if new.grace < old.grace {
        what.push("a shorter grace".to_owned());
    }
    let reason = || format!("keeps fewer backups: {}", what.join(", "));
    (!what.is_empty()).then(|| Finding::guarded(RailKind::TightenedRetention, reason()))
}
