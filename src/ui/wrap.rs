//! Words onto lines.

use unicode_width::UnicodeWidthStr;

/// Columns of a line.
pub(super) const WIDTH: usize = 80;

/// An explanation behind its label. On a terminal it is put on lines that fit; elsewhere it stays one line, which can be
/// searched and copied.
pub(super) fn paragraph(indent: &str, (label, styled): (&str, &str), text: &str, terminal: bool) -> String {
    if !terminal {
        return format!("{indent}{styled} {text}");
    }
    let mut lines = wrap(&format!("{indent}{label}"), indent.len() + 4, text.split(' '));
    // The codes of a colour take no columns.
    lines[0] = lines[0].replacen(label, styled, 1);
    lines.join("\n")
}

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
