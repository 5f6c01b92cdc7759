//! Edits by command: text is spliced into the files, and every other byte stays as it is.
//!
//! Each edit is a function from [`Sources`](super::Sources) to those after it, so that one can follow another before
//! anything is written. The result is parsed again and compared with what was there: an edit that would change anything
//! else, for whatever reason, is refused, and so is one that would add an error to the files. A file that is being
//! written may lack other things.

mod alert_secret;
mod context;
mod credential;
mod enable;
mod error;
mod expires;
mod layout;
mod recipients;
mod sealed;
mod splice;
mod starter;
mod store_key;

pub use alert_secret::{AlertSecret, alert_secret_purpose, set_alert_secret};
pub use context::{EditContext, declared_recipients, edit_context};
pub use credential::{NewCredential, remove_credential, set_credential};
pub use enable::{disable_credential, enable_credential, enabling_plans};
pub use error::EditError;
pub use expires::set_expiry;
pub use recipients::{add_recipient, remove_recipient};
pub(super) use sealed::SEALED_FOR;
pub use sealed::{Purpose, SealedValue, SecretAddress, replace_sealed, sealed_values};
pub use starter::{Starter, starter};
pub use store_key::{StoreKey, set_store_key, store_key_purpose};

#[cfg(test)]
mod tests;
