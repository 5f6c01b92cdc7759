//! Resolves names: everything that is referred to exists, once, and where it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

mod credentials;
mod projects;
mod statements;

use self::credentials::Credentials;
use super::decode::{
    Draft, DraftCredential, DraftDestination, DraftPlan, DraftPlannedProject, DraftProject, DraftRetention, Named,
    Spanned,
};
use super::document::in_quotes;
use super::error::{Diagnostic, Report, Span};
use super::suggest::nearest;
use crate::model::{
    Address, BackupPlan, CredentialRole, Declaration, DestinationName, Place, PlanRetention, PlannedProject, Project,
    PublicKey,
};

/// The declaration and the places of its parts. It is complete only if the report has no errors.
pub(super) fn resolve(draft: &Draft, report: &mut Report) -> (Declaration, BTreeMap<Address, Span>) {
    duplicates(draft, report);
    recipients(draft, report);
    let declared = Declared::of(draft);
    for server in draft.projects.iter().filter_map(|project| project.server.as_ref()) {
        exists("server", NOT_DECLARED, server, &declared.servers, report);
    }
    projects::check_patterns(draft, report);
    let credentials = credentials::resolve(draft, report);
    for plan in &draft.plans {
        check_plan(plan, &declared, report);
    }
    alerts(draft, report);
    let places = places(draft);
    statements::check(draft, &places, report);
    (declaration(draft, &credentials), places)
}

/// Reports names that are declared more than once.
fn once<'a, T: Display + Ord + 'a>(what: &str, names: impl IntoIterator<Item = &'a Spanned<T>>, report: &mut Report) {
    let mut seen: BTreeMap<String, &Spanned<T>> = BTreeMap::new();
    for name in names {
        // Bitbucket does not tell keys apart by case; two names that differ only in case help nobody.
        let key = name.value.to_string().to_lowercase();
        if let Some(first) = seen.get(&key) {
            let twice = if first.value == name.value {
                format!("the {what} `{}` is there twice", name.value)
            } else {
                format!("`{}` and `{}` differ only in case: they are one {what}", first.value, name.value)
            };
            report.add(
                Diagnostic::error("xopero::duplicate", twice)
                    .at(name.span, "again here")
                    .at(first.span, "already here"),
            );
        } else {
            seen.insert(key, name);
        }
    }
}

fn duplicates(draft: &Draft, report: &mut Report) {
    once("server", draft.servers.iter().map(|server| &server.name), report);
    once("destination", draft.destinations.iter().map(|destination| &destination.name), report);
    once("retention", draft.retentions.iter().map(|retention| &retention.name), report);
    once("project", draft.projects.iter().map(|project| &project.key), report);
    once("plan", draft.plans.iter().map(|plan| &plan.name), report);
    once("`alerts` node", draft.alerts.iter().map(|alerts| &alerts.name), report);
    let keys: Vec<Spanned<PublicKey>> = draft
        .recipients
        .iter()
        .map(|recipient| Spanned { value: recipient.value.key.clone(), span: recipient.span })
        .collect();
    once("recipient", &keys, report);
    for project in &draft.projects {
        let additional = |credential: &&DraftCredential| credential.role.value != CredentialRole::Main;
        once("credential", project.credentials.iter().filter(additional).map(|credential| &credential.role), report);
    }
}

fn recipients(draft: &Draft, report: &mut Report) {
    let openers: BTreeSet<&PublicKey> = draft.recipients.iter().map(|recipient| &recipient.value.key).collect();
    for destination in draft.destinations.iter().filter_map(|named| named.value.as_ref()) {
        let backups: BTreeSet<&PublicKey> = destination.destination.encrypt_to.iter().collect();
        if backups == openers && !openers.is_empty() {
            let mut warning = Diagnostic::warning(
                "xopero::same-recipients",
                "the identities that open this file also open the backups",
            )
            .at(destination.keys[0].span, "the same keys as the recipients")
            .help("a machine that takes backups needs no key to open them; keep that identity elsewhere");
            if let Some(span) = draft.recipients_span {
                warning = warning.at(span, "these recipients");
            }
            report.add(warning);
        }
    }
}

const NOT_DECLARED: &str = "not declared";

/// What names may refer to, collected once: a file can have many of each.
struct Declared<'a> {
    servers: BTreeSet<&'a str>,
    destinations: BTreeSet<&'a str>,
    retentions: BTreeSet<&'a str>,
    projects: BTreeMap<&'a str, &'a DraftProject>,
    /// Destinations that this version cannot write to, with their places.
    unusable: BTreeMap<&'a DestinationName, Span>,
}

