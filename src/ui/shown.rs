//! Foreign text, made safe to print.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Columns after which foreign text is cut.
const WIDTH: usize = 240;

/// `text` on one line: what a terminal would obey or hide is spelled out, and what is too long is cut.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(WIDTH));
    let mut width = 0usize;
    for character in text.chars() {
        let before = safe.len();
        if is_hidden(character) {
            write!(safe, "\\u{{{:x}}}", u32::from(character)).expect("strings take everything");
            width += safe.len() - before;
        } else {
            safe.push(character);
            width += character.width().unwrap_or(0);
        }
        if width > WIDTH || safe.len() > WIDTH * 8 {
            safe.truncate(before);
            safe.push('…');
            break;
        }
    }
    safe
}

/// The same line by line, for text that is meant to have lines.
pub fn shown_lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

/// Control characters, and what changes the direction of writing or has no width.
const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
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

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_the_width_is_bounded(text: String) {
            let long = text.repeat(50);
            let safe = shown(&long);
            prop_assert!(!safe.chars().any(is_hidden));
            prop_assert!(safe.width() <= WIDTH + 1 && safe.len() <= WIDTH * 8 + 3);
        }
    }
}
