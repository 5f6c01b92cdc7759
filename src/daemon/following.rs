//! What is followed: a file, or a branch at a git server.

use crate::model::FollowedBranch;
use crate::source::SourceEvent;
use crate::source::branch::BranchWatch;
use crate::source::watch::FileWatch;

/// A source that is followed.
pub enum Following {
    /// A file of this machine, with what it names.
    File(Box<FileWatch>),
    /// A file in a branch.
    Branch(Box<BranchWatch>),
}

impl Following {
    /// Waits for what happens next. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> SourceEvent {
        match self {
            Self::File(file) => file.next().await,
            Self::Branch(branch) => branch.next().await,
        }
    }

    /// The branch, if it is one.
    pub fn branch(&self) -> Option<FollowedBranch> {
        match self {
            Self::File(_) => None,
            Self::Branch(branch) => Some(branch.at()),
        }
    }

    /// Asks for a look without delay.
    pub fn wake(&mut self) {
        match self {
            Self::File(file) => file.wake(),
            Self::Branch(branch) => branch.wake(),
        }
    }

    /// Asks for a look without delay, and for what it finds: also if that was given or told before.
    pub fn read_again(&mut self) {
        match self {
            Self::File(file) => file.read_again(),
            Self::Branch(branch) => branch.read_again(),
        }
    }

    /// Tells which commit is in force: what comes after it must descend from it.
    pub fn applied(&mut self, commit: &str) {
        match self {
            Self::File(_) => {}
            Self::Branch(branch) => branch.applied(commit),
        }
    }
}
