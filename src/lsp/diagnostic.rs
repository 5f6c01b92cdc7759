//! The diagnostics of `xopero validate`, as an editor shows them.

use std::collections::BTreeMap;

use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Uri};

use super::position::range;
use crate::config::{Diagnostic, FileId, Severity, Sources, Span};

/// What is wrong with each file that something is wrong with.
pub(super) fn by_file(
    sources: &Sources,
    found: &[Diagnostic],
    uris: &BTreeMap<FileId, Uri>,
) -> BTreeMap<FileId, Vec<lsp_types::Diagnostic>> {
    let mut files: BTreeMap<FileId, Vec<lsp_types::Diagnostic>> = BTreeMap::new();
    for one in found {
        let span = one.labels.first().map(|label| label.span).unwrap_or_default();
        files.entry(span.file).or_default().push(shown(one, span, sources, uris));
    }
    files
}

/// One of them. Its text is safe to show: no message repeats a secret.
pub(super) fn shown(
    found: &Diagnostic,
    span: Span,
    sources: &Sources,
    uris: &BTreeMap<FileId, Uri>,
) -> lsp_types::Diagnostic {
    let mut message = found.message.clone();
    if let Some(label) = found.labels.first() {
        message = format!("{message}: {}", label.text);
    }
    if let Some(help) = &found.help {
        message = format!("{message}\n{help}");
    }
    let elsewhere = found.labels.iter().skip(1).filter_map(|label| {
        let text = &sources.file(label.span.file).text;
        let uri = uris.get(&label.span.file)?.clone();
        let location = Location { uri, range: range(text, label.span) };
        Some(DiagnosticRelatedInformation { location, message: label.text.clone() })
    });
    let elsewhere: Vec<_> = elsewhere.collect();
    lsp_types::Diagnostic {
        range: range(&sources.file(span.file).text, span),
        severity: Some(match found.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(found.code.to_owned())),
        source: Some("xopero".to_owned()),
        message,
        related_information: (!elsewhere.is_empty()).then_some(elsewhere),
        ..lsp_types::Diagnostic::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SourceFile, decode};

    #[test]
    fn a_conflict_is_shown_at_both_places_also_over_files() {
        let file = |name: &str, text: &str| SourceFile { name: name.into(), text: text.into() };
        let main = file("xopero.kdl", "xopero schema=1\ninclude \"web.kdl\"\nserver \"bb\" { url \"https://a\"; }\n");
        let sources =
            Sources::gather(main, &mut |_, _| Ok(file("web.kdl", "\nserver \"bb\" { url \"https://b\"; }\n")));
        let uris: BTreeMap<FileId, Uri> =
            sources.files().map(|(id, file)| (id, format!("file:///x/{}", file.name).parse().unwrap())).collect();
        let found = decode(&sources).unwrap_err().diagnostics;
        let files = by_file(&sources, &found, &uris);
        let all: Vec<_> = files.values().flatten().filter(|found| found.message.contains("there twice")).collect();
        assert_eq!(all.len(), 1, "{files:?}");
        assert_eq!(all[0].related_information.as_ref().map(Vec::len), Some(1), "{files:?}");
        assert_eq!((all[0].severity, all[0].source.as_deref()), (Some(DiagnosticSeverity::ERROR), Some("xopero")));
    }

    #[test]
    fn help_is_part_of_the_message() {
        let sources = Sources::alone(SourceFile { name: "x".into(), text: "xopero schema=1\nsevrer \"bb\"\n".into() });
        let uris = BTreeMap::from([(FileId::MAIN, "file:///x".parse().unwrap())]);
        let found = by_file(&sources, &decode(&sources).unwrap_err().diagnostics, &uris);
        let messages: Vec<&str> = found.values().flatten().map(|found| found.message.as_str()).collect();
        assert!(messages.iter().any(|message| message.ends_with("\ndid you mean `server`?")), "{messages:?}");
    }
}
