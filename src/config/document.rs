//! The syntax tree. This file alone knows which parser makes it.

use std::thread;

use kdl::{KdlDiagnostic, KdlDocument, KdlEntry, KdlNode, KdlValue};

use super::error::{Diagnostic, FileId, Span};
use super::patch::WayBack;

/// Enough for the parser on everything that the lexer's guard lets through.
const STACK: usize = 16 * 1024 * 1024;

/// A text that is shorter is not worth a thread for each of its parts.
const LONG: usize = 32 * 1024;

/// What the text stands in for the parser: a block. It calls itself wherever it stumbles over something between the
/// nodes of a whole document, as often as there is something; in a block it does not.
const FRAME: (&str, &str) = ("x {\n", "\n}");

/// Most threads for one text.
const MOST_THREADS: usize = 4;

/// More findings of one pass over the text are of no use.
const MOST_FOUND: usize = 1000;

/// Characters of a word before and behind a place that are shown.
const LONGEST_WORD: usize = 200;

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) annotation: Option<Span>,
    pub(super) args: Vec<Value>,
    pub(super) props: Vec<Property>,
    pub(super) children: Option<Vec<Node>>,
    /// From the name to the end of the last entry or of the block.
    pub(super) span: Span,
    /// What the file says that the property `file` names, if it could be read.
    pub(super) attached: Option<String>,
}

impl Node {
    pub(super) fn children(&self) -> &[Self] {
        self.children.as_deref().unwrap_or_default()
    }

    pub(super) fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children().iter().filter(move |child| child.name == name)
    }

    pub(super) fn child<'a>(&'a self, name: &'a str) -> Option<&'a Self> {
        self.children_named(name).next()
    }

    pub(super) fn prop(&self, name: &str) -> Option<&Value> {
        self.props.iter().find(|property| property.name == name).map(|property| &property.value)
    }

    /// The text of the first argument, and where it is.
    pub(super) fn text(&self) -> Option<(&str, Span)> {
        self.args.first().and_then(Value::text)
    }

    /// Whether both say the same, wherever they stand.
    pub(super) fn same(&self, other: &Self) -> bool {
        let all = |a: &[Self], b: &[Self]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b));
        self.name == other.name
            && self.annotation.is_some() == other.annotation.is_some()
            && self.args.len() == other.args.len()
            && self.args.iter().zip(&other.args).all(|(a, b)| a.same(b))
            && self.props.len() == other.props.len()
            && self.props.iter().zip(&other.props).all(|(a, b)| a.name == b.name && a.value.same(&b.value))
            && all(self.children(), other.children())
    }
}

/// A property.
#[derive(Debug, Clone)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) name_span: Span,
    pub(super) value: Value,
}

/// An argument, or the value of a property.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) scalar: Scalar,
    pub(super) annotation: Option<String>,
    /// Without its annotation.
    pub(super) span: Span,
    /// Whether it is a string without quotes.
    pub(super) bare: bool,
}

impl Value {
    pub(super) fn text(&self) -> Option<(&str, Span)> {
        match &self.scalar {
            Scalar::Text(text) => Some((text, self.span)),
            Scalar::Integer(_) | Scalar::Float | Scalar::Keyword => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i128> {
        match self.scalar {
            Scalar::Integer(number) => Some(number),
            Scalar::Text(_) | Scalar::Float | Scalar::Keyword => None,
        }
    }

    fn same(&self, other: &Self) -> bool {
        self.scalar == other.scalar && self.annotation == other.annotation
    }
}

/// A text as a value.
pub(super) fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What a value is. The language has no use for fractions and keywords beyond refusing them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar {
    Text(String),
    Integer(i128),
    Float,
    /// `#true`, `#false`, `#null`.
    Keyword,
}

/// Where the text that the parser sees belongs.
#[derive(Debug)]
struct Origin<'a> {
    file: FileId,
    /// Bytes before it.
    shift: usize,
    /// Bytes of it.
    length: usize,
    back: &'a WayBack<'a>,
}

impl Origin<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        // The frame around the text is no place of it.
        let inside = |at: usize| at.saturating_sub(FRAME.0.len()).min(self.length);
        let original = |at: usize| self.back.original(inside(at) + self.shift);
        Span { file: self.file, start: original(start), end: original(end) }
    }

    fn place(&self, of: miette::SourceSpan) -> Span {
        self.span(of.offset(), of.offset() + of.len())
    }
}

