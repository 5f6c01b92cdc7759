//! Writes the stream that `git fast-import` reads.

use std::io::{self, Write};

/// 2023-11-14: the date of the first commit, in seconds.
const FIRST_DATE: u64 = 1_700_000_000;

/// The number by which a stream calls an object it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u64);

/// What a commit does to one path.
pub(super) enum Change {
    /// A plain file with these bytes.
    File(String, Vec<u8>),
    /// A file that may be run.
    Executable(String, Vec<u8>),
    /// A link to another path.
    Link(String, String),
    /// A plain file that is a blob made before.
    Blob(String, Mark),
}

/// A fast-import stream under construction; dates advance by a minute per object.
pub(super) struct Stream<'w> {
    out: &'w mut dyn Write,
    last: u64,
    clock: u64,
}

impl<'w> Stream<'w> {
    /// Starts a stream; `offset` minutes keep later streams apart from earlier ones.
    pub(super) fn new(out: &'w mut dyn Write, offset: u64) -> Self {
        let clock = FIRST_DATE + offset * 60;
        Self { out, last: 0, clock }
    }

    pub(super) fn blob(&mut self, bytes: &[u8]) -> io::Result<Mark> {
        let mark = self.next();
        writeln!(self.out, "blob\nmark :{}", mark.0)?;
        self.data(bytes)?;
        Ok(mark)
    }

    /// A commit on top of the first parent; the other parents are merged.
    pub(super) fn commit(
        &mut self,
        reference: &[u8],
        message: &str,
        parents: &[Mark],
        changes: &[Change],
    ) -> io::Result<Mark> {
        if parents.is_empty() {
            self.out.write_all(b"reset ")?;
            self.out.write_all(reference)?;
            self.out.write_all(b"\n\n")?;
        }
        let mark = self.open_commit(reference, message)?;
        for (index, parent) in parents.iter().enumerate() {
            let word = if index == 0 { "from" } else { "merge" };
            writeln!(self.out, "{word} :{}", parent.0)?;
        }
        self.changes(changes)?;
        Ok(mark)
    }

    /// A commit on top of what the repository has already, for changes after the recipe.
    pub(super) fn commit_onto(
        &mut self,
        reference: &[u8],
        message: &str,
        parent: Option<&str>,
        changes: &[Change],
    ) -> io::Result<()> {
        self.open_commit(reference, message)?;
        if let Some(parent) = parent {
            writeln!(self.out, "from {parent}")?;
        }
        self.changes(changes)
    }

    /// An annotated tag of anything that has a mark: a commit, a blob, another tag.
    pub(super) fn tag(&mut self, name: &[u8], target: Mark) -> io::Result<Mark> {
        let mark = self.next();
        self.clock += 60;
        self.out.write_all(b"tag ")?;
        self.out.write_all(name)?;
        writeln!(self.out, "\nmark :{}\nfrom :{}", mark.0, target.0)?;
        writeln!(self.out, "tagger Tagger <tagger@example.com> {} +0100", self.clock)?;
        self.data(b"A tag with a message\n")?;
        Ok(mark)
    }

    /// Lets a reference point at a commit.
    pub(super) fn reset(&mut self, reference: &[u8], target: Mark) -> io::Result<()> {
        self.out.write_all(b"reset ")?;
        self.out.write_all(reference)?;
        writeln!(self.out, "\nfrom :{}\n", target.0)
    }

    fn open_commit(&mut self, reference: &[u8], message: &str) -> io::Result<Mark> {
        let mark = self.next();
        self.clock += 60;
        self.out.write_all(b"commit ")?;
        self.out.write_all(reference)?;
        writeln!(self.out, "\nmark :{}", mark.0)?;
        for role in ["author", "committer"] {
            writeln!(self.out, "{role} J\u{f6}rg Example <joerg@example.com> {} +0200", self.clock)?;
        }
        self.data(message.as_bytes())?;
        Ok(mark)
    }

    fn changes(&mut self, changes: &[Change]) -> io::Result<()> {
        for change in changes {
            let (mode, path, bytes) = match change {
                Change::File(path, bytes) => ("100644", path, bytes.as_slice()),
                Change::Executable(path, bytes) => ("100755", path, bytes.as_slice()),
                Change::Link(path, target) => ("120000", path, target.as_bytes()),
                Change::Blob(path, mark) => {
                    writeln!(self.out, "M 100644 :{} {path}", mark.0)?;
                    continue;
                }
            };
            writeln!(self.out, "M {mode} inline {path}")?;
            self.data(bytes)?;
        }
        self.out.write_all(b"\n")
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        writeln!(self.out, "data {}", bytes.len())?;
        self.out.write_all(bytes)?;
        self.out.write_all(b"\n")
    }

    fn next(&mut self) -> Mark {
        self.last += 1;
        Mark(self.last)
    }
}
