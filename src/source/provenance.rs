//! Which commit the files of a declaration say the same as.
//!
//! What was read is compared with what is committed: a file that was edited since is nobody's commit, and neither is one
//! that an editor has not saved.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryOpenFlags};

use super::commits::{Descent, descent};
use super::{HistoryError, SourceText, SourceTree, WorkTree};

/// Where files come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Provenance {
    /// Every one of them is as it is in this commit.
    Commit(AtCommit),
    /// This file is not committed as it is.
    Edited {
        /// The file.
        file: String,
    },
    /// There is no history.
    #[default]
    Loose,
    /// It cannot be told.
    Unknown {
        /// Why not, on one line.
        why: String,
    },
}

/// A commit in a repository of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtCommit {
    /// The directory that git keeps the repository in.
    repository: PathBuf,
    /// The commit, in hexadecimal.
    commit: String,
}

impl Provenance {
    /// Where the files of a tree come from: the commit that they were read out of, or the one that is checked out around
    /// them, if they say the same.
    pub fn of(tree: &SourceTree) -> Self {
        if let Some(commit) = tree.commit() {
            return Self::Commit(commit.clone());
        }
        Self::find(tree).unwrap_or_else(|why| Self::Unknown { why })
    }

    /// The commit, if there is one.
    pub fn commit(&self) -> Option<&str> {
        match self {
            Self::Commit(at) => Some(at.commit()),
            Self::Edited { .. } | Self::Loose | Self::Unknown { .. } => None,
        }
    }

    fn find(tree: &SourceTree) -> Result<Self, String> {
        let Some(work_tree) = WorkTree::around(&tree.main().path).map_err(|error| error.to_string())? else {
            return Ok(Self::Loose);
        };
        let words = |error: git2::Error| error.message().to_owned();
        let repository = open(&work_tree.root).map_err(words)?;
        let edited = |file: &SourceText| Ok(Self::Edited { file: file.name.clone() });
        let head = match repository.head() {
            Ok(head) => head.peel_to_commit().map_err(words)?,
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                return edited(tree.main());
            }
            Err(error) => return Err(words(error)),
        };
        let committed = head.tree().map_err(words)?;
        for file in tree.texts() {
            if !says_the_same(&repository, &committed, &work_tree.root, file) {
                return edited(file);
            }
        }
        Ok(Self::Commit(AtCommit::new(repository.path(), head.id())))
    }
}

impl AtCommit {
    pub(super) fn new(repository: &Path, commit: Oid) -> Self {
        Self { repository: repository.to_owned(), commit: commit.to_string() }
    }

    /// The commit, in hexadecimal.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// How it stands to an `earlier` commit, by its hexadecimal number.
    pub fn since(&self, earlier: &str) -> Result<Descent, HistoryError> {
        let failed = |source| HistoryError { repository: self.repository.clone(), source: Box::new(source) };
        let found = || descent(&open(&self.repository)?, Oid::from_str(earlier)?, Oid::from_str(&self.commit)?);
        found().map_err(failed)
    }
}

/// Opens the repository at a place, and none above it.
fn open(place: &Path) -> Result<Repository, git2::Error> {
    Repository::open_ext(place, RepositoryOpenFlags::NO_SEARCH, std::iter::empty::<&Path>())
}

/// Whether a commit has the file as it was read. The path without links is the one that git knows.
fn says_the_same(repository: &Repository, committed: &git2::Tree<'_>, root: &Path, file: &SourceText) -> bool {
    let Ok(real) = file.path.canonicalize() else { return false };
    let Ok(path) = real.strip_prefix(root) else { return false };
    let Ok(entry) = committed.get_path(path) else { return false };
    if entry.kind() != Some(ObjectType::Blob) {
        return false;
    }
    repository.find_blob(entry.id()).is_ok_and(|blob| blob.content() == file.text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::commits::tests::{commit, repository};
    use super::super::read_tree;
    use super::*;

    fn provenance(folder: &Path) -> Provenance {
        Provenance::of(&read_tree(&folder.join("xopero.kdl")).unwrap())
    }

    #[test]
    fn a_file_is_of_the_commit_that_it_says_the_same_as() {
        let (folder, repository) = repository();
        let file = folder.path().join("xopero.kdl");
        fs::write(&file, "// one\n").unwrap();
        let edited = Provenance::Edited { file: file.display().to_string() };
        assert_eq!(provenance(folder.path()), edited, "nothing is committed");

        let first = commit(&repository, ("xopero.kdl", "// one\n"), "first", &[]);
        repository.set_head_detached(first).unwrap();
        let found = provenance(folder.path());
        assert_eq!(found.commit(), Some(first.to_string().as_str()));
        let second = commit(&repository, ("xopero.kdl", "// two\n"), "second", &[first]);
        repository.set_head_detached(second).unwrap();
        assert_eq!(provenance(folder.path()), edited);
        fs::write(&file, "// two\n").unwrap();
        let Provenance::Commit(at) = provenance(folder.path()) else { panic!() };
        let Descent::Forward { commits, more: false } = at.since(&first.to_string()).unwrap() else { panic!() };
        assert_eq!(commits.iter().map(|commit| commit.message.as_str()).collect::<Vec<_>>(), ["second"]);
        assert!(at.since("nonsense").is_err());
    }

    #[test]
    fn what_a_file_names_counts_with_it() {
        let (folder, repository) = repository();
        let text = "include \"teams.kdl\"\n";
        fs::write(folder.path().join("xopero.kdl"), text).unwrap();
        fs::write(folder.path().join("teams.kdl"), "// teams\n").unwrap();
        let first = commit(&repository, ("xopero.kdl", text), "first", &[]);
        repository.set_head_detached(first).unwrap();
        let file = folder.path().join("teams.kdl").display().to_string();
        assert_eq!(provenance(folder.path()), Provenance::Edited { file });
    }

    #[test]
    fn without_a_repository_there_is_no_history() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("xopero.kdl"), "").unwrap();
        assert_eq!(provenance(folder.path()), Provenance::Loose);
        fs::create_dir(folder.path().join(".git")).unwrap();
        assert!(matches!(provenance(folder.path()), Provenance::Unknown { .. }), "an empty directory is no repository");
    }
}
