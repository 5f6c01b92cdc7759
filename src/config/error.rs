//! What is wrong with a file, and where.

use std::fmt;

use super::redact::hide;

/// A file as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, as messages show it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Which file of the [`Sources`](super::Sources) it is: the main one, or one that it includes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(pub(super) usize);

impl FileId {
    /// The file that includes the others.
    pub const MAIN: Self = Self(0);
}

/// A range of bytes in the text of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// The bytes of the main file from `start` up to, not including, `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { file: FileId::MAIN, start, end }
    }

    /// The same bytes of another file.
    #[must_use]
    pub const fn of(self, file: FileId) -> Self {
        Self { file, ..self }
    }

    /// Whether `other` lies inside.
    pub const fn contains(&self, other: Self) -> bool {
        self.file.0 == other.file.0 && self.start <= other.start && other.end <= self.end
    }

    /// Whether both have a byte in common; an empty one counts as the byte behind it.
    pub const fn touches(&self, other: Self) -> bool {
        let end = if self.start == self.end { self.end.saturating_add(1) } else { self.end };
        let other_end = if other.start == other.end { other.end.saturating_add(1) } else { other.end };
        self.file.0 == other.file.0 && self.start < other_end && other.start < end
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not mean what it says.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place and what to see there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What to see there.
    pub text: String,
}

/// One thing that is wrong. The first label is the main one. No text of it contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name, such as `xopero::unknown-node`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub labels: Vec<Label>,
    /// What to write instead.
    pub help: Option<String>,
    /// The text that is probably meant, and the bytes that it takes the place of.
    pub replacement: Option<(Span, String)>,
}

impl Diagnostic {
    pub(super) fn error(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, severity: Severity::Error, message, labels: Vec::new(), help: None, replacement: None }
    }

    pub(super) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    pub(super) fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub(super) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// The same about another file.
    pub(super) fn of(mut self, file: FileId) -> Self {
        for label in &mut self.labels {
            label.span.file = file;
        }
        self
    }

    /// Adds a help text if there is one.
    pub(super) fn maybe_help(mut self, text: Option<String>) -> Self {
        self.help = text.or(self.help);
        self
    }

    /// Proposes the name that is probably meant, if there is one, as a question and as the text for `span`.
    pub(super) fn did_you_mean(self, name: Option<&str>, span: Span, written: impl FnOnce(&str) -> String) -> Self {
        let Some(name) = name else { return self };
        Self { replacement: Some((span, written(name))), ..self.help(format!("did you mean `{name}`?")) }
    }

    fn order(&self) -> (FileId, usize, Severity) {
        let span = self.labels.first().map(|label| label.span).unwrap_or_default();
        (span.file, span.start, self.severity)
    }
}

/// More diagnostics help nobody.
const MOST_DIAGNOSTICS: usize = 50;

/// A file, with those that it includes, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// Errors and warnings in the order of the files, at least one error, at most 50.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.diagnostics.iter().filter(|found| found.severity == Severity::Error).count();
        write!(f, "the file has {errors} error{}", if errors == 1 { "" } else { "s" })
    }
}

/// Collects what is found on the way.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<Diagnostic>,
    errors: usize,
}

impl Report {
    pub(super) fn add(&mut self, mut diagnostic: Diagnostic) {
        hide(&mut diagnostic.message);
        diagnostic.help.iter_mut().for_each(hide);
        diagnostic.labels.iter_mut().for_each(|label| hide(&mut label.text));
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        self.found.push(diagnostic);
    }

    pub(super) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.add(diagnostic));
    }

    /// Whether so many errors are found that looking further is wasted time.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= 20 * MOST_DIAGNOSTICS
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub(super) fn has_errors_in(&self, file: FileId) -> bool {
        let is_there = |found: &Diagnostic| found.labels.first().is_some_and(|label| label.span.file == file);
        self.found.iter().any(|found| found.severity == Severity::Error && is_there(found))
    }

    /// Takes out what only follows from something else.
    pub(super) fn drop_if(&mut self, follows: impl Fn(&Diagnostic) -> bool) {
        self.found.retain(|found| !follows(found));
        self.errors = self.found.iter().filter(|found| found.severity == Severity::Error).count();
    }

    /// Everything, in the order in which it was found.
    pub(super) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    /// The warnings, or everything if there are errors.
    pub(super) fn warnings(self) -> Result<Vec<Diagnostic>, Invalid> {
        let valid = !self.has_errors();
        let mut found = self.found;
        // Errors must not be cut off by the warnings before them.
        found.sort_by_key(|one| (one.severity, one.order()));
        found.truncate(MOST_DIAGNOSTICS);
        found.sort_by_key(Diagnostic::order);
        if valid { Ok(found) } else { Err(Invalid { diagnostics: found }) }
    }

    pub(super) fn into_invalid(self) -> Invalid {
        match self.warnings() {
            Ok(diagnostics) => Invalid { diagnostics },
            Err(invalid) => invalid,
        }
    }
}

/// Text of the file for use in a message: short, on one line, without anything that acts on a terminal.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_default).collect();
    if text.chars().nth(LONGEST).is_some() { format!("\"{shown}…\"") } else { format!("\"{shown}\"") }
}
