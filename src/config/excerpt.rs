//! The piece of a file that a diagnostic shows: the lines around the place, or a part of its line if lines are so long
//! that no terminal could show them.

use miette::{MietteError, MietteSpanContents, NamedSource, SourceCode, SourceSpan, SpanContents};

/// A longer line is shown in part.
const LONGEST_LINE: usize = 400;

/// What is shown of such a line before the place, and from the place on; in bytes.
const AROUND: usize = 40;

/// A text with its name.
#[derive(Debug)]
pub(super) struct Excerpts(NamedSource<String>);

impl Excerpts {
    /// The excerpts of a text.
    pub(super) fn of(name: String, text: String) -> Self {
        Self(NamedSource::new(name, text))
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    /// From where to where a label goes: within the text, and beside a long line not beyond what is shown of it.
    pub(super) fn within(&self, start: usize, end: usize) -> (usize, usize) {
        let text = self.0.inner();
        let start = text.floor_char_boundary(start);
        let end = text.ceil_char_boundary(end).max(start);
        let around = self.0.read_span(&(start, end - start).into(), 1, 1);
        if around.is_ok_and(|around| fits(around.data())) {
            return (start, end);
        }
        let line = text[start..end].find('\n').map_or(end, |found| start + found);
        (start, text.floor_char_boundary(start + AROUND).min(line))
    }
}

/// Whether all lines can be shown.
fn fits(lines: &[u8]) -> bool {
    lines.split(|byte| *byte == b'\n').all(|line| line.len() <= LONGEST_LINE)
}

impl SourceCode for Excerpts {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.0.read_span(span, before, after)?;
        if fits(found.data()) {
            return Ok(found);
        }
        if span.len() > AROUND {
            // No label is that long: these are two, which are to be shown one by one.
            return Err(MietteError::OutOfBounds);
        }
        let (text, first) = (self.0.inner(), found.span().offset());
        let end_of_found = first + found.data().len();
        let at = text.floor_char_boundary(span.offset()).clamp(first, end_of_found);
        let line = text[first..at].rfind('\n').map_or(first, |at| first + at + 1);
        let start = text.floor_char_boundary(at.saturating_sub(AROUND)).max(line);
        let end_of_line = text[at..end_of_found].find('\n').map_or(end_of_found, |found| at + found);
        let end = text.ceil_char_boundary((at + AROUND).min(text.len())).min(end_of_line);
        let lines_before = text[first..line].matches('\n').count();
        let column = if line == first { found.column() + (start - line) } else { start - line };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            &text.as_bytes()[start..end],
            (start, end - start).into(),
            found.line() + lines_before,
            column,
            1,
        )))
    }
}
