//! How a file is written: what new text must look like to belong, and what goes away with old text.

use super::splice::Splice;
use crate::config::document::Node;
use crate::config::error::Span;
use crate::config::lexer::{Token, TokenKind, lex};

/// The layout of a node and of what is put into it.
pub(super) struct Layout<'a> {
    text: &'a str,
    pub(super) line_break: &'static str,
    /// One step of indentation.
    pub(super) unit: &'a str,
    /// The indentation of the node.
    outer: &'a str,
    /// The indentation of its children.
    inner: String,
}

impl<'a> Layout<'a> {
    /// The layout of `node`, which stands in `text`. Other nodes of the file show how wide a step is.
    pub(super) fn of(text: &'a str, nodes: &[Node], node: &Node) -> Self {
        let unit = nodes.iter().filter(|other| other.span.file == node.span.file).find_map(|top| step(text, top));
        let unit = unit.unwrap_or("    ");
        let outer = leading(text, node.span.start);
        let inner = first_child(text, node).filter(|inner| !inner.is_empty());
        Self {
            text,
            line_break: if text.contains("\r\n") { "\r\n" } else { "\n" },
            unit,
            outer,
            inner: inner.map_or_else(|| format!("{outer}{unit}"), str::to_owned),
        }
    }

    /// A child of the node with these lines: the first at the indentation of children, the others relative to it.
    pub(super) fn lines(&self, lines: &[String]) -> String {
        lines.join(&format!("{}{}", self.line_break, self.inner))
    }

    /// Puts a child behind the others.
    pub(super) fn append(&self, node: &Node, child: &str) -> Splice {
        let child = format!("{}{child}", self.inner);
        let (line_break, outer) = (self.line_break, self.outer);
        match block_of(self.text, node) {
            None => insertion(node, head_end(node), format!(" {{{line_break}{child}{line_break}{outer}}}")),
            Some((_, close)) => match indentation(self.text, close.start) {
                Some(spaces) => insertion(node, close.start - spaces.len(), format!("{child}{line_break}")),
                None => insertion(node, close.start, format!("{line_break}{child}{line_break}{outer}")),
            },
        }
    }

    /// Puts a child before the others.
    pub(super) fn prepend(&self, node: &Node, child: &str) -> Splice {
        let line = block_of(self.text, node)
            .and_then(|(open, close)| next_line(self.text, Span { start: open.end, end: close.start, ..node.span }));
        match line {
            Some(line) => insertion(node, line, format!("{}{child}{}", self.inner, self.line_break)),
            None => self.append(node, child),
        }
    }
}

/// The indentation of the first child that begins a line, of any depth, as far as it goes beyond its parent's.
fn step<'a>(text: &'a str, node: &Node) -> Option<&'a str> {
    let outer = indentation(text, node.span.start)?;
    let inner = first_child(text, node)?;
    inner.strip_prefix(outer).filter(|step| !step.is_empty())
}

fn first_child<'a>(text: &'a str, node: &Node) -> Option<&'a str> {
    node.children().first().and_then(|child| indentation(text, child.span.start))
}

fn insertion(node: &Node, at: usize, text: String) -> Splice {
    Splice { span: Span { start: at, end: at, ..node.span }, text }
}

/// The white space before `position`, if nothing else stands before it on its line.
fn indentation(text: &str, position: usize) -> Option<&str> {
    let before = &text[line_start(text, position)..position];
    before.chars().all(|c| c == ' ' || c == '\t').then_some(before)
}

/// The white space at the beginning of the line of `position`.
pub(super) fn leading(text: &str, position: usize) -> &str {
    let before = &text[line_start(text, position)..position];
    &before[..before.len() - before.trim_start_matches([' ', '\t']).len()]
}

fn line_start(text: &str, position: usize) -> usize {
    text[..position].rfind('\n').map_or(0, |found| found + 1)
}

/// Behind the name and all values of a node.
pub(super) fn head_end(node: &Node) -> usize {
    let args = node.args.iter().map(|value| value.span.end);
    let props = node.props.iter().map(|property| property.value.span.end);
    args.chain(props).fold(node.name_span.end, usize::max)
}

