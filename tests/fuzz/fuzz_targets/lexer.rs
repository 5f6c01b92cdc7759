//! Any text is its tokens, and every place of it is something for an editor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xopero::config::{FileId, Outline, pieces, redacted};

fuzz_target!(|text: &str| {
    assert_eq!(pieces(text).concat(), text);
    assert_eq!(redacted(text).len(), text.len());
    let outline = Outline::of(text, FileId::MAIN);
    for offset in [0, text.len() / 3, text.len() / 2, text.len()] {
        let _anything = outline.at(text.floor_char_boundary(offset));
    }
    for node in outline.nodes() {
        assert!(text.get(node.span.start..node.span.end).is_some(), "{node:?}");
    }
});
