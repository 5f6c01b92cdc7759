//! What would change: the declaration against what is applied, as a value.
//!
//! - a **resource** is one declared thing as its address and canonical attributes ([`resources`]): sets are sorted,
//!   secrets are digests, so two spellings of one meaning are equal;
//! - a **change set** lists every address, also those that stay as they are ([`change_set()`]), with the risk of each
//!   change, what people should know ([`Note`]) and what asks for approval ([`Rail`]);
//! - a **plan id** names a change set by what it does. It does not depend on time, on the order of the file or on
//!   generation numbers, so an approval holds exactly as long as the change is the same.
//!
//! Everything here is a function of values. Nothing in a change set can delete a backup: the language cannot say it.

mod alerting;
mod allow;
mod catalogue;
mod change_set;
mod compare;
mod findings;
mod glimpse;
mod impact;
mod impacts;
mod known;
mod moves;
mod note;
mod plan_id;
mod rails;
mod resource;
mod risk;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod value;
mod wanted;

pub use allow::{Act, Allowance, Allowed, InvalidAllowance};
pub use catalogue::{Bytes, Catalogue, StoredSnapshot, Volume};
pub use change_set::{Action, Change, ChangeSet, Counts, change_set};
pub use compare::AttributeChange;
pub use glimpse::{Glimpse, Glimpses, Seen};
pub use impact::{Effect, Impact, Leaving, Names};
pub use known::{Content, Contents, Known, SourceStep};
pub use note::{Note, NoteKind};
pub use plan_id::{InvalidPlanId, PlanId};
pub use resource::{Resource, resources};
pub use risk::{Rail, RailKind, Risk, Way};
pub use value::Value;
pub use wanted::Wanted;
