//! Sealed values: where they are, what they are for, and putting others in their place.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::EditError;
use super::alert_secret::{AlertSecret, alert_purpose};
use super::layout::{head_end, leading, quote};
use super::splice::{Edit, Splice, parsed};
use super::store_key::{StoreKey, store_purpose};
use crate::config::decode::{self, Draft};
use crate::config::document::{Node, Value};
use crate::config::error::{Report, Span};
use crate::config::load::checked_draft;
use crate::config::shape::is_age;
use crate::config::sources::Sources;
use crate::model::{
    AccountName, Address, AlertsName, CredentialRole, DestinationName, ProjectSelector, RecipientsMark, Sealed,
    SecretKind,
};

/// The property beside a sealed value that says for which set of recipients it is sealed.
pub(in crate::config) const SEALED_FOR: &str = "sealed-for";

/// The address of a sealed value: `credential/PAY/main`, `destination/offsite/secret-key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SecretAddress(String);

impl SecretAddress {
    /// The one of a credential.
    pub fn credential(project: &ProjectSelector, role: &CredentialRole) -> Self {
        Self(Address::credential(project, role).to_string())
    }

    /// One of the keys to the bucket of a destination.
    pub fn store_key(destination: &DestinationName, key: StoreKey) -> Self {
        Self(format!("destination/{destination}/{}", key.as_str()))
    }

    /// One of the secrets of alerts.
    pub fn alert(alerts: &AlertsName, secret: AlertSecret) -> Self {
        Self(format!("{}/{secret}", Address::alerts(alerts)))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sealed value of the files.
#[derive(Debug, Clone)]
pub struct SealedValue {
    /// Where it belongs.
    pub address: SecretAddress,
    /// The value.
    pub sealed: Sealed,
    /// The set of recipients that it says to be sealed for.
    pub sealed_for: Option<String>,
    /// The only use that may be made of it, if the parts of the files that say so can be read.
    pub purpose: Option<Purpose>,
}

/// The use that a sealed value is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// What it is.
    pub kind: SecretKind,
    /// The server that it may be sent to.
    pub origin: String,
    /// The account that it belongs to.
    pub account: AccountName,
}

impl SealedValue {
    /// Whether it is sealed for exactly these recipients, as far as it says so.
    pub fn is_for(&self, recipients: &RecipientsMark) -> bool {
        self.sealed_for.as_deref() == Some(recipients.as_str())
    }
}

/// All sealed values, in the order of the files.
pub fn sealed_values(sources: &Sources) -> Result<Vec<SealedValue>, EditError> {
    let nodes = parsed(sources)?;
    let draft = checked_draft(nodes, &mut Report::default());
    let found = places(nodes).into_iter().filter_map(|place| {
        let text = place.node.attached.as_deref().or_else(|| place.node.text().map(|(text, _)| text))?;
        let sealed_for = place.node.prop(SEALED_FOR).and_then(Value::text).map(|(mark, _)| mark.to_owned());
        let purpose = purpose(&place, &draft);
        is_age(text).then(|| SealedValue {
            address: place.address,
            sealed: Sealed::new(text.trim()),
            sealed_for,
            purpose,
        })
    });
    Ok(found.collect())
}

/// Where a sealed value stands.
pub(super) struct Place<'a> {
    pub(super) address: SecretAddress,
    /// The node that has the value as its argument.
    pub(super) node: &'a Node,
    pub(super) parent: &'a Node,
    top: &'a Node,
}

