//! The `recipients` node.

use super::super::document::{Node, Value};
use super::super::error::Report;
use super::value::{Spanned, public_key};
use crate::model::Recipient;

/// Everyone who is named.
pub(super) fn decode(node: &Node, report: &mut Report) -> Vec<Spanned<Recipient>> {
    let mut recipients = Vec::new();
    for recipient in node.children_named("recipient") {
        let name = recipient.prop("name").and_then(Value::text).map(|(name, _)| name.to_owned());
        if let Some(Spanned { value: key, span }) = public_key(recipient, report) {
            recipients.push(Spanned { value: Recipient { key, name }, span });
        }
    }
    recipients
}