impl<'a> Declared<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            servers: draft.servers.iter().map(|found| found.name.value.as_str()).collect(),
            destinations: draft.destinations.iter().map(|found| found.name.value.as_str()).collect(),
            retentions: draft.retentions.iter().map(|found| found.name.value.as_str()).collect(),
            projects: draft.projects.iter().map(|found| (found.key.value.as_str(), found)).collect(),
            unusable: draft
                .destinations
                .iter()
                .filter(|found| is_s3(found))
                .map(|found| (&found.name.value, found.name.span))
                .collect(),
        }
    }
}

fn is_s3(found: &Named<DestinationName, DraftDestination>) -> bool {
    match found.value.as_ref().map(|value| &value.destination.place) {
        Some(Place::S3(_)) => true,
        Some(Place::Local { .. }) | None => false,
    }
}

/// Whether what is referred to is declared. Reports it if not, with `label` at the place.
fn exists<T: Display>(
    what: &str,
    label: &str,
    reference: &Spanned<T>,
    declared: &BTreeSet<&str>,
    report: &mut Report,
) -> bool {
    let name = reference.value.to_string();
    if declared.contains(name.as_str()) {
        return true;
    }
    if report.is_full() {
        return false;
    }
    let known = if declared.is_empty() {
        format!("no {what} is declared")
    } else {
        let shown: Vec<&str> = declared.iter().take(8).copied().collect();
        format!("declared: {}", shown.join(", "))
    };
    report.add(
        Diagnostic::error("xopero::unknown-name", format!("there is no {what} `{name}`"))
            .at(reference.span, label)
            .help(known)
            .did_you_mean(nearest(&name, declared.iter().copied()), reference.span, in_quotes),
    );
    false
}

fn check_plan(plan: &DraftPlan, declared: &Declared<'_>, report: &mut Report) {
    once("project", plan.projects.iter().map(|project| &project.key), report);
    once("destination", &plan.destinations, report);
    for destination in &plan.destinations {
        exists("destination", NOT_DECLARED, destination, &declared.destinations, report);
        if let Some(place) = declared.unusable.get(&destination.value) {
            report.add(
                Diagnostic::error("xopero::not-built-yet", "this version of xopero cannot write to S3")
                    .at(destination.span, "a destination in an object store")
                    .at(*place, "declared here")
                    .help("name a destination with `local` here; the other one can stay declared"),
            );
        }
    }
    if let Some(DraftRetention::Named(retention)) = &plan.retention {
        exists("retention", NOT_DECLARED, retention, &declared.retentions, report);
    }
    for planned in &plan.projects {
        match declared.projects.get(planned.key.value.as_str()) {
            Some(project) => enabled_credentials(planned, project, declared, report),
            None => projects::not_declared(&planned.key, &declared.projects, report),
        }
    }
}

fn enabled_credentials(
    planned: &DraftPlannedProject,
    project: &DraftProject,
    declared: &Declared<'_>,
    report: &mut Report,
) {
    if planned.enabled.is_empty() || report.is_full() {
        return;
    }
    once("enabled credential", &planned.enabled, report);
    let names: BTreeSet<&str> = additional(project).collect();
    for enabled in planned.enabled.iter().filter(|enabled| !names.contains(enabled.value.as_str())) {
        let name = enabled.value.as_str();
        let mut elsewhere = declared.projects.values().filter(|other| additional(other).any(|other| other == name));
        if name == "main" {
            report.add(
                Diagnostic::error("xopero::unknown-name", "the main credential is not enabled")
                    .at(enabled.span, "no additional credential")
                    .help("remove it: every plan on the project uses the main credential"),
            );
            continue;
        }
        let Some(other) = elsewhere.next() else {
            let label = format!("not declared in project {}", project.key.value);
            exists("additional credential", &label, enabled, &names, report);
            continue;
        };
        let (key, owner) = (&project.key.value, &other.key.value);
        report.add(
            Diagnostic::error("xopero::other-project", format!("`{name}` is a credential of project {owner}"))
                .at(enabled.span, format!("not declared in project {key}"))
                .at(other.key.span, "declared here")
                .help(format!(
                    "a credential is added to each project; in project {key} write: additional-credential {name:?} \
                     same-as=\"{owner}/{name}\""
                )),
        );
    }
}

