//! Credentials of projects: put in, replaced, taken out.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::EditError;
use super::enable::{disabling, enabling_plans};
use super::layout::{Layout, comments, lines_of, quote};
use super::sealed::{says, sealed_lines};
use super::splice::{Edit, Splice, is, not_declared, only, parsed};
use crate::config::decode;
use crate::config::document::Node;
use crate::config::error::Report;
use crate::config::sources::Sources;
use crate::model::{
    AccountName, Address, CredentialKind, CredentialName, CredentialRole, ProjectSelector, RecipientsMark, Sealed,
};

/// A credential that is put into the files.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// The account it logs in as.
    pub account: AccountName,
    /// What the secret is.
    pub kind: CredentialKind,
    /// The secret.
    pub sealed: Sealed,
    /// Whom it is sealed for.
    pub recipients: RecipientsMark,
    /// The last day on which it works, if it ends.
    pub expires: Option<Date>,
}

/// The files with the credential of `role` set: replaced if there is one, added if there is none.
///
/// Comments inside a replaced credential are kept.
pub fn set_credential(
    sources: &Sources,
    project: &ProjectSelector,
    role: &CredentialRole,
    credential: &NewCredential,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let node = declared(nodes, project)?;
    let address = Address::credential(project, role);
    let existing = only(node.children(), |child| has_role(child, role), || address.clone())?;
    let text = &sources.file(node.span.file).text;
    let layout = Layout::of(text, nodes, node);
    let lines = |comments: &[&str]| layout.lines(&lines(layout.unit, role, credential, comments));
    let splice = match existing {
        Some(existing) => Splice { span: existing.span, text: lines(&comments(text, existing.span)) },
        None if *role == CredentialRole::Main => layout.prepend(node, &lines(&[])),
        None => layout.append(node, &lines(&[])),
    };
    let edit = Edit {
        address: address.to_string(),
        splices: vec![splice],
        values: BTreeMap::new(),
        without: &|nodes| take_out(nodes, project, role),
        meant: &|nodes| {
            let mut written = credentials(nodes, project).filter(|child| has_role(child, role));
            written.next().is_some_and(|node| is_meant(node, credential)) && written.next().is_none()
        },
    };
    edit.make(sources)
}

/// The files without an additional credential. Plans that enable it are an error, unless it is to be disabled in all of
/// them.
pub fn remove_credential(
    sources: &Sources,
    project: &ProjectSelector,
    name: &CredentialName,
    disable_everywhere: bool,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let (node, role) = (declared(nodes, project)?, CredentialRole::Additional(name.clone()));
    let address = Address::credential(project, &role);
    let existing = only(node.children(), |child| has_role(child, &role), || address.clone())?
        .ok_or_else(|| EditError::NotDeclared { address: address.clone(), meant: None })?;
    let plans = enabling_plans(sources, project, name);
    if !plans.is_empty() && !disable_everywhere {
        return Err(EditError::Enabled { project: project.clone(), name: name.clone(), plans });
    }
    let text = &sources.file(existing.span.file).text;
    let mut splices = vec![Splice { span: lines_of(text, existing.span), text: String::new() }];
    splices.extend(disabling(sources, None, project, name));
    let edit = Edit {
        address: address.to_string(),
        splices,
        values: BTreeMap::new(),
        without: &|nodes| {
            take_out(nodes, project, &role);
            super::enable::take_out(nodes, None, project, name);
        },
        meant: &|nodes| !credentials(nodes, project).any(|child| has_role(child, &role)),
    };
    edit.make(sources)
}

/// The one project of that key.
pub(super) fn declared<'a>(nodes: &'a [Node], project: &ProjectSelector) -> Result<&'a Node, EditError> {
    let address = || Address::project(project);
    only(nodes, |node| is(node, "project", project.as_str()), address)?.ok_or_else(|| not_declared(nodes, address()))
}

fn credentials<'a>(nodes: &'a [Node], project: &'a ProjectSelector) -> impl Iterator<Item = &'a Node> {
    nodes.iter().filter(|node| is(node, "project", project.as_str())).flat_map(Node::children)
}

fn has_role(node: &Node, role: &CredentialRole) -> bool {
    decode::role(node, &mut Report::default()).is_some_and(|found| found.value == *role)
}

fn take_out(nodes: &mut [Node], project: &ProjectSelector, role: &CredentialRole) {
    for node in nodes.iter_mut().filter(|node| is(node, "project", project.as_str())) {
        if let Some(children) = &mut node.children {
            children.retain(|child| !has_role(child, role));
        }
    }
}

fn is_meant(node: &Node, meant: &NewCredential) -> bool {
    let mut report = Report::default();
    let value = decode::credential(node, &mut report);
    let as_meant = value.is_some_and(|written| {
        written.account == meant.account && written.kind == meant.kind && written.expires == meant.expires
    });
    let secret = node.child(meant.kind.as_str());
    as_meant && !report.has_errors() && secret.is_some_and(|secret| says(secret, &meant.sealed, &meant.recipients))
}

/// The node, line by line; those behind the first are indented by steps of `one`.
fn lines(one: &str, role: &CredentialRole, credential: &NewCredential, comments: &[&str]) -> Vec<String> {
    let name = match role {
        CredentialRole::Main => "credential".to_owned(),
        CredentialRole::Additional(name) => format!("additional-credential {}", quote(name.as_str())),
    };
    let NewCredential { account, kind, sealed, recipients, expires } = credential;
    let mut lines = vec![format!("{name} account={} {{", quote(account.as_str()))];
    lines.extend(comments.iter().map(|comment| format!("{one}{comment}")));
    let secret = sealed_lines(kind.as_str(), sealed, recipients, one);
    lines.extend(secret.iter().map(|line| format!("{one}{line}")));
    lines.extend(expires.map(|date| format!("{one}expires \"{date}\"")));
    lines.push("}".to_owned());
    lines
}
