//! Words onto lines.

use unicode_width::UnicodeWidthStr;

/// Columns of a line.
pub(super) const WIDTH: usize = 80;

/// What is longer is no command, whatever stands around it.
const LONGEST: usize = 70;

/// An explanation behind its label. On a terminal it is put on lines that fit; elsewhere it stays one line, which can be
/// searched and copied.
pub(super) fn paragraph(indent: &str, (label, styled): (&str, &str), text: &str, terminal: bool) -> String {
    if !terminal {
        return format!("{indent}{styled} {text}");
    }
    let words = whole_commands(text);
    let mut lines = wrap(&format!("{indent}{label}"), indent.len() + 4, words.iter().map(String::as_str));
    // The codes of a colour take no columns.
    lines[0] = lines[0].replacen(label, styled, 1);
    lines.join("\n")
}

/// The lines of a text, each put on as many as it needs so that no word is broken at the edge of a terminal.
pub(super) fn whole_words(text: &str) -> String {
    let lines = text.lines().flat_map(|line| {
        if line.width() <= WIDTH {
            return vec![line.to_owned()];
        }
        let indent = line.len() - line.trim_start().len();
        let words = whole_commands(line.trim_start());
        wrap(&line[..indent], indent + 4, words.iter().map(String::as_str))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The words of a text. What stands between backquotes is one: people copy commands.
pub(super) fn whole_commands(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if last.matches('`').count() % 2 == 1 && last.width() + 1 + word.width() <= LONGEST => {
                last.push(' ');
                last.push_str(word);
            }
            Some(_) | None => words.push(word.to_owned()),
        }
    }
    words
}

/// Puts `words` after `first` and, where a line is full, on lines that begin `indent` columns in. A word that is
/// longer than a line is not broken: people copy it.
pub fn wrap<'a>(first: &str, indent: usize, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut lines = Vec::new();
    let blank = first.trim().is_empty();
    let mut line = if blank { first.to_owned() } else { first.trim_end().to_owned() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_between_words_and_short_ones_stay() {
        let path = "/very".repeat(13);
        let text = format!("  Made {path}: it opens the tokens in the file.\n\nshort   line");
        let lines: Vec<String> = whole_words(&text).lines().map(str::to_owned).collect();
        assert_eq!(lines, [&format!("  Made {path}: it"), "      opens the tokens in the file.", "", "short   line"]);
        assert!(lines.iter().all(|line| line.width() <= WIDTH));
    }

    #[test]
    fn commands_stay_whole() {
        let text = "nothing was applied; if that is what you mean, run `xopero rollback 1 --approve 850e40e23903`";
        let shown = paragraph("  ", ("help:", "help:"), text, true);
        assert_eq!(
            shown,
            "  help: nothing was applied; if that is what you mean, run\n      \
             `xopero rollback 1 --approve 850e40e23903`"
        );
        let unbalanced = format!("a ` {}", "word ".repeat(40));
        let shown = paragraph("", ("help:", "help:"), unbalanced.trim_end(), true);
        assert!(shown.lines().all(|line| line.width() <= WIDTH), "{shown}");
    }
}