fn alerts(draft: &Draft, report: &mut Report) {
    let plans: BTreeSet<&str> = draft.plans.iter().map(|plan| plan.name.value.as_str()).collect();
    for alerts in &draft.alerts {
        once("plan", &alerts.plans, report);
        for plan in &alerts.plans {
            exists("plan", NOT_DECLARED, plan, &plans, report);
        }
    }
}

/// The names of a project's additional credentials.
fn additional(project: &DraftProject) -> impl Iterator<Item = &str> {
    project.credentials.iter().filter_map(|credential| match &credential.role.value {
        CredentialRole::Main => None,
        CredentialRole::Additional(name) => Some(name.as_str()),
    })
}

fn declaration(draft: &Draft, credentials: &Credentials<'_>) -> Declaration {
    fn map<N: Ord + Clone, T, U>(named: &[Named<N, T>], value: impl Fn(&T) -> U) -> BTreeMap<N, U> {
        named.iter().filter_map(|one| Some((one.name.value.clone(), value(one.value.as_ref()?)))).collect()
    }
    Declaration {
        recipients: draft.recipients.iter().map(|recipient| recipient.value.clone()).collect(),
        servers: map(&draft.servers, Clone::clone),
        destinations: map(&draft.destinations, |found| found.destination.clone()),
        retentions: map(&draft.retentions, Clone::clone),
        projects: draft
            .projects
            .iter()
            .filter_map(|found| Some((found.key.value.clone(), project(found, credentials)?)))
            .collect(),
        plans: draft.plans.iter().filter_map(|found| Some((found.name.value.clone(), plan(found)?))).collect(),
        alerts: draft
            .alerts
            .iter()
            .filter_map(|found| Some((found.name.value.clone(), found.value.clone()?)))
            .collect(),
        moved: draft.moved.iter().map(|moved| (moved.from.value.clone(), moved.to.value.clone())).collect(),
        retired: draft.retired.iter().map(|retired| retired.value.clone()).collect(),
    }
}

fn project(draft: &DraftProject, credentials: &Credentials<'_>) -> Option<Project> {
    let credential = |role: &CredentialRole| credentials.get(&(&draft.key.value, role)).cloned();
    let additional = draft.credentials.iter().filter_map(|found| match &found.role.value {
        CredentialRole::Main => None,
        CredentialRole::Additional(name) => Some((name.clone(), credential(&found.role.value)?)),
    });
    Some(Project {
        server: draft.server.as_ref()?.value.clone(),
        main: credential(&CredentialRole::Main)?,
        additional: additional.collect(),
    })
}

fn plan(draft: &DraftPlan) -> Option<BackupPlan> {
    let projects = draft.projects.iter().map(|planned| {
        let project = PlannedProject {
            include: planned.include.clone(),
            exclude: planned.exclude.clone(),
            enabled_credentials: planned.enabled.iter().map(|name| name.value.clone()).collect(),
        };
        (planned.key.value.clone(), project)
    });
    Some(BackupPlan {
        projects: projects.collect(),
        parts: draft.parts.clone(),
        destinations: draft.destinations.iter().map(|name| name.value.clone()).collect(),
        retention: match draft.retention.as_ref()? {
            DraftRetention::Named(name) => PlanRetention::Named(name.value.clone()),
            DraftRetention::Own(retention) => PlanRetention::Own(retention.clone()),
        },
        schedule: draft.schedule.clone(),
        verify: draft.verify,
        guard: draft.guard,
        max_duration: draft.max_duration,
        overdue_after: draft.overdue_after,
        paused: draft.paused.clone(),
    })
}

fn places(draft: &Draft) -> BTreeMap<Address, Span> {
    let mut places = BTreeMap::new();
    places.extend(draft.recipients_span.map(|span| (Address::recipients(), span)));
    places.extend(draft.servers.iter().map(|found| (Address::server(&found.name.value), found.span)));
    places.extend(draft.destinations.iter().map(|found| (Address::destination(&found.name.value), found.span)));
    places.extend(draft.retentions.iter().map(|found| (Address::retention(&found.name.value), found.span)));
    for project in &draft.projects {
        places.insert(Address::project(&project.key.value), project.span);
        places.extend(
            project
                .credentials
                .iter()
                .map(|credential| (Address::credential(&project.key.value, &credential.role.value), credential.span)),
        );
    }
    places.extend(draft.plans.iter().map(|plan| (Address::plan(&plan.name.value), plan.span)));
    places.extend(draft.alerts.iter().map(|alerts| (Address::alerts(&alerts.name.value), alerts.span)));
    places
}
