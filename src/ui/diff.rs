//! What an edit changes in a file, line by line.
//!
//! Secrets that are not sealed are masked, and a sealed value takes one line that tells it from another one: nobody
//! compares ciphertexts by eye.

use std::fmt::Write as _;
use std::time::Duration;

use similar::{Algorithm, ChangeTag, TextDiff};
use unicode_width::UnicodeWidthChar;

use super::{Style, shown};
use crate::config::redacted;
use crate::model::Sealed;

/// Lines that are shown before and after a change.
const CONTEXT: usize = 3;

/// Columns of a row, with the number of its line.
const WIDTH: usize = 80;

/// Columns before the text of a row: the number, the sign and spaces.
const GUTTER: usize = 9;

/// Rows that a line may take before it is cut.
const ROWS: usize = 8;

/// After this time a good difference is taken for the best one. Only huge files that have nothing in common need it.
const PATIENCE: Duration = Duration::from_secs(1);

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";

/// The beginning of every age file in base64.
const ONE_LINE: &str = "YWdlLWVuY3J5cHRpb24ub3JnL";

/// What changes between two texts of the file `name`, with line numbers and some lines around; empty if nothing does.
pub fn diff(name: &str, before: &str, after: &str, style: Style) -> String {
    if before == after {
        return String::new();
    }
    let (before, after) = (Text::of(before), Text::of(after));
    let (old, new) = (before.keys(), after.keys());
    let found = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_slices(&old, &new);
    let mut rows = Rows { text: format!("{}\n", style.bold(&shown(name))), style };
    for (index, group) in found.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            rows.gap();
        }
        for change in group.iter().flat_map(|operation| found.iter_changes(operation)) {
            match (change.tag(), change.old_index(), change.new_index()) {
                (ChangeTag::Delete, Some(at), _) => rows.line('-', &before.lines[at]),
                (ChangeTag::Insert, _, Some(at)) => rows.line('+', &after.lines[at]),
                (ChangeTag::Equal, _, Some(at)) => rows.line(' ', &after.lines[at]),
                (ChangeTag::Delete | ChangeTag::Insert | ChangeTag::Equal, _, _) => {}
            }
        }
    }
    rows.text
}

/// A line as it is compared, and as it is shown.
struct Line {
    number: usize,
    /// What two equal lines have in common; also what is not shown, such as the line break.
    key: String,
    shown: String,
}

struct Text {
    lines: Vec<Line>,
}

impl Text {
    fn of(text: &str) -> Self {
        let masked = redacted(text);
        let mut lines = Vec::new();
        let mut numbered = text.split_inclusive('\n').zip(masked.split_inclusive('\n')).enumerate().peekable();
        while let Some((index, (raw, masked))) = numbered.next() {
            let content = masked.trim_end_matches('\n');
            lines.push(Line { number: index + 1, key: raw.to_owned(), shown: short(content) });
            if content.trim_end().ends_with(BEGIN) {
                let mut body = Vec::new();
                while let Some((_, (raw, _))) = numbered.next_if(|(_, (raw, _))| !raw.trim_start().starts_with(END)) {
                    body.push(raw);
                }
                let indentation: String = masked.chars().take_while(|c| c.is_whitespace()).collect();
                let told =
                    format!("{indentation}… {} sealed lines, {}", body.len(), Sealed::new(body.concat()).digest());
                lines.push(Line { number: index + 2, key: body.concat(), shown: told });
            }
        }
        if let Some(last) = lines.last_mut().filter(|last| !last.key.ends_with('\n')) {
            last.shown.push_str(" (no line break at the end)");
        }
        Self { lines }
    }

    fn keys(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.key.as_str()).collect()
    }
}

/// The line with a sealed value of one line cut to its beginning, its length and its digest.
fn short(line: &str) -> String {
    let Some(start) = line.find(ONE_LINE) else { return line.to_owned() };
    let sealed = &line[start..];
    let end = sealed.find(|c: char| !c.is_ascii_alphanumeric() && !"+/=".contains(c)).unwrap_or(sealed.len());
    let (sealed, rest) = sealed.split_at(end);
    format!("{}YWdl… {} sealed characters, {}{rest}", &line[..start], sealed.len(), Sealed::new(sealed).digest())
}

struct Rows {
    text: String,
    style: Style,
}

impl Rows {
    fn gap(&mut self) {
        self.text.push_str("     …\n");
    }

    fn line(&mut self, sign: char, line: &Line) {
        let mut rows = rows(&visible(&line.shown, sign != ' '));
        if rows.len() > ROWS {
            rows.truncate(ROWS - 1);
            rows.push("…".to_owned());
        }
        for (index, row) in rows.iter().enumerate() {
            let number = if index == 0 { line.number.to_string() } else { String::new() };
            let row = format!("{sign} {row}");
            let row = match sign {
                '-' => self.style.red(row.trim_end()),
                '+' => self.style.green(row.trim_end()),
                _ => row.trim_end().to_owned(),
            };
            let numbered = format!("{} {row}", self.style.dim(&format!("{number:>6}")));
            writeln!(self.text, "{}", numbered.trim_end()).expect("strings take everything");
        }
    }
}

