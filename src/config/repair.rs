//! What people write who come from other languages: told in their words, and repaired so that the rest can be read.
//!
//! KDL takes some of it for something else and explains the rest by its own grammar. A repair changes nothing in the
//! file: it is what the parser sees.

use super::braces::{Brace, unbalanced};
use super::error::{Diagnostic, Label, Span};
use super::lexer::{Token, TokenKind, lex, token_at};
use super::patch::Patch;
use super::roles::{Expected, Role, Roles, next_word_like};

const COMMAS: &str = "KDL has no commas; separate values with spaces";
const QUOTE: &str = "quote it: values such as \"7d\", \"02:30\" or \"2027-03-01\" are strings";
const KEYWORDS: [&str; 6] = ["#true", "#false", "#null", "#inf", "#-inf", "#nan"];

/// Commas of one node that are shown: each is another mark under its line.
const MOST_COMMAS: usize = 20;

/// How often the rest of a token is read anew: each time may go through the whole text.
const MOST_ANEW: usize = 100;

/// What was found, and what it leaves in doubt.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    pub(super) found: Vec<Diagnostic>,
    /// Places whose values are not what was meant: what else is said of them follows from that.
    pub(super) told: Vec<Span>,
    /// Whether it is a guess where blocks end.
    pub(super) guessed: bool,
}

/// Finds and repairs what can be recognised without a parser.
pub(super) fn repair(patch: &mut Patch<'_>) -> Repairs {
    let text = patch.original();
    let mut reader = Reader { text, tokens: lex(text), patch, repairs: Repairs::default(), commas: None };
    let read = reader.read();
    let (mut repairs, tokens) = (reader.repairs, reader.tokens);
    let tokens: Vec<Token> = tokens.into_iter().zip(read).filter_map(|(token, kept)| kept.then_some(token)).collect();
    for brace in unbalanced(text, &tokens) {
        repairs.found.push(match brace {
            Brace::NotClosed { open, end, guided } => {
                repairs.guessed |= !guided;
                patch.insert(end, if end == text.len() { "\n}" } else { "}\n" });
                syntax("this block is not closed", open, "no `}` for this")
                    .help("add a `}` on a line of its own, as far left as the line with the `{`")
            }
            Brace::ClosesNothing(span) => {
                patch.fill(span.start..span.end, b' ');
                syntax("this `}` closes nothing", span, "no `{` for this")
            }
        });
    }
    repairs
}

fn syntax(message: &str, span: Span, label: &str) -> Diagnostic {
    Diagnostic::error("xopero::syntax", message).at(span, label)
}

struct Reader<'p, 'a> {
    text: &'a str,
    tokens: Vec<Token>,
    patch: &'p mut Patch<'a>,
    repairs: Repairs,
    /// Where the diagnostic for commas of this node is.
    commas: Option<usize>,
}

impl Reader<'_, '_> {
    /// Whether each token is still there after the repairs.
    fn read(&mut self) -> Vec<bool> {
        let mut kept = vec![true; self.tokens.len()];
        let mut roles = Roles::new();
        let (mut index, mut anew) = (0, 0);
        while index < self.tokens.len() {
            let token = self.tokens[index];
            self.unclosed(token);
            let role = roles.step(&self.tokens, index);
            if roles.expected == Expected::Name || role == Some(Role::Name) {
                self.commas = None;
            }
            if token.kind == TokenKind::OpenBrace && self.is_doubled(index) {
                kept[index] = false;
            }
            let end = role.map_or(token.span.end, |role| self.word(index, role));
            index += 1;
            // What a repair has taken belongs to this word.
            let taken = index + self.tokens[index..].partition_point(|token| token.span.start < end);
            kept[index..taken].fill(false);
            if taken > index && self.tokens[taken - 1].span.end > end && anew < MOST_ANEW {
                anew += 1;
                let (rest, next) = self.lexed_anew(end, taken);
                kept.splice(index..next, rest.iter().map(|_| true));
                self.tokens.splice(index..next, rest);
            } else {
                index = taken;
            }
        }
        kept
    }

    /// The tokens from a byte on that is inside of one, and the token of before that follows them.
    fn lexed_anew(&self, from: usize, next: usize) -> (Vec<Token>, usize) {
        let old = &self.tokens[next..];
        let mut tokens = Vec::new();
        let mut at = from;
        while at < self.text.len() {
            if let Ok(same) = old.binary_search_by_key(&at, |token| token.span.start) {
                return (tokens, next + same);
            }
            let token = token_at(self.text, at);
            at = token.span.end;
            tokens.push(token);
        }
        (tokens, self.tokens.len())
    }

