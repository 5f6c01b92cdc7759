//! The applied state: the declaration that is in force, and the identities its parts were given.

use std::collections::BTreeMap;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{Lineage, Uid};
use super::{Address, Declaration};

/// The number of an applied state: 1 for the first, one more for each that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation that follows `previous`.
    pub fn after(previous: Option<Self>) -> Self {
        Self(previous.map_or(1, |generation| generation.0.saturating_add(1)))
    }
}

impl FromStr for Generation {
    type Err = ParseIntError;
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Digits of a source's digest that people are shown.
const SHOWN_DIGITS: usize = 8;

/// Where a declaration was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file, as it was named.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The files that it names, in the order of their paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileDigest>,
    /// The commit in which all of them are as they were read, in hexadecimal, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// A file that the main one names, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Its path, relative to the directory of the main file.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl Source {
    /// The beginning of the digest: tells two sources apart.
    pub fn short(&self) -> &str {
        self.sha256.get(..SHOWN_DIGITS).unwrap_or(&self.sha256)
    }
}

/// A commit that allowed something which needs an approval.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AllowedBy {
    /// The commit, in hexadecimal.
    pub commit: String,
    /// What it allowed, such as `retire plan/old-weekly`.
    pub allows: String,
}

/// One generation. Immutable once recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The state it belongs to.
    pub lineage: Lineage,
    /// Its number.
    pub generation: Generation,
    /// What is in force.
    pub declaration: Declaration,
    /// Identities of servers and plans, minted when they were applied for the first time.
    pub uids: BTreeMap<Address, Uid>,
    /// Where the declaration came from.
    pub source: Source,
    /// The change set that led here.
    pub plan_id: String,
    /// Who applied it: `user@host`.
    pub applied_by: String,
    /// When.
    pub applied_at: Timestamp,
    /// The earlier generation whose declaration this is, if it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<Generation>,
    /// What was guarded in it and allowed by commits, not by whoever applied it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<AllowedBy>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_of_one_file_reads_as_it_was_written() {
        let text = r#"{"file":"xopero.kdl","sha256":"00"}"#;
        let source: Source = serde_json::from_str(text).unwrap();
        assert!(source.files.is_empty());
        assert_eq!(serde_json::to_string(&source).unwrap(), text);
    }
}
