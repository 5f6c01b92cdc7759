//! Lasting facts that follow from what was observed, and when one counts as changed.
//!
//! A condition is told when it begins, when its reason changes and when it ends, not each time that it is seen again.
//! What a server *said* holds at once; what its *silence* suggests must be seen [`SETTLES_AFTER`] times in a row, so
//! that one lost packet is no news and a server that comes and goes is not told each time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Address, Generation};

/// How many equal observations in a row make a fact of what silence suggests.
pub const SETTLES_AFTER: u32 = 3;

/// The conditions that are known, by what they are about and of which kind they are.
pub type Conditions = BTreeMap<Address, BTreeMap<ConditionKind, Condition>>;

/// Which fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionKind {
    /// A credential ends soon, or has ended, by what the file says.
    CredentialExpiring,
    /// The server does not accept a credential.
    CredentialRejected,
    /// A credential is another account's, or nobody's.
    AccountMismatch,
    /// A credential is good, and does not see its project.
    PermissionLost,
    /// An account has used up its budget.
    Throttled,
    /// A repository has another slug than when the generation in force was applied.
    RepoRenamed,
    /// A repository is in another project than when the generation in force was applied.
    RepoMoved,
    /// A repository is no longer there.
    RepoGone,
    /// A project has another key than the file says.
    ProjectRenamed,
    /// A destination belongs to somebody else.
    DestinationForeign,
    /// A server cannot be reached.
    ServerUnreachable,
}

impl ConditionKind {
    /// The name that people and programs see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialExpiring => "CredentialExpiring",
            Self::CredentialRejected => "CredentialRejected",
            Self::AccountMismatch => "AccountMismatch",
            Self::PermissionLost => "PermissionLost",
            Self::Throttled => "Throttled",
            Self::RepoRenamed => "RepoRenamed",
            Self::RepoMoved => "RepoMoved",
            Self::RepoGone => "RepoGone",
            Self::ProjectRenamed => "ProjectRenamed",
            Self::DestinationForeign => "DestinationForeign",
            Self::ServerUnreachable => "ServerUnreachable",
        }
    }

    /// How many equal observations in a row it takes to say that it holds.
    pub const fn settles_after(self) -> u32 {
        match self {
            Self::RepoGone | Self::ServerUnreachable => SETTLES_AFTER,
            Self::CredentialExpiring
            | Self::CredentialRejected
            | Self::AccountMismatch
            | Self::PermissionLost
            | Self::Throttled
            | Self::RepoRenamed
            | Self::RepoMoved
            | Self::ProjectRenamed
            | Self::DestinationForeign => 1,
        }
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nothing that was seen says so, or the contrary.
    Unknown,
}

/// A lasting fact about one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, as one word for programs: `WrongSecret`.
    pub reason: String,
    /// What there is to know, for people.
    pub message: String,
    /// Since when it has this status.
    pub since: Timestamp,
    /// The generation that was in force then.
    pub generation: Option<Generation>,
    /// How often the contrary was seen in a row since.
    pub contrary: u32,
}
