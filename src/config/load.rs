//! The way from text to declaration.

use std::collections::BTreeMap;

use super::decode::{self, Draft};
use super::document::Node;
use super::error::{Diagnostic, FileId, Invalid, Report, Span};
use super::gaps::Gaps;
use super::position::position;
use super::sources::Sources;
use super::{resolve, sealed_for, shape, syntax};
use crate::model::{Address, Declaration};

/// A declaration that can be used.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// What it declares.
    pub declaration: Declaration,
    /// What it probably does not mean.
    pub warnings: Vec<Diagnostic>,
    /// Where each declared thing stands.
    pub places: BTreeMap<Address, Place>,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The file, and the bytes in it.
    pub span: Span,
}

/// Reads a declaration. Everything that is wrong with its files is in the one error.
pub fn decode(sources: &Sources) -> Result<Decoded, Invalid> {
    let mut report = sources.report();
    if shape::is_newer(sources.nodes(), &mut report) {
        return Err(report.into_invalid());
    }
    let mut of_values = Report::default();
    let draft = checked_draft(sources.nodes(), &mut of_values);
    let (declaration, spans) = resolve::resolve(&draft, &mut of_values);
    sealed_for::check(sources.nodes(), &draft, &mut of_values);
    // Who is told that a word is misspelt needs not hear that what it declares is missing.
    let misspelt = shape::misspelt(sources.nodes());
    let follows = |found: &Diagnostic| {
        found.code == "xopero::unknown-name"
            && found.labels.first().is_some_and(|label| {
                let text = sources.file(label.span.file).text.get(label.span.start..label.span.end);
                text.is_some_and(|text| misspelt.contains(text.trim_matches('"')))
            })
    };
    of_values.drop_if(|found| sources.gaps().explain(found) || follows(found));
    report.extend(of_values.into_found());
    let warnings = report.warnings()?;
    Ok(Decoded { declaration, warnings, places: places(sources, spans) })
}

/// The syntax tree of one file, unless the text is not KDL.
pub(super) fn tree(text: &str, report: &mut Report) -> Option<Vec<Node>> {
    let mut found = Report::default();
    let nodes = syntax::read(text, FileId::MAIN, &mut found, &mut Gaps::default());
    let whole = !found.has_errors();
    report.extend(found.into_found());
    whole.then_some(nodes)
}

/// The values of a tree, with a report of everything that the table or their own rules forbid.
pub(super) fn checked_draft(nodes: &[Node], report: &mut Report) -> Draft {
    shape::check(nodes, report);
    decode::draft(nodes, report)
}

/// Spans come in any order; lines are counted once, from the first to the last of each file.
fn places(sources: &Sources, spans: BTreeMap<Address, Span>) -> BTreeMap<Address, Place> {
    let mut ordered: Vec<(Address, Span)> = spans.into_iter().collect();
    ordered.sort_by_key(|(_, span)| *span);
    let (mut file, mut line, mut counted) = (FileId::MAIN, 1, 0);
    let mut places = BTreeMap::new();
    for (address, span) in ordered {
        if span.file != file {
            (file, line, counted) = (span.file, 1, 0);
        }
        let text = &sources.file(file).text;
        let (lines, column) = position(&text[counted..], span.start - counted);
        line += lines - 1;
        counted = text[..span.start].rfind('\n').map_or(0, |found| found + 1);
        places.insert(address, Place { line, column, span });
    }
    places
}
