//! Puts a declaration in force.
//!
//! [`plan`] looks, [`apply()`] acts. Applying is one transaction on the state: it never writes to a Bitbucket server and
//! never touches a backup. What is applied is decided again under the lock, from the state as it is then; an approval
//! names a change set and holds only for that one, also as a file ([`SavedPlan`]).

mod apply;
mod approval;
mod bind;
mod commits;
mod error;
pub mod history;
mod known;
pub mod observe;
mod plan_file;
mod rollback;
mod saved_plan;
mod settled;
pub mod status;
mod stays;

pub use apply::{Outcome, Proposal, apply, plan};
pub use approval::Approval;
pub use error::ReconcileError;
pub use known::known;
pub use rollback::taken_back;
pub use saved_plan::{Base, SavedPlan, UnreadablePlan};
pub use stays::stays_in_force;

use error::describe_rail;
