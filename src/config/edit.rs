//! Puts one credential into the file by splicing text. Every other byte stays as it is.
//!
//! The result is parsed again and compared with what was there: an edit that would change anything else, for
//! whatever reason, is refused.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::decode::{self, Draft, DraftCredential, DraftProject, DraftSecret};
use super::document::Node;
use super::error::{Diagnostic, FileId, Invalid, Report, SourceFile, Span};
use super::lexer::{Token, TokenKind, lex};
use super::load::{checked_draft, tree};
use super::sources::Sources;
use super::suggest::did_you_mean;
use crate::model::{
    AccountName, Address, BaseUrl, Credential, CredentialKind, CredentialName, CredentialRole, ProjectSelector,
    PublicKey, Sealed, ServerName,
};

/// Why a credential was not put into the file.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file is not KDL.
    #[error("the file cannot be edited")]
    Invalid {
        /// What is wrong with it.
        #[source]
        source: Invalid,
    },
    /// The project is not declared.
    #[error("the file declares no project {project}")]
    NoProject {
        /// The project.
        project: ProjectSelector,
    },
    /// The project or the credential stands in the file more than once.
    #[error("the file declares {address} more than once")]
    Ambiguous {
        /// What is there more than once.
        address: Address,
    },
    /// The file is written in a way that the edit does not fit into.
    #[error("{address} cannot be put into the file without changing something else")]
    DoesNotFit {
        /// What was to be put in.
        address: Address,
    },
}

impl EditError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { .. } => Some("correct what `xopero validate` reports".to_owned()),
            Self::NoProject { project } => Some(format!("add `project \"{project}\" server=\"…\"` to the file")),
            Self::Ambiguous { .. } => Some("remove one of them".to_owned()),
            Self::DoesNotFit { .. } => Some("write the project with its block on lines of its own".to_owned()),
        }
    }
}

/// What must be known to seal a credential for a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditContext {
    /// The file that declares the project.
    pub file: FileId,
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
    let nodes = sources.nodes();
    let draft = checked_draft(nodes, &mut report);
    let recipients = draft.recipients.iter().map(|recipient| recipient.value.key.clone()).collect::<Vec<_>>();
    let named: usize = nodes.iter().map(|node| node.children_named("recipient").count()).sum();
    let context = origin(&draft, project, &mut report).filter(|_| !recipients.is_empty() && recipients.len() == named);
    let Some((file, server, origin)) = context else { return Err(report.into_invalid()) };
    let credentials =
        draft.projects.iter().filter(|found| found.key.value == *project).flat_map(|found| &found.credentials);
    let account = |found: &DraftCredential| match &found.value {
        Some(DraftSecret::Own(account, _)) => Some(account.value.clone()),
        Some(DraftSecret::SameAs(_)) | None => None,
    };
    let declared = credentials.map(|found| (found.role.value.clone(), account(found))).collect();
    Ok(EditContext { file, server, origin, recipients, declared })
}

/// Whether a plan of the file enables an additional credential, also if other parts are not finished yet.
pub fn enables(sources: &Sources, project: &ProjectSelector, name: &CredentialName) -> bool {
    let is = |node: &Node, text: &str| node.text().is_some_and(|(first, _)| first == text);
    let plans = sources.nodes().iter().filter(|node| node.name == "plan");
    let planned = plans.flat_map(|plan| plan.children_named("project"));
    let enabled = planned.filter(|planned| is(planned, project.as_str()));
    enabled
        .flat_map(|planned| planned.children_named("enable-credentials"))
        .any(|enabled| enabled.args.iter().any(|value| value.text().is_some_and(|(text, _)| text == name.as_str())))
}

fn origin(draft: &Draft, project: &ProjectSelector, report: &mut Report) -> Option<(FileId, ServerName, BaseUrl)> {
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
    Some((found.span.file, reference.value.clone(), server.value.as_ref()?.url.clone()))
}

