//! A text with repairs, and the way back from a place in it to the place in the text that a person wrote.

use std::ops::Range;

/// A text that is repaired for the parser.
#[derive(Debug)]
pub(super) struct Patch<'a> {
    text: &'a str,
    /// The bytes with what was replaced in place; `None` as long as nothing was.
    bytes: Option<Vec<u8>>,
    /// What stands before a byte of the text that is not in it.
    inserted: Vec<(usize, &'static str)>,
}

impl<'a> Patch<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, bytes: None, inserted: Vec::new() }
    }

    pub(super) const fn original(&self) -> &'a str {
        self.text
    }

    /// Puts `by` over every byte of a range; the range must begin and end between characters.
    pub(super) fn fill(&mut self, range: Range<usize>, by: u8) {
        self.bytes.get_or_insert_with(|| self.text.as_bytes().to_vec())[range].fill(by);
    }

    /// Makes a range a name that means nothing: line breaks in it go, too.
    pub(super) fn name(&mut self, range: Range<usize>) {
        self.fill(range, b'_');
    }

    /// Puts a text before a byte.
    pub(super) fn insert(&mut self, at: usize, text: &'static str) {
        let index = self.inserted.partition_point(|(before, _)| *before <= at);
        self.inserted.insert(index, (at, text));
    }

    /// Takes out what was to stand inside a range.
    pub(super) fn forget_insertions(&mut self, range: Range<usize>) {
        self.inserted.retain(|(at, _)| !range.contains(at));
    }

    /// The repaired text.
    pub(super) fn text(&self) -> String {
        let bytes = self.bytes.as_deref().unwrap_or(self.text.as_bytes());
        let mut out = Vec::with_capacity(bytes.len() + 2 * self.inserted.len());
        let mut from = 0;
        for (at, inserted) in &self.inserted {
            out.extend(&bytes[from..*at]);
            out.extend(inserted.as_bytes());
            from = *at;
        }
        out.extend(&bytes[from..]);
        // Whole characters are replaced by ASCII, and whole texts inserted between characters.
        String::from_utf8(out).unwrap_or_default()
    }

    /// The way back.
    pub(super) fn way_back(&self) -> WayBack<'a> {
        let mut before = 0;
        let steps = self.inserted.iter().map(|(at, inserted)| {
            let step = Step { start: at + before, length: inserted.len(), before };
            before += inserted.len();
            step
        });
        WayBack { text: Some(self.text), steps: steps.collect() }
    }
}

/// From places in a repaired text to places in the text itself.
#[derive(Debug, Clone, Default)]
pub(super) struct WayBack<'a> {
    /// The text itself: a part of a character may have been replaced, and no place is inside of one.
    text: Option<&'a str>,
    /// In the order of the text.
    steps: Vec<Step>,
}

/// Something that was inserted.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Where it begins in the repaired text.
    start: usize,
    length: usize,
    /// How much was inserted before it.
    before: usize,
}

impl WayBack<'_> {
    pub(super) fn original(&self, at: usize) -> usize {
        // Every place of a tree is asked for, and a text can have as many insertions.
        let index = self.steps.partition_point(|step| step.start + step.length <= at);
        let original = match (self.steps.get(index), index.checked_sub(1).map(|last| self.steps[last])) {
            (Some(next), _) => at.min(next.start) - next.before,
            (None, Some(last)) => at - last.before - last.length,
            (None, None) => at,
        };
        self.text.map_or(original, |text| text.floor_char_boundary(original))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let mut patch = Patch::new("ab cd ef");
        assert_eq!(patch.text(), "ab cd ef");
        patch.insert(5, "\"");
        patch.insert(3, "\"");
        patch.insert(8, "}");
        patch.name(0..2);
        assert_eq!(patch.text(), "__ \"cd\" ef}");
        let back = patch.way_back();
        let places: Vec<usize> = (0..=11).map(|at| back.original(at)).collect();
        assert_eq!(places, [0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 8]);
    }
}
