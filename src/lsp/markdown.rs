//! Text of a file inside of Markdown: as code, so that nothing in it is a link, a picture or markup.

const LONGEST: usize = 120;

/// A text of the file, short and on one line.
pub(super) fn code(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|c| match c {
            '`' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    if shown.trim().is_empty() { "(empty)".to_owned() } else { format!("`{}`", shown.trim()) }
}

/// Several of them.
pub(super) fn codes<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    const MOST: usize = 20;
    let mut texts = texts.into_iter();
    let mut shown: Vec<String> = texts.by_ref().take(MOST).map(code).collect();
    let more = texts.count();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_file_is_markup() {
        assert_eq!(code("a`![x](http://evil)`\n# b"), "`a'![x](http://evil)' # b`");
        assert_eq!(code(" "), "(empty)");
        assert_eq!(code(&"x".repeat(200)).chars().count(), LONGEST + 3);
        assert_eq!(codes(["a", "b"]), "`a`, `b`");
    }
}