/// The text of the file with the credential of `role` set: replaced if there is one, added if there is none.
///
/// Comments inside a replaced credential are kept.
pub fn set_credential(
    file: &SourceFile,
    project: &ProjectSelector,
    role: &CredentialRole,
    account: &AccountName,
    kind: CredentialKind,
    sealed: &Sealed,
    expires: Option<Date>,
) -> Result<String, EditError> {
    let before = parse(&file.text)?;
    let credential = Credential { account: account.clone(), kind, sealed: sealed.clone(), expires, same_as: None };
    let node = only(&before, |node| is_project(node, project), || Address::project(project))?
        .ok_or_else(|| EditError::NoProject { project: project.clone() })?;
    let address = || Address::credential(project, role);
    let existing = only(node.children(), |child| has_role(child, role), address)?;

    let layout = Layout::of(&file.text, &before, node);
    let (place, text) = match existing {
        Some(existing) => {
            let comments = comments(&file.text, existing.span);
            (existing.span, layout.credential(role, &credential, &comments))
        }
        None => layout.insertion(node, role, &credential),
    };
    let mut after = file.text.clone();
    after.replace_range(place.start..place.end, &text);
    if only_changes(&before, &after, project, role, &credential) {
        Ok(after)
    } else {
        Err(EditError::DoesNotFit { address: address() })
    }
}

fn parse(text: &str) -> Result<Vec<Node>, EditError> {
    let mut report = Report::default();
    tree(text, &mut report).ok_or_else(|| EditError::Invalid { source: report.into_invalid() })
}

fn is_project(node: &Node, project: &ProjectSelector) -> bool {
    node.name == "project" && node.text().is_some_and(|(key, _)| key == project.as_str())
}

fn has_role(node: &Node, role: &CredentialRole) -> bool {
    decode::role(node, &mut Report::default()).is_some_and(|found| found.value == *role)
}

/// The node that fits, if only one does.
fn only(
    nodes: &[Node],
    fits: impl Fn(&Node) -> bool,
    address: impl Fn() -> Address,
) -> Result<Option<&Node>, EditError> {
    let mut found = nodes.iter().filter(|node| fits(node));
    let first = found.next();
    if found.next().is_some() { Err(EditError::Ambiguous { address: address() }) } else { Ok(first) }
}

/// Whether `after` says the same as `before`, but for this one credential, which it gives as meant.
fn only_changes(
    before: &[Node],
    after: &str,
    project: &ProjectSelector,
    role: &CredentialRole,
    meant: &Credential,
) -> bool {
    let Ok(after) = parse(after) else { return false };
    let credentials = after.iter().filter(|node| is_project(node, project)).flat_map(Node::children);
    let written: Vec<Credential> = credentials
        .filter(|child| has_role(child, role))
        .filter_map(|child| decode::credential(child, &mut Report::default()))
        .collect();
    let as_meant = matches!(&written[..], [one] if one.account == meant.account
        && one.kind == meant.kind
        && one.expires == meant.expires
        && one.sealed.digest() == meant.sealed.digest());
    let without = |nodes: &[Node]| -> Vec<Node> {
        let mut nodes = nodes.to_vec();
        for node in nodes.iter_mut().filter(|node| is_project(node, project)) {
            if let Some(children) = &mut node.children {
                children.retain(|child| !has_role(child, role));
            }
        }
        nodes
    };
    let (before, after) = (without(before), without(&after));
    as_meant && before.len() == after.len() && before.iter().zip(&after).all(|(before, after)| before.same(after))
}

fn tokens_in(text: &str, span: Span) -> Vec<Token> {
    lex(text).into_iter().filter(|token| span.contains(token.span)).collect()
}

fn comments(text: &str, span: Span) -> Vec<&str> {
    tokens_in(text, span)
        .into_iter()
        .filter(|token| matches!(token.kind, TokenKind::LineComment | TokenKind::BlockComment))
        .map(|token| text[token.span.start..token.span.end].trim_end())
        .collect()
}

/// How the file is written: what a new node must look like to belong.
struct Layout<'a> {
    text: &'a str,
    line_break: &'static str,
    /// One step of indentation.
    unit: &'a str,
    /// The indentation of the project.
    outer: &'a str,
    /// The indentation of its children.
    inner: String,
}

impl<'a> Layout<'a> {
    fn of(text: &'a str, nodes: &[Node], project: &Node) -> Self {
        let first_child = |node: &Node| node.children().first().and_then(|child| indentation(text, child.span.start));
        let unit = nodes.iter().filter_map(first_child).find(|found| !found.is_empty()).unwrap_or("    ");
        let outer = indentation(text, project.span.start).unwrap_or_default();
        let inner = first_child(project).filter(|inner| !inner.is_empty());
        Self {
            text,
            line_break: if text.contains("\r\n") { "\r\n" } else { "\n" },
            unit,
            outer,
            inner: inner.map_or_else(|| format!("{outer}{unit}"), str::to_owned),
        }
    }

