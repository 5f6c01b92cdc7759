//! What stands at a place of a text, however broken the text is: what an editor completes by.

use super::braces::{Brace, unbalanced};
use super::error::{FileId, Span};
use super::lexer::{Token, TokenKind, lex};
use super::roles::{Expected, Role, Roles};

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The nodes around the place, the outermost first.
    pub enclosing: Vec<NodeHead>,
    /// The node that the place is in the line of, if its name is before the place.
    pub node: Option<NodeHead>,
    /// What is written there.
    pub position: Position,
    /// What of it is written already, without quotes.
    pub prefix: String,
    /// The whole word that the place is in, with its quotes; empty if it is in none.
    pub word: Span,
    /// Whether the word is in quotes.
    pub quoted: bool,
}

/// The beginning of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHead {
    /// Its name.
    pub name: String,
    /// Its arguments before the place, without quotes.
    pub arguments: Vec<String>,
}

/// What can be written at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The name of a node.
    Name,
    /// The argument of this index, or the name of a property.
    Entry(usize),
    /// The name of a property: its `=` is there.
    PropertyName,
    /// The value of the property.
    PropertyValue(String),
    /// A type annotation.
    Annotation,
    /// A comment.
    Comment,
}

/// What stands at the byte `offset` of `text`. Only what is before it counts, and where blocks end.
pub fn cursor(text: &str, offset: usize) -> Cursor {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let tokens = lex(text);
    let mut walk = Walk { text, ends: ends(text, &tokens), ..Walk::default() };
    let mut roles = Roles::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.span.start >= offset {
            break;
        }
        let before = roles;
        let role = roles.step(&tokens, index);
        let inside = offset <= token.span.end && holds(*token, offset);
        if inside {
            return match role {
                Some(role) => walk.at_word(role, *token, offset),
                None => walk.at(Position::Comment, Span::new(offset, offset)),
            };
        }
        walk.step(*token, role, before.expected);
    }
    walk.end_blocks(offset);
    let position = if roles.in_annotation {
        Position::Annotation
    } else {
        match roles.expected {
            Expected::Name => Position::Name,
            Expected::Entry => Position::Entry(walk.arguments()),
            Expected::PropertyValue => Position::PropertyValue(walk.property.clone()),
        }
    };
    if position == Position::Name {
        walk.node = None;
    }
    walk.at(position, Span::new(offset, offset))
}

/// Whether the place is still in the token: a word goes on at its end, a comment does up to the end of its line.
fn holds(token: Token, offset: usize) -> bool {
    match token.kind {
        TokenKind::Word | TokenKind::Text | TokenKind::LineComment => true,
        TokenKind::BlockComment => offset < token.span.end || !token.closed,
        TokenKind::Bom
        | TokenKind::Space
        | TokenKind::Newline
        | TokenKind::Slashdash
        | TokenKind::OpenBrace
        | TokenKind::CloseBrace
        | TokenKind::OpenParen
        | TokenKind::CloseParen
        | TokenKind::Equals
        | TokenKind::Semicolon
        | TokenKind::LineContinuation => false,
    }
}

/// Where blocks end whose brace is missing: the byte, and the brace that begins them. The first end first.
fn ends(text: &str, tokens: &[Token]) -> Vec<(usize, usize)> {
    let mut ends: Vec<(usize, usize)> = unbalanced(text, tokens)
        .into_iter()
        .filter_map(|brace| match brace {
            Brace::NotClosed { open, end, guided: true } if end < text.len() => Some((end, open.start)),
            Brace::NotClosed { .. } | Brace::ClosesNothing(_) => None,
        })
        .collect();
    ends.sort_unstable();
    ends
}

/// What a text says without its quotes; escapes stay as they are written.
fn bare(written: &str) -> &str {
    let inner = written.trim_start_matches('#').trim_start_matches('"');
    if written.starts_with(['"', '#']) { inner.trim_end_matches('#').trim_end_matches('"') } else { written }
}

#[derive(Debug, Default)]
struct Walk<'a> {
    text: &'a str,
    /// The open blocks, with where their braces are.
    blocks: Vec<(usize, NodeHead)>,
    node: Option<NodeHead>,
    /// The last name of a property.
    property: String,
    ends: Vec<(usize, usize)>,
}

