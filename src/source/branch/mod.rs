//! Following a declaration in a branch at a git server.
//!
//! The network is our own client ([`git`](crate::git)): one request asks for the branch's tip, and only a tip that moved
//! is fetched, with as much history as leads back to the applied commit. What was fetched is the whole content of a bare
//! repository in the state directory, which the next fetch replaces: nothing is checked out, no hook runs, nothing piles
//! up. Files are read out of the commit's tree; links and submodules are refused.
//!
//! A tip that does not come from the applied commit is told and not given. If signatures are demanded, so is one with a
//! commit since then that no allowed signer signed; before anything is applied, the tip alone must be signed.
//!
//! [`wait`] decides when to look again. [`BranchWatch`] looks again and again, [`read_branch`] once.

mod address;
mod branch_watch;
mod commit;
mod error;
mod looker;
mod objects;
mod polling;
mod read;
#[cfg(test)]
mod tests;

pub use address::{Branch, branch_of, repository_address};
pub use branch_watch::{BranchSettings, BranchWatch};
pub use error::{AddressError, BranchError, ReadError};
pub use polling::{PollPace, wait};
pub use read::{read_branch, read_fetched};
