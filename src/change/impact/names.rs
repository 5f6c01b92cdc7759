//! A list of names that stays short however many there are.

use std::fmt;

use serde::Serialize;

use crate::model::RepoSlug;

/// Names that are told.
const TOLD: usize = 5;

/// The first few of many names, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Names {
    /// The first ones.
    pub told: Vec<RepoSlug>,
    /// How many there are.
    pub total: usize,
}

impl Names {
    pub(in crate::change) fn of(names: impl IntoIterator<Item = RepoSlug>) -> Self {
        let mut all: Vec<RepoSlug> = names.into_iter().collect();
        let total = all.len();
        all.sort();
        all.truncate(TOLD);
        Self { told: all, total }
    }

    /// Both together.
    pub(in crate::change) fn and(self, other: Self) -> Self {
        let total = self.total + other.total;
        Self { total, ..Self::of(self.told.into_iter().chain(other.told)) }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<&str> = self.told.iter().map(RepoSlug::as_str).collect();
        f.write_str(&told.join(", "))?;
        match self.total - told.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_counted() {
        let names = |count: usize| Names::of((0..count).rev().map(|n| format!("repo-{n:02}").parse().unwrap()));
        assert_eq!(names(2).to_string(), "repo-00, repo-01");
        assert_eq!(names(7).to_string(), "repo-00, repo-01, repo-02, repo-03, repo-04 and 2 more");
        assert_eq!(names(3).and(names(4)).total, 7);
    }
}