/// Parses a text that has passed the guard; `back` leads to the places of the file. Otherwise what the parser says
/// against it, in the order of the text. The parser reads about two megabytes a second, so the parts of a long text, which
/// end at `ends`, are read at the same time; what is wrong with it is asked of the whole.
pub(super) fn parse(
    text: &str,
    ends: &[usize],
    back: &WayBack<'_>,
    file: FileId,
) -> Result<Vec<Node>, Vec<Diagnostic>> {
    // The parser counts from behind a byte order mark that it does not know; we give it none.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mark = text.len() - body.len();
    if body.len() >= LONG
        && let Some(nodes) = parse_in_parts(text, mark, ends, back, file)
    {
        return Ok(nodes);
    }
    let origin = Origin { file, shift: mark, length: body.len(), back };
    let framed = framed(body);
    match on_large_stack(|| read(&framed, &origin)) {
        Some(Ok(nodes)) => Ok(nodes),
        Some(Err(error)) => {
            let told = error.diagnostics.iter().filter(|found| !is_about_braces(found)).take(MOST_FOUND);
            let mut found: Vec<Diagnostic> = told.map(|found| syntax(found, &framed, &origin)).collect();
            found.sort_by_key(|found| found.labels.first().map(|label| label.span));
            Err(found)
        }
        None => Err(Vec::new()),
    }
}

/// The nodes, if each part is sound by itself.
fn parse_in_parts(text: &str, mark: usize, ends: &[usize], back: &WayBack<'_>, file: FileId) -> Option<Vec<Node>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let mut parts = vec![mark];
    for part in 1..threads {
        let aim = text.len() / threads * part;
        let end = ends.get(ends.partition_point(|end| *end < aim))?;
        parts.push((*end).max(parts[part - 1]));
    }
    parts.push(text.len());
    let read_part = |start: usize, end: usize| {
        let origin = Origin { file, shift: start, length: end - start, back };
        read(&framed(&text[start..end]), &origin).ok()
    };
    thread::scope(|scope| {
        let begun: Vec<_> = parts
            .array_windows()
            .map(|[start, end]| {
                thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read_part(*start, *end))
            })
            .collect();
        let read = begun.into_iter().map(|thread| thread.ok()?.join().ok()?);
        read.collect::<Option<Vec<_>>>().map(|parts| parts.concat())
    })
}

fn read(framed: &str, origin: &Origin<'_>) -> Result<Vec<Node>, kdl::KdlError> {
    let frame = framed.parse::<KdlNode>()?;
    Ok(frame.children().map_or_else(Vec::new, |all| nodes(all, framed, origin)))
}

/// Whether the parser takes each of these texts by itself; all have passed the guard.
pub(super) fn are_nodes(parts: &[&str]) -> Vec<bool> {
    let is_taken = |part: &&str| framed(part).parse::<KdlNode>().is_ok();
    on_large_stack(|| parts.iter().map(is_taken).collect()).unwrap_or_else(|| vec![false; parts.len()])
}

fn framed(text: &str) -> String {
    [FRAME.0, text, FRAME.1].concat()
}

/// What `work` makes, unless the system has no thread for it.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

/// The parser finds an open block wherever it stumbles over what is inside; braces have been looked at before.
fn is_about_braces(found: &KdlDiagnostic) -> bool {
    found.message.as_deref().is_some_and(|message| message.to_lowercase().contains("closing '}'"))
}

fn nodes(document: &KdlDocument, body: &str, origin: &Origin<'_>) -> Vec<Node> {
    document.nodes().iter().map(|found| node(found, body, origin)).collect()
}

fn node(found: &KdlNode, body: &str, origin: &Origin<'_>) -> Node {
    // The parser's span goes up to the terminator, over the white space before it.
    let start = found.span().offset();
    let end = start + body[start..start + found.span().len()].trim_end().len();
    let (mut args, mut props) = (Vec::new(), Vec::new());
    for entry in found.entries() {
        let value = value(entry, origin);
        match entry.name() {
            None => args.push(value),
            Some(name) => {
                props.push(Property { name: name.value().to_owned(), name_span: origin.place(name.span()), value });
            }
        }
    }
    Node {
        name: found.name().value().to_owned(),
        name_span: origin.place(found.name().span()),
        annotation: found.ty().map(|annotation| origin.place(annotation.span())),
        args,
        props,
        children: found.children().map(|children| nodes(children, body, origin)),
        span: origin.span(start, end),
        attached: None,
    }
}

