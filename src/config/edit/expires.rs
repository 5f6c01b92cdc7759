//! The last day of credentials.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::EditError;
use super::layout::{Layout, lines_of, quote};
use super::sealed::{SecretAddress, places};
use super::splice::{Edit, Splice, parsed};
use crate::config::document::Node;
use crate::config::sources::Sources;

const EXPIRES: &str = "expires";

/// The files in which the credentials at these addresses say that they end on `day`, or do not say that they end.
pub fn set_expiry(
    sources: &Sources,
    addresses: &BTreeSet<SecretAddress>,
    day: Option<Date>,
) -> Result<Sources, EditError> {
    let nodes = parsed(sources)?;
    let text = day.map(|day| day.to_string());
    let mut splices = Vec::new();
    for place in places(nodes).into_iter().filter(|place| addresses.contains(&place.address)) {
        let credential = place.parent;
        let file = &sources.file(credential.span.file).text;
        let existing = credential.child(EXPIRES);
        match (existing, &text) {
            (Some(node), Some(day)) => {
                let does_not_fit = || EditError::DoesNotFit { address: place.address.to_string() };
                let value = node.args.first().ok_or_else(does_not_fit)?;
                if value.text().is_none_or(|(old, _)| old != day) {
                    splices.push(Splice { span: value.span, text: quote(day) });
                }
            }
            (Some(node), None) => splices.push(Splice { span: lines_of(file, node.span), text: String::new() }),
            (None, Some(day)) => {
                let line = format!("{EXPIRES} {}", quote(day));
                splices.push(Layout::of(file, nodes, credential).append(credential, &line));
            }
            (None, None) => {}
        }
    }
    if splices.is_empty() {
        return Ok(sources.clone());
    }
    let edit = Edit {
        address: addresses.iter().map(SecretAddress::as_str).collect::<Vec<_>>().join(", "),
        splices,
        values: BTreeMap::new(),
        without: &|nodes| take_out(nodes, addresses),
        meant: &|nodes| {
            let mut chosen = places(nodes).into_iter().filter(|place| addresses.contains(&place.address));
            chosen.all(|place| last_day(place.parent) == text.as_deref())
        },
    };
    edit.make(sources)
}

fn last_day(credential: &Node) -> Option<&str> {
    credential.child(EXPIRES).and_then(Node::text).map(|(day, _)| day)
}

fn take_out(nodes: &mut [Node], addresses: &BTreeSet<SecretAddress>) {
    let spans: Vec<_> = places(nodes)
        .into_iter()
        .filter(|place| addresses.contains(&place.address))
        .map(|place| place.parent.span)
        .collect();
    for credential in nodes.iter_mut().flat_map(|top| top.children.iter_mut().flatten()) {
        if spans.contains(&credential.span)
            && let Some(children) = &mut credential.children
        {
            children.retain(|child| child.name != EXPIRES);
        }
    }
}
