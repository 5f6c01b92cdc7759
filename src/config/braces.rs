//! Braces that do not match: which one it is, by indentation.
//!
//! A parser sees a missing `}` at the end of the file at best. People indent, so the place where a block should have
//! ended is where a line stands further left than the block's own lines. Only texts whose braces do not add up are
//! looked at.

use super::error::Span;
use super::lexer::{Token, TokenKind};

/// What is wrong with one brace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brace {
    /// The block that `open` begins has no end; it would be before the byte `end`.
    NotClosed {
        open: Span,
        end: usize,
        /// Whether indentation says so, not just the end of the file.
        guided: bool,
    },
    /// It closes nothing.
    ClosesNothing(Span),
}

struct Open {
    span: Span,
    /// Columns before the line that it is on.
    indent: usize,
    /// Whether its first line is further right.
    indents: Option<bool>,
}

/// The braces among `tokens` that have no partner.
pub(super) fn unbalanced(text: &str, tokens: &[Token]) -> Vec<Brace> {
    let count = |kind| tokens.iter().filter(|token| token.kind == kind).count();
    let (opens, closes) = (count(TokenKind::OpenBrace), count(TokenKind::CloseBrace));
    let (mut found, mut stack): (Vec<Brace>, Vec<Open>) = (Vec::new(), Vec::new());
    let (mut spare_opens, mut spare_closes) = (opens.saturating_sub(closes), closes.saturating_sub(opens));
    let (mut indent, mut line_start, mut first) = (0, 0, true);
    for token in tokens {
        match token.kind {
            TokenKind::Newline => (line_start, first) = (token.span.end, true),
            TokenKind::Space | TokenKind::Bom | TokenKind::LineComment | TokenKind::BlockComment => {}
            TokenKind::Slashdash
            | TokenKind::Word
            | TokenKind::Text
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals
            | TokenKind::Semicolon
            | TokenKind::LineContinuation
            | TokenKind::OpenBrace
            | TokenKind::CloseBrace => {
                let begins_line = std::mem::take(&mut first);
                if begins_line {
                    indent = token.span.start - line_start;
                    if let Some(top) = stack.last_mut() {
                        top.indents.get_or_insert(indent > top.indent);
                    }
                    let closes = token.kind == TokenKind::CloseBrace;
                    let ended = |top: &Open| {
                        top.indents == Some(true) && if closes { indent < top.indent } else { indent <= top.indent }
                    };
                    while spare_opens > 0
                        && let Some(top) = stack.pop_if(|top| ended(top))
                    {
                        spare_opens -= 1;
                        found.push(Brace::NotClosed { open: top.span, end: line_start, guided: true });
                    }
                }
                if token.kind == TokenKind::OpenBrace {
                    stack.push(Open { span: token.span, indent, indents: None });
                } else if token.kind == TokenKind::CloseBrace {
                    let misplaced = begins_line && stack.last().is_some_and(|top| indent > top.indent);
                    if stack.is_empty() || (spare_closes > 0 && misplaced) {
                        spare_closes = spare_closes.saturating_sub(1);
                        found.push(Brace::ClosesNothing(token.span));
                    } else {
                        stack.pop();
                    }
                }
            }
        }
    }
    while let Some(top) = stack.pop() {
        // Lines that are not indented may stand inside or behind it.
        let guided = top.indents != Some(false);
        found.push(Brace::NotClosed { open: top.span, end: text.len(), guided });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;

    /// The number of the line with the brace, and how it is wrong.
    fn lines(text: &str) -> Vec<(usize, char)> {
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        unbalanced(text, &lex(text))
            .into_iter()
            .map(|brace| match brace {
                Brace::NotClosed { open, guided: true, .. } => (line(open.start), '{'),
                Brace::NotClosed { open, guided: false, .. } => (line(open.start), '?'),
                Brace::ClosesNothing(span) => (line(span.start), '}'),
            })
            .collect()
    }

    #[test]
    fn indentation_tells_which_brace_it_is() {
        assert_eq!(lines("a {\n    b { c; }\n}\nd { e; }\n"), []);
        assert_eq!(lines("a {\n    b 1\n\nc {\n    d 1\n}\n"), [(1, '{')]);
        assert_eq!(lines("a {\n    b {\n        c 1\n}\nd {\n    e 1\n}\n"), [(2, '{')]);
        assert_eq!(lines("a {\n    b {\n        c 1\n    d 1\n}\n"), [(2, '{')]);
        assert_eq!(lines("a {\n    b {\n        c 1\n"), [(2, '{'), (1, '{')]);
        assert_eq!(lines("a {\nb 1\n"), [(1, '?')]);
        assert_eq!(lines("a {\n    b {\n    }\n    }\n    c 1\n}\n"), [(4, '}')]);
        assert_eq!(lines("a {\n}\n}\nb 1\n"), [(3, '}')]);
        assert_eq!(lines("}\na {\n"), [(1, '}'), (2, '{')]);
    }
}