/// Tabs as spaces, and in a line that changes, tabs and the spaces at its end as something that can be seen.
fn visible(line: &str, changes: bool) -> String {
    let mut text = String::new();
    let trimmed = line.trim_end_matches([' ', '\t', '\r']).len();
    for (at, c) in line.char_indices() {
        match c {
            '\t' => text.push_str(if changes { "→   " } else { "    " }),
            ' ' | '\r' if changes && at >= trimmed => text.push('·'),
            c => text.push(c),
        }
    }
    text
}

/// The line in pieces that fit, broken behind a space where one is near.
fn rows(line: &str) -> Vec<String> {
    let most = WIDTH - GUTTER;
    let (mut rows, mut row, mut width) = (Vec::new(), String::new(), 0);
    for c in line.chars() {
        let columns = c.width().unwrap_or(0);
        if width + columns > most {
            let at = row.rfind(' ').map(|at| at + 1).filter(|at| *at > row.len() / 2).unwrap_or(row.len());
            let rest = row.split_off(at);
            rows.push(std::mem::replace(&mut row, rest));
            width = row.chars().map(|c| c.width().unwrap_or(0)).sum();
        }
        row.push(c);
        width += columns;
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    const PLAIN: Style = Style { color: false };

    fn sealed(body: &str) -> String {
        format!("a\n  token (age)#\"\"\"\n    {BEGIN}\n    {body}\n    AAAA\n    {END}\n    \"\"\"#\nb\n")
    }

    #[test]
    fn changes_stand_among_their_neighbours_with_line_numbers() {
        let before = (1..=20).map(|number| format!("line {number}\n")).collect::<Vec<_>>().concat();
        let after = before.replace("line 5\n", "line five\n").replace("line 20\n", "line 20\nline 21\n");
        let text = diff("xopero.kdl", &before, &after, PLAIN);
        assert_eq!(
            text,
            "xopero.kdl\n     2   line 2\n     3   line 3\n     4   line 4\n     5 - line 5\n     5 + line five\n\
             \u{20}    6   line 6\n     7   line 7\n     8   line 8\n     …\n    18   line 18\n    19   line 19\n\
             \u{20}   20   line 20\n    21 + line 21\n"
        );
        assert_eq!(diff("xopero.kdl", &before, &before, PLAIN), "");
        let coloured = diff("xopero.kdl", &before, &after, Style { color: true });
        assert!(
            coloured.contains("\u{1b}[31m- line 5\u{1b}[0m") && coloured.contains("\u{1b}[32m+ line five\u{1b}[0m")
        );
    }

    #[test]
    fn a_sealed_value_takes_one_line_that_tells_it_from_another() {
        let text = diff("f", &sealed("BBBB"), &sealed("CCCC"), PLAIN);
        let changed: Vec<&str> = text.lines().filter(|line| line.contains("2 sealed lines, ")).collect();
        assert_eq!(changed.len(), 2, "{text}");
        assert!(changed[0].starts_with("     4 -     … ") && changed[1].starts_with("     4 +     … "), "{text}");
        assert!(
            !text.contains("BBBB") && !text.contains("AAAA") && text.contains(BEGIN) && text.contains(END),
            "{text}"
        );
        let one_line =
            |end: &str| format!("token (age)\"{ONE_LINE}{}{end}\" sealed-for=\"r:0a1b2c3d\"\n", "A".repeat(600));
        let text = diff("f", &one_line("B"), &one_line("C"), PLAIN);
        assert!(text.contains("YWdl… 626 sealed characters, ") && text.contains("sealed-for"), "{text}");
        assert!(!text.contains("AAAA"), "{text}");
    }

    #[test]
    fn a_naked_secret_is_masked_and_what_changes_unseen_is_shown() {
        let text = diff("f", "token \"SECRET\"\nurl \"x\"\n", "token \"SECRET\"\nurl \"y\"\n", PLAIN);
        assert!(!text.contains("SECRET") && text.contains("+ url \"y\""), "{text}");
        let text = diff("f", "\tone  \ntwo", "    one\ntwo\n", PLAIN);
        assert!(text.contains("- →   one··\n") && text.contains("+     one\n"), "{text}");
        assert!(text.contains("- two (no line break at the end)\n") && text.contains("+ two\n"), "{text}");
        assert!(diff("f", "a\r\n", "a\n", PLAIN).contains("- a·\n"));
        let name = diff("\u{1b}[2J", "a\u{202e}\n", "b\n", PLAIN);
        assert!(!name.contains(['\u{1b}', '\u{202e}']), "{name}");
    }

    proptest! {
        #[test]
        fn every_row_fits(before in "[ -~\t名\n]{0,400}", after in "[ -~\t名\n]{0,400}") {
            let text = diff("xopero.kdl", &before, &after, PLAIN);
            prop_assert!(text.lines().all(|line| line.width() <= WIDTH), "{}", text);
            prop_assert_eq!(text.is_empty(), before == after);
        }
    }
}
