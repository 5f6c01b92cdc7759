//! How dangerous a change is, and what stands in its way.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{Address, AllowedBy};

/// How dangerous a change is. The later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing to know.
    Safe,
    /// Worth a look.
    Notice,
    /// Needs approval of exactly this change set.
    Guarded,
    /// No approval lets it through: the file has to say something else.
    Refused,
}

impl Risk {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Notice => "notice",
            Self::Guarded => "guarded",
            Self::Refused => "refused",
        }
    }
}

/// What a rail protects from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RailKind {
    /// A plan is no longer in the file, and nothing in the file says that this is meant.
    PlanLeaves,
    /// No plan is left in the file.
    NoPlans,
    /// So many plans leave that it looks like a mistake.
    ManyPlansLeave,
    /// So many repositories leave the scope of a plan that it looks like a mistake.
    RepositoriesLeave,
    /// Snapshots are kept for a shorter time or in smaller number.
    TightenedRetention,
    /// Nobody is told any more when backups do not come.
    AlertsLeave,
    /// A server has another address.
    ServerMoved,
    /// What is sealed for one address would be needed at another.
    SealedElsewhere,
    /// Names are moved in a way that cannot be meant.
    MoveConflict,
    /// The source went back to something older than what is in force.
    SourceRewound,
}

impl RailKind {
    /// The name that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlanLeaves => "plan-leaves",
            Self::NoPlans => "no-plans",
            Self::ManyPlansLeave => "many-plans-leave",
            Self::RepositoriesLeave => "repositories-leave",
            Self::TightenedRetention => "tightened-retention",
            Self::AlertsLeave => "alerts-leave",
            Self::ServerMoved => "server-moved",
            Self::SealedElsewhere => "sealed-elsewhere",
            Self::MoveConflict => "move-conflict",
            Self::SourceRewound => "source-rewound",
        }
    }
}

/// Something that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rail {
    /// What it protects from.
    pub kind: RailKind,
    /// [`Risk::Guarded`] if an approval opens it, [`Risk::Refused`] if only another file does.
    pub risk: Risk,
    /// What it is about.
    pub addresses: Vec<Address>,
    /// What happens, in numbers where there are some.
    pub message: String,
    /// What to do if it is meant, besides approving it: any one of them.
    pub ways: Vec<Way>,
    /// What a commit's message would have to end with to allow it; nothing for what no commit can.
    pub trailers: Vec<String>,
    /// The commits that allow it, if it is open by them.
    pub allowed_by: Vec<AllowedBy>,
}

impl Rail {
    /// Addresses that are named in one line.
    const NAMED: usize = 5;

    /// What it is about, and what happens, in one line: `plan/nightly: no more runs`.
    pub fn line(&self) -> String {
        if self.addresses.iter().all(|address| self.message.contains(address.as_str())) {
            return self.message.clone();
        }
        let mut about: Vec<String> = self.addresses.iter().take(Self::NAMED).map(Address::to_string).collect();
        if self.addresses.len() > Self::NAMED {
            about.push(format!("{} more", self.addresses.len() - Self::NAMED));
        }
        format!("{}: {}", about.join(", "), self.message)
    }

    /// Whether commits have opened it.
    pub fn is_open(&self) -> bool {
        !self.allowed_by.is_empty()
    }
}

/// What somebody can do about a rail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Way {
    /// When this is the right thing to do, as a phrase that ends before a colon.
    pub when: String,
    /// What to put into the file, or the commands to run: lines to copy.
    pub lines: Vec<String>,
}

/// Why a change has its risk.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) risk: Risk,
    pub(super) rail: Option<RailKind>,
    pub(super) reason: String,
    pub(super) ways: Vec<Way>,
}

impl Finding {
    pub(super) fn notice(reason: impl Into<String>) -> Self {
        Self { risk: Risk::Notice, rail: None, reason: reason.into(), ways: Vec::new() }
    }

    pub(super) fn guarded(rail: RailKind, reason: impl Into<String>) -> Self {
        Self { risk: Risk::Guarded, rail: Some(rail), reason: reason.into(), ways: Vec::new() }
    }

    pub(super) fn refused(rail: RailKind, reason: impl Into<String>) -> Self {
        Self { risk: Risk::Refused, rail: Some(rail), reason: reason.into(), ways: Vec::new() }
    }

    pub(super) fn with(mut self, ways: impl IntoIterator<Item = Way>) -> Self {
        self.ways.extend(ways);
        self
    }
}

/// What there is to say about the way from one declaration to another.
pub(super) type Findings = BTreeMap<Address, Vec<Finding>>;
