//! Lossless tokens of KDL v2, and the guard that the text passes before it is parsed.
//!
//! Every text lexes; the tokens put together are the text. The parser behind it recurses, so what is too large or
//! nested too deeply must be refused here, where nothing recurses.

use super::error::{Diagnostic, FileId, Report, Span};

const LARGEST_FILE: usize = 4 * 1024 * 1024;

/// Deepest nesting of blocks and of comments.
const DEEPEST: usize = 64;

/// Deepest nesting if quotes are not looked at. The parser recovers from errors in its own way and may then see
/// braces where we see a string; this bound holds whatever it sees.
const DEEPEST_RAW: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Bom,
    Space,
    Newline,
    LineComment,
    BlockComment,
    Slashdash,
    /// An identifier, a number or a keyword.
    Word,
    /// A string in any of its four forms.
    Text,
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    Equals,
    Semicolon,
    LineContinuation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
    /// For strings and comments: whether they end before the file (a quoted string: before its line) does.
    pub(super) closed: bool,
}

/// The tokens of `text`, without gaps.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut position = 0;
    while position < text.len() {
        let token = token_at(text, position);
        position = token.span.end;
        tokens.push(token);
    }
    tokens
}

/// A text in pieces of one token each. Put together they are the text, whatever it is.
pub fn pieces(text: &str) -> Vec<&str> {
    lex(text).into_iter().map(|token| &text[token.span.start..token.span.end]).collect()
}

/// The token that begins at a byte of `text`.
pub(super) fn token_at(text: &str, position: usize) -> Token {
    let (kind, length, closed) = next(&text[position..], position == 0);
    Token { kind, span: Span::new(position, position + length), closed }
}

pub(super) fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}')
}

fn is_space(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && !is_newline(c))
}

fn next(rest: &str, at_start: bool) -> (TokenKind, usize, bool) {
    let first = rest.chars().next().unwrap_or_default();
    let one = |kind| (kind, first.len_utf8(), true);
    let run = |kind, more: fn(char) -> bool| (kind, rest.find(|c| !more(c)).unwrap_or(rest.len()), true);
    if at_start && first == '\u{feff}' {
        return one(TokenKind::Bom);
    }
    if rest.starts_with("\r\n") {
        return (TokenKind::Newline, 2, true);
    }
    if rest.starts_with("//") {
        return run(TokenKind::LineComment, |c| !is_newline(c));
    }
    if rest.starts_with("/-") {
        return (TokenKind::Slashdash, 2, true);
    }
    if rest.starts_with("/*") {
        let (length, closed) = block_comment(rest);
        return (TokenKind::BlockComment, length, closed);
    }
    if let Some((length, closed)) = string(rest) {
        return (TokenKind::Text, length, closed);
    }
    match first {
        '{' => one(TokenKind::OpenBrace),
        '}' => one(TokenKind::CloseBrace),
        '(' => one(TokenKind::OpenParen),
        ')' => one(TokenKind::CloseParen),
        '=' => one(TokenKind::Equals),
        ';' => one(TokenKind::Semicolon),
        '\\' => one(TokenKind::LineContinuation),
        c if is_newline(c) => one(TokenKind::Newline),
        c if is_space(c) => run(TokenKind::Space, is_space),
        _ => {
            let ends = |c: char| is_newline(c) || is_space(c) || "{}()=;\\\"/".contains(c);
            let length = rest.char_indices().skip(1).find(|(_, c)| ends(*c)).map_or(rest.len(), |(at, _)| at);
            (TokenKind::Word, length, true)
        }
    }
}

/// Length, and whether it is closed.
fn block_comment(rest: &str) -> (usize, bool) {
    let bytes = rest.as_bytes();
    let (mut depth, mut position) = (0usize, 0);
    while position < bytes.len() {
        match bytes.get(position..position + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                position += 1;
                continue;
            }
        }
        position += 2;
        if depth == 0 {
            return (position, true);
        }
    }
    (rest.len(), false)
}

/// A quoted, multi-line, raw or raw multi-line string at the beginning of `rest`.
fn string(rest: &str) -> Option<(usize, bool)> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = &rest[hashes..];
    let quotes = if body.starts_with("\"\"\"") && !(hashes > 0 && body[3..].starts_with('#')) {
        "\"\"\""
    } else if body.starts_with('"') {
        "\""
    } else {
        return None;
    };
    let multi_line = quotes.len() == 3;
    let mut position = hashes + quotes.len();
    let end = format!("{quotes}{}", "#".repeat(hashes));
    while let Some(c) = rest[position..].chars().next() {
        if rest[position..].starts_with(&end) {
            return Some((position + end.len(), true));
        }
        if !multi_line && is_newline(c) {
            return Some((position, false));
        }
        position += c.len_utf8();
        if c == '\\' && hashes == 0 {
            // An escape hides what follows it; an escaped line break may go over several lines.
            let after = &rest[position..];
            let blank = after.find(|c| !is_newline(c) && !is_space(c)).unwrap_or(after.len());
            position += if blank > 0 { blank } else { after.chars().next().map_or(0, char::len_utf8) };
        }
    }
    Some((rest.len(), false))
}

/// Whether the text of a file can be given to the parser. Reports everything that prevents it.
pub(super) fn guard(text: &str, file: FileId, report: &mut Report) -> bool {
    let mut found = Report::default();
    let passes = look_through(text, &mut found);
    let mut found = found.into_invalid().diagnostics;
    for label in found.iter_mut().flat_map(|one| &mut one.labels) {
        label.span.file = file;
    }
    report.extend(found);
    passes
}