    /// A `{` behind a `{`.
    fn is_doubled(&mut self, index: usize) -> bool {
        let before = self.tokens[..index].iter().rev().find(|token| token.kind != TokenKind::Space);
        let doubled = is(before.copied(), TokenKind::OpenBrace);
        if doubled {
            let span = self.tokens[index].span;
            self.repairs.found.push(syntax("this is one `{` too many", span, "remove it"));
            self.patch.fill(span.start..span.end, b' ');
        }
        doubled
    }

    fn told(&mut self, message: &str, span: Span, label: &str, help: &str) {
        self.repairs.found.push(syntax(message, span, label).help(help));
        self.repairs.told.push(span);
    }

    fn quote(&mut self, span: Span) {
        let content = &self.text[span.start..span.end];
        if content.contains(['"', '\\', '\n', '\r']) {
            self.patch.name(span.start..span.end);
        } else {
            self.patch.insert(span.start, "\"");
            self.patch.insert(span.end, "\"");
        }
    }

    fn unclosed(&mut self, token: Token) {
        if token.closed {
            return;
        }
        let start = token.span.start;
        if token.kind == TokenKind::BlockComment {
            self.told(
                "the comment is not closed",
                Span::new(start, start + 2),
                "begins here",
                "end it with `*/`; comments nest, so every `/*` needs its own",
            );
            self.patch.fill(start..token.span.end, b' ');
        } else {
            self.told(
                "the string is not closed",
                Span::new(start, start + 1),
                "begins here",
                "end it with the same quotes (and as many `#`) as it begins with",
            );
            self.patch.name(start..token.span.end);
        }
        self.repairs.told.push(token.span);
    }

    /// Looks at a word; the end of what was taken with it.
    fn word(&mut self, index: usize, role: Role) -> usize {
        let token = self.tokens[index];
        let (start, end) = (token.span.start, token.span.end);
        let word = &self.text[start..end];
        let next = self.tokens.get(index + 1).copied();
        if token.kind == TokenKind::Text {
            self.multi_line(token.span);
        } else if role != Role::Annotation && word.starts_with('#') && !KEYWORDS.contains(&word) {
            return self.hash_comment(index);
        } else if (role.is_value() || role == Role::Name) && is_old_raw(word) && is(next, TokenKind::Text) {
            return self.old_raw_string(token.span);
        }
        if role == Role::Name {
            if let Some(equals) = next_word_like(&self.tokens, index).filter(|next| next.kind == TokenKind::Equals) {
                self.repairs.found.push(
                    syntax("a node has no `=` behind its name", equals.span, "remove it")
                        .help("write the value behind the name: name \"value\""),
                );
                self.patch.fill(equals.span.start..equals.span.end, b' ');
            }
            if token.kind == TokenKind::Word && word.bytes().all(|byte| byte == b',') {
                self.comma(start..end);
            }
            return end;
        }
        if token.kind == TokenKind::Text || !role.is_value() {
            if token.kind == TokenKind::Word && word.starts_with(',') {
                self.comma(start..start + 1);
            }
            return end;
        }
        if let Some(end) = self.other_quotes(start, word) {
            return end;
        }
        if word.ends_with(':') && is(next, TokenKind::LineComment) {
            return self.address(token.span);
        }
        if word.starts_with('$') {
            return self.variable(index);
        }
        self.bare(index)
    }

    /// `# …` in place of `// …`.
    fn hash_comment(&mut self, index: usize) -> usize {
        let start = self.tokens[index].span.start;
        // Behind a string it is a matter of quotes.
        if index > 0 && self.tokens[index - 1].kind == TokenKind::Text {
            return self.tokens[index].span.end;
        }
        let end = line_end(self.text, start);
        let shown = Span::new(start, start + 1);
        self.told("this begins no comment", shown, "a comment begins with `//`", "write // in place of #");
        self.patch.fill(start..end, b' ');
        end
    }

    /// `r"…"` and `r#"…"#` of KDL version 1.
    fn old_raw_string(&mut self, r: Span) -> usize {
        let hashes = r.end - r.start - 1;
        let content = r.end + 1;
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = self.text[content..].find(&closing).map(|found| content + found + closing.len());
        let end = end.unwrap_or_else(|| line_end(self.text, r.start));
        self.told(
            "this is a raw string of KDL version 1",
            Span::new(r.start, r.start + 1),
            "remove the `r`",
            "version 2 writes #\"…\"#, and \"\"\" on lines of their own around several lines",
        );
        let inside = &self.text[content..end];
        if inside.contains(['\n', '\r']) || (hashes == 0 && inside.contains('\\')) {
            self.patch.name(r.start..end);
            self.repairs.told.push(Span::new(r.start, end));
        } else {
            self.patch.fill(r.start..r.start + 1, b' ');
        }
        end
    }

