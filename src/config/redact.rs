//! The text as it may be shown: without secrets, without anything that acts on a terminal, and as long as before.

use super::error::Span;
use super::lexer::{TokenKind, lex};
use super::shape::is_age;
use crate::model::is_hidden;

/// Nodes with a sealed value, or with a property `file` that names one. What follows these names is masked unless it is
/// sealed.
pub(super) const SECRET_NAMES: [&str; 6] = ["token", "password", "access-key", "secret-key", "signing-key", "address"];

/// Wherever these stand, what follows is masked: tokens of Bitbucket, identities of age, addresses of Slack.
const SECRET_PREFIXES: [&str; 3] = ["BBDC-", "AGE-SECRET-KEY-", "https://hooks.slack.com/"];

/// A copy in which every byte of a secret is `*` and every byte of a control or direction character is `?`.
pub fn redacted(text: &str) -> String {
    let mut masked: Vec<Span> = Vec::new();
    let (mut after_name, mut continued) = (false, false);
    for token in lex(text) {
        let written = &text[token.span.start..token.span.end];
        match token.kind {
            TokenKind::Newline if continued => continued = false,
            TokenKind::Newline | TokenKind::Semicolon | TokenKind::OpenBrace | TokenKind::CloseBrace => {
                after_name = false;
            }
            TokenKind::Word | TokenKind::Text => {
                let bare = written.trim_matches(['"', '#']);
                if after_name && !is_harmless(bare) && !is_sealed(bare) {
                    masked.push(token.span);
                }
                after_name = after_name || is_secret_name(bare);
            }
            TokenKind::Bom
            | TokenKind::Space
            | TokenKind::LineComment
            | TokenKind::BlockComment
            | TokenKind::Slashdash
            | TokenKind::OpenParen
            | TokenKind::CloseParen
            | TokenKind::Equals => {}
            TokenKind::LineContinuation => continued = true,
        }
    }
    masked.extend(prefixed(text));
    masked.extend(queries(text));
    let mut bytes = safe(text).into_bytes();
    for span in masked {
        for byte in &mut bytes[span.start..span.end] {
            if *byte != b'\n' {
                *byte = b'*';
            }
        }
    }
    String::from_utf8(bytes).expect("whole characters were replaced by ASCII")
}

/// Hides what begins like a secret in a text that is about a file.
pub(super) fn hide(text: &mut String) {
    // A secret can stand in another, so each is looked for anew.
    while let Some(span) = prefixed(text).pop() {
        text.replace_range(span.start..span.end, "***");
    }
}

/// What begins like a secret, up to the next white space or quote.
fn prefixed(text: &str) -> Vec<Span> {
    let mut found = Vec::new();
    for prefix in SECRET_PREFIXES {
        let mut from = 0;
        while let Some(start) = text[from..].find(prefix).map(|at| from + at) {
            let end = text[start..].find(|c: char| c.is_whitespace() || c == '"').map_or(text.len(), |end| start + end);
            found.push(Span::new(start, end));
            from = end;
        }
    }
    found
}

/// What follows the `?` of addresses, up to the next white space or quote: a secret as a rule.
fn queries(text: &str) -> Vec<Span> {
    let address = |(start, _): (usize, &str)| {
        let rest = &text[start..];
        let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
        let query = rest[..end].find('?')? + 1;
        Some(Span::new(start + query, start + end))
    };
    text.match_indices("://").filter_map(address).collect()
}

/// What stands beside a sealed value and tells nothing of it.
fn is_harmless(word: &str) -> bool {
    let mark = |digits: &str| !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let file = word == "file" || word.ends_with(".age");
    file || matches!(word, "age" | "sealed-for") || word.strip_prefix("r:").is_some_and(mark)
}

/// Also names that are one or two letters off: a misspelt node must not show its value.
fn is_secret_name(word: &str) -> bool {
    word.len() <= 16 && SECRET_NAMES.iter().any(|name| strsim::osa_distance(&word.to_lowercase(), name) <= 2)
}

fn is_sealed(bare: &str) -> bool {
    let lines: Vec<&str> = bare.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    is_age(&lines.join("\n"))
}

/// Text for a terminal: every byte of a control or direction character is `?`, the rest and the length stay.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => out.push(' '),
            c if is_hidden(c) => out.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_stay_where_they_are(text in any::<String>()) {
            let shown = redacted(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert!(!shown.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t'));
        }
    }

    #[test]
    fn no_form_of_a_naked_secret_is_shown() {
        let forms = [
            r#"token "SECRET""#,
            r#"token (age)"SECRET""#,
            r##"password #"SECRET"#"##,
            "token \"\"\"\n  SECRET\n  \"\"\"",
            "token SECRET",
            r#"tokn "SECRET""#,
            r#"Password "SECRET""#,
            r#"credential token="SECRET""#,
            r#""token" "SECRET""#,
            "token \\\n  \"SECRET\"",
            "/- token \"SECRET\"",
            "// token BBDC-SECRET",
            "anything \"AGE-SECRET-KEY-1SECRET\"",
            "slack \"https://hooks.slack.com/services/SECRET\"",
            "slack { adress \"https://SECRET\"; }",
            "webhook \"https://hooks.example.com/x?token=SECRET\"",
        ];
        for form in forms {
            assert!(!redacted(form).contains("SECRET"), "{}", redacted(form));
        }
        let sealed = "token (age)#\"\"\"\n  -----BEGIN AGE ENCRYPTED FILE-----\n  x\n  -----END AGE ENCRYPTED FILE-----\n  \"\"\"#";
        assert_eq!(redacted(sealed), sealed);
        let marked = format!("{sealed} sealed-for=\"r:0a1b2c3d\"");
        assert_eq!(redacted(&marked), marked);
    }
}
