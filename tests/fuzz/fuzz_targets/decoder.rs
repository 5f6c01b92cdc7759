//! Any text is a declaration or diagnostics about places in it, and both can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xopero::config::{FileKind, SourceFile, Sources, Span, decode, render, to_json};

fuzz_target!(|text: &str| {
    // What the file names: a file that it includes, and one with a sealed value.
    let mut parts = text.splitn(3, '\0');
    let mut file = |name: &str| SourceFile { name: name.into(), text: parts.next().unwrap_or_default().into() };
    let (main, included, value) = (file("xopero.kdl"), file("teams/web.kdl"), file("token.age"));
    let sources = Sources::gather(main, &mut |_, kind| {
        Ok(match kind {
            FileKind::Included => included.clone(),
            FileKind::Value => value.clone(),
        })
    });
    let inside = |span: Span| sources.file(span.file).text.get(span.start..span.end).is_some();
    let found = match decode(&sources) {
        Ok(decoded) => {
            assert!(decoded.places.values().all(|place| inside(place.span)), "{:?}", decoded.places);
            decoded.warnings
        }
        Err(invalid) => invalid.diagnostics,
    };
    for one in &found {
        assert!(one.labels.iter().all(|label| inside(label.span)), "{one:?}");
        assert!(one.replacement.iter().all(|(span, _)| inside(*span)), "{one:?}");
        let shown = to_json(&sources, one).to_string();
        assert!(!shown.contains("BBDC-"), "{shown}");
    }
    for (color, width) in [(false, 80), (true, 40)] {
        let shown = render(&sources, &found, color, width);
        assert!(!shown.contains("BBDC-"), "{shown}");
    }
});
