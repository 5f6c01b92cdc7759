//! Which part each word of a text plays, also if the text is broken: what lints and completion go by.

use super::lexer::{Token, TokenKind};

/// The part of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The name of a node.
    Name,
    Argument,
    PropertyName,
    PropertyValue,
    /// What stands in `(…)`.
    Annotation,
}

impl Role {
    /// Whether a value stands there.
    pub(super) const fn is_value(self) -> bool {
        match self {
            Self::Argument | Self::PropertyValue => true,
            Self::Name | Self::PropertyName | Self::Annotation => false,
        }
    }
}

/// What the next word of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It begins a node.
    Name,
    /// An argument or the name of a property.
    Entry,
    /// The value of a property.
    PropertyValue,
}

/// Goes through the tokens of a text in their order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roles {
    pub(super) expected: Expected,
    pub(super) in_annotation: bool,
    continued: bool,
}

impl Roles {
    pub(super) const fn new() -> Self {
        Self { expected: Expected::Name, in_annotation: false, continued: false }
    }

    /// The role of `tokens[index]`, if it is a word, and a step over it.
    pub(super) fn step(&mut self, tokens: &[Token], index: usize) -> Option<Role> {
        match tokens[index].kind {
            TokenKind::Bom
            | TokenKind::Space
            | TokenKind::LineComment
            | TokenKind::BlockComment
            | TokenKind::Slashdash => {}
            TokenKind::LineContinuation => self.continued = true,
            TokenKind::Newline if self.continued => self.continued = false,
            TokenKind::Newline | TokenKind::Semicolon | TokenKind::OpenBrace | TokenKind::CloseBrace => {
                *self = Self::new();
            }
            TokenKind::OpenParen => self.in_annotation = true,
            TokenKind::CloseParen => self.in_annotation = false,
            TokenKind::Equals => self.expected = Expected::PropertyValue,
            TokenKind::Word | TokenKind::Text => return Some(self.word(tokens, index)),
        }
        None
    }

    fn word(&mut self, tokens: &[Token], index: usize) -> Role {
        if self.in_annotation {
            return Role::Annotation;
        }
        match std::mem::replace(&mut self.expected, Expected::Entry) {
            Expected::Name => Role::Name,
            Expected::PropertyValue => Role::PropertyValue,
            Expected::Entry => match next_word_like(tokens, index) {
                Some(next) if next.kind == TokenKind::Equals => Role::PropertyName,
                _ => Role::Argument,
            },
        }
    }
}

/// The next token on the line that is not a space.
pub(super) fn next_word_like(tokens: &[Token], index: usize) -> Option<Token> {
    tokens[index + 1..].iter().find(|token| token.kind != TokenKind::Space).copied()
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;

    #[test]
    fn every_word_has_its_role() {
        use Role::{Annotation, Argument, Name, PropertyName, PropertyValue};
        let text = "a \"b\" c=1 d = 2 (x)\"y\" z=(x)7 { e; f \\ // c\n g\n h } i /- j // k\n/-l m";
        let tokens = lex(text);
        let mut roles = Roles::new();
        let found: Vec<_> = (0..tokens.len())
            .filter_map(|index| {
                let role = roles.step(&tokens, index)?;
                Some((&text[tokens[index].span.start..tokens[index].span.end], role))
            })
            .collect();
        let expected = [
            ("a", Name),
            ("\"b\"", Argument),
            ("c", PropertyName),
            ("1", PropertyValue),
            ("d", PropertyName),
            ("2", PropertyValue),
            ("x", Annotation),
            ("\"y\"", Argument),
            ("z", PropertyName),
            ("x", Annotation),
            ("7", PropertyValue),
            ("e", Name),
            ("f", Name),
            ("g", Argument),
            ("h", Name),
            ("i", Name),
            ("j", Argument),
            ("l", Name),
            ("m", Argument),
        ];
        assert_eq!(found, expected);
    }
}
