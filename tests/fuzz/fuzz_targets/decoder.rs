//! Any text is a declaration or diagnostics about places in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xopero::config::{SourceFile, Sources, decode, render, to_json};

fuzz_target!(|text: &str| {
    let sources = Sources::alone(SourceFile { name: "xopero.kdl".into(), text: text.into() });
    let found = match decode(&sources) {
        Ok(decoded) => decoded.warnings,
        Err(invalid) => invalid.diagnostics,
    };
    for one in &found {
        for label in &one.labels {
            assert!(text.get(label.span.start..label.span.end).is_some(), "{one:?}");
        }
        let shown = to_json(&sources, one).to_string();
        assert!(!shown.contains("BBDC-"), "{shown}");
    }
    let shown = render(&sources, &found, false, 80);
    assert!(!shown.contains("BBDC-"), "{shown}");
});
