//! Reads a text whatever is wrong with it: every error in the syntax, and a tree of the rest.
//!
//! The parser stops at the first error or goes on with guesses. So known mistakes are repaired first, and what it
//! then stumbles over is replaced by a name of the same length and parsed again, for a bounded number of times. What
//! resists is left out, one node of the top level at a time. Errors that follow from what was replaced are not told.

use super::document::{self, Node};
use super::error::{Diagnostic, FileId, Report, Span};
use super::gaps::Gaps;
use super::lexer::{self, TokenKind, lex};
use super::patch::Patch;
use super::repair::repair;

/// Most passes over a small text, and most bytes that all passes over a large one read.
const MOST_PASSES: usize = 24;
const MOST_WORK: usize = 8 << 20;

/// So many places are replaced before the rest is left out: nobody is shown more of them.
const MOST_MASKED: usize = 200;

/// The nodes of a file, with a report of what is wrong with its text; what is not among the nodes is in `gaps`.
pub(super) fn read(text: &str, file: FileId, report: &mut Report, gaps: &mut Gaps) -> Vec<Node> {
    if !lexer::guard(text, file, report) {
        gaps.whole_file(file);
        return Vec::new();
    }
    let mut patch = Patch::new(text);
    let repairs = repair(&mut patch);
    report.extend(repairs.found.into_iter().map(|found| found.of(file)));
    for told in repairs.told {
        gaps.told(told.of(file));
    }
    let passes = (MOST_WORK / text.len().max(1)).clamp(2, MOST_PASSES);
    let mut masked: Vec<Span> = Vec::new();
    let mut tree = None;
    for _ in 0..passes {
        let patched = patch.text();
        match document::parse(&patched, &ends_of_blocks(&patched), &patch.way_back(), file) {
            Ok(nodes) => {
                tree = Some(nodes);
                break;
            }
            Err(found) => {
                let fresh = mask(text, found, &mut patch, &mut masked);
                if fresh.is_empty() {
                    break;
                }
                report.extend(fresh);
                if masked.len() >= MOST_MASKED {
                    break;
                }
            }
        }
    }
    let nodes = tree.unwrap_or_else(|| {
        if !report.has_errors_in(file) {
            let place = Span::default().of(file);
            report.add(Diagnostic::error("xopero::syntax", "the text cannot be parsed").at(place, "in this file"));
        }
        leave_out(file, &mut patch, gaps)
    });
    for span in masked {
        gaps.masked(span);
    }
    if repairs.guessed {
        gaps.whole_file(file);
        return Vec::new();
    }
    nodes
}

/// Replaces what the parser stumbled over, the first place of each node; what it says of these places.
fn mask(text: &str, found: Vec<Diagnostic>, patch: &mut Patch<'_>, masked: &mut Vec<Span>) -> Vec<Diagnostic> {
    let statements = statements(text);
    let mut seen: Option<usize> = None;
    let mut fresh = Vec::new();
    for one in found {
        let Some(span) = one.labels.first().map(|label| label.span) else { continue };
        let statement = statements.partition_point(|statement| statement.end <= span.start);
        if seen == Some(statement) {
            continue;
        }
        let place = grown(text, span);
        if place.start == place.end || masked.iter().any(|mask| mask.touches(place)) {
            continue;
        }
        seen = Some(statement);
        patch.forget_insertions(place.start..place.end);
        let only_marks = text[place.start..place.end].bytes().all(|byte| b"{}()=;\\".contains(&byte));
        if only_marks {
            patch.fill(place.start..place.end, b' ');
        } else {
            patch.name(place.start..place.end);
        }
        masked.push(place);
        fresh.push(one);
    }
    fresh
}

/// An empty place is grown to the character behind it.
fn grown(text: &str, span: Span) -> Span {
    if span.start < span.end {
        return span;
    }
    let next = text[span.start..].chars().next().filter(|c| !c.is_whitespace()).map_or(0, char::len_utf8);
    Span { end: span.start + next, ..span }
}

/// The nodes of the top level, as far as the parser reads each of them by itself.
fn leave_out(file: FileId, patch: &mut Patch<'_>, gaps: &mut Gaps) -> Vec<Node> {
    let repaired = patch.text();
    let back = patch.way_back();
    let statements = statements(&repaired);
    let parts: Vec<&str> = statements.iter().map(|statement| &repaired[statement.start..statement.end]).collect();
    for (statement, is_node) in statements.into_iter().zip(document::are_nodes(&parts)) {
        if !is_node {
            let original = Span { file, start: back.original(statement.start), end: back.original(statement.end) };
            patch.forget_insertions(original.start..original.end + 1);
            patch.fill(original.start..original.end, b' ');
            gaps.masked(original);
            gaps.declarations_unknown();
        }
    }
    document::parse(&patch.text(), &[], &patch.way_back(), file).unwrap_or_else(|_| {
        gaps.whole_file(file);
        Vec::new()
    })
}

/// Where a node of the top level ends with its block, so that what follows begins another.
fn ends_of_blocks(text: &str) -> Vec<usize> {
    let all = statements(text).into_iter();
    all.filter(|one| text[one.start..one.end].trim_end().ends_with('}')).map(|one| one.end).collect()
}

/// Where the nodes of the top level stand, with the line breaks behind them.
fn statements(text: &str) -> Vec<Span> {
    let (mut found, mut depth, mut start, mut continued) = (Vec::new(), 0usize, 0, false);
    for token in lex(text) {
        match token.kind {
            TokenKind::OpenBrace => depth += 1,
            TokenKind::CloseBrace => depth = depth.saturating_sub(1),
            TokenKind::LineContinuation => continued = true,
            TokenKind::Newline if continued => continued = false,
            TokenKind::Newline | TokenKind::Semicolon if depth == 0 => {
                found.push(Span::new(start, token.span.end));
                start = token.span.end;
            }
            TokenKind::Newline
            | TokenKind::Semicolon
            | TokenKind::Bom
            | TokenKind::Space
            | TokenKind::LineComment
            | TokenKind::BlockComment
            | TokenKind::Slashdash
            | TokenKind::Word
            | TokenKind::Text
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals => {}
        }
    }
    found.push(Span::new(start, text.len()));
    found
}
