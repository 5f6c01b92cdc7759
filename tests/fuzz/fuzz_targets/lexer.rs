//! Any text is its tokens, and every place of it is something for an editor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xopero::config::{FileId, Outline, pieces, redacted};

/// Every place of longer texts would take too long.
const MOST_PLACES: usize = 64;

fuzz_target!(|text: &str| {
    assert_eq!(pieces(text).concat(), text);
    let shown = redacted(text);
    assert_eq!(shown.len(), text.len());
    assert!(!shown.contains("BBDC-") && !shown.contains('\u{1b}'), "{shown}");
    let outline = Outline::of(text, FileId::MAIN);
    for offset in (0..=text.len()).step_by(text.len() / MOST_PLACES + 1) {
        let cursor = outline.at(offset);
        let word = cursor.word.is_none_or(|word| text.get(word.span.start..word.span.end).is_some());
        assert!(word && cursor.enclosing.iter().all(|node| *node < outline.nodes().len()), "{cursor:?}");
    }
    for node in outline.nodes() {
        assert!(text.get(node.span.start..node.span.end).is_some(), "{node:?}");
        assert!(!outline.head(node).contains("BBDC-"), "{node:?}");
    }
});
