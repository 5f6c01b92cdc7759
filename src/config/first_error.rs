//! The first error of a declaration: for whoever has room for one line.

use super::error::{Diagnostic, Severity};
use super::position::position;
use super::sources::Sources;
use crate::model::FilePlace;

/// Errors, as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstError {
    /// How many there are.
    pub errors: usize,
    /// Where the first is. Nothing if it is about no place.
    pub place: Option<FilePlace>,
    /// What is wrong there.
    pub message: String,
}

/// The first error among diagnostics. Nothing if they only warn.
pub fn first_error(sources: &Sources, diagnostics: &[Diagnostic]) -> Option<FirstError> {
    let errors = || diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let first = errors().next()?;
    Some(FirstError { errors: errors().count(), place: place_of(sources, first), message: first.message.clone() })
}

/// Where a diagnostic points to first.
pub fn place_of(sources: &Sources, diagnostic: &Diagnostic) -> Option<FilePlace> {
    let span = diagnostic.labels.first()?.span;
    let file = sources.file(span.file);
    let (line, column) = position(&file.text, span.start);
    Some(FilePlace { file: file.name.clone(), line, column })
}

impl FirstError {
    /// As a phrase: `xopero.kdl:3:1: there is no node \`servr\`, and 2 more errors`.
    pub fn words(&self) -> String {
        let place = self.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let more = match self.errors.saturating_sub(1) {
            0 => String::new(),
            1 => ", and 1 more error".to_owned(),
            more => format!(", and {more} more errors"),
        };
        format!("{place}{}{more}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{SourceFile, Span};
    use super::*;

    #[test]
    fn the_first_error_says_where_it_is() {
        let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text: "ü\n  servr \"bb\"\n".into() });
        let warning = Diagnostic::warning("xopero::unused", "it is not used").at(Span::new(0, 2), "here");
        let error = |start: usize| {
            Diagnostic::error("xopero::unknown-node", "there is no node `servr`").at(Span::new(start, start), "?")
        };
        assert_eq!(first_error(&sources, std::slice::from_ref(&warning)), None);
        let first = first_error(&sources, &[warning, error(5), error(8)]).unwrap();
        assert_eq!(first.place, Some(FilePlace { file: "xopero.kdl".into(), line: 2, column: 3 }));
        assert_eq!(first.words(), "xopero.kdl:2:3: there is no node `servr`, and 1 more error");
        let nowhere = Diagnostic::error("xopero::empty", "nothing is declared");
        assert_eq!(first_error(&sources, &[nowhere]).unwrap().words(), "nothing is declared");
    }
}
