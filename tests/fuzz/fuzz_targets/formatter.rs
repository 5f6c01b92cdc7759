//! Laying out keeps the meaning, and does it once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xopero::config::{self, FormatError, SourceFile, Sources, decode};

/// What a text declares, or the codes of what is wrong with it.
fn meaning(file: SourceFile) -> String {
    match decode(&Sources::alone(file)) {
        Ok(decoded) => format!("{:?}", decoded.declaration),
        Err(invalid) => {
            let mut codes: Vec<&str> = invalid.diagnostics.iter().map(|found| found.code).collect();
            codes.sort_unstable();
            codes.join(" ")
        }
    }
}

fuzz_target!(|text: &str| {
    let file = |text: &str| SourceFile { name: "xopero.kdl".into(), text: text.into() };
    match config::format(&file(text)) {
        Ok(once) => {
            assert_eq!(config::format(&file(&once)).unwrap(), once);
            assert_eq!(meaning(file(text)), meaning(file(&once)), "{once}");
        }
        Err(FormatError::Syntax { .. }) => {}
        Err(error @ FormatError::Changes { .. }) => panic!("{error}"),
    }
});
