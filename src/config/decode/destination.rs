//! The top-level `destination` node.

use std::collections::BTreeMap;

use super::super::document::Node;
use super::super::error::{Diagnostic, Report, Span};
use super::value::{name, public_key};
use super::{DraftDestination, Named};
use crate::model::{Destination, DestinationName, Place, PublicKey};

/// A destination.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<Named<DestinationName, DraftDestination>> {
    let path = node.child("local").and_then(|local| path(local, report));
    let keys: Vec<_> = node.children_named("encrypt-to").filter_map(|key| public_key(key, report)).collect();
    let mut seen: BTreeMap<&PublicKey, Span> = BTreeMap::new();
    for key in &keys {
        if let Some(first) = seen.get(&key.value) {
            report.add(
                Diagnostic::error("xopero::duplicate-key", "the key is given twice")
                    .at(key.span, "again here")
                    .at(*first, "already here"),
            );
        }
        seen.entry(&key.value).or_insert(key.span);
    }
    let name = name(node.text(), DestinationName::new, report)?;
    let value = path.filter(|_| !keys.is_empty()).map(|path| DraftDestination {
        destination: Destination {
            place: Place::Local { path },
            encrypt_to: keys.iter().map(|key| key.value.clone()).collect(),
        },
        keys,
    });
    Some(Named { name, value, span: node.span })
}

fn path(node: &Node, report: &mut Report) -> Option<String> {
    let (path, span) = node.text()?;
    if path.trim().is_empty() || path.chars().any(char::is_control) {
        report.add(
            Diagnostic::error("xopero::invalid-path", "the destination needs a directory")
                .at(span, "not a path")
                .help("write a directory, such as \"/srv/backup/bitbucket\""),
        );
        return None;
    }
    Some(path.to_owned())
}
