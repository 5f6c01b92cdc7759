//! Laying out keeps the meaning, and does it once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xopero::config::{FormatError, SourceFile, format};

fuzz_target!(|text: &str| {
    let file = |text: &str| SourceFile { name: "xopero.kdl".into(), text: text.into() };
    match format(&file(text)) {
        Ok(once) => assert_eq!(format(&file(&once)).unwrap(), once),
        Err(FormatError::Syntax { .. }) => {}
        Err(error @ FormatError::Changes { .. }) => panic!("{error}"),
    }
});