impl Walk<'_> {
    fn step(&mut self, token: Token, role: Option<Role>, expected: Expected) {
        self.end_blocks(token.span.start);
        let written = &self.text[token.span.start..token.span.end];
        match role {
            Some(Role::Name) => {
                self.node = Some(NodeHead { name: bare(written).to_owned(), arguments: Vec::new() });
            }
            Some(Role::Argument) => {
                if let Some(node) = &mut self.node {
                    node.arguments.push(bare(written).to_owned());
                }
            }
            Some(Role::PropertyName) => bare(written).clone_into(&mut self.property),
            None if token.kind == TokenKind::OpenBrace => {
                // A block without a name before it is still a block.
                let head = self.node.take().unwrap_or_else(|| NodeHead { name: String::new(), arguments: Vec::new() });
                self.blocks.push((token.span.start, head));
            }
            None if token.kind == TokenKind::CloseBrace => {
                self.blocks.pop();
                self.node = None;
            }
            Some(Role::PropertyValue | Role::Annotation) | None => {}
        }
        if expected == Expected::Name && role.is_none() && token.kind == TokenKind::Newline {
            self.node = None;
        }
    }

    /// Leaves the blocks that end before a byte without a brace.
    fn end_blocks(&mut self, at: usize) {
        while let Some((_, open)) = self.ends.first().copied().filter(|(end, _)| *end <= at) {
            self.ends.remove(0);
            if let Some(index) = self.blocks.iter().position(|(start, _)| *start == open) {
                self.blocks.truncate(index);
            }
        }
    }

    fn arguments(&self) -> usize {
        self.node.as_ref().map_or(0, |node| node.arguments.len())
    }

    fn at_word(mut self, role: Role, token: Token, offset: usize) -> Cursor {
        self.end_blocks(token.span.start);
        let written = &self.text[token.span.start..token.span.end];
        let position = match role {
            Role::Name => Position::Name,
            Role::Argument => Position::Entry(self.arguments()),
            Role::PropertyName => Position::PropertyName,
            Role::PropertyValue => Position::PropertyValue(self.property.clone()),
            Role::Annotation => Position::Annotation,
        };
        if role == Role::Name {
            self.node = None;
        }
        let quoted = token.kind == TokenKind::Text;
        let typed = &written[..offset - token.span.start];
        let prefix = if quoted { bare(typed) } else { typed }.to_owned();
        Cursor { prefix, quoted, ..self.at(position, token.span) }
    }

    fn at(self, position: Position, word: Span) -> Cursor {
        Cursor {
            enclosing: self.blocks.into_iter().map(|(_, head)| head).collect(),
            node: self.node,
            position,
            prefix: String::new(),
            word: word.of(FileId::MAIN),
            quoted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What stands at the `|` of a text: `outer > outer > node: position "prefix"`.
    fn at(text: &str) -> String {
        let offset = text.find('|').unwrap();
        let found = cursor(&text.replacen('|', "", 1), offset);
        let shown = |head: &NodeHead| [std::slice::from_ref(&head.name), &head.arguments[..]].concat().join(" ");
        let path: Vec<String> = found.enclosing.iter().chain(&found.node).map(shown).collect();
        format!("{}: {:?} {:?}", path.join(" > "), found.position, found.prefix)
    }

    #[test]
    fn the_place_is_known_in_broken_texts() {
        for (text, expected) in [
            ("|", ": Name \"\""),
            ("ser|", ": Name \"ser\""),
            ("server \"bb\" {\n    ur|\n}", "server bb: Name \"ur\""),
            ("server \"bb\" {\n    |", "server bb: Name \"\""),
            ("server \"bb\" {\n    url |", "server bb > url: Entry(0) \"\""),
            ("plan \"n\" {\n    destination \"n|", "plan n > destination: Entry(0) \"n\""),
            ("plan \"n\" {\n    destination \"na|s\"\n", "plan n > destination: Entry(0) \"na\""),
            (
                "plan \"n\" { project \"PAY\" { enable-credentials \"a\" |",
                "plan n > project PAY > enable-credentials a: Entry(1) \"\"",
            ),
            ("project \"PAY\" ser|", "project PAY: Entry(1) \"ser\""),
            ("project \"PAY\" ser|=\"x\"", "project PAY: PropertyName \"ser\""),
            ("project \"PAY\" server=|", "project PAY: PropertyValue(\"server\") \"\""),
            ("project \"PAY\" server=\"b|\" {", "project PAY: PropertyValue(\"server\") \"b\""),
            ("project \"PAY\" server = b|", "project PAY: PropertyValue(\"server\") \"b\""),
            ("a {\n    b 1\n}\n|", ": Name \"\""),
            ("a { b 1; | }", "a: Name \"\""),
            ("a \\\n   |", "a: Entry(0) \"\""),
            ("a // x|", "a: Comment \"\""),
            ("/* x| */", ": Comment \"\""),
            ("a (ag|)\"x\"", "a: Annotation \"ag\""),
            // Blocks that are not closed end where the indentation says so.
            ("server \"bb\" {\n    url \"x\"\n\nplan \"n\" {\n    des|\n}\n", "plan n: Name \"des\""),
            ("a {\n    b {\n        c 1\n    d|\n}\n", "a: Name \"d\""),
            ("a {{ |", "a > : Name \"\""),
            ("}}} a |", "a: Entry(0) \"\""),
        ] {
            assert_eq!(at(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_place_of_every_text_is_something(text in "[a-c\"#{}()=;\\\\/* \n\u{fc}|-]{0,60}", offset in 0..70usize) {
            let found = cursor(&text, offset);
            prop_assert!(text.get(found.word.start..found.word.end).is_some());
        }
    }
}