    /// An address without quotes: `//` begins a comment.
    fn address(&mut self, scheme: Span) -> usize {
        let rest = &self.text[scheme.end..line_end(self.text, scheme.start)];
        let length = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len());
        let span = Span::new(scheme.start, scheme.end + length);
        let help = "put the address in double quotes: without them, `//` begins a comment";
        self.told("an address needs quotes", span, "quote this", help);
        self.quote(span);
        span.end
    }

    /// `$NAME` and `${NAME}`.
    fn variable(&mut self, index: usize) -> usize {
        let start = self.tokens[index].span.start;
        let rest = &self.text[start..line_end(self.text, start)];
        let braces = if is(self.tokens.get(index + 1).copied(), TokenKind::OpenBrace) { rest.find('}') } else { None };
        let from = braces.map_or(0, |at| at + 1);
        let tail = rest[from..].find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len() - from);
        let span = Span::new(start, start + from + tail);
        self.told("the language has no variables", span, "this stays as it is", "write the value itself, in quotes");
        self.quote(span);
        span.end
    }

    /// `'…'` and typographic quotes.
    fn other_quotes(&mut self, start: usize, word: &str) -> Option<usize> {
        const PAIRS: [(char, &[char]); 3] = [('\'', &['\'']), ('“', &['”', '“']), ('„', &['“', '”'])];
        let open = word.chars().next()?;
        let (_, closing) = PAIRS.iter().find(|(opening, _)| *opening == open)?;
        let content = start + open.len_utf8();
        let line = &self.text[content..line_end(self.text, start)];
        let (at, close) = line.char_indices().find(|(_, c)| closing.contains(c))?;
        let (close_at, end) = (content + at, content + at + close.len_utf8());
        let span = Span::new(start, end);
        self.repairs.found.push(
            syntax("strings stand in double quotes", span, "these are other quotes")
                .help("write \"…\", straight and double"),
        );
        if line[..at].contains(['"', '\\']) {
            self.patch.name(start..end);
            self.repairs.told.push(span);
        } else {
            self.patch.fill(start..content, b' ');
            self.patch.fill(content - 1..content, b'"');
            self.patch.fill(close_at..end, b' ');
            self.patch.fill(close_at..close_at + 1, b'"');
        }
        Some(end)
    }

    /// A word without quotes where a value stands: commas, keywords of version 1, and what only looks like a number.
    fn bare(&mut self, index: usize) -> usize {
        let start = self.tokens[index].span.start;
        let mut end = self.tokens[index].span.end;
        // A slash ends a word for the lexer; here it does not.
        for token in &self.tokens[index + 1..] {
            if token.kind != TokenKind::Word || token.span.start != end {
                break;
            }
            end = token.span.end;
        }
        let word = &self.text[start..end];
        if word.contains(',')
            && word.bytes().all(|byte| byte.is_ascii_digit() || b",-*/".contains(&byte))
            && !word.ends_with(',')
            && word.starts_with(|c: char| c.is_ascii_digit())
        {
            self.told("this is not a number", Span::new(start, end), "quote this", QUOTE);
            self.quote(Span::new(start, end));
            return end;
        }
        for (at, _) in word.match_indices(',') {
            self.comma(start + at..start + at + 1);
        }
        let mut at = start;
        for part in word.split(',') {
            let span = Span::new(at, at + part.len());
            at += part.len() + 1;
            if matches!(part, "true" | "false" | "null") {
                let help = "KDL v2 writes #true, #false and #null; this language uses none of them: a node is there or it is not";
                self.told("this is no value", span, "a word without meaning here", help);
                self.quote(span);
            } else if looks_like_a_number(part) && !is_number(part) {
                self.told("this is not a number", span, "quote this", QUOTE);
                self.quote(span);
            }
        }
        end
    }

    /// One diagnostic for all commas of a node.
    fn comma(&mut self, range: std::ops::Range<usize>) {
        let span = Span::new(range.start, range.end);
        if let Some(at) = self.commas {
            let labels = &mut self.repairs.found[at].labels;
            if labels.len() < MOST_COMMAS {
                labels.push(Label { span, text: "and this".into() });
            }
        } else {
            self.commas = Some(self.repairs.found.len());
            self.repairs.found.push(syntax("values are not separated by commas", span, "remove this").help(COMMAS));
        }
        self.patch.fill(range, b' ');
    }

    /// A string of several lines whose quotes do not stand where they must.
    fn multi_line(&mut self, span: Span) {
        let written = &self.text[span.start..span.end];
        let hashes = written.len() - written.trim_start_matches('#').len();
        let Some(body) = written[hashes..].strip_prefix("\"\"\"") else { return };
        let Some(body) = body.strip_suffix(&format!("\"\"\"{}", "#".repeat(hashes))) else { return };
        if hashes == 0 && body.contains('\\') {
            return;
        }
        let content = span.start + hashes + 3;
        let wrong = match wrong_line(body) {
            None => return,
            Some(Wrong::FirstLine) => syntax(
                "text in \"\"\" begins on a line of its own",
                Span::new(span.start, content),
                "nothing may follow on this line",
            ),
            Some(Wrong::LastLine(at)) => syntax(
                "text in \"\"\" ends before a line of its own",
                Span::new(content + at, span.end),
                "put these quotes on the next line",
            ),
            Some(Wrong::Indentation(from, to)) => syntax(
                "a line of the text is further left than the quotes that close it",
                Span::new(content + from, content + to),
                "indent this line like the closing quotes, or further",
            ),
        };
        self.repairs
            .found
            .push(wrong.help("put both \"\"\" on lines of their own, and indent the text at least like the last"));
        self.repairs.told.push(span);
        self.patch.name(span.start..span.end);
    }
}

