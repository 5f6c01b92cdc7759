//! Diagnostics for people and for programs.

use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity as Level,
};
use serde_json::{Value, json};

use super::error::{Diagnostic, Severity, SourceFile};
use super::redact::{redacted, safe};

/// The diagnostics with the lines they are about. Secrets of the file are masked, and nothing in it acts on the
/// terminal.
pub fn render(file: &SourceFile, diagnostics: &[Diagnostic], color: bool, width: usize) -> String {
    let text = redacted(&file.text);
    let name = safe(&file.name).replace('\n', "?");
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut handler = GraphicalReportHandler::new_themed(theme).with_width(width.max(40)).with_links(false);
    if !color {
        handler = handler.without_syntax_highlighting();
    }
    let mut out = String::new();
    for found in diagnostics {
        let labels = found.labels.iter().map(|label| {
            let start = text.floor_char_boundary(label.span.start);
            let end = text.ceil_char_boundary(label.span.end).max(start);
            LabeledSpan::new(Some(safe(&label.text)), start, end - start)
        });
        let mut shown =
            MietteDiagnostic::new(safe(&found.message)).with_code(found.code).with_severity(match found.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warning,
            });
        shown = shown.with_labels(labels);
        if let Some(help) = &found.help {
            shown = shown.with_help(safe(help));
        }
        let report = Report::new(shown).with_source_code(NamedSource::new(&name, text.clone()));
        handler.render_report(&mut out, report.as_ref()).expect("writing to a string cannot fail");
        out.push('\n');
    }
    out
}

/// A diagnostic for programs: `{code, severity, message, help, spans: [{file, line, col, offset, len, label}]}`, with
/// lines and columns (in characters) from 1, offset and length in bytes.
pub fn to_json(file: &SourceFile, diagnostic: &Diagnostic) -> Value {
    let spans: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            let (line, column) = position(&file.text, label.span.start);
            json!({
                "file": file.name,
                "line": line,
                "col": column,
                "offset": label.span.start,
                "len": label.span.end.saturating_sub(label.span.start),
                "label": label.text,
            })
        })
        .collect();
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.as_str(),
        "message": diagnostic.message,
        "help": diagnostic.help,
        "spans": spans,
    })
}

/// Line and column of a byte, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |found| found + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::super::error::Span;
    use super::*;

    fn file(text: &str) -> SourceFile {
        SourceFile { name: "xopero.kdl".into(), text: text.into() }
    }

    #[test]
    fn the_line_is_shown_without_its_secret() {
        let file = file("a\n  token \"BBDC-x\" \u{1b}[2J\u{202e}\nservr \"bb\"\n");
        let start = file.text.find("servr").unwrap();
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
    fn programs_get_places() {
        let file = file("ü\nżó x");
        let found = Diagnostic::warning("xopero::x", "m").at(Span::new(8, 9), "here").help("h");
        assert_eq!(
            to_json(&file, &found),
            json!({"code": "xopero::x", "severity": "warning", "message": "m", "help": "h",
                   "spans": [{"file": "xopero.kdl", "line": 2, "col": 4, "offset": 8, "len": 1, "label": "here"}]})
        );
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
