//! The language: from the text of `xopero.kdl` to a [`Declaration`](crate::model::Declaration), with places.
//!
//! ```text
//! text -> lexer (guard) -> document (tree) -> shape (table) -> decode (values) -> resolve (names) -> Declaration
//! ```
//!
//! [`Sources`] are the files of one declaration: the main one and those that it includes. Every [`Span`] says which
//! of them it is in, so that the steps behind the tree take all nodes as one file.
//!
//! Every step reports all that it finds, as [`Diagnostic`]s with byte spans; an error in one node does not hide the
//! others. What the [`schema`] does not name is an error, and so is what it names but this version cannot do: a file
//! is obeyed wholly or not at all. A secret that is not sealed is refused, and [`render()`] never shows one.
//!
//! [`set_credential`] and its sisters edit the files by splicing text; every other byte stays as it is.

mod braces;
mod decode;
mod detached;
mod document;
mod edit;
mod error;
mod excerpt;
mod first_error;
mod format;
mod gaps;
mod kdl_schema;
mod lexer;
mod load;
mod outline;
mod patch;
mod position;
mod public_key;
mod redact;
mod reference;
mod render;
mod repair;
mod resolve;
mod roles;
pub mod schema;
mod sealed_for;
mod shape;
mod sources;
mod suggest;
mod syntax;

pub use detached::without_directory;
pub use edit::{
    AlertSecret, EditContext, EditError, NewCredential, Purpose, SealedValue, SecretAddress, Starter, StoreKey,
    add_recipient, alert_secret_purpose, declared_recipients, disable_credential, edit_context, enable_credential,
    enabling_plans, remove_credential, remove_recipient, replace_sealed, sealed_values, set_alert_secret,
    set_credential, set_expiry, set_store_key, starter, store_key_purpose,
};
pub use error::{Diagnostic, FileId, Invalid, Label, Severity, SourceFile, Span};
pub use first_error::{FirstError, first_error, place_of};
pub use format::{FormatError, format};
pub use kdl_schema::reference_kdl;
pub use lexer::pieces;
pub use load::{Decoded, Place, decode};
pub use outline::{Outline, OutlineCursor, OutlineNode, OutlinePlace, Word};
pub use redact::redacted;
pub use reference::{reference, reference_json};
pub use render::{render, to_json};
pub use sources::{FileKind, ReadNamed, Sources, Unreadable};

#[cfg(test)]
mod tests;
