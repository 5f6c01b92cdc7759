//! The only printer: stdout is data, stderr is talk.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use super::event_lines::version_line;
use super::shown::shown_explanation;
use super::wrap::{paragraph, whole_words};
use super::{Style, shown_json, shown_lines};

/// Columns of everything that is laid out, whatever the terminal has: the same text in a log as on a screen.
const COLUMNS: usize = 80;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal, unless the environment says no.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command's words go, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    out: Style,
    err: Style,
    progress: bool,
}

impl Output {
    /// Looks at the terminal. `no_color` is whether the environment has `NO_COLOR` set.
    pub fn new(json: bool, color: ColorChoice, no_color: bool) -> Self {
        let style = |terminal: bool| Style {
            color: match color {
                ColorChoice::Auto => terminal && !no_color,
                ColorChoice::Always => true,
                ColorChoice::Never => false,
            },
        };
        let terminal = io::stderr().is_terminal();
        Self {
            json,
            out: style(io::stdout().is_terminal() && !json),
            err: style(terminal),
            progress: terminal && !json,
        }
    }

    /// Whether data is JSON lines.
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Whether stdout is a terminal: then text is laid out for its columns, otherwise for programs that take lines.
    pub fn is_terminal(self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether progress can be drawn.
    pub const fn draws_progress(self) -> bool {
        self.progress
    }

    /// The style of stdout.
    pub const fn style(self) -> Style {
        self.out
    }

    /// The style of stderr.
    pub const fn talk_style(self) -> Style {
        self.err
    }

    /// Columns that text may use.
    pub const fn width(self) -> usize {
        COLUMNS
    }

    /// Prints data. The text must be safe: rendered by this module's functions.
    pub fn data(self, text: &str) {
        // A reader that has gone away is not an error of ours.
        let mut stdout = io::stdout().lock();
        let _reader_gone = stdout
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') || text.is_empty() { Ok(()) } else { stdout.write_all(b"\n") });
        let _reader_gone = stdout.flush();
    }

    /// Puts text on the terminal in place of everything on it. It must be safe, like data.
    pub fn redraw(self, text: &str) {
        // Line by line, so that nothing flickers: home, each line up to its end, and nothing below.
        let lines = text.lines().map(|line| format!("{line}\u{1b}[K\n")).collect::<Vec<_>>().concat();
        self.data(&format!("\u{1b}[H{lines}\u{1b}[J"));
    }

    /// Prints a sentence as data; foreign text in it is made safe. On a terminal it is put on lines that fit.
    pub fn sentence(self, text: &str) {
        let text = shown_lines(text);
        self.data(&if self.is_terminal() { whole_words(&text) } else { text });
    }

    /// Prints one JSON line of data.
    pub fn json(self, value: &Value) {
        self.data(&shown_json(value));
    }

    /// In JSON mode, prints the first line: the version of those that follow.
    pub fn begin_json(self) {
        if self.json {
            self.json(&version_line());
        }
    }

    /// Says something on stderr; foreign text in it is made safe. Silent in JSON mode.
    pub fn say(self, text: &str) {
        if !self.json {
            let text = shown_lines(text);
            self.talk(&if io::stderr().is_terminal() { whole_words(&text) } else { text });
        }
    }

    /// Warns on stderr, in any mode.
    pub fn warn(self, text: &str) {
        self.paragraph("", ("warning:", &self.err.yellow("warning:")), text);
    }

    /// Tells on stderr, in any mode, what holds all the same.
    pub fn note(self, text: &str) {
        self.paragraph("", ("note:", &self.err.bold("note:")), text);
    }

    /// Tells of a failure on stderr: what, the causes, details, and what to do next. In JSON mode, one line on stdout as
    /// well.
    pub fn failure(self, code: u8, lines: &[String], details: &[String], hint: Option<&str>) {
        if self.json {
            self.json(&serde_json::json!({
                "type": "error", "exit_code": code, "message": lines.first(), "causes": lines.get(1..),
                "details": details, "help": hint,
            }));
        }
        let mut lines = lines.iter();
        if let Some(first) = lines.next() {
            self.paragraph("", ("error:", &self.err.red("error:")), first);
        }
        for cause in lines {
            self.paragraph("  ", ("caused by:", "caused by:"), cause);
        }
        for detail in details {
            self.paragraph("  ", ("-", "-"), detail);
        }
        if let Some(hint) = hint {
            self.paragraph("  ", ("help:", &self.err.green("help:")), hint);
        }
    }

    fn paragraph(self, indent: &str, label: (&str, &str), text: &str) {
        self.talk(&paragraph(indent, label, &shown_explanation(text), io::stderr().is_terminal()));
    }

    /// Prints rendered text on stderr.
    pub fn talk(self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _reader_gone = writeln!(stderr, "{}", text.trim_end_matches('\n'));
    }
}
