//! A run for programs: one JSON object a line, each with a `type`.

use std::io::{self, Write};

use super::shown_json;
use crate::run::{Event, EventSink};

/// The version of the lines: the part before the point changes when a reader must change.
pub const VERSION: &str = "1.0";

/// The first line of everything that has a version.
pub fn version_line() -> serde_json::Value {
    serde_json::json!({ "type": "version", "format": VERSION, "xopero": env!("CARGO_PKG_VERSION") })
}

/// Which stream the lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Data: with `--json`.
    Stdout,
    /// Talk: without a terminal to draw on.
    Stderr,
}

/// Writes every event but bytes in flight as a line.
#[derive(Debug)]
pub struct EventLines(Stream);

impl EventLines {
    /// Writes the first line, which tells the version.
    pub fn begin(stream: Stream) -> Self {
        let lines = Self(stream);
        lines.write(&version_line());
        lines
    }

    fn write(&self, value: &serde_json::Value) {
        let line = shown_json(value);
        // A reader that has gone away does not stop a backup.
        let _reader_gone = match self.0 {
            Stream::Stdout => writeln!(io::stdout().lock(), "{line}"),
            Stream::Stderr => writeln!(io::stderr().lock(), "{line}"),
        };
    }
}

impl EventSink for EventLines {
    fn emit(&self, event: &Event) {
        if !matches!(event, Event::TaskProgress { .. }) {
            self.write(&serde_json::to_value(event).expect("events are plain data"));
        }
    }
}