enum Wrong {
    FirstLine,
    /// The quotes are at this byte of the body.
    LastLine(usize),
    /// The line between these bytes of the body.
    Indentation(usize, usize),
}

fn wrong_line(body: &str) -> Option<Wrong> {
    let Some(rest) = body.strip_prefix("\r\n").or_else(|| body.strip_prefix(['\n', '\r'])) else {
        return Some(Wrong::FirstLine);
    };
    let last = rest.rfind('\n').map_or(0, |at| at + 1);
    let indentation = &rest[last..];
    if !indentation.chars().all(|c| c.is_whitespace()) {
        return Some(Wrong::LastLine(body.len()));
    }
    let mut at = body.len() - rest.len();
    for line in rest[..last].split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if !content.trim().is_empty() && !content.starts_with(indentation) {
            return Some(Wrong::Indentation(at, at + content.len()));
        }
        at += line.len();
    }
    None
}

fn is(token: Option<Token>, kind: TokenKind) -> bool {
    token.is_some_and(|token| token.kind == kind)
}

fn is_old_raw(word: &str) -> bool {
    word.strip_prefix('r').is_some_and(|hashes| hashes.bytes().all(|byte| byte == b'#'))
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find(['\n', '\r']).map_or(text.len(), |found| from + found)
}

fn looks_like_a_number(word: &str) -> bool {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    digits.strip_prefix('.').unwrap_or(digits).starts_with(|c: char| c.is_ascii_digit())
}

/// Whether KDL takes it for a number.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    let of = |text: &str, radix: u32| {
        let is = |c: char| c.is_digit(radix);
        text.starts_with(is) && text.chars().all(|c| c == '_' || is(c))
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return of(rest, radix);
        }
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    [Some(whole), fraction, exponent].into_iter().flatten().all(|part| of(part, 10))
}

#[cfg(test)]
mod tests {
    use super::super::{SourceFile, Sources, decode};

