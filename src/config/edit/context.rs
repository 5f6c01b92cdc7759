//! What must be known before something is sealed.

use std::collections::BTreeMap;

use crate::config::decode::{Draft, DraftCredential, DraftProject, DraftSecret};
use crate::config::error::{Diagnostic, Invalid, Report, Span};
use crate::config::load::checked_draft;
use crate::config::sources::Sources;
use crate::config::suggest::did_you_mean;
use crate::model::{AccountName, BaseUrl, CredentialRole, ProjectSelector, PublicKey, ServerName};

/// What must be known to seal a credential for a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditContext {
    /// The server that the project is on.
    pub server: ServerName,
    /// The server's address: what a secret is sealed for.
    pub origin: BaseUrl,
    /// Whom to seal to.
    pub recipients: Vec<PublicKey>,
    /// The credentials of the project that the file has already, with their accounts; one that is the same as another
    /// has none of its own.
    pub declared: BTreeMap<CredentialRole, Option<AccountName>>,
}

/// What a credential of `project` is sealed for and to, also if other parts of the file are not finished yet.
pub fn edit_context(sources: &Sources, project: &ProjectSelector) -> Result<EditContext, Invalid> {
    let mut report = sources.report();
    if report.has_errors() {
        return Err(report.into_invalid());
    }
    let draft = checked_draft(sources.nodes(), &mut report);
    let context = origin(&draft, project, &mut report).zip(all_recipients(&draft, sources));
    let Some(((server, origin), recipients)) = context else { return Err(report.into_invalid()) };
    let credentials =
        draft.projects.iter().filter(|found| found.key.value == *project).flat_map(|found| &found.credentials);
    let account = |found: &DraftCredential| match &found.value {
        Some(DraftSecret::Own(account, _)) => Some(account.value.clone()),
        Some(DraftSecret::SameAs(_)) | None => None,
    };
    let declared = credentials.map(|found| (found.role.value.clone(), account(found))).collect();
    Ok(EditContext { server, origin, recipients, declared })
}

/// Whom to seal to, also if other parts of the files are not finished yet. Never empty.
pub fn declared_recipients(sources: &Sources) -> Result<Vec<PublicKey>, Invalid> {
    let mut report = sources.report();
    if report.has_errors() {
        return Err(report.into_invalid());
    }
    let draft = checked_draft(sources.nodes(), &mut report);
    all_recipients(&draft, sources).ok_or_else(|| report.into_invalid())
}

/// The recipients, if there are some and each can be read: to seal for fewer than are named would be a surprise.
fn all_recipients(draft: &Draft, sources: &Sources) -> Option<Vec<PublicKey>> {
    let keys: Vec<PublicKey> = draft.recipients.iter().map(|recipient| recipient.value.key.clone()).collect();
    let named: usize = sources.nodes().iter().map(|node| node.children_named("recipient").count()).sum();
    (!keys.is_empty() && keys.len() == named).then_some(keys)
}

fn origin(draft: &Draft, project: &ProjectSelector, report: &mut Report) -> Option<(ServerName, BaseUrl)> {
    let Some(found) = draft.projects.iter().find(|found| found.key.value == *project) else {
        let keys = draft.projects.iter().map(|found| found.key.value.as_str());
        report.add(
            Diagnostic::error("xopero::unknown-name", format!("there is no project `{project}`"))
                .at(Span::default(), "in this file")
                .help(format!("add `project \"{project}\" server=\"…\"`"))
                .maybe_help(did_you_mean(project.as_str(), keys)),
        );
        return None;
    };
    let elsewhere = |other: &&DraftProject| other.key.value == *project && other.span.file != found.span.file;
    if let Some(other) = draft.projects.iter().find(elsewhere) {
        report.add(
            Diagnostic::error("xopero::duplicate", format!("the project `{project}` is in two files"))
                .at(other.key.span, "again here")
                .at(found.key.span, "already here"),
        );
        return None;
    }
    let reference = found.server.as_ref()?;
    let Some(server) = draft.servers.iter().find(|server| server.name.value == reference.value) else {
        report.add(
            Diagnostic::error("xopero::unknown-name", format!("there is no server `{}`", reference.value))
                .at(reference.span, "not declared"),
        );
        return None;
    };
    Some((reference.value.clone(), server.value.as_ref()?.url.clone()))
}
