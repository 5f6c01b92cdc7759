//! The top-level `project` node with its credentials.

use jiff::civil::Date;

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span, quoted};
use super::super::shape::is_age;
use super::value::{Spanned, name};
use crate::model::{
    AccountName, Credential, CredentialKind, CredentialName, CredentialRole, ProjectSelector, Sealed, ServerName,
};

/// A project with names that are not resolved.
#[derive(Debug)]
pub(in crate::config) struct DraftProject {
    pub(in crate::config) key: Spanned<ProjectSelector>,
    pub(in crate::config) server: Option<Spanned<ServerName>>,
    pub(in crate::config) credentials: Vec<DraftCredential>,
    pub(in crate::config) span: Span,
}

/// A credential; `None` where its value is broken.
#[derive(Debug)]
pub(in crate::config) struct DraftCredential {
    pub(in crate::config) role: Spanned<CredentialRole>,
    pub(in crate::config) account: Option<AccountName>,
    pub(in crate::config) value: Option<Credential>,
    pub(in crate::config) span: Span,
}

/// A project.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<DraftProject> {
    let server = name(node.prop("server").and_then(Value::text), ServerName::new, report);
    let mut credentials = Vec::new();
    for child in node.children() {
        if let Some(role) = role(child, report) {
            let account = name(child.prop("account").and_then(Value::text), AccountName::new, report);
            let account = account.map(|account| account.value);
            let value = credential(child, report);
            credentials.push(DraftCredential { role, account, value, span: child.span });
        }
    }
    let key = name(node.text(), ProjectSelector::new, report)?;
    Some(DraftProject { key, server, credentials, span: node.span })
}

/// The role that a child of a project declares a credential for.
pub(in crate::config) fn role(node: &Node, report: &mut Report) -> Option<Spanned<CredentialRole>> {
    match node.name.as_str() {
        "credential" => Some(Spanned { value: CredentialRole::Main, span: node.name_span }),
        "additional-credential" => {
            let Spanned { value, span } = name(node.text(), CredentialName::new, report)?;
            if value.as_str() == "main" {
                report.add(
                    Diagnostic::error("xopero::invalid-name", "an additional credential cannot be called \"main\"")
                        .at(span, "this is what the project's `credential` is called"),
                );
                return None;
            }
            Some(Spanned { value: CredentialRole::Additional(value), span })
        }
        _ => None,
    }
}

/// The credential in `node`. Its account is not reported here if it is broken.
pub(in crate::config) fn credential(node: &Node, report: &mut Report) -> Option<Credential> {
    let account = node.prop("account").and_then(Value::text).and_then(|(text, _)| AccountName::new(text).ok());
    let expires = match node.child("expires").map(|expires| date(expires, report)) {
        None => Some(None),
        Some(date) => date.map(Some),
    };
    let secret = secret(node, report);
    let ((kind, sealed), expires) = secret.zip(expires)?;
    account.map(|account| Credential { account, kind, sealed, expires, same_as: None })
}

fn secret(node: &Node, report: &mut Report) -> Option<(CredentialKind, Sealed)> {
    let (token, password) = (node.child("token"), node.child("password"));
    let (kind, given) = match (token, password) {
        (Some(token), None) => (CredentialKind::Token, token),
        (None, Some(password)) => (CredentialKind::Password, password),
        (Some(token), Some(password)) => {
            report.add(
                Diagnostic::error("xopero::two-secrets", "a credential has a token or a password, not both")
                    .at(password.name_span, "a password")
                    .at(token.name_span, "and a token"),
            );
            return None;
        }
        (None, None) => {
            // Something else in the block is reported already, and is probably what was meant.
            let misspelt = node.children().iter().any(|child| child.name != "expires");
            let replaced = node.prop("same-as").is_some();
            if !misspelt && !replaced {
                report.add(
                    Diagnostic::error("xopero::missing-secret", "the credential has no token and no password")
                        .at(node.name_span, "add one")
                        .help("seal one into the file with `xopero credential add`"),
                );
            }
            return None;
        }
    };
    let (text, _) = given.text()?;
    (is_age(text) && given.args[0].annotation.as_deref() == Some("age")).then(|| (kind, Sealed::new(text)))
}

fn date(node: &Node, report: &mut Report) -> Option<Date> {
    let (text, span) = node.text()?;
    let parsed = (text.len() == 10).then(|| text.parse::<Date>().ok()).flatten();
    if parsed.is_none() {
        report.add(
            Diagnostic::error("xopero::invalid-date", format!("{} is not a date", quoted(text)))
                .at(span, "not a date")
                .help("write year, month and day: \"2027-03-01\""),
        );
    }
    parsed
}
