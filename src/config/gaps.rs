//! What is not known of a declaration because a part of its text cannot be read, and what must not be said for that
//! reason: nobody is told twice of one mistake, and nothing is called missing that may be there.

use std::collections::BTreeSet;

use super::document::Node;
use super::error::{Diagnostic, FileId, Span};

/// What diagnostics are about that say what is absent: their codes begin so.
const ABSENT: [&str; 5] =
    ["xopero::missing-", "xopero::no-", "xopero::unused-", "xopero::never-enabled", "xopero::unknown-name"];

/// The parts that are not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps {
    /// Places of which everything has been told.
    told: Vec<Span>,
    /// Places that the tree has something else for.
    masked: Vec<Span>,
    /// Whether things may be declared that the tree does not have.
    declarations: bool,
    /// The names of nodes in which something may stand that the tree does not have.
    incomplete: BTreeSet<Span>,
}

impl Gaps {
    pub(super) fn told(&mut self, span: Span) {
        self.told.push(span);
    }

    pub(super) fn masked(&mut self, span: Span) {
        self.masked.push(span);
    }

    pub(super) const fn declarations_unknown(&mut self) {
        self.declarations = true;
    }

    pub(super) fn whole_file(&mut self, file: FileId) {
        self.masked.push(Span { file, start: 0, end: usize::MAX });
        self.declarations = true;
    }

    /// Whether every part is known.
    pub(super) const fn is_empty(&self) -> bool {
        self.told.is_empty() && self.masked.is_empty() && !self.declarations
    }

    /// Finds the nodes that may lack something.
    pub(super) fn locate(&mut self, nodes: &[Node]) {
        if !self.is_empty() {
            for node in nodes {
                self.locate_in(node, true);
            }
        }
    }

    fn locate_in(&mut self, node: &Node, declares: bool) {
        let inside: Vec<Span> =
            self.masked.iter().chain(&self.told).filter(|gap| node.span.touches(**gap)).copied().collect();
        if inside.is_empty() {
            return;
        }
        self.incomplete.insert(node.name_span);
        let head = Span { end: node.children().first().map_or(node.span.end, |child| child.span.start), ..node.span };
        self.declarations |= declares && inside.iter().any(|gap| head.touches(*gap));
        // What is declared stands at the top level, and in projects.
        let declares = declares && node.name == "project";
        for child in node.children() {
            self.locate_in(child, declares);
        }
    }

    /// Whether what a diagnostic says may only follow from what is not known.
    pub(super) fn explain(&self, found: &Diagnostic) -> bool {
        if self.is_empty() {
            return false;
        }
        let about = |span: Span| self.told.iter().chain(&self.masked).any(|gap| gap.touches(span));
        if found.labels.iter().any(|label| label.span != Span::default() && about(label.span)) {
            return true;
        }
        let Some(main) = found.labels.first().map(|label| label.span) else { return false };
        if !ABSENT.iter().any(|code| found.code.starts_with(code)) {
            return false;
        }
        self.incomplete.contains(&main)
            || (self.declarations && (main == Span::default() || found.code == "xopero::unknown-name"))
    }
}
