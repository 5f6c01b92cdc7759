//! Diagnostics for people and for programs.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, Severity as Level, SourceCode};
use serde_json::{Value, json};

use super::error::{Diagnostic, FileId, Label, Severity};
use super::excerpt::Excerpts;
use super::position::span_json;
use super::redact::{redacted, safe};
use super::sources::Sources;

/// The diagnostics with the lines they are about. Secrets of the files are masked, and nothing in them acts on the
/// terminal.
pub fn render(sources: &Sources, diagnostics: &[Diagnostic], color: bool, width: usize) -> String {
    let texts: Vec<Excerpts> = sources
        .files()
        .map(|(_, file)| Excerpts::of(safe(&file.name).replace('\n', "?"), redacted(&file.text)))
        .collect();
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut handler = GraphicalReportHandler::new_themed(theme).with_width(width.max(40)).with_links(false);
    if !color {
        handler = handler.without_syntax_highlighting();
    }
    let mut out = String::new();
    for found in diagnostics {
        handler.render_report(&mut out, &Shown::new(found, &texts)).expect("writing to a string cannot fail");
        out.push('\n');
    }
    out
}

/// A diagnostic beside the text of the file that it is about, with what it says of other files.
#[derive(Debug)]
struct Shown<'a> {
    said: MietteDiagnostic,
    text: &'a Excerpts,
    elsewhere: Vec<Self>,
}

impl<'a> Shown<'a> {
    fn new(found: &Diagnostic, texts: &'a [Excerpts]) -> Self {
        let mut said = MietteDiagnostic::new(safe(&found.message)).with_code(found.code);
        said.help = found.help.as_deref().map(safe);
        let level = match found.severity {
            Severity::Error => Level::Error,
            Severity::Warning => Level::Warning,
        };
        let file = found.labels.first().map_or(FileId::MAIN, |label| label.span.file);
        let (here, elsewhere): (Vec<_>, Vec<_>) = found.labels.iter().partition(|label| label.span.file == file);
        let text = &texts[file.0];
        let elsewhere = elsewhere.into_iter().map(|label| {
            let text = &texts[label.span.file.0];
            let said = MietteDiagnostic::new(format!("in {}", text.name())).with_severity(Level::Advice);
            Self { said: said.with_label(labelled(label, text)), text, elsewhere: Vec::new() }
        });
        Self {
            said: said.with_severity(level).with_labels(here.into_iter().map(|label| labelled(label, text))),
            text,
            elsewhere: elsewhere.collect(),
        }
    }
}

fn labelled(label: &Label, text: &Excerpts) -> LabeledSpan {
    let (start, end) = text.within(label.span.start, label.span.end);
    LabeledSpan::new(Some(safe(&label.text)), start, end - start)
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.said.fmt(f)
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.said.code()
    }

    fn severity(&self) -> Option<Level> {
        self.said.severity()
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.said.help()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.said.labels()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.text)
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        Some(Box::new(self.elsewhere.iter().map(|shown| shown as &dyn miette::Diagnostic)))
    }
}

