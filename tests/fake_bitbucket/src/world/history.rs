//! Turns a recipe into a fast-import stream.

use std::io::{self, Write};

use super::numbers::Numbers;
use super::recipe::{Bulk, PullRequest, Recipe, TagOf};
use super::stream::{Change, Mark, Stream};

/// How many bulk blobs one commit adds.
const BLOBS_PER_COMMIT: usize = 250;

/// Writes everything but the tags of trees, which fast-import cannot make.
pub(super) fn write(recipe: &Recipe, out: &mut dyn Write) -> io::Result<()> {
    let mut history = History {
        recipe,
        stream: Stream::new(out, 0),
        branch: format!("refs/heads/{}", recipe.default_branch).into_bytes(),
    };
    history.all()
}

/// The name of the tag inside a nested tag; its reference does not outlive the import.
pub(super) fn inner_name(name: &[u8]) -> Vec<u8> {
    [b"inside-".as_slice(), name].concat()
}

/// The bytes of a text file: fixed lines, one of which depends on the version.
pub(super) fn text(seed: u64, file: u64, version: u64, size: usize) -> Vec<u8> {
    let lines = (size / 43).max(1) as u64;
    let mut text = Vec::with_capacity(size + 64);
    for line in 0..lines {
        let changed = version > 0 && version % lines == line;
        let part = if changed { version } else { 0 };
        let line = Numbers::of(&[seed, file, line, part]).line();
        text.extend_from_slice(line.as_bytes());
    }
    text
}

struct History<'a> {
    recipe: &'a Recipe,
    stream: Stream<'a>,
    branch: Vec<u8>,
}

impl History<'_> {
    fn all(&mut self) -> io::Result<()> {
        let mut tip = self.first_commit()?;
        for number in 1..self.recipe.commits {
            tip = self.next_commit(number, tip)?;
        }
        for number in 0..self.recipe.merges {
            tip = self.merge(number, tip)?;
        }
        if let Some(bulk) = self.recipe.bulk {
            tip = self.bulk(bulk, tip)?;
        }
        for (number, name) in self.recipe.references.iter().enumerate() {
            let change = self.small_file("reference", number);
            self.stream.commit(name, "Point here\n", &[tip], &[change])?;
        }
        for pull_request in &self.recipe.pull_requests {
            self.pull_request(*pull_request, tip)?;
        }
        self.tags(tip)
    }

    fn first_commit(&mut self) -> io::Result<Mark> {
        let recipe = self.recipe;
        let mut changes: Vec<Change> = (0..recipe.files).map(|file| self.file(file, 0)).collect();
        if recipe.binary {
            let mut numbers = Numbers::of(&[recipe.seed, 77]);
            changes.push(Change::File("logo.bin".into(), numbers.bytes(3000)));
            changes.push(Change::File("zeros.bin".into(), vec![0; 5000]));
            changes.push(Change::File("empty".into(), Vec::new()));
        }
        if recipe.special_files {
            let script = b"#!/bin/sh\nexit 0\n".to_vec();
            changes.push(Change::Executable("bin/run".into(), script));
            changes.push(Change::Link("link".into(), "src/file-0000.txt".into()));
            changes.push(Change::Link("dangling".into(), "/nowhere/at all".into()));
            let name = "doc/\u{fc}ber uns \u{65e5}\u{672c}.md";
            changes.push(Change::File(name.into(), b"# Title\n".to_vec()));
        }
        self.stream.commit(&self.branch, "First commit\n", &[], &changes)
    }

    fn next_commit(&mut self, number: usize, tip: Mark) -> io::Result<Mark> {
        let change = self.file(number % self.recipe.files, number as u64);
        let message = format!("Change {number}\n\nWith a body.\n");
        self.stream.commit(&self.branch, &message, &[tip], &[change])
    }

    fn merge(&mut self, number: usize, tip: Mark) -> io::Result<Mark> {
        let side = self.small_file("side", number);
        let own = self.small_file("main", number);
        let branch = self.branch.clone();
        let left = self.stream.commit(&branch, "On the branch\n", &[tip], &[own])?;
        let right = self.stream.commit(&branch, "On the side\n", &[tip], std::slice::from_ref(&side))?;
        self.stream.commit(&branch, "Merge\n", &[left, right], &[side])
    }

    fn bulk(&mut self, bulk: Bulk, mut tip: Mark) -> io::Result<Mark> {
        let mut numbers = Numbers::of(&[self.recipe.seed, 4242]);
        let size = usize::try_from(bulk.bytes / bulk.blobs.max(1) as u64).unwrap_or(usize::MAX);
        let mut changes = Vec::with_capacity(BLOBS_PER_COMMIT);
        for number in 0..bulk.blobs {
            let blob = self.stream.blob(&numbers.bytes(size.max(8)))?;
            let folder = number / BLOBS_PER_COMMIT;
            changes.push(Change::Blob(format!("bulk/{folder:05}/{number:07}"), blob));
            if changes.len() == BLOBS_PER_COMMIT || number + 1 == bulk.blobs {
                let changes = std::mem::take(&mut changes);
                tip = self.stream.commit(&self.branch, "More data\n", &[tip], &changes)?;
            }
        }
        Ok(tip)
    }

    fn pull_request(&mut self, pull_request: PullRequest, tip: Mark) -> io::Result<()> {
        let number = pull_request.number;
        let change = self.small_file("pull-request", number as usize);
        let from = format!("refs/pull-requests/{number}/from").into_bytes();
        let change_again = self.small_file("pull-request", number as usize);
        let source = self.stream.commit(&from, "Proposed\n", &[tip], &[change])?;
        if pull_request.merge {
            let merge = format!("refs/pull-requests/{number}/merge").into_bytes();
            self.stream.commit(&merge, "Automatic merge\n", &[tip, source], &[change_again])?;
        }
        Ok(())
    }

    fn tags(&mut self, tip: Mark) -> io::Result<()> {
        for (target, name) in &self.recipe.tags {
            match target {
                TagOf::Commit => self.stream.tag(name, tip)?,
                TagOf::Blob => {
                    let blob = self.stream.blob(&[b"blob of ", name.as_slice()].concat())?;
                    self.stream.tag(name, blob)?
                }
                TagOf::Tag => {
                    let inner = self.stream.tag(&inner_name(name), tip)?;
                    self.stream.tag(name, inner)?
                }
                TagOf::Tree => continue,
            };
        }
        self.stream.reset(&self.branch, tip)
    }

    fn file(&self, file: usize, version: u64) -> Change {
        let recipe = self.recipe;
        let text = text(recipe.seed, file as u64, version, recipe.file_size);
        Change::File(format!("src/file-{file:04}.txt"), text)
    }

    fn small_file(&self, kind: &str, number: usize) -> Change {
        let seed = self.recipe.seed;
        let text = text(seed, 1_000_000 + number as u64, kind.len() as u64, 86);
        Change::File(format!("{kind}/{number}.txt"), text)
    }
}
