//! The credential pool: which account answers for the next request, and when nobody can.
//!
//! Bitbucket gives every *account* a token bucket, so a limit belongs to (server, account), never to a credential:
//! two credentials of one account cool together. A credential that the server rejects leaves the pool for good; one
//! that merely lacks a permission leaves the rotation of that project.
//!
//! The pool is a state machine without input or output. [`CredentialPool::acquire`] answers with a lease, a time to
//! wait for, or the fact that nothing is left; [`CredentialPool::settle`] tells it how the request went. Whoever
//! holds the lease sends the request, and sleeps.
//!
//! What concerns a server as a whole is not the pool's: [`Pressure`] says how many requests at once it is given.

mod pool;
mod pressure;

pub use pool::{Acquired, CredentialPool, Lease, Outcome};
pub use pressure::{Admission, Admitted, PATIENCE, Pressure, Reply, Shift};
