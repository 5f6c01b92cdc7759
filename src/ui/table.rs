//! Tables that fit the width of a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table as Grid, Width};

use super::{Style, shown};

/// Where a name may be broken: it has no width, is never shown, and is in no text that was made safe.
const BREAK: char = '\u{200b}';

/// How a column is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Words, at the left; broken over lines when the table is too wide.
    Left,
    /// Names of repositories, at the left; broken after a hyphen where that is enough.
    Name,
    /// Identifiers and times, at the left; never broken.
    Whole,
    /// Numbers, at the right.
    Right,
}

/// A table with a heading. Cells are made safe as they are added.
#[derive(Debug)]
pub struct Table {
    grid: Grid,
    sides: Vec<Side>,
}

impl Table {
    /// A table with these columns, at most `width` wide.
    pub fn new(columns: &[(&str, Side)], width: usize, style: Style) -> Self {
        let mut grid = Grid::new();
        grid.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        grid.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        let sides: Vec<_> = columns.iter().map(|(_, side)| *side).collect();
        if style.color {
            grid.enforce_styling();
        } else {
            grid.force_no_tty();
        }
        let heading = columns
            .iter()
            .map(|(name, side)| Cell::new(name).set_alignment(alignment(*side)).add_attribute(Attribute::Bold));
        grid.set_header(heading);
        for (column, (name, side)) in grid.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            if *side == Side::Name {
                column.set_delimiter(BREAK);
            }
            column.set_constraint(match side {
                Side::Left | Side::Name => {
                    let heading = name.chars().count() + 2;
                    ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(heading).unwrap_or(u16::MAX)))
                }
                Side::Whole | Side::Right => ColumnConstraint::ContentWidth,
            });
        }
        Self { grid, sides }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().zip(&self.sides).map(|(text, side)| {
            let text = shown(&text);
            let text = if *side == Side::Name { text.replace('-', &format!("-{BREAK}")) } else { text };
            Cell::new(text).set_alignment(alignment(*side))
        });
        self.grid.add_row(cells);
    }

    /// The text, without spaces at the ends of lines.
    pub fn render(&self) -> String {
        let text = self.grid.to_string().replace(BREAK, "");
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }
}

const fn alignment(side: Side) -> CellAlignment {
    match side {
        Side::Left | Side::Name | Side::Whole => CellAlignment::Left,
        Side::Right => CellAlignment::Right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_does_not_change_the_layout() {
        let text = |color| {
            let mut table = Table::new(&[("NAME", Side::Left), ("SIZE", Side::Right)], 40, Style { color });
            table.row(["PAY/ledger".into(), "12 MiB".into()]);
            table.render()
        };
        let coloured = text(true);
        assert!(coloured.contains("\u{1b}[1m"), "{coloured:?}");
        let codes = ["\u{1b}[0m", "\u{1b}[1m"];
        let stripped = codes.iter().fold(coloured, |text, code| text.replace(code, ""));
        let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&stripped), lines(&text(false)));
    }

    #[test]
    fn a_table_fits_and_is_safe() {
        let mut table = Table::new(&[("NAME", Side::Left), ("SIZE", Side::Right)], 40, Style { color: false });
        table.row(["PAY/ledger".into(), "12 MiB".into()]);
        table.row(["evil\u{1b}[2J".into(), "1 B".into()]);
        let text = table.render();
        assert!(text.contains("\\u{1b}[2J"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 40 && !line.ends_with(' ')), "{text}");
    }

    #[test]
    fn names_are_broken_after_a_hyphen() {
        let mut table = Table::new(&[("NAME", Side::Name), ("SIZE", Side::Right)], 30, Style { color: false });
        table.row(["PAY/settlement-reconciliation-service".into(), "12 MiB".into()]);
        table.row(["PAY/withouthyphensandtoolongforit".into(), "1 B".into()]);
        let text = table.render();
        assert!(text.contains("PAY/settlement-") && text.contains("\nreconciliation-\nservice\n"), "{text}");
        assert!(!text.contains(BREAK), "{text:?}");
        assert!(text.lines().all(|line| line.len() <= 30), "{text}");
    }

    #[test]
    fn ids_numbers_and_headings_are_never_broken() {
        let columns = [("ID", Side::Whole), ("TITLE", Side::Left), ("SIZE", Side::Right)];
        let mut table = Table::new(&columns, 46, Style { color: false });
        let id = "01M81FST1183SGRZEVSXSESMGJ";
        table.row([id.into(), "a-long-name-of-a-repository".into(), "1.25 MiB".into()]);
        let text = table.render();
        assert!(text.contains(id) && text.contains("1.25 MiB") && text.contains("TITLE"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 46), "{text}");
    }
}
