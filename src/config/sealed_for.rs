//! Warns of values that are sealed for others than the recipients of the file.

use std::collections::BTreeSet;

use super::decode::Draft;
use super::document::{Node, Value};
use super::edit::SEALED_FOR;
use super::error::{Diagnostic, Report, Span};
use crate::model::{PublicKey, RecipientsMark};

/// Places that one warning shows.
const SHOWN: usize = 5;

/// Compares what stands beside each sealed value with the recipients. A value that says nothing is not judged.
pub(super) fn check(nodes: &[Node], draft: &Draft, report: &mut Report) {
    let keys: BTreeSet<&PublicKey> = draft.recipients.iter().map(|recipient| &recipient.value.key).collect();
    if keys.is_empty() {
        return;
    }
    let (current, mut stale) = (RecipientsMark::of(keys), Vec::new());
    collect(nodes, current.as_str(), &mut stale);
    if stale.is_empty() {
        return;
    }
    let message = match stale.len() {
        1 => "a secret is sealed for another set of recipients".to_owned(),
        several => format!("{several} secrets are sealed for another set of recipients"),
    };
    let mut warning = Diagnostic::warning("xopero::stale-recipients", message);
    for span in stale.into_iter().take(SHOWN) {
        warning = warning.at(span, "sealed for others");
    }
    report.add(warning.help("seal for the recipients of the file: xopero secrets rekey"));
}

fn collect(nodes: &[Node], current: &str, stale: &mut Vec<Span>) {
    for node in nodes {
        stale.extend(
            node.prop(SEALED_FOR).and_then(Value::text).filter(|(mark, _)| *mark != current).map(|(_, span)| span),
        );
        collect(node.children(), current, stale);
    }
}
