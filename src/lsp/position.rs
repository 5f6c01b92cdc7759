//! Places as the protocol counts them: lines from 0, and UTF-16 units in a line. Ours are bytes.

use lsp_types::{Position, Range, TextEdit};

use crate::config::Span;

/// The place of a byte.
pub(super) fn position(text: &str, offset: usize) -> Position {
    let before = &text[..text.floor_char_boundary(offset)];
    let (mut line, mut start) = (0u32, 0);
    for (end, next) in breaks(before) {
        // A line break that the place cuts in two is not behind it.
        if !(next == before.len() && before.ends_with('\r') && text[next..].starts_with('\n')) {
            line = line.saturating_add(1);
            start = next;
        }
        debug_assert!(end < next, "a line break has a length");
    }
    let units = before[start..].trim_end_matches('\r').encode_utf16().count();
    Position { line, character: u32::try_from(units).unwrap_or(u32::MAX) }
}

/// The byte of a place: the end of the line or of the text where it has no such place.
pub(super) fn offset(text: &str, place: Position) -> usize {
    let mut start = 0;
    let mut lines = breaks(text);
    for _ in 0..place.line {
        match lines.next() {
            Some((_, next)) => start = next,
            None => return text.len(),
        }
    }
    let end = lines.next().map_or(text.len(), |(end, _)| end);
    let mut units = 0u32;
    for (at, c) in text[start..end].char_indices() {
        let after = units + if c.len_utf16() == 2 { 2 } else { 1 };
        if after > place.character {
            return start + at;
        }
        units = after;
    }
    end
}

/// The places of a range of bytes.
pub(super) fn range(text: &str, span: Span) -> Range {
    Range { start: position(text, span.start), end: position(text, span.end.max(span.start)) }
}

/// The one edit that makes `before` into `after`; none if they are equal.
pub(super) fn edit(before: &str, after: &str) -> Option<TextEdit> {
    if before == after {
        return None;
    }
    let same = before.bytes().zip(after.bytes()).take_while(|(one, other)| one == other).count();
    let start = before.floor_char_boundary(same).min(after.floor_char_boundary(same));
    let (rest_before, rest_after) = (&before[start..], &after[start..]);
    let tails = rest_before.chars().rev().zip(rest_after.chars().rev()).take_while(|(one, other)| one == other);
    let tail: usize = tails.map(|(c, _)| c.len_utf8()).sum();
    let span = Span::new(start, before.len() - tail);
    Some(TextEdit { range: range(before, span), new_text: after[start..after.len() - tail].to_owned() })
}

/// The end of each line, and the beginning of the next.
fn breaks(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let end = at + bytes[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        at = end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        Some((end, at))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn place(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn places_are_utf_16() {
        let text = "a\r\n\u{1f600}ż b\rc\n";
        for (at, expected) in [(0, place(0, 0)), (1, place(0, 1)), (3, place(1, 0)), (7, place(1, 2)), (9, place(1, 3))]
        {
            assert_eq!((position(text, at), offset(text, expected)), (expected, at));
        }
        assert_eq!((position(text, 12), position(text, text.len())), (place(2, 0), place(3, 0)));
        assert_eq!(position(text, 2), place(0, 1));
    }

    #[test]
    fn places_that_do_not_exist_are_brought_to_the_nearest() {
        let text = "a\n\u{1f600}b\n";
        assert_eq!(offset(text, place(0, 99)), 1);
        assert_eq!(offset(text, place(1, 1)), 2);
        assert_eq!(offset(text, place(99, 0)), text.len());
        assert_eq!(offset(text, place(u32::MAX, u32::MAX)), text.len());
        assert_eq!(position(text, 4), place(1, 0));
        assert_eq!(position(text, 9999), place(2, 0));
    }

    proptest! {
        #[test]
        fn every_place_comes_back(text in "[aż\u{1f600}\r\n]{0,20}", at in 0..60usize) {
            let at = text.floor_char_boundary(at);
            let back = offset(&text, position(&text, at));
            prop_assert!(back == at || text[..at].ends_with('\r') && text[at..].starts_with('\n'));
        }

        #[test]
        fn an_edit_makes_the_one_into_the_other(before in "[aż\n]{0,12}", after in "[aż\n]{0,12}") {
            let made = match edit(&before, &after) {
                None => before,
                Some(edit) => {
                    let (start, end) = (offset(&before, edit.range.start), offset(&before, edit.range.end));
                    format!("{}{}{}", &before[..start], edit.new_text, &before[end..])
                }
            };
            prop_assert_eq!(made, after);
        }
    }
}