fn value(entry: &KdlEntry, origin: &Origin<'_>) -> Value {
    let (whole_start, end) = (entry.span().offset(), entry.span().offset() + entry.span().len());
    let repr = entry.format().map_or("", |format| format.value_repr.as_str());
    let scalar = match entry.value() {
        KdlValue::String(text) => Scalar::Text(text.clone()),
        KdlValue::Integer(number) => Scalar::Integer(*number),
        KdlValue::Float(_) => Scalar::Float,
        KdlValue::Bool(_) | KdlValue::Null => Scalar::Keyword,
    };
    let start = if repr.is_empty() { whole_start } else { end.saturating_sub(repr.len()).max(whole_start) };
    let bare = matches!(scalar, Scalar::Text(_)) && !repr.starts_with(['"', '#']);
    Value {
        scalar,
        annotation: entry.ty().map(|annotation| annotation.value().to_owned()),
        span: origin.span(start, end),
        bare,
    }
}

fn syntax(found: &KdlDiagnostic, body: &str, origin: &Origin<'_>) -> Diagnostic {
    let (offset, length) = (found.span.offset(), found.span.len());
    let end = floor(body, offset.saturating_add(length));
    // For a bad property value, and for what stands between nodes, of which it says nothing, the parser's span begins
    // with the file; only its end is near the place.
    let from_start = found.message.as_deref().is_none_or(|message| message == "Expected property value");
    let start = if from_start { end } else { floor(body, offset) };
    let word = word_at(body, start);
    let place = if start == end { word } else { Span::new(start, end) };
    let first_line = body[place.start..place.end].lines().next().unwrap_or_default().len();
    let place = origin.span(place.start, place.start + first_line);
    let Some(message) = found.message.as_deref() else {
        return Diagnostic::error("xopero::syntax", "this is not a part of a node")
            .at(place, "unexpected here")
            .help("a node ends with its line, or with `;`; its values are separated by spaces");
    };
    let mut chars = message.chars();
    let message: String = chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default();
    Diagnostic::error("xopero::syntax", message)
        .at(place, found.label.clone().unwrap_or_else(|| "here".to_owned()))
        .maybe_help(found.help.clone())
}

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// The run of text without white space around `at`, up to some length.
fn word_at(text: &str, at: usize) -> Span {
    let goes_on = |c: &char| !c.is_whitespace() && !"{};\"".contains(*c);
    let length = |run: &mut dyn Iterator<Item = char>| -> usize {
        run.take(LONGEST_WORD).take_while(goes_on).map(char::len_utf8).sum()
    };
    Span::new(at - length(&mut text[..at].chars().rev()), at + length(&mut text[at..].chars()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_bytes_of_the_text() {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}/- kdl-version 2\nżółć \"ü\" k=(age)\"v\" {{\n  inner 7 // c\n}} // after\n");
            let nodes = parse(&text, &[], &WayBack::default(), FileId::MAIN).unwrap();
            let slice = |span: Span| &text[span.start..span.end];
            assert_eq!(nodes.len(), 1);
            assert_eq!(slice(nodes[0].name_span), "żółć");
            assert_eq!(slice(nodes[0].args[0].span), "\"ü\"");
            assert_eq!(slice(nodes[0].props[0].name_span), "k");
            assert_eq!(slice(nodes[0].props[0].value.span), "\"v\"");
            assert_eq!(nodes[0].props[0].value.annotation.as_deref(), Some("age"));
            assert_eq!(slice(nodes[0].children()[0].span), "inner 7");
            assert!(slice(nodes[0].span).starts_with("żółć") && slice(nodes[0].span).ends_with('}'));
        }
    }

    #[test]
    fn a_long_text_is_the_same_in_parts_as_in_one() {
        let text = format!("\u{feff}{}", "// żółć } {\nplan \"ł\" {\n    parts \"git\" // }\n}\n".repeat(1_000));
        let ends: Vec<usize> = text.match_indices("\n}\n").map(|(at, found)| at + found.len()).collect();
        assert!(text.len() > LONG && ends.len() == 1_000);
        let read = |ends: &[usize]| parse(&text, ends, &WayBack::default(), FileId::MAIN).unwrap();
        assert_eq!(format!("{:?}", read(&ends)), format!("{:?}", read(&[])));
        // What is wrong in one part is told as if the text were one.
        let broken = text.replacen("parts", "parts )", 2);
        let found = |ends: &[usize]| parse(&broken, ends, &WayBack::default(), FileId::MAIN).unwrap_err();
        assert_eq!(found(&ends), found(&[]));
    }

    #[test]
    fn what_the_parser_says_has_a_place() {
        let text = "a\nkeep \"x\"y\n";
        let found = parse(text, &[], &WayBack::default(), FileId::MAIN).unwrap_err();
        let span = found[0].labels[0].span;
        assert_eq!(&text[span.start..span.end], "\"x\"y");
    }
}
