//! What can keep a declaration from coming into force.

use std::io;
use std::path::PathBuf;

use super::UnreadablePlan;
use crate::change::{ChangeSet, Known, PlanId, Rail, Risk};
use crate::model::{Address, DestinationName, Lineage};
use crate::state::StateError;
use crate::store::StoreError;

/// Trailers that a message has room for.
const TRAILERS: usize = 3;

/// Why nothing was applied. The state is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The state could not be read, locked or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// A destination could not be made ready.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two destinations are one place: what is written to one would overwrite the other.
    #[error("destinations \"{one}\" and \"{other}\" are the same place")]
    SamePlace {
        /// One of them.
        one: DestinationName,
        /// The other one.
        other: DestinationName,
    },
    /// What was agreed to is not what would happen.
    #[error("plan {expected} is stale: {}", found.as_ref().map_or_else(
        || "there is nothing to apply".to_owned(), |found| format!("the plan is {found} now")
    ))]
    Stale {
        /// The change set that was agreed to.
        expected: PlanId,
        /// The change set that there is, unless it is empty.
        found: Option<PlanId>,
        /// What moved meanwhile, as far as it can be told.
        moved: Vec<String>,
    },
    /// A saved plan was made against another state.
    #[error("the plan was made for the state of lineage {plan}, and this one is of lineage {state}")]
    PlanOfAnother {
        /// What the plan says.
        plan: Lineage,
        /// What there is.
        state: Lineage,
    },
    /// Something in the change set needs an approval that was not given.
    #[error("plan {plan_id} needs an approval of its own")]
    RefusedByRail {
        /// The change set.
        plan_id: PlanId,
        /// What asks for approval.
        rails: Vec<Rail>,
        /// What a commit's message would have to end with to be approval enough; empty, if none can be.
        trailers: Vec<String>,
        /// Why no commit gives it, where somebody may have expected one to.
        remarks: Vec<String>,
    },
    /// Something in the change set is not let through by any approval.
    #[error("plan {plan_id} is refused, and no approval lets it through")]
    Refused {
        /// The change set.
        plan_id: PlanId,
        /// What stands in its way, also what an approval would open.
        rails: Vec<Rail>,
    },
    /// A plan could not be saved.
    #[error("cannot write the plan {}", path.display())]
    WritePlan {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A saved plan could not be read.
    #[error("cannot read the plan {}", path.display())]
    ReadPlan {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was read is not a plan for this version.
    #[error("cannot use the plan {}", path.display())]
    UnreadablePlan {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UnreadablePlan,
    },
}

impl ReconcileError {
    /// The refusal of a change set.
    pub fn refused(set: &ChangeSet, known: &Known) -> Self {
        let plan_id = set.plan_id.clone();
        if set.is_refused() {
            return Self::Refused { plan_id, rails: set.rails.clone() };
        }
        let rails = set.rails.iter().filter(|rail| !rail.is_open()).cloned().collect();
        Self::RefusedByRail { plan_id, rails, trailers: set.trailers(), remarks: known.allowed.remarks() }
    }

    /// What the person can do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::State(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::SamePlace { .. } => Some("give each a directory of its own, or name one of them in the plans".into()),
            Self::Stale { .. } => Some("look again with `xopero plan`, and approve what it shows".to_owned()),
            Self::PlanOfAnother { .. } => Some("check `--file` and `--state`: the plan belongs to others".to_owned()),
            Self::RefusedByRail { plan_id, .. } => Some(format!(
                "look at it with `xopero plan`; {}",
                self.way_through(&format!("apply --approve {plan_id}"))
            )),
            Self::Refused { rails, .. } => {
                let ways = rails.iter().filter(|rail| rail.risk == Risk::Refused).flat_map(|rail| &rail.ways);
                let first = ways.map(|way| format!("{}: {}", way.when, way.lines.join("; "))).next();
                let what = first.unwrap_or_else(|| "change the file".to_owned());
                Some(format!("{}; what is in force stays in force", what.trim_end_matches([':', ' '])))
            }
            Self::WritePlan { .. } => {
                Some("check that the directory exists and that this user may write it".to_owned())
            }
            Self::ReadPlan { .. } | Self::UnreadablePlan { .. } => {
                Some("name a file that `xopero plan --out FILE` has written with this version".to_owned())
            }
        }
    }

    /// How a refusal is lifted if it is meant: by the command that approves, or by a commit where one can.
    pub fn way_through(&self, command: &str) -> String {
        let by_command = format!("if it is meant, run `xopero {command}`");
        let Self::RefusedByRail { trailers, .. } = self else { return by_command };
        match trailers.len() {
            0 => by_command,
            _ if trailers.len() > TRAILERS => {
                format!("{by_command}, or end the commit's message with the {} lines of `xopero plan`", trailers.len())
            }
            _ => {
                let lines: Vec<String> = trailers.iter().map(|line| format!("`{line}`")).collect();
                let noun = if lines.len() == 1 { "the line" } else { "the lines" };
                format!("{by_command}, or end the commit's message with {noun} {}", lines.join(" and "))
            }
        }
    }

    /// Lines that belong to the message: what moved, what asks for approval.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::Stale { moved, .. } => moved.clone(),
            Self::RefusedByRail { rails, remarks, .. } => {
                rails.iter().map(describe_rail).chain(remarks.iter().cloned()).collect()
            }
            Self::Refused { rails, .. } => rails.iter().map(describe_rail).collect(),
            Self::State(_)
            | Self::Store(_)
            | Self::SamePlace { .. }
            | Self::PlanOfAnother { .. }
            | Self::WritePlan { .. }
            | Self::ReadPlan { .. }
            | Self::UnreadablePlan { .. } => Vec::new(),
        }
    }
}

/// A rail on one line: kind, addresses, numbers.
pub(super) fn describe_rail(rail: &Rail) -> String {
    let addresses: Vec<&str> = rail.addresses.iter().map(Address::as_str).collect();
    let parts = [rail.kind.as_str(), &addresses.join(", "), &rail.message];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}
