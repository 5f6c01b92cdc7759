//! xopero: declarative, GitOps-style backups for Bitbucket Data Center.
//!
//! A file, `xopero.kdl`, declares projects, sealed credentials and backup plans. `xopero plan` shows what would
//! change, `xopero apply` makes it so, `xopero run` takes the backups, and `xopero restore` gives them back.
//!
//! The modules are layers. One uses only those above it in this picture (`tests/layering.rs` keeps it true):
//!
//! ```text
//! clock                 the only reader of time
//! crash                 named places at which a test lets the process die
//! staged                files that take the place of others at once
//! model                 names, ids, Declaration, Applied: plain values
//! schedule              when is the next run
//! retention             which snapshots stay, and why
//! config                text -> Declaration, with spans
//! change                applied against declared -> ChangeSet
//! throttle              budgets of accounts and the queue for them, as a state machine
//!   -- adapters: each hides one foreign thing --
//! secret                age: seal, open, identities, sealed streams
//! state                 SQLite: generations, runs, tasks, chains, snapshots
//! store                 a Destination opened as an object store
//! http                  one origin, no redirects, no cookies, bounded answers
//! git                   smart HTTP, packs, bundles, object-level checks
//! bitbucket             REST
//! source                where the declaration comes from
//!   -- engines --
//! archive               the format: manifest, write, read, verify
//! run                   one execution of a backup plan
//! restore               to a folder, to a bundle
//! reconcile             plan and apply
//! rotate                one access token in the place of another
//!   -- outside --
//! alert                 who is told when backups do not come, and when they come again
//! daemon                what runs by itself, and when
//! lsp                   what an editor asks: diagnostics, hover, completion, actions
//! web                   health, figures and webhooks over HTTP, on this machine
//! ui                    text, tables, progress, JSON lines: the only printer
//! cli                   one file per command
//! ```
//!
//! Decisions are functions of values and `now`; input and output are thin. Words and their meaning are those of
//! [`model`].

pub mod alert;
pub mod archive;
pub mod bitbucket;
pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod daemon;
pub mod git;
pub mod http;
pub mod lsp;
pub mod model;
pub mod reconcile;
pub mod restore;
pub mod retention;
pub mod rotate;
pub mod run;
pub mod schedule;
pub mod secret;
pub mod source;
pub mod staged;
pub mod state;
pub mod store;
pub mod throttle;
pub mod ui;
pub mod web;
