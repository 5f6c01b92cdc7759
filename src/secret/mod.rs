//! Sealing and opening with age. No other room knows which encryption is used.
//!
//! Three things are kept apart:
//!
//! - an [`Envelope`] is a secret of the file: it says for which server and account it was sealed, and
//!   [`open`] gives it out for nothing else, so whoever edits an address cannot send a token elsewhere;
//! - [`Identities`] are the private keys of this machine, found by [`find_identities`] in files that nobody
//!   else can read;
//! - [`PublicKeys`] seal the streams of the archive, [`Identities::opening`] opens them, both in constant memory.
//!
//! Plain text lives in buffers that are cleared when they are dropped, and no error contains any of it.

mod bounded;
mod envelope;
mod error;
mod identity;
mod private;
mod scan;
mod stream;

pub use envelope::{Envelope, Expected, open, reseal, same_content, seal};
pub use error::SecretError;
pub use identity::{FoundIdentities, Identities, IdentitySources, find_identities, keygen, locate_identities};
pub use private::{PrivateFileError, read_secret_file};
pub use scan::{Leak, LeakKind, scan};
pub use stream::{PublicKeys, SealingWriter};
