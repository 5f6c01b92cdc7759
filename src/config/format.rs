//! Lays a text out anew: white space changes, nothing else does.
//!
//! Blocks are indented by four spaces and several spaces become one. Line breaks stay where they are, except that at
//! most one blank line stays between others. Every comment, the form of every value, whatever is commented out and
//! every sealed block are kept; a string of several lines moves as a whole, so that its value is the same. Spaces
//! before a comment at the end of a line stay, because people line comments up. The result is parsed and compared
//! with what was there before anybody gets it.

use super::document::Node;
use super::error::{Invalid, Report, SourceFile};
use super::lexer::{TokenKind, is_newline, lex};
use super::load::tree;

const STEP: usize = 4;

/// Why a text was not laid out anew.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is not KDL.
    #[error("{name} cannot be formatted before its syntax is right")]
    Syntax {
        /// The file.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Invalid,
    },
    /// It would say something else.
    #[error("{name} cannot be formatted without changing what it says; it stays as it is")]
    Changes {
        /// The file.
        name: String,
    },
}

impl FormatError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } => Some("correct what `xopero validate` reports".to_owned()),
            Self::Changes { .. } => Some("please report this, with the file but without its secrets".to_owned()),
        }
    }
}

/// The text of a file, laid out. It may declare what is wrong, as long as it is KDL.
pub fn format(file: &SourceFile) -> Result<String, FormatError> {
    let before = nodes(file, &file.text)?;
    let text = lay_out(&file.text);
    let after = nodes(file, &text).map_err(|_| FormatError::Changes { name: file.name.clone() })?;
    let same_nodes = before.len() == after.len() && before.iter().zip(&after).all(|(one, other)| one.same(other));
    if same_nodes && written(&file.text) == written(&text) {
        Ok(text)
    } else {
        Err(FormatError::Changes { name: file.name.clone() })
    }
}

fn nodes(file: &SourceFile, text: &str) -> Result<Vec<Node>, FormatError> {
    let mut report = Report::default();
    tree(text, &mut report)
        .ok_or_else(|| FormatError::Syntax { name: file.name.clone(), source: report.into_invalid() })
}

