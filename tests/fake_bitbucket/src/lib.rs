//! A Bitbucket Data Center on loopback, for tests, benchmarks and a first try.
//!
//! It speaks the REST resources a backup needs, enforces accounts and rate limits the way the real server does,
//! and serves real repositories through the installed `git http-backend`. It logs every request, and it can be
//! told to misbehave.
//!
//! - [`World`] holds projects and repositories; a [`Recipe`] describes one.
//! - [`FakeBitbucket`] starts a [`Server`]; [`Control`] is the handle for everything while it runs.
//! - [`Log`], [`Buckets`], [`When`] with [`Action`], and [`Gate`] observe and disturb it.
//! - [`judge`] compares repositories by means of stock git.
//!
//! ```
//! use fake_bitbucket::{Account, FakeBitbucket, Options, World};
//!
//! let world = World::new();
//! world.project("PAY").repository("ledger", |recipe| recipe.commits(3).tag("v1"));
//! let options = Options::new().account(Account::reader("backup", "token-1"));
//! let server = FakeBitbucket::start_blocking(world, options);
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! ```

mod account;
mod auth;
mod body;
mod evil;
mod exchange;
mod fault;
mod gate;
mod git;
mod health;
pub mod judge;
mod limit;
mod log;
mod options;
mod packet;
mod rest;
mod rewrite;
mod route;
mod server;
mod signal;
mod socket;
mod stock_git;
mod tls;
mod token;
pub mod world;

pub use account::{Account, Permission};
pub use evil::{EvilHost, EvilRequest};
pub use fault::{Action, Fault, Hook, When};
pub use gate::Gate;
pub use health::Health;
pub use limit::{Allowance, Buckets, Refusal, RefusalBody, RetryAfter};
pub use log::{Command, Entry, Kind, Log, Progress};
pub use options::{Options, Protocol};
pub use server::{Control, FakeBitbucket, Server};
pub use world::{Project, Recipe, Repository, RepositoryState, World};
