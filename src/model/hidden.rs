//! Characters that a terminal obeys instead of showing them.

/// Control characters, and what changes the direction of writing or has no width.
pub const fn is_hidden(character: char) -> bool {
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
    use super::*;

    #[test]
    fn controls_directions_and_what_has_no_width_are_hidden_and_letters_are_not() {
        assert!((0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control()).all(is_hidden));
        assert!("\u{ad}\u{61c}\u{200b}\u{202e}\u{2066}\u{feff}\u{e0001}".chars().all(is_hidden));
        assert!(!"Zażółć 名前 é“”…".chars().any(is_hidden));
    }
}
