//! Colour, where it is wanted.

/// How text is decorated. Nothing is said by colour alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to use the terminal's colours.
    pub color: bool,
}

impl Style {
    /// Heavier.
    pub fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    /// Lighter.
    pub fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    /// New, or well.
    pub fn green(self, text: &str) -> String {
        self.code("32", text)
    }

    /// Changed, or worth a look.
    pub fn yellow(self, text: &str) -> String {
        self.code("33", text)
    }

    /// Gone, or wrong.
    pub fn red(self, text: &str) -> String {
        self.code("31", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
