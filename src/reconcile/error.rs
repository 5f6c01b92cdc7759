//! What can keep a declaration from coming into force.

use crate::change::{PlanId, Rail};
use crate::model::DestinationName;
use crate::state::StateError;
use crate::store::StoreError;

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
    #[error("plan {expected} is stale: {moved}, and the plan is {found}")]
    Stale {
        /// The change set that was agreed to.
        expected: PlanId,
        /// The change set that there is.
        found: PlanId,
        /// What moved meanwhile, as far as it can be told.
        moved: String,
    },
    /// Something in the change set needs an approval that was not given.
    #[error("plan {plan_id} needs approval ({})", describe(rails))]
    RefusedByRail {
        /// The change set.
        plan_id: PlanId,
        /// What asks for approval.
        rails: Vec<Rail>,
    },
}

impl ReconcileError {
    /// What the person can do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::State(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::SamePlace { .. } => Some("give each a directory of its own, or name one of them in the plans".into()),
            Self::Stale { .. } => Some("look again with `xopero plan`".to_owned()),
            Self::RefusedByRail { plan_id, rails: _ } => {
                Some(format!("look at it with `xopero plan`; if it is meant, run `xopero apply --approve {plan_id}`"))
            }
        }
    }
}

fn describe(rails: &[Rail]) -> String {
    let one = |rail: &Rail| {
        let addresses: Vec<&str> = rail.addresses.iter().map(crate::model::Address::as_str).collect();
        format!("{}: {}", rail.kind.as_str(), addresses.join(", "))
    };
    rails.iter().map(one).collect::<Vec<_>>().join("; ")
}
