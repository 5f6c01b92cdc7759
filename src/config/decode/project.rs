//! The top-level `project` node with its credentials.

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span, quoted};
use super::value::{Spanned, date, name, pattern, sealed_or_file};
use crate::model::{
    AccountName, Credential, CredentialKind, CredentialName, CredentialReference, CredentialRole, ProjectSelector,
    Sealed, ServerName,
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
    pub(in crate::config) value: Option<DraftSecret>,
    pub(in crate::config) span: Span,
}

/// Who a credential is.
#[derive(Debug)]
pub(in crate::config) enum DraftSecret {
    /// An account with its secret; `None` where the secret is broken.
    Own(Spanned<AccountName>, Option<Credential>),
    /// The credential of another project.
    SameAs(Spanned<CredentialReference>),
}

/// A project.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<DraftProject> {
    let server = name(node.prop("server").and_then(Value::text), ServerName::new, report);
    let mut credentials = Vec::new();
    for child in node.children() {
        if let Some(role) = role(child, report) {
            let value = draft(child, report);
            credentials.push(DraftCredential { role, value, span: child.span });
        }
    }
    let key = pattern(node.text(), ProjectSelector::new, report)?;
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

fn draft(node: &Node, report: &mut Report) -> Option<DraftSecret> {
    let account = node.prop("account").and_then(Value::text);
    match (node.prop("account"), node.prop("same-as")) {
        (_, None) => {
            // A main credential without properties is reported by its shape, and a misspelt property by its name.
            if node.props.is_empty() && node.name == "additional-credential" {
                report.add(
                    Diagnostic::error(
                        "xopero::missing-property",
                        format!("`{}` needs the property `account`", node.name),
                    )
                    .at(node.name_span, "add account=…")
                    .help("or same-as=\"PROJECT\" to use the credential of another project on the same server"),
                );
            }
            let value = credential(node, report);
            name(account, AccountName::new, report).map(|account| DraftSecret::Own(account, value))
        }
        (Some(account), Some(same_as)) => {
            report.add(
                Diagnostic::error(
                    "xopero::two-accounts",
                    "a credential has an account of its own or is the same as another",
                )
                .at(same_as.span, "the same as another")
                .at(account.span, "an account of its own"),
            );
            None
        }
        (None, Some(same_as)) => {
            if let Some(child) = node.children().first() {
                report.add(
                    Diagnostic::error("xopero::same-as-block", "the secret stands where the credential is declared")
                        .at(child.name_span, "does not belong here")
                        .at(same_as.span, "the same as that one"),
                );
            }
            let (text, span) = same_as.text()?;
            let value = text.parse::<CredentialReference>();
            if value.is_err() {
                report.add(
                    Diagnostic::error("xopero::invalid-reference", format!("{} names no credential", quoted(text)))
                        .at(span, "not a credential")
                        .help("write same-as=\"PAY\" for the main credential of PAY, or same-as=\"PAY/extra-1\""),
                );
            }
            Some(DraftSecret::SameAs(Spanned { value: value.ok()?, span }))
        }
    }
}

/// The credential in `node`. Its account is not reported here if it is broken.
pub(in crate::config) fn credential(node: &Node, report: &mut Report) -> Option<Credential> {
    let account = node.prop("account").and_then(Value::text).and_then(|(text, _)| AccountName::new(text).ok());
    let expires = match node.child("expires").map(|expires| date(expires.args.first(), report)) {
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
            if !misspelt {
                report.add(
                    Diagnostic::error("xopero::missing-secret", "the credential has no token and no password")
                        .at(node.name_span, "add one")
                        .help("seal one into the file with `xopero credential add`"),
                );
            }
            return None;
        }
    };
    sealed_or_file(given, report).map(|sealed| (kind, sealed))
}
