//! What can go wrong with a REST call.

use crate::http::{HttpError, Retry};

/// Why a REST call gave nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BitbucketError {
    /// The request failed below REST.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A page that says it is not the last one, without a way to the next.
    #[error("{resource}: the page at {start} is not the last one, and its next page is {next}")]
    Paging {
        /// What was listed.
        resource: String,
        /// Where the page starts.
        start: u64,
        /// What it says of the next one.
        next: String,
    },
    /// A list that does not end.
    #[error("{resource}: more than {most} {what}, and no end")]
    Endless {
        /// What was listed.
        resource: String,
        /// How much of it was read at most.
        most: u64,
        /// In what that is counted.
        what: &'static str,
    },
    /// A document with a value that breaks the rules of its kind.
    #[error("{resource}: {why}")]
    Malformed {
        /// What was asked for.
        resource: String,
        /// What is wrong with it.
        why: String,
    },
}

impl BitbucketError {
    /// Whether the same call can succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Http(error) => error.retry(),
            Self::Paging { .. } | Self::Endless { .. } | Self::Malformed { .. } => Retry::Never,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Http(error) => error.hint(),
            Self::Paging { .. } | Self::Endless { .. } => {
                Some("a proxy may be caching or changing REST answers".to_owned())
            }
            Self::Malformed { .. } => None,
        }
    }
}
