//! From a name to where it is declared.

use super::names::Names;
use super::target::Target;
use crate::config::{FileId, Span};

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// To these bytes.
    Place(Span),
    /// To an included file, by its path.
    File(String),
}

/// Where what the word at a place stands for is declared; all places, if there are several.
pub(super) fn definition(names: &Names, file: FileId, offset: usize) -> Vec<Destination> {
    match names.target_at(file, offset) {
        Some((Target::File(path), _)) => vec![Destination::File(path)],
        Some((target, _)) => names.find(&target).map(|declared| Destination::Place(declared.span)).collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{DECLARATION, marked};
    use super::*;

    fn leads(text: &str) -> Vec<String> {
        let (names, offset) = marked(text);
        let plain = text.replacen('|', "", 1);
        let line = |span: Span| plain[plain[..span.start].rfind('\n').map_or(0, |at| at + 1)..].lines().next().unwrap();
        let found = definition(&names, FileId::MAIN, offset).into_iter();
        found
            .map(|found| match found {
                Destination::Place(span) => line(span).trim().to_owned(),
                Destination::File(path) => format!("file {path}"),
            })
            .collect()
    }

    fn from(before: &str) -> Vec<String> {
        let at = DECLARATION.find(before).unwrap_or_else(|| panic!("{before}")) + before.len();
        leads(&format!("{}|{}", &DECLARATION[..at], &DECLARATION[at..]))
    }

    #[test]
    fn names_lead_to_their_declarations() {
        assert_eq!(from("server=\"b"), ["server \"bb\" {"]);
        assert_eq!(from("    destination \"na"), ["destination \"nas\" {"]);
        assert_eq!(from("    retention \"g"), ["retention \"gfs\" {"]);
        assert_eq!(from("    project \"PA"), ["project \"PAY\" server=\"bb\" {"]);
        assert_eq!(from("enable-credentials \"extra"), ["additional-credential \"extra-1\" account=\"svc-1\" {"]);
        assert!(from("    par").is_empty() && from("url \"https").is_empty());
    }

    #[test]
    fn broken_texts_and_statements_lead_too() {
        assert_eq!(leads("plan \"n\" {\n  destination \"na|s\n\ndestination \"nas\" {"), ["destination \"nas\" {"]);
        assert_eq!(leads("plan \"b\" {\n}\nmoved \"plan/a\" to=\"plan/b|\""), ["plan \"b\" {"]);
        assert_eq!(leads("include \"teams/w|eb.kdl\""), ["file teams/web.kdl"]);
        let same = "project \"A\" { additional-credential \"x\" account=\"a\" { } }\nproject \"B\" { credential same-as=\"A/|x\" }";
        assert_eq!(leads(same), ["project \"A\" { additional-credential \"x\" account=\"a\" { } }"]);
        assert_eq!(leads("server \"a\"\nserver \"a\"\nproject \"P\" server=\"a|\"").len(), 2);
    }
}
