//! Resolves names: everything that is referred to exists, once, and where it must be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::decode::{
    Draft, DraftCredential, DraftPlan, DraftPlannedProject, DraftProject, DraftRetention, Named, Spanned,
};
use super::error::{Diagnostic, Report, Span};
use super::suggest::did_you_mean;
use crate::model::{
    AccountName, Address, BackupPlan, CredentialRole, Declaration, PlanRetention, PlannedProject, Project, PublicKey,
};

/// The declaration and the places of its parts. It is complete only if the report has no errors.
pub(super) fn resolve(draft: &Draft, report: &mut Report) -> (Declaration, BTreeMap<Address, Span>) {
    duplicates(draft, report);
    recipients(draft, report);
    let declared = Declared::of(draft);
    for server in draft.projects.iter().filter_map(|project| project.server.as_ref()) {
        exists("server", NOT_DECLARED, server, &declared.servers, report);
    }
    for plan in &draft.plans {
        check_plan(plan, &declared, report);
    }
    (declaration(draft), places(draft))
}

/// Reports names that are declared more than once.
fn once<'a, T: Display + Ord + 'a>(what: &str, names: impl IntoIterator<Item = &'a Spanned<T>>, report: &mut Report) {
    let mut seen: BTreeMap<String, Span> = BTreeMap::new();
    for name in names {
        // Bitbucket does not tell keys apart by case; two names that differ only in case help nobody.
        let key = name.value.to_string().to_lowercase();
        if let Some(first) = seen.get(&key) {
            report.add(
                Diagnostic::error("xopero::duplicate", format!("the {what} `{}` is there twice", name.value))
                    .at(name.span, "again here")
                    .at(*first, "already here"),
            );
        } else {
            seen.insert(key, name.span);
        }
    }
}

fn duplicates(draft: &Draft, report: &mut Report) {
    once("server", draft.servers.iter().map(|server| &server.name), report);
    once("destination", draft.destinations.iter().map(|destination| &destination.name), report);
    once("retention", draft.retentions.iter().map(|retention| &retention.name), report);
    once("project", draft.projects.iter().map(|project| &project.key), report);
    once("plan", draft.plans.iter().map(|plan| &plan.name), report);
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
    project_keys: BTreeSet<&'a str>,
}

impl<'a> Declared<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            servers: draft.servers.iter().map(|found| found.name.value.as_str()).collect(),
            destinations: draft.destinations.iter().map(|found| found.name.value.as_str()).collect(),
            retentions: draft.retentions.iter().map(|found| found.name.value.as_str()).collect(),
            projects: draft.projects.iter().map(|found| (found.key.value.as_str(), found)).collect(),
            project_keys: draft.projects.iter().map(|found| found.key.value.as_str()).collect(),
        }
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
            .maybe_help(did_you_mean(&name, declared.iter().copied())),
    );
    false
}

fn check_plan(plan: &DraftPlan, declared: &Declared<'_>, report: &mut Report) {
    once("project", plan.projects.iter().map(|project| &project.key), report);
    once("destination", &plan.destinations, report);
    for destination in &plan.destinations {
        exists("destination", NOT_DECLARED, destination, &declared.destinations, report);
    }
    if let Some(DraftRetention::Named(retention)) = &plan.retention {
        exists("retention", NOT_DECLARED, retention, &declared.retentions, report);
    }
    for planned in &plan.projects {
        exists("project", NOT_DECLARED, &planned.key, &declared.project_keys, report);
        if let Some(project) = declared.projects.get(planned.key.value.as_str()) {
            enabled_credentials(planned, project, report);
        }
    }
}

fn enabled_credentials(planned: &DraftPlannedProject, project: &DraftProject, report: &mut Report) {
    if planned.enabled.is_empty() || report.is_full() {
        return;
    }
    once("enabled credential", &planned.enabled, report);
    let mut additional: BTreeMap<&str, Option<&AccountName>> = BTreeMap::new();
    // The account, and who uses it already.
    let mut users: BTreeMap<&AccountName, String> = BTreeMap::new();
    for credential in &project.credentials {
        match &credential.role.value {
            CredentialRole::Main => {
                users.extend(credential.account.as_ref().map(|account| (account, "the main credential".to_owned())));
            }
            CredentialRole::Additional(name) => {
                additional.insert(name.as_str(), credential.account.as_ref());
            }
        }
    }
    let names: BTreeSet<&str> = additional.keys().copied().collect();
    let label = format!("not declared in project {}", project.key.value);
    for enabled in &planned.enabled {
        exists("additional credential", &label, enabled, &names, report);
        let Some(account) = additional.get(enabled.value.as_str()).copied().flatten() else { continue };
        if let Some(other) = users.get(account) {
            report.add(
                Diagnostic::warning("xopero::same-account", format!("`{}` adds no budget", enabled.value))
                    .at(enabled.span, format!("the same account as {other}"))
                    .help("Bitbucket limits accounts, not tokens; a credential of another account doubles the budget"),
            );
        } else {
            users.insert(account, format!("`{}`", enabled.value));
        }
    }
}

fn declaration(draft: &Draft) -> Declaration {
    fn map<N: Ord + Clone, T, U>(named: &[Named<N, T>], value: impl Fn(&T) -> U) -> BTreeMap<N, U> {
        named.iter().filter_map(|one| Some((one.name.value.clone(), value(one.value.as_ref()?)))).collect()
    }
    Declaration {
        recipients: draft.recipients.iter().map(|recipient| recipient.value.clone()).collect(),
        servers: map(&draft.servers, Clone::clone),
        destinations: map(&draft.destinations, |found| found.destination.clone()),
        retentions: map(&draft.retentions, Clone::clone),
        projects: draft.projects.iter().filter_map(|found| Some((found.key.value.clone(), project(found)?))).collect(),
        plans: draft.plans.iter().filter_map(|found| Some((found.name.value.clone(), plan(found)?))).collect(),
        moved: BTreeMap::new(),
        retired: BTreeSet::new(),
    }
}

fn project(draft: &DraftProject) -> Option<Project> {
    let main = draft.credentials.iter().find(|credential| credential.role.value == CredentialRole::Main)?;
    let additional = draft.credentials.iter().filter_map(|credential| match &credential.role.value {
        CredentialRole::Main => None,
        CredentialRole::Additional(name) => Some((name.clone(), credential.value.clone()?)),
    });
    Some(Project {
        server: draft.server.as_ref()?.value.clone(),
        main: main.value.clone()?,
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
        verify: None,
        guard: None,
        paused: None,
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
    places
}
