//! Who signed a commit: SSH and OpenPGP signatures against a local list of allowed signers.
//!
//! The list is the file that `git config gpg.ssh.allowedSignersFile` names, and it is read as `ssh-keygen` reads it. It
//! must never come from the repository whose commits it judges. A signature counts if a key of the list made it, for
//! git, while the key was valid; as for git itself, the time is the one that the commit names. Public keys of OpenPGP may
//! stand in the list, too, in armor: `gpg` checks their signatures.

mod allowed_signers;
mod error;
mod openpgp;
mod ssh;
#[cfg(test)]
pub(super) mod tests;
mod wire;

pub use allowed_signers::AllowedSigners;
pub use error::{SignatureError, SignersError};
pub use ssh::{SshKey, SshSignature};