    /// The node, without the indentation of its first line and the line break after its last.
    fn credential(&self, role: &CredentialRole, credential: &Credential, comments: &[&str]) -> String {
        let name = match role {
            CredentialRole::Main => "credential".to_owned(),
            CredentialRole::Additional(name) => format!("additional-credential {}", quote(name.as_str())),
        };
        let mut lines = vec![format!("{name} account={} {{", quote(credential.account.as_str()))];
        let one = self.unit;
        lines.extend(comments.iter().map(|comment| format!("{one}{comment}")));
        let sealed = credential.sealed.as_str().lines().map(str::trim).filter(|line| !line.is_empty());
        let sealed: Vec<&str> = sealed.collect();
        if let [line] = sealed[..] {
            lines.push(format!("{one}{} (age){}", credential.kind, quote(line)));
        } else {
            lines.push(format!("{one}{} (age)#\"\"\"", credential.kind));
            lines.extend(sealed.iter().map(|line| format!("{one}{one}{line}")));
            lines.push(format!("{one}{one}\"\"\"#"));
        }
        lines.extend(credential.expires.map(|date| format!("{one}expires \"{date}\"")));
        lines.push("}".to_owned());
        lines.join(&format!("{}{}", self.line_break, self.inner))
    }

    /// Where a new credential goes, and its text.
    fn insertion(&self, project: &Node, role: &CredentialRole, credential: &Credential) -> (Span, String) {
        let node = format!("{}{}", self.inner, self.credential(role, credential, &[]));
        let (line_break, outer) = (self.line_break, self.outer);
        let at = |position| Span::new(position, position);
        let head_end = head_end(project);
        let Some((open, close)) = block(self.text, Span::new(head_end, project.span.end)) else {
            return (at(head_end), format!(" {{{line_break}{node}{line_break}{outer}}}"));
        };
        if *role == CredentialRole::Main
            && let Some(line) = next_line(self.text, Span::new(open.end, close.start))
        {
            return (at(line), format!("{node}{line_break}"));
        }
        match indentation(self.text, close.start) {
            Some(spaces) => (at(close.start - spaces.len()), format!("{node}{line_break}")),
            None => (at(close.start), format!("{line_break}{node}{line_break}{outer}")),
        }
    }
}

/// The white space before `position`, if nothing else stands before it on its line.
fn indentation(text: &str, position: usize) -> Option<&str> {
    let line = text[..position].rfind('\n').map_or(0, |found| found + 1);
    let before = &text[line..position];
    before.chars().all(|c| c == ' ' || c == '\t').then_some(before)
}

/// Behind the name and all values of a node.
fn head_end(node: &Node) -> usize {
    let args = node.args.iter().map(|value| value.span.end);
    let props = node.props.iter().map(|property| property.value.span.end);
    args.chain(props).fold(node.name_span.end, usize::max)
}

/// The braces of the first block in `span` that is not commented out with `/-`.
fn block(text: &str, span: Span) -> Option<(Span, Span)> {
    let (mut depth, mut open, mut commented_out) = (0usize, None, false);
    for token in tokens_in(text, span) {
        match token.kind {
            TokenKind::Slashdash if depth == 0 => commented_out = true,
            TokenKind::OpenBrace => {
                if depth == 0 {
                    open = (!commented_out).then_some(token.span);
                }
                depth += 1;
            }
            TokenKind::CloseBrace => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    if let Some(open) = open {
                        return Some((open, token.span));
                    }
                    commented_out = false;
                }
            }
            TokenKind::Slashdash
            | TokenKind::Bom
            | TokenKind::Space
            | TokenKind::Newline
            | TokenKind::LineComment
            | TokenKind::BlockComment
            | TokenKind::Word
            | TokenKind::Text
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals
            | TokenKind::Semicolon
            | TokenKind::LineContinuation => {}
        }
    }
    None
}

/// The beginning of the second line of `span`, if nothing but a comment stands in the first.
fn next_line(text: &str, span: Span) -> Option<usize> {
    let quiet = |kind| matches!(kind, TokenKind::Space | TokenKind::LineComment | TokenKind::BlockComment);
    tokens_in(text, span)
        .into_iter()
        .find(|token| !quiet(token.kind))
        .filter(|token| token.kind == TokenKind::Newline)
        .map(|token| token.span.end)
}

/// A KDL string. Names have no control characters; what else could end or change the string is escaped.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii() || c.is_alphanumeric() => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out.push('"');
    out
}
