//! Stock git as the judge: is this bare repository the same as that one?
//!
//! [`compare`] looks at HEAD, at every reference and at every object that can be reached. [`Judge`] does the same
//! with exceptions, for a copy that leaves something out on purpose.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::stock_git::{git_in, output, run};

/// How many differences are written out.
const SHOWN: usize = 20;

/// A reference and the id of the object it points at, not peeled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The full name, as bytes.
    pub name: Vec<u8>,
    /// The object id in hexadecimal.
    pub oid: String,
}

impl Reference {
    /// The name for reading, with odd characters escaped.
    #[must_use]
    pub fn readable(&self) -> String {
        self.name.escape_ascii().to_string()
    }
}

/// Where HEAD points.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Head {
    /// At a reference by its full name, which may not exist.
    Symbolic(String),
    /// At an object id.
    Detached(String),
}

/// How a copy differs from its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    lines: Vec<String>,
}

impl Differences {
    /// One line per difference.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} differences", self.lines.len())?;
        for line in self.lines.iter().take(SHOWN) {
            writeln!(f, "  {line}")?;
        }
        match self.lines.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

impl std::error::Error for Differences {}

/// Compares HEAD, references and reachable objects of two bare repositories.
///
/// # Errors
/// The differences, when there are any.
pub fn compare(source: &Path, copy: &Path) -> Result<(), Differences> {
    Judge::new().compare(source, copy)
}

/// A comparison with exceptions.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    ignored: Vec<(Vec<u8>, Vec<u8>)>,
    without_head: bool,
}

impl Judge {
    /// No exceptions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves references out whose name begins with `prefix` and ends with `suffix`, on both sides.
    #[must_use]
    pub fn ignore(mut self, prefix: impl AsRef<[u8]>, suffix: impl AsRef<[u8]>) -> Self {
        let pattern = (prefix.as_ref().to_vec(), suffix.as_ref().to_vec());
        self.ignored.push(pattern);
        self
    }

    /// Does not look at HEAD.
    #[must_use]
    pub fn without_head(mut self) -> Self {
        self.without_head = true;
        self
    }

    /// Compares two bare repositories.
    ///
    /// # Errors
    /// The differences, when there are any.
    pub fn compare(&self, source: &Path, copy: &Path) -> Result<(), Differences> {
        let mut lines = Vec::new();
        if !self.without_head {
            let (expected, found) = (head(source), head(copy));
            if expected != found {
                lines.push(format!("HEAD: expected {expected:?}, found {found:?}"));
            }
        }
        let (expected, found) = (self.references(source), self.references(copy));
        let readable = |r: &Reference| format!("reference {} {}", r.oid, r.readable());
        difference(&expected, &found, readable, &mut lines);
        let objects = |path: &Path, references: &BTreeSet<Reference>| {
            let tips = references.iter().map(|r| r.oid.clone()).collect();
            reachable_from(path, &tips)
        };
        let expected = objects(source, &expected);
        let found = objects(copy, &found);
        let readable = |oid: &String| format!("object {oid}");
        difference(&expected, &found, readable, &mut lines);
        if lines.is_empty() { Ok(()) } else { Err(Differences { lines }) }
    }

    fn references(&self, path: &Path) -> BTreeSet<Reference> {
        let ignored = |name: &[u8]| {
            self.ignored.iter().any(|(prefix, suffix)| name.starts_with(prefix) && name.ends_with(suffix))
        };
        let mut references: BTreeSet<Reference> = references(path).into_iter().collect();
        references.retain(|reference| !ignored(&reference.name));
        references
    }
}

/// Every reference, in the order of names: `git for-each-ref`.
#[must_use]
pub fn references(path: &Path) -> Vec<Reference> {
    let listing = run(git_in(path).args(["for-each-ref", "--format=%(objectname) %(refname)"]));
    let lines = listing.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let space = line.iter().position(|byte| *byte == b' ')?;
            Some(Reference {
                name: line[space + 1..].to_vec(),
                oid: String::from_utf8_lossy(&line[..space]).into_owned(),
            })
        })
        .collect()
}

/// Where HEAD points: `git symbolic-ref HEAD`, or the id when it is detached.
#[must_use]
pub fn head(path: &Path) -> Head {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let symbolic = output(git_in(path).args(["symbolic-ref", "--quiet", "HEAD"]));
    if symbolic.status.success() {
        return Head::Symbolic(text(&symbolic.stdout));
    }
    Head::Detached(text(&run(git_in(path).args(["rev-parse", "HEAD"]))))
}

/// The ids of all objects that references and HEAD reach: `git rev-list --objects --all`.
#[must_use]
pub fn reachable_objects(path: &Path) -> BTreeSet<String> {
    ids(&run(git_in(path).args(["rev-list", "--objects", "--no-object-names", "--all"])))
}

/// Every object in the store, reachable or not, as `<oid> <type> <size>`.
#[must_use]
pub fn all_objects(path: &Path) -> BTreeSet<String> {
    let listing = run(git_in(path).args(["cat-file", "--batch-all-objects", "--batch-check"]));
    let text = String::from_utf8_lossy(&listing);
    text.lines().map(str::to_owned).collect()
}

/// Checks every object and link: `git fsck --full --strict`.
///
/// # Errors
/// What git complains about.
pub fn fsck(path: &Path) -> Result<(), String> {
    let output = output(git_in(path).args(["fsck", "--full", "--strict", "--no-dangling"]));
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&text).into_owned())
}

fn reachable_from(path: &Path, tips: &BTreeSet<String>) -> BTreeSet<String> {
    if tips.is_empty() {
        return BTreeSet::new();
    }
    let list = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let text: String = tips.iter().map(|tip| format!("{tip}\n")).collect();
    std::fs::write(list.path(), text).expect("the temporary file can be written");
    let input = std::fs::File::open(list.path()).expect("the temporary file is there");
    let mut command = git_in(path);
    command.args(["rev-list", "--objects", "--no-object-names", "--stdin"]);
    let output = command.stdin(input).output().expect("git can be started");
    assert!(
        output.status.success(),
        "git rev-list failed in {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    ids(&output.stdout)
}

fn ids(listing: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(listing);
    text.lines().map(str::to_owned).collect()
}

fn difference<T: Ord>(
    expected: &BTreeSet<T>,
    found: &BTreeSet<T>,
    readable: impl Fn(&T) -> String,
    lines: &mut Vec<String>,
) {
    let missing = expected.difference(found);
    lines.extend(missing.map(|item| format!("missing {}", readable(item))));
    let extra = found.difference(expected);
    lines.extend(extra.map(|item| format!("unexpected {}", readable(item))));
}