pub(super) fn places(nodes: &[Node]) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    for top in nodes.iter().filter(|node| node.name == "destination") {
        let Some((name, _)) = top.text() else { continue };
        let keys = top.children().iter().filter(|child| StoreKey::is(child));
        places.extend(keys.map(|node| {
            let address = SecretAddress(format!("destination/{name}/{}", node.name));
            Place { address, node, parent: top, top }
        }));
    }
    for top in nodes.iter().filter(|node| node.name == "alerts") {
        let Some(alerts) = top.text().and_then(|(name, _)| AlertsName::new(name).ok()) else { continue };
        for parent in top.children() {
            let secrets = parent.children().iter().filter_map(|node| Some((AlertSecret::of(parent, node)?, node)));
            places.extend(secrets.map(|(secret, node)| {
                let address = SecretAddress::alert(&alerts, secret);
                Place { address, node, parent, top }
            }));
        }
    }
    for top in nodes.iter().filter(|node| node.name == "project") {
        let Some(project) = top.text().and_then(|(key, _)| ProjectSelector::new(key).ok()) else { continue };
        for parent in top.children() {
            let Some(role) = decode::role(parent, &mut Report::default()) else { continue };
            let address = SecretAddress::credential(&project, &role.value);
            let values = parent.children().iter().filter(|child| matches!(child.name.as_str(), "token" | "password"));
            places.extend(values.map(|node| Place { address: address.clone(), node, parent, top }));
        }
    }
    places
}

fn purpose(place: &Place<'_>, draft: &Draft) -> Option<Purpose> {
    if place.top.name == "alerts" {
        return alert_purpose(place.parent, AlertSecret::of(place.parent, place.node)?);
    }
    let kind = match place.node.name.as_str() {
        "token" => SecretKind::Token,
        "password" => SecretKind::Password,
        _ => return store_purpose(place.top),
    };
    let (server, _) = place.top.prop("server").and_then(Value::text)?;
    let server = draft.servers.iter().find(|found| found.name.value.as_str() == server)?.value.as_ref()?;
    let (account, _) = place.parent.prop("account").and_then(Value::text)?;
    Some(Purpose { kind, origin: server.url.origin(), account: AccountName::new(account).ok()? })
}

/// The files with other sealed values at these addresses, each marked with the recipients it is sealed for. How a value
/// is written stays: on one line, on many, or in a file of its own.
pub fn replace_sealed(
    sources: &Sources,
    replacements: &BTreeMap<SecretAddress, Sealed>,
    recipients: &RecipientsMark,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let places = places(nodes);
    let (mut splices, mut values) = (Vec::new(), BTreeMap::new());
    for (address, sealed) in replacements {
        let mut here = places.iter().filter(|place| place.address == *address);
        let place = here.next().ok_or_else(|| EditError::NoSecret { address: address.clone() })?;
        if here.next().is_some() {
            return Err(EditError::Ambiguous { address: address.to_string() });
        }
        let text = &sources.file(place.node.span.file).text;
        match (place.node.args.first(), place.node.prop("file").and_then(Value::text)) {
            (Some(value), _) => {
                splices.push(Splice { span: value.span, text: written(text, place.node, value, sealed) });
            }
            (None, Some((path, _))) => drop(values.insert(path.to_owned(), format!("{}\n", sealed.as_str()))),
            (None, None) => return Err(EditError::NoSecret { address: address.clone() }),
        }
        splices.push(mark(place.node, recipients));
    }
    let chosen = |place: &SecretAddress| replacements.contains_key(place);
    let edit = Edit {
        address: replacements.keys().map(SecretAddress::as_str).collect::<Vec<_>>().join(", "),
        splices,
        values,
        without: &|nodes| take_out(nodes, &chosen),
        meant: &|nodes| {
            let mut found = self::places(nodes).into_iter().filter(|place| chosen(&place.address));
            found.all(|place| says(place.node, &replacements[&place.address], recipients))
        },
    };
    edit.make(sources)
}

/// Whether the node has this value, with its annotation and its mark.
pub(super) fn says(node: &Node, sealed: &Sealed, recipients: &RecipientsMark) -> bool {
    let inline = || node.text().filter(|_| node.args[0].annotation.as_deref() == Some("age")).map(|(text, _)| text);
    let text = node.attached.as_deref().or_else(inline);
    text.is_some_and(|text| {
        Sealed::new(one_form(text)).full_digest() == Sealed::new(one_form(sealed.as_str())).full_digest()
    }) && node.prop(SEALED_FOR).and_then(Value::text).is_some_and(|(mark, _)| mark == recipients.as_str())
}