    /// What is found in the complete example with a line of it replaced: messages, and what the first labels show.
    fn found(from: &str, to: &str) -> Vec<(String, String)> {
        const COMPLETE: &str = include_str!("../../examples/complete.kdl");
        let text = COMPLETE.replacen(from, to, 1);
        assert_ne!(text, COMPLETE, "{from}");
        let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text });
        let text = &sources.main().text;
        let found = decode(&sources).map(|_| ()).unwrap_err().diagnostics;
        found
            .into_iter()
            .map(|one| {
                let shown: Vec<&str> = one.labels.iter().map(|label| &text[label.span.start..label.span.end]).collect();
                (one.message, shown.join(" "))
            })
            .collect()
    }

    #[test]
    fn each_trap_is_one_message_at_its_place() {
        let cases = [
            (
                "url \"https://bitbucket.example.com\"",
                "url https://bitbucket.example.com",
                "an address needs quotes",
                "https://bitbucket.example.com",
            ),
            ("url \"https", "url=\"https", "a node has no `=` behind its name", "="),
            ("url \"https", "url = \"https", "a node has no `=` behind its name", "="),
            ("keep last=3 hourly=24", "keep last=3, hourly=24", "values are not separated by commas", ","),
            ("\"extra-1\" \"extra-2\"", "\"extra-1\", \"extra-2\",", "values are not separated by commas", ", ,"),
            ("\"extra-1\" \"extra-2\"", "\"extra-1\",\"extra-2\"", "values are not separated by commas", ","),
            ("grace \"7d\"", "grace 7d", "this is not a number", "7d"),
            ("grace \"7d\"", "grace 02:30", "this is not a number", "02:30"),
            ("expires \"2027-03-01\"", "expires 2027-03-01", "this is not a number", "2027-03-01"),
            ("keep last=3", "keep last=3/4", "this is not a number", "3/4"),
            ("schedule \"15 * * * *\"", "schedule 0,30", "this is not a number", "0,30"),
            ("keep last=3", "keep last=true", "this is no value", "true"),
            ("grace \"7d\"", "grace null", "this is no value", "null"),
            ("local \"/srv/backup/bitbucket\"", "local ${BACKUPS}/x", "the language has no variables", "${BACKUPS}/x"),
            ("local \"/srv/backup/bitbucket\"", "local $BACKUPS", "the language has no variables", "$BACKUPS"),
            (
                "local \"/srv/backup/bitbucket\"",
                "local r\"/srv\\backup\"",
                "this is a raw string of KDL version 1",
                "r",
            ),
            ("token (age)#\"\"\"", "token (age)r#\"", "this is a raw string of KDL version 1", "r"),
            ("destination \"nas\"\n", "destination 'nas'\n", "strings stand in double quotes", "'nas'"),
            ("destination \"nas\"\n", "destination “nas”\n", "strings stand in double quotes", "“nas”"),
            ("keep last=3", "keep last=3 # three", "this begins no comment", "#"),
            ("plan \"hot\"", "# hot\nplan \"hot\"", "this begins no comment", "#"),
            ("grace \"7d\"", "grace \"7d", "the string is not closed", "\""),
            ("grace \"7d\"", "grace \"7d\"x", "expected quoted string", "\"7d\"x"),
            ("grace \"7d\"", "grace \"7\\d\"", "expected quoted string", "\"7\\d\""),
            ("grace \"7d\"\n}", "grace \"7d\"\n", "this block is not closed", "{"),
            ("grace \"7d\"\n}", "grace \"7d\"\n}}", "this `}` closes nothing", "}"),
            ("grace \"7d\"\n}", "grace \"7d\"\n} /*", "the comment is not closed", "/*"),
        ];
        for (from, to, message, place) in cases {
            assert_eq!(found(from, to), [(message.to_owned(), place.to_owned())], "{to}");
        }
    }

    #[test]
    fn text_of_several_lines_stands_between_its_quotes() {
        let armor = |from: &str, to: &str| found(from, to).into_iter().map(|(message, _)| message).collect::<Vec<_>>();
        assert_eq!(
            armor("(age)#\"\"\"\n            -----", "(age)#\"\"\" -----"),
            ["text in \"\"\" begins on a line of its own"]
        );
        assert_eq!(
            armor("-----\n            \"\"\"#", "-----\"\"\"#"),
            ["text in \"\"\" ends before a line of its own"]
        );
        assert_eq!(
            armor("            -----BEGIN", "      -----BEGIN"),
            ["a line of the text is further left than the quotes that close it"]
        );
    }

    #[test]
    fn every_error_of_syntax_and_of_meaning_is_in_one_report() {
        let mut text = include_str!("../../examples/complete.kdl").to_owned();
        for (from, to) in [
            ("url \"https", "urll \"https"),
            ("grace \"7d\"", "grace 7d"),
            ("keep last=3 hourly=24", "keep last=3, hourlyy=24"),
            ("destination \"nas\"\n", "destination \"nass\"\n"),
            ("parts \"git\"", "parts \"git\"x"),
            ("retention \"gfs\"\n", "retention true\n"),
            ("plan \"hot\" {", "plan \"hot\" {{"),
        ] {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text });
        let found = decode(&sources).map(|_| ()).unwrap_err().diagnostics;
        let shown: Vec<String> = found
            .iter()
            .map(|one| {
                let span = one.labels[0].span;
                format!("{} {}", one.code.trim_start_matches("xopero::"), &sources.main().text[span.start..span.end])
            })
            .collect();
        assert_eq!(
            shown,
            [
                "unknown-node urll",
                "syntax ,",
                "unknown-property hourlyy",
                "syntax 7d",
                "syntax \"git\"x",
                "unknown-name \"nass\"",
                "syntax true",
                "syntax {",
            ]
        );
    }
}
