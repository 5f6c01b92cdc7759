//! Replacing the access token of a credential, so that nothing is lost wherever it is interrupted.
//!
//! The order is the promise. A token is revoked only after another one took its place everywhere:
//!
//! 1. the [`Journal`] is written: which token goes, and the name of the one that comes;
//! 2. the server makes the new token; its secret is sealed and the journal written again. Between the two the secret is
//!    in memory alone: who finds such a journal revokes what has its name, and makes another;
//! 3. the new token logs in and sees what the old one sees;
//! 4. the new value is put into the files, at every place that holds the old one;
//! 5. **somebody applies the files**: a run obeys what is applied, so the old token is in use until then;
//! 6. the old token is revoked, and the journal goes.
//!
//! Which step comes next follows from the journal, the files, what is applied and what the server lists
//! (`next`, pure), never from a memory of what was done: each invocation looks at everything again. The state's
//! lock is held meanwhile, so that no run of this state is under way with a token that goes.

mod engine;
mod error;
mod holding;
mod journal;
mod next;
mod patience;
mod proof;
mod which;

pub use engine::{Asked, Ended, Rotation, Told, advance, begin};
pub use error::RotateError;
pub use journal::{Journal, Made, Old, forget, pending};
pub use next::{Finish, Stuck, Waiting, Wish};
pub use patience::Patience;
