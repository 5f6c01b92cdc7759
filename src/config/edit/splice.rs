//! Putting new text into the files, and proving that it means what it should and nothing else.

use std::collections::BTreeMap;

use super::EditError;
use crate::config::document::Node;
use crate::config::error::{Diagnostic, FileId, Report, Severity, Span};
use crate::config::load::decode;
use crate::config::sources::Sources;
use crate::config::suggest::nearest;
use crate::model::Address;

/// A place and the text that takes it.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    pub(super) span: Span,
    pub(super) text: String,
}

/// What an edit does.
pub(super) struct Edit<'a> {
    /// What it is about, for errors.
    pub(super) address: String,
    pub(super) splices: Vec<Splice>,
    /// Files with one sealed value, by the path that the declaration names them with, and what they will say.
    pub(super) values: BTreeMap<String, String>,
    /// Takes what is meant to change out of a tree: what is left must be the same before and after.
    pub(super) without: &'a dyn Fn(&mut Vec<Node>),
    /// Whether the new tree says what is meant.
    pub(super) meant: &'a dyn Fn(&[Node]) -> bool,
}

impl Edit<'_> {
    /// The files after the edit. Nothing else in them may have changed, and they must not be less valid than before.
    pub(super) fn make(self, sources: &Sources) -> Result<Sources, EditError> {
        let mut texts: BTreeMap<FileId, String> = BTreeMap::new();
        let mut splices = self.splices;
        // From the end, so that the places before stay where they are.
        splices.sort_by_key(|splice| std::cmp::Reverse((splice.span.start, splice.span.end)));
        let moved: Vec<(Span, usize)> = splices.iter().map(|splice| (splice.span, splice.text.len())).collect();
        for Splice { span, text } in splices {
            let file = texts.entry(span.file).or_insert_with(|| sources.file(span.file).text.clone());
            file.replace_range(span.start..span.end, &text);
        }
        let after = sources.replaced(&texts, &self.values);
        let left = |nodes: &[Node]| {
            let mut nodes = nodes.to_vec();
            (self.without)(&mut nodes);
            nodes
        };
        let (old, new) = (left(sources.nodes()), left(after.nodes()));
        let same = old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| old.same(new));
        if after.report().has_errors() || !same || !(self.meant)(after.nodes()) {
            return Err(EditError::DoesNotFit { address: self.address });
        }
        let known = errors(sources);
        let places: Vec<Span> = known.iter().filter_map(main_place).map(|span| shifted(span, &moved)).collect();
        // What was wrong at a place may be wrong there for another reason: the file is no less valid than before.
        let worse = |error: &Diagnostic| {
            !among(error, &known) && !main_place(error).is_some_and(|place| places.contains(&place))
        };
        let diagnostics: Vec<Diagnostic> = errors(&after).into_iter().filter(worse).collect();
        if diagnostics.is_empty() {
            Ok(after)
        } else {
            Err(EditError::WouldNotValidate { sources: Box::new(after), diagnostics })
        }
    }
}

/// What is wrong with the files; a file that is being written may lack other things, which is not the edit's fault.
fn errors(sources: &Sources) -> Vec<Diagnostic> {
    let found = decode(sources).err().map(|invalid| invalid.diagnostics).unwrap_or_default();
    found.into_iter().filter(|one| one.severity == Severity::Error).collect()
}

fn main_place(error: &Diagnostic) -> Option<Span> {
    error.labels.first().map(|label| label.span)
}

/// Where a place is after texts of these lengths took the spans.
fn shifted(place: Span, moved: &[(Span, usize)]) -> Span {
    let before = moved.iter().filter(|(span, _)| span.file == place.file && span.end <= place.start);
    let (cut, put) = before.fold((0, 0), |(cut, put), (span, length)| (cut + (span.end - span.start), put + length));
    Span { file: place.file, start: place.start - cut + put, end: place.end - cut + put }
}

fn among(error: &Diagnostic, known: &[Diagnostic]) -> bool {
    known.iter().any(|other| other.code == error.code && other.message == error.message)
}

/// The nodes, if all files could be parsed.
pub(super) fn parsed(sources: &Sources) -> Result<&[Node], EditError> {
    let report: Report = sources.report();
    if report.has_errors() { Err(EditError::Invalid { source: report.into_invalid() }) } else { Ok(sources.nodes()) }
}

/// The node that fits, if only one does.
pub(super) fn only<'a>(
    nodes: impl IntoIterator<Item = &'a Node>,
    fits: impl Fn(&Node) -> bool,
    address: impl Fn() -> Address,
) -> Result<Option<&'a Node>, EditError> {
    let mut found = nodes.into_iter().filter(|node| fits(node));
    let first = found.next();
    if found.next().is_some() { Err(EditError::Ambiguous { address: address().to_string() }) } else { Ok(first) }
}

/// Something that is declared nowhere, with what is meant, perhaps: the nearest name of its kind.
pub(super) fn not_declared(nodes: &[Node], address: Address) -> EditError {
    let meant = address.as_str().split_once('/').and_then(|(kind, name)| {
        let names = nodes.iter().filter(|node| node.name == kind).filter_map(Node::text).map(|(name, _)| name);
        nearest(name, names).map(str::to_owned)
    });
    EditError::NotDeclared { address, meant }
}

/// Whether `node` is called `name` and has `text` as its first argument.
pub(super) fn is(node: &Node, name: &str, text: &str) -> bool {
    node.name == name && node.text().is_some_and(|(first, _)| first == text)
}
