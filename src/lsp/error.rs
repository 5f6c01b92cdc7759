//! Why a session with an editor ended.

use std::io;

/// Why a session with an editor ended.
#[derive(Debug, thiserror::Error)]
pub enum LspError {
    /// What came in is not the protocol.
    #[error("the input is not the language server protocol: {reason}")]
    NotTheProtocol {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A message is larger than any file that could be in it.
    #[error("a message of {size} bytes is too large; the limit is {limit}")]
    TooLarge {
        /// What it announces.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The input broke.
    #[error("cannot read from the editor")]
    Read {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The output broke.
    #[error("cannot write to the editor")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LspError {
    /// What the person can do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotTheProtocol { .. } => {
                Some("an editor starts this command; the README shows how to set yours up".to_owned())
            }
            Self::TooLarge { .. } | Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}
