//! Lines, each with a mark and wrapped in one place.

use super::super::Style;
use super::super::wrap::wrap;
use crate::change::Action;

/// What a line begins with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// What happens to something.
    Action(Action),
    /// A person has to look.
    Attention,
    /// A remark.
    Remark,
    /// Nothing: it goes on with what was said.
    None,
}

impl Mark {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Action(Action::Create) => "+",
            Self::Action(Action::Update) => "~",
            Self::Action(Action::Move) => ">",
            Self::Action(Action::Retire) => "-",
            Self::Action(Action::Remove) => "x",
            Self::Action(Action::Keep) | Self::None => " ",
            Self::Attention => "!",
            Self::Remark => "#",
        }
    }

    pub(super) fn paint(self, style: Style) -> String {
        match self {
            Self::Action(Action::Create) => style.green(self.symbol()),
            Self::Action(Action::Update | Action::Move) | Self::Attention => style.yellow(self.symbol()),
            Self::Action(Action::Retire | Action::Remove) => style.red(self.symbol()),
            Self::Action(Action::Keep) | Self::None => self.symbol().to_owned(),
            Self::Remark => style.dim(self.symbol()),
        }
    }
}

/// Lines that are added one after the other.
#[derive(Debug)]
pub(super) struct Lines {
    lines: Vec<String>,
    pub(super) style: Style,
}

impl Lines {
    pub(super) const fn new(style: Style) -> Self {
        Self { lines: Vec::new(), style }
    }

    /// Adds a line as it is.
    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Adds an empty line.
    pub(super) fn gap(&mut self) {
        self.lines.push(String::new());
    }

    /// Adds a heading after an empty line.
    pub(super) fn heading(&mut self, title: &str) {
        self.gap();
        let title = self.style.bold(title);
        self.line(title);
    }

    /// Adds words after a mark at column `at` and a heading; what does not fit goes on at column `indent`.
    pub(super) fn wrapped<'a>(
        &mut self,
        (at, indent): (usize, usize),
        mark: Mark,
        heading: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) {
        let symbol = mark.symbol();
        let mut wrapped = wrap(&format!("{:at$}{symbol}{heading}", ""), indent, words);
        if let (Some(first), false) = (wrapped.first_mut(), symbol == " ") {
            first.replace_range(at..at + symbol.len(), &mark.paint(self.style));
        }
        self.lines.extend(wrapped);
    }

    /// Adds a sentence in the same way.
    pub(super) fn sentence(&mut self, columns: (usize, usize), mark: Mark, text: &str) {
        self.wrapped(columns, mark, "", text.split_whitespace());
    }

    pub(super) fn finish(mut self) -> String {
        self.gap();
        self.lines.join("\n")
    }
}
