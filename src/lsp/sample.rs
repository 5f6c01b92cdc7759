//! Texts with a mark, for tests.

use jiff::Timestamp;

use super::names::Names;
use crate::config::{SourceFile, Sources};

/// A declaration with one of each.
pub(super) const DECLARATION: &str = r#"xopero schema=1
server "bb" {
    url "https://bb.example.com"
}
destination "nas" {
    local "/srv/backup"
}
retention "gfs" {
    keep last=3 daily=14
}
project "PAY" server="bb" {
    credential account="svc" {
    }
    additional-credential "extra-1" account="svc-1" {
        expires "2027-03-01"
    }
    additional-credential "spare" account="svc-2" {
    }
}
project "OPS" server="bb" {
    additional-credential "ops-1" account="svc-3" {
    }
}
plan "nightly" {
    project "PAY" {
        enable-credentials "extra-1"
    }
    parts "git"
    destination "nas"
    retention "gfs"
    schedule "30 1 * * *" tz="Europe/Warsaw"
}
"#;

/// The time of the tests.
pub(super) fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// The text without its `|`, and where it was.
pub(super) fn marked(text: &str) -> (Names, usize) {
    let offset = text.find('|').expect("the place is marked with |");
    (names(&text.replacen('|', "", 1)), offset)
}

/// The names of a text.
pub(super) fn names(text: &str) -> Names {
    Names::of(&Sources::alone(SourceFile { name: "xopero.kdl".into(), text: text.into() }))
}