/// A diagnostic for programs, as `schema/diagnostics.schema.json` describes it. It says what [`render`] says.
pub fn to_json(sources: &Sources, diagnostic: &Diagnostic) -> Value {
    let span = |label: &Label| {
        let file = sources.file(label.span.file);
        let mut span = span_json(&file.text, label.span);
        span["file"] = json!(file.name);
        span["label"] = json!(label.text);
        span
    };
    json!({
        "type": "diagnostic",
        "code": diagnostic.code,
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "help": diagnostic.help,
        "spans": diagnostic.labels.iter().map(span).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::error::{SourceFile, Span};
    use super::*;

    fn file(text: &str) -> Sources {
        Sources::alone(SourceFile { name: "xopero.kdl".into(), text: text.into() })
    }

    #[test]
    fn the_line_is_shown_without_its_secret() {
        let file = file("a\n  token \"BBDC-x\" \u{1b}[2J\u{202e}\nservr \"bb\"\n");
        let start = file.main().text.find("servr").unwrap();
        let found =
            Diagnostic::error("xopero::unknown-node", "there is no node").at(Span::new(start, start + 5), "unknown");
        for color in [false, true] {
            let shown = render(&file, std::slice::from_ref(&found), color, 80);
            assert!(shown.contains("servr") && shown.contains("xopero.kdl:3:1"), "{shown}");
            assert!(!shown.contains("BBDC") && !shown.contains("\u{1b}[2J") && !shown.contains('\u{202e}'), "{shown}");
            assert_eq!(shown.contains('\u{1b}'), color);
        }
    }

    #[test]
    fn other_files_are_shown_with_their_names() {
        let main = SourceFile { name: "xopero.kdl".into(), text: "include \"web.kdl\"\nserver \"bb\"\n".into() };
        let web = SourceFile { name: "web.kdl".into(), text: "\nserver \"bb\"\ntoken \"SECRET\"\n".into() };
        let sources = Sources::gather(main, &mut |_, _| Ok(web.clone()));
        let ids: Vec<FileId> = sources.files().map(|(id, _)| id).collect();
        let found = Diagnostic::error("xopero::duplicate", "the server is there twice")
            .at(Span::new(8, 12).of(ids[1]), "again here")
            .at(Span::new(25, 29), "already here");
        let shown = render(&sources, std::slice::from_ref(&found), false, 80);
        assert!(shown.contains("web.kdl:2:8") && shown.contains("xopero.kdl:2:8"), "{shown}");
        assert!(shown.contains("again here") && shown.contains("already here") && !shown.contains("SECRET"), "{shown}");
        let json = to_json(&sources, &found);
        assert_eq!((&json["spans"][0]["file"], &json["spans"][1]["file"]), (&json!("web.kdl"), &json!("xopero.kdl")));
    }

    #[test]
    fn programs_get_places() {
        let file = file("ü\nżó x");
        let found = Diagnostic::warning("xopero::x", "m").at(Span::new(8, 9), "here").help("h");
        let mut span = span_json(&file.main().text, Span::new(8, 9));
        (span["file"], span["label"]) = (json!("xopero.kdl"), json!("here"));
        assert_eq!((&span["line"], &span["col"]), (&json!(2), &json!(4)));
        assert_eq!(
            to_json(&file, &found),
            json!({"type": "diagnostic", "code": "xopero::x", "severity": "warning", "message": "m", "help": "h",
                   "spans": [span]})
        );
    }

    #[test]
    fn of_a_long_line_only_the_place_is_shown() {
        let long = format!("plan \"a\"\n{} servr \"bb\" {}\nend\n", "ü ".repeat(50_000), "x".repeat(50_000));
        let sources = file(&long);
        let start = long.find("servr").unwrap();
        let whole = Span::new(9, long.len() - 5);
        for (span, place) in [(Span::new(start, start + 5), "xopero.kdl:2:"), (whole, "xopero.kdl:2:1")] {
            let found = Diagnostic::error("xopero::x", "m").at(span, "unknown").at(Span::new(0, 4), "already here");
            let shown = render(&sources, &[found], false, 80);
            assert!(shown.len() < 2000 && shown.contains(place) && shown.contains("unknown"), "{shown}");
            assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        }
        let found = Diagnostic::error("xopero::x", "m").at(Span::new(start, start + 5), "unknown");
        assert!(render(&sources, &[found], false, 80).contains("servr \"bb\""));
    }

    #[test]
    fn places_outside_of_the_text_do_no_harm() {
        let found = Diagnostic::error("xopero::x", "m").at(Span::new(5, 900), "here");
        assert!(render(&file("a"), &[found], false, 80).contains('m'));
        assert!(
            render(&file(""), &[Diagnostic::error("xopero::x", "m").at(Span::default(), "h")], false, 80).contains('m')
        );
    }
}
