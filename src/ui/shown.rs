//! Foreign text, made safe to print.

use std::fmt::Write as _;

use serde_json::Value;
use unicode_width::UnicodeWidthChar;

use crate::model::is_hidden;

/// Columns after which foreign text is cut.
const WIDTH: usize = 240;

/// Columns after which an explanation is cut: it may quote several pieces of foreign text.
const LONGEST_EXPLANATION: usize = 2000;

/// `text` on one line: what a terminal would obey or hide is spelled out, and what is too long is cut.
pub fn shown(text: &str) -> String {
    bounded(text, WIDTH)
}

/// An explanation of ours that quotes foreign text, in the same way, with room for several quotes.
pub(super) fn shown_explanation(text: &str) -> String {
    bounded(text, LONGEST_EXPLANATION)
}

fn bounded(text: &str, most: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(most));
    let mut width = 0usize;
    for character in text.chars() {
        let before = safe.len();
        if is_hidden(character) {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("strings take everything");
            width += safe.len() - before;
        } else {
            safe.push(character);
            width += columns(character);
        }
        if width > most || safe.len() > most * 8 {
            safe.truncate(before);
            safe.push('…');
            break;
        }
    }
    safe
}

/// The most columns that a character adds: U+FE0F has none by itself, and may make the one before it as wide as an emoji.
fn columns(character: char) -> usize {
    if character == '\u{fe0f}' { 1 } else { character.width().unwrap_or(0) }
}

/// `value` on one line of JSON in which everything that a terminal would obey or hide is escaped.
pub fn shown_json(value: &Value) -> String {
    let text = value.to_string();
    if !text.chars().any(is_hidden) {
        return text;
    }
    // Outside of strings JSON has none of these characters, and inside of them this escape means the same.
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_hidden(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(safe, "\\u{unit:04x}").expect("strings take everything");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The same line by line, for text that is meant to have lines.
pub fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(shown("a\u{1b}[2Jb\rc\nd\u{7f}\u{9b}"), "a\\u{1b}[2Jb\\u{d}c\\u{a}d\\u{7f}\\u{9b}");
        assert_eq!(shown("\u{202e}gpj.exe\u{200b}\u{feff}\u{2066}"), "\\u{202e}gpj.exe\\u{200b}\\u{feff}\\u{2066}");
        assert_eq!(shown("Zażółć 名前 é"), "Zażółć 名前 é");
        assert_eq!(shown_lines("a\r\nb\rc\n\u{1b}"), "a\nb\\u{d}c\n\\u{1b}");
    }

    #[test]
    fn characters_that_widen_others_are_counted() {
        assert!(shown(&"*\u{fe0f}".repeat(WIDTH)).width() <= WIDTH + 1);
    }

    proptest! {
        #[test]
        fn json_means_the_same_and_hides_nothing(text: String) {
            let value = serde_json::json!({ "text": format!("{text}\u{202e}\u{9b}\u{e0001}") });
            let safe = shown_json(&value);
            prop_assert!(!safe.chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), value);
        }

        #[test]
        fn nothing_hidden_is_left_and_the_width_is_bounded(text: String) {
            let long = text.repeat(50);
            let safe = shown(&long);
            prop_assert!(!safe.chars().any(is_hidden));
            prop_assert!(safe.width() <= WIDTH + 1 && safe.len() <= WIDTH * 8 + 3);
        }
    }
}
