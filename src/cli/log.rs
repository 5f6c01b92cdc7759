//! Log lines on stderr: text for people, JSON for programs. The only file that names `tracing_subscriber`.
//!
//! A line has the message, the fields of its event and those of the spans around it: `run`, `plan`, `repository` and
//! `account`. Whatever a field holds, a line stays one line, and one of JSON stays JSON. In the journal of systemd, which
//! notes the time by itself, a line begins with its priority in place of the time.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::AsFd;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::context::LogFormat;
use super::env;
use crate::clock::{Clock, SystemClock};
use crate::ui::{Level, Stamp, shown, shown_json};

/// What is logged unless somebody says otherwise; a watch tells its events here when its log is JSON. That a connection
/// to the state broke, or was slow, is told by whoever needed it.
pub const USUAL: &str = "warn,xopero::ui=info,sqlx_core::pool=error,sqlx::query=error";

/// Checks a filter such as `info` or `warn,xopero::run=debug`.
pub fn filter(text: &str) -> Result<String, String> {
    let text = if text.trim().is_empty() { USUAL } else { text };
    let wrong =
        |why: &str| format!("{why}; write a level such as info, or one for each module: warn,xopero::run=debug");
    // A word alone would be taken for a module, of which everything is shown, and nothing of all others.
    let is_level = |word: &str| word.trim().parse::<LevelFilter>().is_ok();
    if let Some(word) = text.split(',').find(|word| !word.contains(['=', '[']) && !is_level(word)) {
        return Err(wrong(&format!("{:?} is no level", word.trim())));
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| wrong(&error.to_string()))
}

/// Begins to write lines that the filter lets through. A second start in one process keeps the first log.
pub fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(USUAL));
    let lines = Lines { format, stamp: stamp() };
    let _already_started = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// What lines on stderr begin with.
pub fn stamp() -> Stamp {
    let Some((device, inode)) = env::journal_stream() else { return Stamp::Time };
    // Somebody may have inherited the variable, and have another stderr.
    match rustix::fs::fstat(io::stderr().as_fd()) {
        Ok(stat) if (stat.st_dev, stat.st_ino) == (device, inode) => Stamp::Priority,
        Ok(_) | Err(_) => Stamp::Time,
    }
}

/// Writes lines.
struct Lines {
    format: LogFormat,
    stamp: Stamp,
}

/// The fields of a span or an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id);
        if let Some(span) = &span
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.clone());
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = self.line(level(*metadata.level()), metadata.target(), fields.0);
        // A reader that has gone away does not stop a backup.
        let _reader_gone = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn level(level: tracing::Level) -> Level {
    if level == tracing::Level::ERROR {
        Level::Error
    } else if level == tracing::Level::WARN {
        Level::Warn
    } else if level == tracing::Level::INFO {
        Level::Info
    } else {
        Level::Debug
    }
}

impl Lines {
    fn line(&self, level: Level, target: &str, mut fields: Map<String, Value>) -> String {
        let now = SystemClock.now();
        let stamp = self.stamp.of(now, level);
        match self.format {
            LogFormat::Json => {
                let own =
                    [("at", now.to_string()), ("level", level.as_str().to_owned()), ("target", target.to_owned())];
                fields.extend(own.map(|(name, value)| (name.to_owned(), Value::String(value))));
                let stamp = if self.stamp == Stamp::Priority { stamp } else { String::new() };
                format!("{stamp}{}\n", shown_json(&Value::Object(fields)))
            }
            LogFormat::Text => {
                let message = match fields.remove("message") {
                    Some(Value::String(message)) => shown(&message),
                    Some(_) | None => String::new(),
                };
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!(" {name}={}", text(value))).collect();
                let space = if self.stamp == Stamp::Time { " " } else { "" };
                format!("{stamp}{space}{} {target}: {message}{}\n", level.as_str(), fields.concat())
            }
        }
    }
}

/// A value of a line of text: quoted, where it could be taken for something else.
fn text(value: &Value) -> String {
    let Value::String(value) = value else { return value.to_string() };
    let value = shown(value);
    let plain = |c: char| !c.is_whitespace() && !['"', '='].contains(&c);
    if !value.is_empty() && value.chars().all(plain) { value } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(message: &str, repository: &str) -> Map<String, Value> {
        let fields = [("message", message), ("repository", repository)];
        fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect()
    }

    #[test]
    fn a_line_of_text_has_its_fields_after_the_message() {
        let lines = Lines { format: LogFormat::Text, stamp: Stamp::Priority };
        let line = lines.line(Level::Warn, "xopero::run", fields("begun anew", "PAY/a b"));
        assert_eq!(line, "<4>warn xopero::run: begun anew repository=\"PAY/a b\"\n");
    }

    #[test]
    fn a_filter_is_checked() {
        assert_eq!(filter("info").as_deref(), Ok("info"));
        assert_eq!(filter("").as_deref(), Ok(USUAL));
        assert!(filter("xopero=loud").is_err_and(|why| why.contains("info")));
        assert!(filter("infoo").is_err_and(|why| why.contains("\"infoo\" is no level")));
        assert!(filter("warn,xopero::run").is_err(), "its level is missing");
        assert_eq!(filter("OFF,xopero::run=debug").as_deref(), Ok("OFF,xopero::run=debug"));
    }

    proptest! {
        /// Whatever is in a field, a line is one line without anything that a terminal obeys.
        #[test]
        fn a_line_is_one_line(message in any::<String>(), repository in any::<String>()) {
            for format in [LogFormat::Text, LogFormat::Json] {
                let lines = Lines { format, stamp: Stamp::Time };
                let line = lines.line(Level::Info, "xopero::run", fields(&message, &repository));
                let body = line.strip_suffix('\n').unwrap();
                prop_assert!(!body.chars().any(char::is_control), "{body:?}");
                if format == LogFormat::Json {
                    let value: Value = serde_json::from_str(body).unwrap();
                    prop_assert_eq!((&value["message"], &value["repository"]), (&message.as_str().into(), &repository.as_str().into()));
                }
            }
        }
    }
}