/// Takes the value and the mark out of the nodes at the chosen addresses.
fn take_out(nodes: &mut [Node], chosen: &dyn Fn(&SecretAddress) -> bool) {
    for top in nodes.iter_mut().filter(|node| node.name == "destination") {
        let Some(name) = top.text().map(|(name, _)| name.to_owned()) else { continue };
        for node in top.children.iter_mut().flatten().filter(|child| StoreKey::is(child)) {
            if chosen(&SecretAddress(format!("destination/{name}/{}", node.name))) {
                empty(node);
            }
        }
    }
    for top in nodes.iter_mut().filter(|node| node.name == "alerts") {
        let Some(alerts) = top.text().and_then(|(name, _)| AlertsName::new(name).ok()) else { continue };
        for parent in top.children.iter_mut().flatten() {
            let channel = parent.name.clone();
            for node in parent.children.iter_mut().flatten() {
                let secret = AlertSecret::named(&channel, &node.name);
                if secret.is_some_and(|secret| chosen(&SecretAddress::alert(&alerts, secret))) {
                    empty(node);
                }
            }
        }
    }
    for top in nodes.iter_mut().filter(|node| node.name == "project") {
        let Some(project) = top.text().and_then(|(key, _)| ProjectSelector::new(key).ok()) else { continue };
        for parent in top.children.iter_mut().flatten() {
            let Some(role) = decode::role(parent, &mut Report::default()) else { continue };
            if chosen(&SecretAddress::credential(&project, &role.value)) {
                for node in parent.children.iter_mut().flatten() {
                    if matches!(node.name.as_str(), "token" | "password") {
                        empty(node);
                    }
                }
            }
        }
    }
}

fn empty(node: &mut Node) {
    node.args.clear();
    node.attached = None;
    node.props.retain(|property| property.name != SEALED_FOR);
}

/// The sealed value in the form that the old one has.
fn written(text: &str, node: &Node, old: &Value, sealed: &Sealed) -> String {
    let one_line = old.text().is_some_and(|(text, _)| text.trim().lines().count() <= 1);
    if one_line {
        return quote(&one_form(sealed.as_str()));
    }
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let outer = leading(text, node.span.start);
    // The line that ends the old value shows how far its lines are indented.
    let written = &text[old.span.start..old.span.end];
    let last = written.rsplit('\n').next().filter(|_| written.contains('\n')).unwrap_or_default();
    let inner = &last[..last.len() - last.trim_start_matches([' ', '\t']).len()];
    let inner = if inner.is_empty() { outer } else { inner };
    raw_lines(sealed).join(&format!("{line_break}{inner}"))
}

/// A raw string of many lines, from its quotes to its quotes.
fn raw_lines(sealed: &Sealed) -> Vec<String> {
    let lines = sealed.as_str().lines().map(str::trim).filter(|line| !line.is_empty());
    let open = std::iter::once("#\"\"\"".to_owned());
    open.chain(lines.map(str::to_owned)).chain(["\"\"\"#".to_owned()]).collect()
}

/// A node with a sealed value and its mark, line by line; those behind the first are indented by a step.
pub(super) fn sealed_lines(name: &str, sealed: &Sealed, recipients: &RecipientsMark, step: &str) -> Vec<String> {
    let mark = format!(" {SEALED_FOR}={}", quote(recipients.as_str()));
    let raw = raw_lines(sealed);
    if let [_, line, _] = &raw[..] {
        return vec![format!("{name} (age){}{mark}", quote(line))];
    }
    let last = raw.len() - 1;
    let line = |(index, line): (usize, &String)| match index {
        0 => format!("{name} (age){line}"),
        index if index == last => format!("{step}{line}{mark}"),
        _ => format!("{step}{line}"),
    };
    raw.iter().enumerate().map(line).collect()
}

/// Base64 on one line: what the armor holds.
fn one_form(sealed: &str) -> String {
    sealed.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect()
}

/// Says for whom the value of `node` is sealed.
fn mark(node: &Node, recipients: &RecipientsMark) -> Splice {
    if let Some(value) = node.prop(SEALED_FOR) {
        return Splice { span: value.span, text: quote(recipients.as_str()) };
    }
    let end = head_end(node);
    let span = Span { start: end, end, ..node.span };
    Splice { span, text: format!(" {SEALED_FOR}={}", quote(recipients.as_str())) }
}
