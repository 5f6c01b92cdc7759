//! The top-level nodes `moved` and `retired`: statements about what was applied.

use super::super::document::in_quotes;
use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span, quoted};
use super::super::suggest::nearest;
use super::value::Spanned;
use crate::model::Address;

/// Something has another name than it was applied under.
#[derive(Debug)]
pub(in crate::config) struct DraftMove {
    pub(in crate::config) from: Spanned<Address>,
    pub(in crate::config) to: Spanned<Address>,
}

/// What has an address, by the first part of it.
const KINDS: [&str; 7] = ["server", "destination", "retention", "project", "credential", "plan", "alerts"];

/// A `moved` node.
pub(super) fn moved(node: &Node, report: &mut Report) -> Option<DraftMove> {
    let from = address(node.text(), report);
    let to = address(node.prop("to").and_then(Value::text), report);
    from.zip(to).map(|(from, to)| DraftMove { from, to })
}

/// A `retired` node.
pub(super) fn retired(node: &Node, report: &mut Report) -> Option<Spanned<Address>> {
    let found = address(node.text(), report)?;
    if found.value.kind() != "plan" {
        report.add(
            Diagnostic::error("xopero::not-a-plan", format!("{} is not a plan", found.value))
                .at(found.span, "only plans are retired")
                .help("whatever else leaves the file is forgotten here; backups are kept in any case"),
        );
        return None;
    }
    Some(found)
}

fn address(given: Option<(&str, Span)>, report: &mut Report) -> Option<Spanned<Address>> {
    let (text, span) = given?;
    match Address::parse(text) {
        Ok(value) => Some(Spanned { value, span }),
        Err(error) => {
            let kind = text.split('/').next().unwrap_or_default();
            let meant = if KINDS.contains(&kind) { None } else { nearest(kind, KINDS) };
            report.add(
                Diagnostic::error("xopero::invalid-address", format!("{} is not an address", quoted(text)))
                    .at(span, "not an address")
                    .help(error.to_string())
                    .did_you_mean(meant, span, |meant| in_quotes(&text.replacen(kind, meant, 1))),
            );
            None
        }
    }
}
