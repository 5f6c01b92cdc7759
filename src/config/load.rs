//! The way from text to declaration.

use std::collections::BTreeMap;

use super::decode::{self, Draft};
use super::document::{self, Node};
use super::error::{Diagnostic, Invalid, Report, SourceFile, Span};
use super::render::position;
use super::{lexer, resolve, shape};
use crate::model::{Address, Declaration};

/// A file that can be used.
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
    /// The bytes.
    pub span: Span,
}

/// Reads a file. Everything that is wrong with it is in the one error.
pub fn decode(file: &SourceFile) -> Result<Decoded, Invalid> {
    let mut report = Report::default();
    let Some(nodes) = tree(&file.text, &mut report) else { return Err(report.into_invalid()) };
    let draft = checked_draft(&nodes, &mut report);
    let (declaration, spans) = resolve::resolve(&draft, &mut report);
    let warnings = report.warnings()?;
    Ok(Decoded { declaration, warnings, places: places(&file.text, spans) })
}

/// The syntax tree, unless the text is not KDL.
pub(super) fn tree(text: &str, report: &mut Report) -> Option<Vec<Node>> {
    if lexer::guard(text, report) { document::parse(text, report) } else { None }
}

/// The values of a tree, with a report of everything that the table or their own rules forbid.
pub(super) fn checked_draft(nodes: &[Node], report: &mut Report) -> Draft {
    shape::check(nodes, report);
    decode::draft(nodes, report)
}

/// Spans come in any order; lines are counted once, from the first to the last.
fn places(text: &str, spans: BTreeMap<Address, Span>) -> BTreeMap<Address, Place> {
    let mut ordered: Vec<(Address, Span)> = spans.into_iter().collect();
    ordered.sort_by_key(|(_, span)| span.start);
    let (mut line, mut counted) = (1, 0);
    let mut places = BTreeMap::new();
    for (address, span) in ordered {
        let (lines, column) = position(&text[counted..], span.start - counted);
        line += lines - 1;
        counted = text[..span.start].rfind('\n').map_or(0, |found| found + 1);
        places.insert(address, Place { line, column, span });
    }
    places
}