/// What to take out so that a node is gone: its lines if it has them for itself, otherwise its text and its `;`. A
/// block that holds nothing else goes too.
pub(super) fn removal(text: &str, parent: &Node, node: &Node) -> Span {
    if let Some((open, close)) = block_of(text, parent)
        && text[open.end..node.span.start].trim().is_empty()
        && text[node.span.end..close.start].trim_matches(|c: char| c.is_whitespace() || c == ';').is_empty()
    {
        // With it, the space that divides the block from what stands before it.
        let start = text[..open.start].trim_end_matches([' ', '\t']).len();
        return Span { start, end: close.end, ..node.span };
    }
    lines_of(text, node.span)
}

/// The lines of a node, with a comment that stands behind it; or only its text and its `;`, if it shares its line.
pub(super) fn lines_of(text: &str, span: Span) -> Span {
    let mut end = span.end;
    let mut alone = indentation(text, span.start).is_some();
    for (kind, token_end) in rest_of_line(text, span.end) {
        match kind {
            TokenKind::Space | TokenKind::LineComment | TokenKind::BlockComment | TokenKind::Semicolon => {
                end = token_end;
            }
            TokenKind::Newline => {
                end = token_end;
                break;
            }
            TokenKind::Bom
            | TokenKind::Slashdash
            | TokenKind::Word
            | TokenKind::Text
            | TokenKind::OpenBrace
            | TokenKind::CloseBrace
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals
            | TokenKind::LineContinuation => {
                alone = false;
                break;
            }
        }
    }
    if alone {
        return Span { start: line_start(text, span.start), end, ..span };
    }
    let rest = &text[span.end..];
    let after = rest.trim_start_matches([' ', '\t']);
    let end =
        after.strip_prefix(';').map_or(span.end, |after| text.len() - after.trim_start_matches([' ', '\t']).len());
    Span { end, ..span }
}

/// The tokens from `position` to the end of its line, each with its end; of no more, because files can be long.
fn rest_of_line(text: &str, position: usize) -> impl Iterator<Item = (TokenKind, usize)> {
    let end = text[position..].find('\n').map_or(text.len(), |found| position + found + 1);
    lex(&text[position..end]).into_iter().map(move |token| (token.kind, position + token.span.end))
}

fn tokens_in(text: &str, span: Span) -> Vec<Token> {
    lex(text).into_iter().filter(|token| span.start <= token.span.start && token.span.end <= span.end).collect()
}

/// The comments in a node.
pub(super) fn comments(text: &str, span: Span) -> Vec<&str> {
    tokens_in(text, span)
        .into_iter()
        .filter(|token| matches!(token.kind, TokenKind::LineComment | TokenKind::BlockComment))
        .map(|token| text[token.span.start..token.span.end].trim_end())
        .collect()
}

/// The braces of the node's block, unless it has none or they are commented out with `/-`.
fn block_of(text: &str, node: &Node) -> Option<(Span, Span)> {
    let (mut depth, mut open, mut commented_out) = (0usize, None, false);
    for token in tokens_in(text, Span { start: head_end(node), ..node.span }) {
        match token.kind {
            TokenKind::Slashdash if depth == 0 => commented_out = true,
            TokenKind::OpenBrace => {
                if depth == 0 {
                    open = (!commented_out).then_some(token.span);
                }
                depth += 1;
            }
            TokenKind::CloseBrace => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    if let Some(open) = open {
                        return Some((open, token.span));
                    }
                    commented_out = false;
                }
            }
            TokenKind::Slashdash
            | TokenKind::Bom
            | TokenKind::Space
            | TokenKind::Newline
            | TokenKind::LineComment
            | TokenKind::BlockComment
            | TokenKind::Word
            | TokenKind::Text
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals
            | TokenKind::Semicolon
            | TokenKind::LineContinuation => {}
        }
    }
    None
}

/// The beginning of the second line of `span`, if nothing but a comment stands in the first.
fn next_line(text: &str, span: Span) -> Option<usize> {
    let quiet = |kind| matches!(kind, TokenKind::Space | TokenKind::LineComment | TokenKind::BlockComment);
    tokens_in(text, span)
        .into_iter()
        .find(|token| !quiet(token.kind))
        .filter(|token| token.kind == TokenKind::Newline)
        .map(|token| token.span.end)
}

/// A KDL string. Names have no control characters; what else could end or change the string is escaped.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii() && !c.is_ascii_control() || c.is_alphanumeric() => out.push(c),
            c => out.extend(c.escape_unicode()),
        }
    }
    out.push('"');
    out
}
