//! What can be asked over HTTP while something goes on: the only room that names `axum`.
//!
//! Off unless it is asked for, and only for this machine: a unix socket, or TCP on loopback. `/healthz` and `/readyz`
//! need no login and name nothing; `/metrics` has names of plans and accounts, and no secret. Nothing can be changed
//! here. The one thing that can be posted is a [`Hook`], whose receiver has to find out by itself who called.
//!
//! Everything is bounded, as no caller is trusted: connections at a time, the time and the bytes of one
//! ([`connection`]), one request for each. Over TCP the `Host` must be this machine: a page in somebody's browser that
//! had its name changed to 127.0.0.1 gets no answer ([`guard`]).

mod connection;
mod error;
mod guard;
mod health;
mod hook;
mod listen;
mod metrics;
mod site;

pub use error::WebError;
pub use hook::{Delivery, Hook, Received, Receiver};
pub use listen::{Listen, Listener};
pub use metrics::{Counters, Metrics, OfWatch, WatchCounters};
pub use site::{Site, serve};
