//! What can go wrong between a branch at a server and a declaration.

use std::path::PathBuf;
use std::time::Duration;

use crate::git::{GitError, PackError};
use crate::model::RefName;
use crate::model::base_url::InvalidBaseUrl;
use crate::source::short_commit;
use crate::source::signature::SignatureError;

/// Something that does not name a file in a branch of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Secure shell.
    #[error("a repository cannot be followed over ssh")]
    Ssh,
    /// Another address that is of no use.
    #[error("the address of the repository {why}")]
    Url {
        /// Why.
        why: InvalidBaseUrl,
    },
    /// A name that no branch can have.
    #[error("{name:?} is not the name of a branch")]
    Branch {
        /// The name.
        name: String,
    },
    /// A path that leads out of the tree.
    #[error("{path:?} is not a path from the root of the repository")]
    Path {
        /// The path.
        path: String,
    },
}

impl AddressError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Ssh => "give its https address, as Bitbucket shows it under \"Clone\", and a token that may read it",
            Self::Url { .. } => "give its https address without a user name: `https://host/scm/project/repository.git`",
            Self::Branch { .. } => "give its name as `git branch` shows it",
            Self::Path { .. } => "give it as `git ls-files --full-name` shows it",
        }
    }
}

/// Why nothing is known of a branch.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// The server could not be asked.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is no such branch.
    #[error("the repository has no {branch}")]
    Gone {
        /// The branch.
        branch: RefName,
    },
    /// Objects are named by SHA-256.
    #[error("the repository names its objects by SHA-256, which cannot be followed")]
    ObjectFormat,
    /// The server itself has only the end of the history.
    #[error("the history of commit {commit} is cut off at the server before it reaches what is in force")]
    CutOff {
        /// The tip.
        commit: String,
    },
    /// The server was too slow.
    #[error("the server did not give it within {} seconds", after.as_secs())]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// What the server sent is not a pack, or it is too large.
    #[error("the server's pack cannot be taken")]
    Pack {
        /// Why.
        #[source]
        source: PackError,
    },
    /// What was fetched could not be stored.
    #[error("cannot write to {}", path.display())]
    Store {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was fetched cannot be read.
    #[error("cannot read commit {commit}")]
    Objects {
        /// The tip.
        commit: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl BranchError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Git(error) => return error.hint(),
            Self::Gone { .. } => "check the name of the branch; what is applied stays in force",
            Self::CutOff { .. } => "push the whole history: `git fetch --unshallow` where it is pushed from",
            Self::ObjectFormat => "keep the declaration in a repository of SHA-1, which is git's default",
            Self::Pack { source: PackError::Limit { .. } } => "keep the declaration in a small repository of its own",
            Self::Timeout { .. } | Self::Pack { .. } | Self::Objects { .. } => return None,
            Self::Store { .. } => "check that this user may write there and that there is space",
        };
        Some(hint.to_owned())
    }

    /// The error and its causes on one line.
    pub(super) fn told(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
        causes.fold(self.to_string(), |told, cause| format!("{told}: {cause}"))
    }
}

/// Why a branch that was read once gives no declaration.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing is known of it.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A file is missing, empty or cannot be read.
    #[error("{reason}, at the branch's last commit")]
    Flawed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the file's name.
        reason: String,
    },
    /// A commit since the applied one is not signed as it must be.
    #[error("commit {} is not signed as demanded", short_commit(commit))]
    Unsigned {
        /// That commit.
        commit: String,
        /// What is wrong with its signature.
        #[source]
        why: SignatureError,
    },
}

impl ReadError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Branch(error) => error.hint(),
            Self::Flawed { .. } => {
                Some("give the path of the file with `--path`, from the root of the repository".into())
            }
            Self::Unsigned { why, .. } => Some(why.hint().to_owned()),
        }
    }
}
