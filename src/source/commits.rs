//! What lies between two commits of a repository: whether the later one comes from the earlier one, and what the commits
//! since then say.

use git2::{ErrorCode, Oid, Repository, Sort};

/// The most commits whose messages are read: the newest ones.
pub const MOST_COMMITS: usize = 1000;

/// A longer message is not read: nobody wrote it by hand.
const LONGEST_MESSAGE: usize = 64 << 10;

/// Digits of a commit that people are shown.
const SHOWN_DIGITS: usize = 8;

/// A commit, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitMessage {
    /// Its number, in hexadecimal.
    pub commit: String,
    /// Its message. What is not text in it is replaced.
    pub message: String,
}

/// How a commit stands to an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descent {
    /// It comes from it.
    Forward {
        /// The commits since then on all lines that were merged, newest first, at most [`MOST_COMMITS`].
        commits: Vec<CommitMessage>,
        /// Whether there are more of them.
        more: bool,
    },
    /// It does not come from it: the branch was set back, or its history was written anew.
    Rewound,
    /// The repository does not have the history that would tell.
    Shallow,
}

/// The beginning of a commit's number, which people are shown.
pub fn short_commit(commit: &str) -> &str {
    commit.get(..SHOWN_DIGITS).unwrap_or(commit)
}

/// Follows the history of `to` back to `from`.
///
/// All parents count: a pull request that was merged has its messages on the other line, and everything that can be
/// reached from `from` came before it, however late it was merged elsewhere.
pub(super) fn descent(repository: &Repository, from: Oid, to: Oid) -> Result<Descent, git2::Error> {
    if from == to {
        return Ok(Descent::Forward { commits: Vec::new(), more: false });
    }
    let is_known = match repository.find_commit(from) {
        Ok(_) => true,
        Err(error) if error.code() == ErrorCode::NotFound => false,
        Err(error) => return Err(error),
    };
    if !is_known || !repository.graph_descendant_of(to, from)? {
        return Ok(if repository.is_shallow() { Descent::Shallow } else { Descent::Rewound });
    }
    let mut walk = repository.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::TIME)?;
    walk.push(to)?;
    walk.hide(from)?;
    let mut commits = Vec::new();
    for id in walk {
        if commits.len() == MOST_COMMITS {
            return Ok(Descent::Forward { commits, more: true });
        }
        let commit = repository.find_commit(id?)?;
        let message = Some(commit.message_bytes()).filter(|message| message.len() <= LONGEST_MESSAGE);
        let message = String::from_utf8_lossy(message.unwrap_or_default()).into_owned();
        commits.push(CommitMessage { commit: commit.id().to_string(), message });
    }
    Ok(Descent::Forward { commits, more: false })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An empty repository in a folder that goes away with it.
    pub(in crate::source) fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init(folder.path()).unwrap();
        (folder, repository)
    }

    /// A path of a tree.
    pub(in crate::source) fn entry(path: &str, id: Oid, mode: u32) -> git2::IndexEntry {
        git2::IndexEntry {
            ctime: git2::IndexTime::new(0, 0),
            mtime: git2::IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode,
            uid: 0,
            gid: 0,
            file_size: 0,
            id,
            flags: 0,
            flags_extended: 0,
            path: path.as_bytes().to_owned(),
        }
    }

    /// A commit of one file.
    pub(in crate::source) fn commit(
        repository: &Repository,
        (path, text): (&str, &str),
        message: &str,
        parents: &[Oid],
    ) -> Oid {
        let mut index = git2::Index::new().unwrap();
        repository.set_index(&mut index).unwrap();
        index.add(&entry(path, repository.blob(text.as_bytes()).unwrap(), 0o100_644)).unwrap();
        let tree = repository.find_tree(index.write_tree_to(repository).unwrap()).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let time = git2::Time::new(1_700_000_000 + i64::try_from(parents.len()).unwrap(), 0);
        let who = git2::Signature::new("Ada", "ada@example.com", &time).unwrap();
        repository.commit(None, &who, &who, message, &tree, &parents).unwrap()
    }

    fn messages(repository: &Repository, from: Oid, to: Oid) -> Vec<String> {
        let Descent::Forward { commits, more: false } = descent(repository, from, to).unwrap() else {
            panic!("no way")
        };
        let mut messages: Vec<String> = commits.into_iter().map(|commit| commit.message).collect();
        messages.sort();
        messages
    }

    #[test]
    fn what_was_merged_since_counts_and_what_was_there_before_does_not() {
        let (_folder, repository) = repository();
        let file = ("xopero.kdl", "x");
        let first = commit(&repository, file, "first", &[]);
        let applied = commit(&repository, file, "applied", &[first]);
        let branch = commit(&repository, file, "branch", &[first]);
        let merge = commit(&repository, file, "merge", &[applied, branch]);
        assert_eq!(messages(&repository, applied, merge), ["branch", "merge"]);
        assert_eq!(messages(&repository, merge, merge), [""; 0]);
        assert_eq!(descent(&repository, merge, applied).unwrap(), Descent::Rewound);
        assert_eq!(descent(&repository, applied, branch).unwrap(), Descent::Rewound, "side by side");
    }

    #[test]
    fn a_commit_that_is_gone_is_a_history_written_anew() {
        let (_folder, repository) = repository();
        let head = commit(&repository, ("xopero.kdl", "x"), "head", &[]);
        let gone = Oid::from_str("00000000000000000000000000000000000000aa").unwrap();
        assert_eq!(descent(&repository, gone, head).unwrap(), Descent::Rewound);
        std::fs::write(repository.path().join("shallow"), format!("{head}\n")).unwrap();
        let repository = Repository::open(repository.path()).unwrap();
        assert_eq!(descent(&repository, gone, head).unwrap(), Descent::Shallow);
    }

    #[test]
    fn so_many_commits_are_read_and_no_more() {
        let (_folder, repository) = repository();
        let first = commit(&repository, ("xopero.kdl", "x"), "first", &[]);
        let huge = "x".repeat(LONGEST_MESSAGE + 1);
        let mut head = commit(&repository, ("xopero.kdl", "x"), &huge, &[first]);
        for number in 1..MOST_COMMITS {
            head = commit(&repository, ("xopero.kdl", "x"), &number.to_string(), &[head]);
        }
        let Descent::Forward { commits, more: false } = descent(&repository, first, head).unwrap() else { panic!() };
        assert_eq!((commits.len(), commits.last().unwrap().message.as_str()), (MOST_COMMITS, ""));
        let one_more = commit(&repository, ("xopero.kdl", "x"), "more", &[head]);
        let Descent::Forward { commits, more: true } = descent(&repository, first, one_more).unwrap() else { panic!() };
        assert_eq!((commits.len(), commits[0].message.as_str()), (MOST_COMMITS, "more"));
    }
}
