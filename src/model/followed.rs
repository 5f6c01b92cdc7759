//! A branch that a state follows: where it is, and what was read of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Applied, Generation};

/// A file in a branch of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedBranch {
    /// The repository's address.
    pub repository: String,
    /// The branch's full name.
    pub branch: String,
    /// The path of the file from the root of the tree.
    pub path: String,
}

/// A commit of the branch that was taken for what the branch says: it came from the one in force, was signed as
/// demanded, and had all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedCommit {
    /// Its number, in hexadecimal.
    pub commit: String,
    /// Who wrote it, by its own words.
    pub author: String,
    /// When it was made, by its own words.
    pub committed_at: Timestamp,
    /// Whose key signed it, if signatures are demanded.
    pub signed_by: Option<String>,
    /// When it was read.
    pub read_at: Timestamp,
}

/// What a state remembers of the branch that it follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// Where it is.
    pub at: FollowedBranch,
    /// What it says, whether that is in force or not.
    pub tip: Option<FollowedCommit>,
    /// The newest commit that was found to say what this generation says.
    pub in_force: Option<(Generation, String)>,
}

impl Followed {
    /// Nothing was read yet.
    pub const fn new(at: FollowedBranch) -> Self {
        Self { at, tip: None, in_force: None }
    }

    /// The commit that what comes next must come from: the newest that says what is in force. Commits that change
    /// nothing make no generation, and must not be forgotten for that.
    pub fn base<'a>(&'a self, applied: &'a Applied) -> Option<&'a str> {
        match &self.in_force {
            Some((generation, commit)) if *generation == applied.generation => Some(commit),
            Some(_) | None => applied.source.commit.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;

    #[test]
    fn a_commit_that_changes_nothing_is_the_base_until_there_is_another_generation() {
        let mut applied = sample::applied(sample::declaration());
        applied.source.commit = Some("aa".into());
        let at = FollowedBranch { repository: "r".into(), branch: "b".into(), path: "p".into() };
        let mut followed = Followed::new(at);
        assert_eq!(followed.base(&applied), Some("aa"));
        followed.in_force = Some((applied.generation, "bb".into()));
        assert_eq!(followed.base(&applied), Some("bb"));
        applied.generation = Generation::after(Some(applied.generation));
        assert_eq!(followed.base(&applied), Some("aa"));
    }
}
