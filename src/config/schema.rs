//! The table of the language: every node, argument and property, with its type and meaning.
//!
//! It is the only source. Checking, did-you-mean and what is said of parts that are not built all read it. What is
//! planned but [`Later`](Availability::Later) is in the table too: such a node is known and refused, never skipped.

mod specs;
mod table;
mod values;

pub use specs::{Availability, NodeSpec, ValueKind, ValueSpec, Word};
pub use table::{SCHEMA, children_of};

/// The newest version of the language that this program knows.
pub const VERSION: i128 = 1;
