//! From bytes of a text to lines and columns.

use serde_json::{Value, json};

use super::error::Span;

/// Line and column of a byte, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let (line, before) = line(text, offset);
    (line, before.chars().count() + 1)
}

/// The line of a byte, from 1, and what stands before it there.
fn line(text: &str, offset: usize) -> (usize, &str) {
    let before = &text[..text.floor_char_boundary(offset)];
    let start = before.rfind('\n').map_or(0, |found| found + 1);
    (before.bytes().filter(|byte| *byte == b'\n').count() + 1, &before[start..])
}

/// A span for programs: lines and columns from 1 (columns in characters), offset and length in bytes; and the same
/// columns, offset and length for those who count UTF-16 code units.
pub(super) fn span_json(text: &str, span: Span) -> Value {
    let utf16 = |text: &str| text.encode_utf16().count();
    let (start, end) = (text.floor_char_boundary(span.start), text.ceil_char_boundary(span.end));
    let end = end.max(start);
    let ((first, before), (last, before_end)) = (line(text, start), line(text, end));
    json!({
        "line": first,
        "col": before.chars().count() + 1,
        "end_line": last,
        "end_col": before_end.chars().count() + 1,
        "offset": start,
        "len": end - start,
        "utf16": {
            "col": utf16(before) + 1,
            "end_col": utf16(before_end) + 1,
            "offset": utf16(&text[..start]),
            "len": utf16(&text[start..end]),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_counts_in_their_own_units() {
        let text = "ü\n😀x\ny";
        assert_eq!(
            span_json(text, Span::new(7, 10)),
            json!({"line": 2, "col": 2, "end_line": 3, "end_col": 2, "offset": 7, "len": 3,
                   "utf16": {"col": 3, "end_col": 2, "offset": 4, "len": 3}})
        );
        assert_eq!(position(text, 8), (2, 3));
        assert_eq!(span_json("a", Span::new(5, 900))["offset"], 1);
    }
}