/// Everything that is not white space, also what is commented out; of strings over several lines, where they are.
fn written(text: &str) -> Vec<(TokenKind, String)> {
    let tokens = lex(text).into_iter();
    let quiet = |kind| matches!(kind, TokenKind::Space | TokenKind::Newline | TokenKind::Bom);
    tokens
        .filter(|token| !quiet(token.kind))
        .map(|token| {
            let words = text[token.span.start..token.span.end].split_whitespace();
            (token.kind, words.collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn lay_out(text: &str) -> String {
    let mut page = Page::default();
    for token in lex(text) {
        page.put(token.kind, &text[token.span.start..token.span.end]);
    }
    let mut out = page.out;
    out.truncate(out.trim_end_matches([' ', '\n']).len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

#[derive(Debug, Default)]
struct Page {
    out: String,
    depth: usize,
    /// The last token of this line, if something stands on it.
    last: Option<TokenKind>,
    /// The last token of the line before that had one.
    before: Option<TokenKind>,
    /// Spaces since the last token.
    spaces: usize,
    /// Lines since then with nothing on them.
    blank_lines: usize,
    /// Columns before the first token of this line.
    indent: usize,
    continues: bool,
}

impl Page {
    fn put(&mut self, kind: TokenKind, written: &str) {
        match kind {
            TokenKind::Bom => {}
            TokenKind::Space => self.spaces += written.chars().count(),
            TokenKind::Newline => self.end_line(),
            TokenKind::LineComment => self.token(kind, written.trim_end()),
            TokenKind::Text | TokenKind::BlockComment => {
                self.separate(kind);
                match shifted(written, self.indent + STEP).filter(|_| kind == TokenKind::Text) {
                    Some(text) => self.out.push_str(&text),
                    None => self.out.push_str(&written.replace("\r\n", "\n")),
                }
            }
            TokenKind::LineContinuation => {
                self.token(kind, written);
                self.continues = true;
            }
            TokenKind::OpenBrace => {
                self.token(kind, written);
                self.depth += 1;
            }
            TokenKind::CloseBrace => {
                self.depth = self.depth.saturating_sub(1);
                self.token(kind, written);
            }
            TokenKind::Slashdash
            | TokenKind::Word
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals
            | TokenKind::Semicolon => self.token(kind, written),
        }
    }

    fn token(&mut self, kind: TokenKind, written: &str) {
        self.separate(kind);
        self.out.push_str(written);
    }

    fn end_line(&mut self) {
        if self.last.is_none() {
            self.blank_lines += 1;
        } else {
            self.out.push('\n');
            (self.before, self.last, self.blank_lines) = (self.last, None, 0);
        }
        self.spaces = 0;
    }

    /// What stands before a token.
    fn separate(&mut self, kind: TokenKind) {
        if let Some(last) = self.last {
            self.space(between(last, kind, self.spaces));
        } else {
            let opens = self.before.is_none_or(|before| before == TokenKind::OpenBrace);
            if self.blank_lines > 0 && !opens && kind != TokenKind::CloseBrace {
                self.out.push('\n');
            }
            self.indent = STEP * (self.depth + usize::from(std::mem::take(&mut self.continues)));
            self.space(self.indent);
        }
        (self.last, self.spaces) = (Some(kind), 0);
    }

    fn space(&mut self, columns: usize) {
        self.out.extend(std::iter::repeat_n(' ', columns));
    }
}

/// How many spaces stand between two tokens of a line that had `spaces`.
fn between(last: TokenKind, next: TokenKind, spaces: usize) -> usize {
    use TokenKind::{CloseBrace, CloseParen, Equals, LineComment, LineContinuation, OpenBrace, OpenParen, Semicolon};
    let joined = last == Equals
        || next == Equals
        || last == OpenParen
        || last == CloseParen
        || next == CloseParen
        || next == Semicolon
        || (last == OpenBrace && next == CloseBrace);
    let apart = last == OpenBrace
        || last == CloseBrace
        || last == Semicolon
        || next == OpenBrace
        || next == CloseBrace
        || next == LineContinuation;
    if next == LineComment {
        spaces.max(1)
    } else if joined {
        0
    } else if apart {
        1
    } else {
        spaces.min(1)
    }
}

/// A string of several lines with its quotes `indent` columns in; `None` for strings whose lines mean something.
fn shifted(written: &str, indent: usize) -> Option<String> {
    let hashes = written.len() - written.trim_start_matches('#').len();
    let closing = "#".repeat(hashes);
    let body = written[hashes..].strip_prefix("\"\"\"")?.strip_suffix(&closing)?.strip_suffix("\"\"\"")?;
    let body = body.replace("\r\n", "\n");
    // Escapes and line breaks of other kinds are resolved by rules of their own.
    if (hashes == 0 && body.contains('\\')) || body.contains(|c| c != '\n' && is_newline(c)) {
        return None;
    }
    let (lines, prefix) = body.strip_prefix('\n').map(|lines| lines.rsplit_once('\n').unwrap_or(("", lines)))?;
    let empty = !body[1..].contains('\n');
    let indentation = " ".repeat(indent);
    let mut out = format!("{closing}\"\"\"");
    for line in lines.split('\n').filter(|_| !empty) {
        out.push('\n');
        if !line.trim().is_empty() {
            out.push_str(&indentation);
            out.push_str(line.strip_prefix(prefix)?);
        }
    }
    out.push('\n');
    out.push_str(&indentation);
    out.push_str("\"\"\"");
    out.push_str(&closing);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn formatted(text: &str) -> Result<String, FormatError> {
        format(&SourceFile { name: "xopero.kdl".into(), text: text.into() })
    }

    #[test]
    fn white_space_is_laid_out_and_nothing_else_changes() {
        let before = "\u{feff}\n\n/- kdl-version 2\r\n  server   \"bb\"{\n\n\n url \"https://x\"   // kept here\n\n\n\n\
                      \t// a comment  \n   keep last = 0x1F  daily=+7;grace \"1w\" ; }\n\n\n/-   a { b\n} \n\
                      c (age) #\"\"\"\n  armor\n\n    more\n  \"\"\"# { }\nd \\\n e /* x */ /-f\n";
        let after = "/- kdl-version 2\nserver \"bb\" {\n    url \"https://x\"   // kept here\n\n    // a comment\n    \
                     keep last=0x1F daily=+7; grace \"1w\"; }\n\n/- a { b\n}\nc (age)#\"\"\"\n    armor\n\n      more\n    \
                     \"\"\"# {}\nd \\\n    e /* x */ /-f\n";
        assert_eq!(formatted(before).unwrap(), after);
        assert_eq!(formatted(after).unwrap(), after);
        // A string of any characters; the second byte of this one is no beginning of a character.
        assert_eq!(
            formatted("plan  \"aą日\"\nname  \"“b”\" #\"ł\"#\n").unwrap(),
            "plan \"aą日\"\nname \"“b”\" #\"ł\"#\n"
        );
        assert_eq!(formatted("").unwrap(), "");
        assert_eq!(formatted(" \n\n").unwrap(), "");
    }

    #[test]
    fn the_examples_are_laid_out() {
        for text in [
            include_str!("../../examples/complete.kdl"),
            include_str!("../../examples/minimal.kdl"),
            include_str!("../../examples/split/xopero.kdl"),
            include_str!("../../examples/split/teams/payments.kdl"),
        ] {
            assert_eq!(formatted(text).unwrap(), text);
            let flat: Vec<&str> = text.lines().map(str::trim).collect();
            // Armor needs its closing quotes no further right than itself, and has them.
            assert_eq!(formatted(&flat.join("\r\n")).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_kdl_stays_as_it_is() {
        assert!(matches!(formatted("a {"), Err(FormatError::Syntax { .. })));
        assert!(formatted("unknown 1 2 3\n").is_ok());
    }

    /// Pieces that often make KDL, with white space of every kind.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("a"),
            Just(" "),
            Just("\n"),
            Just("\r\n"),
            Just("\t"),
            Just("\u{a0}"),
            Just(" \"b c\" "),
            Just("\"“ł日\""),
            Just("#\"日\"#"),
            Just(" x=1 "),
            Just(" {\n"),
            Just("{"),
            Just("}\n"),
            Just("}"),
            Just(";"),
            Just(" // c  \n"),
            Just(" /* d\r\n d */ "),
            Just(" /-"),
            Just(" (t) "),
            Just(" = "),
            Just(" \\\n"),
            Just("\\ // e\n"),
            Just(" #true "),
            Just(" #\"\"\"\n  q\n\n   \n  r \n  \"\"\"# "),
            Just(" \"\"\"\r\n\tq\\n\r\n\t\"\"\" "),
            Just(" \"\"\"\n\"\"\" "),
            Just(" \"x\\\n   y\" "),
            Just("\n\n\n"),
            Just("ü"),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn laying_out_keeps_the_meaning_and_is_done_once(text in text()) {
            match formatted(&text) {
                Ok(once) => prop_assert_eq!(formatted(&once).unwrap(), once),
                Err(FormatError::Syntax { .. }) => {}
                Err(error @ FormatError::Changes { .. }) => prop_assert!(false, "{} {:?} {:?}", error, text, lay_out(&text)),
            }
        }
    }
}
