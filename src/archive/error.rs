//! What can go wrong with an archive.

use std::io;

use crate::git::{ConnectivityError, IndexError, PackError};
use crate::secret::SecretError;
use crate::store::StoreError;

/// A failure to write, read or check an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The destination failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// age could not encrypt.
    #[error("failed to encrypt for the destination")]
    Encrypt {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// age could not decrypt: usually another identity is needed.
    #[error("failed to decrypt {key}")]
    Open {
        /// The object.
        key: String,
        /// The cause.
        #[source]
        source: SecretError,
    },
    /// An object is not what was written.
    #[error("{key} is damaged: {why}")]
    Damaged {
        /// The object.
        key: String,
        /// How it shows.
        why: String,
    },
    /// A document is written in a newer format.
    #[error("{key} has format {found}; this version of xopero reads up to {supported}")]
    NewerFormat {
        /// The object.
        key: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        supported: u32,
    },
    /// What the server sends is not a sound pack.
    #[error("the server's pack is not sound")]
    Pack(#[from] PackError),
    /// The objects of a pack could not be checked.
    #[error("failed to index the pack")]
    Index(#[from] IndexError),
    /// The connections between objects could not be checked.
    #[error("failed to walk the objects")]
    Connectivity(#[from] ConnectivityError),
    /// A directory for temporary files could not be made.
    #[error("failed to use a temporary directory")]
    Scratch {
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ArchiveError {
    /// Understands why a stored object could not be opened: damage is not a matter of identities.
    pub(super) fn opening(key: &str, source: SecretError) -> Self {
        let key = key.to_owned();
        match source {
            SecretError::Damaged { .. } => Self::Damaged { key, why: "it is not a whole age file".into() },
            source => Self::Open { key, source },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Open { source: SecretError::NoMatchingKey, .. } => Some(
                "use --identity with the identity of one of the destination's `encrypt-to` keys: \
                 not the one that opens the credentials"
                    .into(),
            ),
            Self::Open { source, .. } => source.hint(),
            Self::NewerFormat { .. } => Some("use a newer version of xopero".into()),
            Self::Damaged { .. } => {
                Some("restore an older snapshot, or the same one from another destination; the next run stores anew what is damaged".into())
            }
            Self::Encrypt { .. } | Self::Pack(_) | Self::Index(_) | Self::Connectivity(_) | Self::Scratch { .. } => {
                None
            }
        }
    }

    /// Whether stored bytes are at fault, rather than the attempt to read them.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. }
            | Self::Pack(_)
            | Self::Index(IndexError::Damaged { .. })
            | Self::Connectivity(ConnectivityError::Decode { .. } | ConnectivityError::WrongKind { .. }) => true,
            Self::Store(error) => matches!(error, StoreError::Missing { .. } | StoreError::TooLarge { .. }),
            Self::Encrypt { .. }
            | Self::Open { .. }
            | Self::NewerFormat { .. }
            | Self::Index(_)
            | Self::Connectivity(_)
            | Self::Scratch { .. } => false,
        }
    }
}
