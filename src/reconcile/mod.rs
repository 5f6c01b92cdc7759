//! Puts a declaration in force.
//!
//! [`plan`] looks, [`apply()`] acts. Applying is one transaction on the state: it never writes to a Bitbucket server and
//! never touches a backup. What is applied is decided again under the lock, from the state as it is then; an approval
//! names a change set and holds only for that one.

mod apply;
mod error;

pub use apply::{Approval, Outcome, apply, plan};
pub use error::ReconcileError;
