//! What an editor asks about `xopero.kdl`: the language server, over standard input and output.
//!
//! ```text
//! transport -> server (one message after the other) -> workspace (open buffers over the disk) -> one file per feature
//! ```
//!
//! Every feature is a function of the texts and a place in them. [`Names`](names::Names) is what they share: who is
//! declared where, and what refers to it, read in a way that works while half of the text is missing. Secrets are
//! masked before anything is read, so that no answer can show one; diagnostics are those of `xopero validate`.
//!
//! A workspace is as hostile as a repository: messages, open files and searches are bounded, what comes from a file is
//! shown as code, and a place that does not exist is brought to the nearest one.

mod action;
mod capabilities;
mod completion;
mod definition;
mod diagnostic;
mod error;
mod facts;
mod hover;
mod markdown;
mod names;
mod position;
mod request;
#[cfg(test)]
mod sample;
mod server;
mod symbol;
mod target;
mod transport;
mod workspace;

pub use error::LspError;
pub use server::serve;
