//! What can go wrong with a source.

use std::io;
use std::path::PathBuf;

/// A file that cannot be taken as a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is none.
    #[error("there is no file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// It is a symbolic link or a submodule in a commit, where neither is followed.
    #[error("{} is a link, and a commit's links are not followed", path.display())]
    Linked {
        /// The file, or the directory on the way to it.
        path: PathBuf,
    },
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is larger than anybody writes by hand.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// It is not text.
    #[error("{} is not UTF-8: the byte at offset {offset} does not belong to any character", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Bytes before the first one that is wrong.
        offset: usize,
    },
    /// A symbolic link leads out of the directory of the main file.
    #[error("{} leads out of the directory of the main file", path.display())]
    Outside {
        /// The file.
        path: PathBuf,
    },
    /// It is the main file, or one that is included already, under another name.
    #[error("{} is included already, under another name", path.display())]
    Twice {
        /// The file.
        path: PathBuf,
    },
    /// It was edited between reading and writing.
    #[error("{} was changed meanwhile by somebody else; it stays as it is", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("cannot replace {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The history of a repository that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the git history in {}", repository.display())]
pub struct HistoryError {
    /// The directory that git keeps the repository in.
    pub repository: PathBuf,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// The same about another path: the one that a person knows.
    #[must_use]
    pub(super) fn of(self, path: PathBuf) -> Self {
        match self {
            Self::Missing { .. } => Self::Missing { path },
            Self::NotAFile { .. } => Self::NotAFile { path },
            Self::Linked { .. } => Self::Linked { path },
            Self::Read { source, .. } => Self::Read { path, source },
            Self::TooLarge { limit, .. } => Self::TooLarge { path, limit },
            Self::NotText { offset, .. } => Self::NotText { path, offset },
            Self::Outside { .. } => Self::Outside { path },
            Self::Twice { .. } => Self::Twice { path },
            Self::Changed { .. } => Self::Changed { path },
            Self::Write { source, .. } => Self::Write { path, source },
        }
    }

    /// What the person can do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } | Self::NotAFile { .. } => {
                "go to the directory that holds `xopero.kdl`, name the file with `-f PATH`, or begin with `xopero init`"
            }
            Self::Linked { .. } => "commit the file itself",
            Self::Read { .. } => "check that this user may read it",
            Self::TooLarge { .. } | Self::Twice { .. } => return None,
            Self::Outside { .. } => "copy the file; a link may only lead to files in that directory or below",
            Self::NotText { .. } => "save it as UTF-8",
            Self::Changed { .. } => "run the command again",
            Self::Write { .. } => "check that this user may write it and its directory",
        };
        Some(hint.to_owned())
    }
}
