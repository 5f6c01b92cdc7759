//! Reading a branch once: at the server, or what a watch has fetched.

use std::path::Path;
use std::sync::Arc;

use git2::Oid;

use super::commit::{Rewinds, Verdict, declaration};
use super::looker::{Looker, Question};
use super::objects::Objects;
use super::{BranchError, BranchSettings, ReadError};
use crate::git::Remote;
use crate::http::Authorization;
use crate::source::{AtCommit, Flaw, Snapshot, SourceTree};

/// Reads what a branch says. What is fetched stays in the directory `place` for as long as its history matters.
///
/// The same signatures are demanded as from a branch that is followed. A tip that does not come from the `applied`
/// commit is given: whoever asked is told, and decides.
pub async fn read_branch(
    remote: Remote,
    authorization: Authorization,
    settings: BranchSettings,
    place: &Path,
    applied: Option<String>,
) -> Result<Snapshot, ReadError> {
    let looker = Box::new(Looker::new(remote, authorization, Arc::new(settings), place));
    let question = Question { applied, told: None, rewinds: Rewinds::Given };
    let (_looker, looked) = looker.begin(question).await;
    match looked? {
        Some((_, Verdict::Good(tree, tip))) => Ok(Snapshot { tree: *tree, tip: Some(tip) }),
        Some((_, Verdict::Flawed(Flaw { path, reason }))) => Err(ReadError::Flawed { path, reason }),
        Some((_, Verdict::Unsigned(commit, why))) => Err(ReadError::Unsigned { commit, why }),
        // All of the history that the server has was looked at.
        Some((tip, Verdict::Rewound | Verdict::MoreHistory)) => {
            Err(BranchError::CutOff { commit: tip.to_string() }.into())
        }
        None => unreachable!("a tip that nobody was told is always news"),
    }
}

/// Reads again what a watch has read: the file at `path` in a `commit` that it fetched into the directory `place`.
pub fn read_fetched(place: &Path, commit: &str, path: &str) -> Result<SourceTree, ReadError> {
    let unreadable = |error: git2::Error| BranchError::Objects { commit: commit.to_owned(), source: error.into() };
    let read = || {
        let (repository, id) = (Objects::new(place).open()?, Oid::from_str(commit)?);
        let found = declaration(&repository, id, path)?;
        Ok(found.map(|tree| tree.of_commit(AtCommit::new(repository.path(), id))))
    };
    match read().map_err(unreadable)? {
        Ok(tree) => Ok(tree),
        Err(Flaw { path, reason }) => Err(ReadError::Flawed { path, reason }),
    }
}