fn look_through(text: &str, report: &mut Report) -> bool {
    if text.len() > LARGEST_FILE {
        let size = text.len() / 1024;
        report.add(
            Diagnostic::error("xopero::too-large", format!("the file has {size} KiB; the limit is 4096 KiB"))
                .at(Span::default(), "this file"),
        );
        return false;
    }
    let mut depth = 0usize;
    for token in lex(text) {
        let start = Span::new(token.span.start, token.span.start + 1);
        match token.kind {
            TokenKind::OpenBrace => {
                depth += 1;
                if depth > DEEPEST {
                    report.add(too_deep("blocks", start));
                    return false;
                }
            }
            TokenKind::CloseBrace => depth = depth.saturating_sub(1),
            TokenKind::BlockComment if deepest(&text[token.span.start..token.span.end], "/*", "*/").0 > DEEPEST => {
                report.add(too_deep("comments", start));
                return false;
            }
            TokenKind::BlockComment
            | TokenKind::Text
            | TokenKind::Bom
            | TokenKind::Space
            | TokenKind::Newline
            | TokenKind::LineComment
            | TokenKind::Slashdash
            | TokenKind::Word
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals
            | TokenKind::Semicolon
            | TokenKind::LineContinuation => {}
        }
    }
    for (open, close, what) in [("{", "}", "braces"), ("/*", "*/", "comments")] {
        let (depth, at) = deepest(text, open, close);
        if depth > DEEPEST_RAW {
            report.add(too_deep(what, Span::new(at, at + 1)));
        }
    }
    !report.has_errors()
}

fn too_deep(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error("xopero::too-deep", format!("{what} are nested too deeply"))
        .at(span, "too deep")
        .help("the language never needs more than four levels; the limit is 64")
}

/// The deepest nesting in `text`, taken literally, and where it is.
fn deepest(text: &str, open: &str, close: &str) -> (usize, usize) {
    let (mut depth, mut deepest) = (0usize, (0, 0));
    let mut position = 0;
    while position < text.len() {
        let rest = &text.as_bytes()[position..];
        if rest.starts_with(open.as_bytes()) {
            depth += 1;
            position += open.len();
            if depth > deepest.0 {
                deepest = (depth, position - open.len());
            }
        } else if rest.starts_with(close.as_bytes()) {
            depth = depth.saturating_sub(1);
            position += close.len();
        } else {
            position += 1;
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        lex(text).iter().map(|token| token.kind).filter(|kind| *kind != TokenKind::Space).collect()
    }

    fn guarded(text: &str) -> Vec<&'static str> {
        let mut report = Report::default();
        if guard(text, FileId::MAIN, &mut report) {
            Vec::new()
        } else {
            report.into_invalid().diagnostics.iter().map(|d| d.code).collect()
        }
    }

    proptest! {
        #[test]
        fn printing_the_tokens_gives_the_text(parts in proptest::collection::vec(
            prop_oneof![
                Just("{".to_owned()), Just("}".into()), Just("\"".into()), Just("\"\"\"".into()), Just("#".into()),
                Just("/*".into()), Just("*/".into()), Just("//".into()), Just("/-".into()), Just("\\".into()),
                Just("\n".into()), Just("\r\n".into()), Just(" ".into()), Just("a=1".into()), Just("ü".into()),
                Just("\u{feff}".into()), any::<char>().prop_map(String::from)
            ], 0..60)) {
            let text = parts.concat();
            let tokens = lex(&text);
            prop_assert_eq!(pieces(&text).concat(), text);
            prop_assert!(tokens.windows(2).all(|pair| pair[0].span.end == pair[1].span.start));
        }
    }

    #[test]
    fn strings_hide_what_is_in_them() {
        use TokenKind::{CloseBrace, LineComment, Newline, OpenBrace, Text, Word};
        assert_eq!(kinds(r#"a "{ // \" }" {}"#), [Word, Text, OpenBrace, CloseBrace]);
        assert_eq!(kinds(r##"a #"{"}"# b"##), [Word, Text, Word]);
        assert_eq!(kinds("a \"\"\"\n {\" \"\" \n\"\"\" b"), [Word, Text, Word]);
        assert_eq!(kinds("a ##\"\"\"\n \"\"\"# {\n\"\"\"## b"), [Word, Text, Word]);
        assert_eq!(kinds("a \"x\\\n   y\" // c\nb"), [Word, Text, LineComment, Newline, Word]);
        assert_eq!(kinds("a #true"), [Word, Word]);
    }

    #[test]
    fn deep_nesting_is_a_diagnostic() {
        assert_eq!(guarded(&"a {".repeat(2000)), ["xopero::too-deep"]);
        assert_eq!(guarded(&"/*".repeat(2000)), ["xopero::too-deep"]);
        assert_eq!(guarded(&format!("a \"{}\"", "{".repeat(2000))), ["xopero::too-deep"]);
        assert!(guarded(&format!("{}{}", "a {".repeat(64), "}".repeat(64))).is_empty());
        assert!(guarded("a \"{{{{{{{{{{\"").is_empty());
        assert_eq!(guarded(&" ".repeat(LARGEST_FILE + 1)), ["xopero::too-large"]);
    }
}
