//! Credentials that are the same as another, and accounts that serve a project twice.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::{Draft, DraftCredential, DraftProject, DraftSecret, Spanned};
use super::super::error::{Diagnostic, Report, Span};
use super::{additional, exists};
use crate::model::{AccountName, Credential, CredentialReference, CredentialRole, ProjectSelector};

/// A credential by its project and its role.
type Key<'a> = (&'a ProjectSelector, &'a CredentialRole);

/// What each credential comes to.
pub(super) type Credentials<'a> = BTreeMap<Key<'a>, Credential>;

/// Every credential with its account and secret, wherever they stand.
pub(super) fn resolve<'a>(draft: &'a Draft, report: &mut Report) -> Credentials<'a> {
    let declared = Declared::of(draft);
    let mut resolved = Credentials::new();
    for project in &draft.projects {
        for credential in &project.credentials {
            if let Some(found) = declared.resolve(project, credential, report) {
                resolved.entry((&project.key.value, &credential.role.value)).or_insert(found);
            }
        }
        same_accounts(project, &resolved, report);
    }
    resolved
}

struct Declared<'a> {
    projects: BTreeMap<&'a str, &'a DraftProject>,
    names: BTreeSet<&'a str>,
    credentials: BTreeMap<Key<'a>, &'a DraftCredential>,
}

impl<'a> Declared<'a> {
    fn of(draft: &'a Draft) -> Self {
        let mut credentials = BTreeMap::new();
        for project in &draft.projects {
            for credential in &project.credentials {
                credentials.entry((&project.key.value, &credential.role.value)).or_insert(credential);
            }
        }
        Self {
            projects: draft.projects.iter().map(|project| (project.key.value.as_str(), project)).collect(),
            names: draft.projects.iter().map(|project| project.key.value.as_str()).collect(),
            credentials,
        }
    }

    /// The account and secret of a credential. Nothing if they are broken, which is reported where they stand.
    fn resolve(&self, project: &DraftProject, credential: &DraftCredential, report: &mut Report) -> Option<Credential> {
        let reference = match credential.value.as_ref()? {
            DraftSecret::Own(_, own) => return own.clone(),
            DraftSecret::SameAs(reference) => reference,
        };
        let mut found = self.referred(project, reference, report)?;
        let mut passed = BTreeSet::from([(&project.key.value, &credential.role.value)]);
        let own = loop {
            if !passed.insert((&found.0.key.value, &found.1.role.value)) {
                report.add(
                    Diagnostic::error("xopero::same-as-circle", "the credential is in the end the same as itself")
                        .at(reference.span, "leads back to itself")
                        .help("give one of them an account and a secret of its own"),
                );
                return None;
            }
            match found.1.value.as_ref()? {
                DraftSecret::Own(_, own) => break own.clone()?,
                // What is wrong further on is reported there.
                DraftSecret::SameAs(next) => found = self.referred(found.0, next, &mut Report::default())?,
            }
        };
        Some(Credential { same_as: Some(reference.value.clone()), ..own })
    }

    /// The credential that `reference`, which stands in `from`, names.
    fn referred(
        &self,
        from: &DraftProject,
        reference: &Spanned<CredentialReference>,
        report: &mut Report,
    ) -> Option<(&'a DraftProject, &'a DraftCredential)> {
        let CredentialReference { project, role } = &reference.value;
        let Some(found) = self.projects.get(project.as_str()) else {
            let named = Spanned { value: project, span: reference.span };
            exists("project", "not declared", &named, &self.names, report);
            return None;
        };
        if let (Some(here), Some(there)) = (&from.server, &found.server)
            && here.value != there.value
        {
            report.add(
                Diagnostic::error("xopero::other-server", format!("project {project} is on another server"))
                    .at(reference.span, format!("a credential for {}", there.value))
                    .at(here.span, format!("this project is on {}", here.value))
                    .help("a secret is sealed for one server: declare a credential with an account of this one"),
            );
            return None;
        }
        let credential = self.credentials.get(&(project, role)).copied();
        if credential.is_none()
            && let CredentialRole::Additional(name) = role
        {
            let named = Spanned { value: name, span: reference.span };
            let label = format!("not declared in project {project}");
            exists("additional credential", &label, &named, &additional(found).collect(), report);
        }
        Some((*found, credential?))
    }
}

/// Warns of accounts that a project has twice.
fn same_accounts(project: &DraftProject, resolved: &Credentials<'_>, report: &mut Report) {
    let mut users: BTreeMap<&AccountName, (&CredentialRole, Span)> = BTreeMap::new();
    for credential in &project.credentials {
        let role = &credential.role;
        let Some(found) = resolved.get(&(&project.key.value, &role.value)) else { continue };
        let Some((other, place)) = users.get(&found.account) else {
            users.insert(&found.account, (&role.value, role.span));
            continue;
        };
        if *other == &role.value {
            continue;
        }
        report.add(
            Diagnostic::warning("xopero::same-account", format!("`{}` adds no budget", role.value))
                .at(role.span, format!("account {}", found.account))
                .at(*place, "the same account")
                .help("Bitbucket limits accounts, not tokens; a credential of another account doubles the budget"),
        );
    }
}
