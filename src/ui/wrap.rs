//! Words onto lines.

use unicode_width::UnicodeWidthStr;

/// Columns of a line.
const WIDTH: usize = 80;

/// Puts `words` after `first` and, where a line is full, on lines that begin `indent` columns in. A word that is
/// longer than a line is not broken: people copy it.
pub(super) fn wrap<'a>(first: &str, indent: usize, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.trim_end().to_owned();
    for word in words {
        if line.trim().is_empty() {
            line.push_str(word);
        } else if line.width() + 1 + word.width() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(line);
            line = format!("{:indent$}{word}", "");
        }
    }
    lines.push(line);
    lines
}
