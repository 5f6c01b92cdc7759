//! What can go wrong with keys and sealed values. No variant carries plain text.

use std::io;
use std::path::PathBuf;

use super::PrivateFileError;
use crate::model::{PublicKey, SecretKind};

/// The cause that the encryption reports, with its type hidden.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a key could not be used, or a value not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No place holds an identity file.
    #[error("no identity file found; looked at {}", list(looked_at))]
    NoIdentity {
        /// The places, in the order in which they were tried.
        looked_at: Vec<PathBuf>,
    },
    /// An identity file that was asked for, or that exists, cannot be read.
    #[error("cannot read the identity file {}{}", path.display(), named_by.map(|by| format!(" (from {by})")).unwrap_or_default())]
    ReadIdentity {
        /// The file.
        path: PathBuf,
        /// The option or variable that names it, if one does.
        named_by: Option<&'static str>,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The identity's path is a directory, a device or a pipe.
    #[error("the identity {} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Others than the owner can read or write the identity file.
    #[error("the identity file {} is open to other users (mode {mode:04o})", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The identity file belongs to another user.
    #[error("the identity file {} belongs to user {owner}, neither to the current user nor to root", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// The owner's number.
        owner: u32,
    },
    /// The identity file is too large to be one.
    #[error("the identity file {} is larger than 1 MiB", path.display())]
    IdentityTooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line of the identity file is not an age identity.
    #[error("line {line} of the identity file {} is not an age identity: {reason}", path.display())]
    MalformedIdentity {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1. Its text is not repeated: it may be a damaged key.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The identity file holds comments only.
    #[error("the identity file {} contains no identity", path.display())]
    EmptyIdentityFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that should hold one secret cannot be used.
    #[error("cannot use the secret in {}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PrivateFileError,
    },
    /// A public key that cannot be encrypted to.
    #[error("{key} is not an age public key: {reason}")]
    PublicKey {
        /// The key.
        key: PublicKey,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is nobody to encrypt to.
    #[error("there is no recipient to encrypt to")]
    NoRecipients,
    /// The secret cannot be a token or password.
    #[error("the secret {reason}")]
    UnusableSecret {
        /// What is wrong with it, as a phrase.
        reason: &'static str,
    },
    /// Sealing failed.
    #[error("cannot seal the secret")]
    Seal {
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The text is neither ASCII armor nor base64 of an age file.
    #[error("the sealed value is neither ASCII armor nor base64 of an age file")]
    NotSealed,
    /// None of the identities at hand opens it.
    #[error("none of the identities at hand opens it")]
    NoMatchingKey,
    /// It was changed or cut.
    #[error("the encrypted data is damaged")]
    Damaged {
        /// The cause.
        #[source]
        source: Cause,
    },
    /// It opened, but what is inside is not an envelope of ours.
    #[error("the sealed value was not made by xopero: {reason}")]
    NotAnEnvelope {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It opened, but it was sealed for another server, account or use.
    #[error(
        "the value is sealed as a {sealed_kind} of account {sealed_account:?} at {sealed_origin:?}, \
         and would be used as a {kind} of account {account:?} at {origin:?}"
    )]
    Context {
        /// What it was sealed as.
        sealed_kind: SecretKind,
        /// The server it was sealed for.
        sealed_origin: String,
        /// The account it was sealed for.
        sealed_account: String,
        /// What it would be used as.
        kind: SecretKind,
        /// The server it would be sent to.
        origin: String,
        /// The account it would be used for.
        account: String,
    },
}

impl SecretError {
    /// What to do about it, where a person can act.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoIdentity { .. } => Some(
                "make one with `xopero secrets keygen`, or name one with --identity or XOPERO_IDENTITY_FILE".to_owned(),
            ),
            Self::ReadIdentity { named_by: Some(by), .. } => Some(format!("check the path given by {by}")),
            Self::ReadIdentity { path, named_by: None, .. } => Some(format!("let this user read {}", path.display())),
            Self::NotAFile { .. } => Some("name the file that holds the `AGE-SECRET-KEY-1…` line".to_owned()),
            Self::Permissions { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::Owner { path, .. } => {
                Some(format!("chown the file to the user that runs xopero: {}", path.display()))
            }
            Self::IdentityTooLarge { .. } | Self::EmptyIdentityFile { .. } | Self::MalformedIdentity { .. } => {
                Some("an identity file has one `AGE-SECRET-KEY-1…` per line; lines with # are comments".to_owned())
            }
            Self::SecretFile { path, source } => match source {
                PrivateFileError::Read(_) | PrivateFileError::NotAFile => {
                    Some("name a file that this user may read".to_owned())
                }
                PrivateFileError::Permissions(_) => Some(format!("chmod 600 {}", path.display())),
                PrivateFileError::Owner(_) => {
                    Some(format!("chown it to the user that runs xopero: {}", path.display()))
                }
                PrivateFileError::TooLarge(_) | PrivateFileError::NotOneLine => {
                    Some("put the token into the file, on one line and with nothing else".to_owned())
                }
            },
            Self::PublicKey { .. } => {
                Some("copy the `age1…` text from the `# public key:` line of the identity file".to_owned())
            }
            Self::NoRecipients => Some("add a `recipients` node with at least one `recipient \"age1…\"`".to_owned()),
            Self::UnusableSecret { .. } => {
                Some("give the token or password on one line, as Bitbucket showed it".to_owned())
            }
            Self::NotSealed | Self::NotAnEnvelope { .. } => {
                Some("seal the secret again with `xopero credential add`".to_owned())
            }
            Self::NoMatchingKey => Some(
                "use --identity with the identity of one of its recipients, or have the value sealed again for yours"
                    .to_owned(),
            ),
            Self::Damaged { .. } => Some("restore the bytes from version control or a copy, or seal again".to_owned()),
            Self::Context { .. } => Some(
                "if the change of server or account is meant, seal the secret again with `xopero credential add`"
                    .to_owned(),
            ),
            Self::Seal { .. } => None,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
