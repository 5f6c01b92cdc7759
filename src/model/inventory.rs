//! The repositories of a project as they were listed at one time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::names::{ProjectKey, RepoId, RepoSlug};

/// The repositories of one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// When they were listed.
    pub observed_at: Timestamp,
    /// By number: a repository keeps it when it is renamed or moved.
    pub repositories: BTreeMap<RepoId, ListedRepository>,
}

/// A repository as it was listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRepository {
    /// The key of its project.
    pub project: ProjectKey,
    /// Its slug.
    pub slug: RepoSlug,
    /// Whether the server promises that it can be read.
    pub state: RepositoryState,
    /// Whether it is read-only by decision.
    pub archived: bool,
    /// Stored bytes of its newest snapshot, if there is one.
    pub stored: Option<u64>,
}

/// The state of a repository at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepositoryState {
    /// It can be read.
    Available,
    /// It is being made, for example by a fork.
    Initialising,
    /// Making it failed.
    InitialisationFailed,
    /// It is out of service.
    Offline,
    /// A state that this program does not know.
    Unknown,
}

impl RepositoryState {
    /// Reads Bitbucket's word.
    pub fn new(text: &str) -> Self {
        match text {
            "AVAILABLE" => Self::Available,
            "INITIALISING" => Self::Initialising,
            "INITIALISATION_FAILED" => Self::InitialisationFailed,
            "OFFLINE" => Self::Offline,
            _ => Self::Unknown,
        }
    }

    /// Why it may not be possible to read the repository, as a word; `None` if the server promises that it is.
    pub const fn unfit(self) -> Option<&'static str> {
        match self {
            Self::Available | Self::Unknown => None,
            Self::Initialising => Some("initialising"),
            Self::InitialisationFailed => Some("failed to initialise"),
            Self::Offline => Some("offline"),
        }
    }
}
