//! How many requests each account may send, and who sends the next one.
//!
//! Bitbucket gives every *account* a bucket of tokens, one for each request, and answers 429 when it is empty. A limit
//! belongs to an account of a server ([`Holder`]), never to a credential: two credentials of one account share it. The
//! [`Budgets`] hold what is believed of each bucket (sized by the file, by what the server tells, or by what is usual,
//! and corrected by what 429s teach), the rotation of each project, and the queue of requests that find no token.
//!
//! ```text
//! ask ──> Granted ──> depart ──> the request is sent ──> settle ──> the belief is corrected
//!  │          ^        ^ └─ waits, if too many are under way
//!  │          │        └─ again, if the server was busy
//!  └─> Queued ┘  when its turn has come: runs take turns, in a run the oldest task first
//! ```
//!
//! How often an account is refused is bounded by how far off its limit was told; `belief.rs` proves it.
//!
//! All of it is a state machine without input or output: time is an argument. Whoever has a [`Grant`] sends one
//! request and settles it; whoever has a [`Ticket`] sleeps until it is served. A task keeps its credential from
//! request to request; when the account has no token another one goes on, before the server has to refuse.
//!
//! A credential that the server rejects leaves its rotation for good. One that merely lacks a permission is ruled out
//! by whoever asks.
//!
//! Where several processes use one account, a [`SharedBudget`] between them hands out tokens in blocks.
//!
//! What concerns a server as a whole is not a matter of budgets: [`Pressure`] says how many requests at once it is
//! given.

mod belief;
mod bucket;
mod budgets;
mod lease;
mod pressure;
mod shared;
mod size;
#[cfg(test)]
mod tests;
mod trial;
mod window;

pub use budgets::{Budgets, Level, Stake};
pub use lease::{
    Answer, Arrival, Ask, Departure, Grant, Holder, Lack, Lease, Outcome, Party, RotationId, Served, Steadiness, Ticket,
};
pub use pressure::{Admission, Admitted, PATIENCE, Pressure, Reply, Shift};
pub use shared::{Block, Share, SharedBudget, shared_part};
