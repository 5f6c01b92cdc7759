//! Why a signature does not count.

/// A line of the list of allowed signers that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the allowed signers: {reason}")]
pub struct SignersError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Why a commit does not count as signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("it is not signed")]
    Unsigned,
    /// It is of a kind that nobody in the list signs with, or that is not checked.
    #[error("its signature is {kind}, and the allowed signers have no such key")]
    Kind {
        /// The kind, with its article.
        kind: &'static str,
    },
    /// It does not have the form of a signature.
    #[error("its signature is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// The key is of a type that is not checked.
    #[error("its signature is made with a key of type {name:?}, which is not supported")]
    KeyType {
        /// The type as the signature names it, shortened.
        name: String,
    },
    /// It was made for something else, such as a file or an email.
    #[error("its signature was made for {namespace:?}, not for git")]
    Namespace {
        /// What it was made for, shortened.
        namespace: String,
    },
    /// The key is not in the list.
    #[error("it is signed with a key that is not among the allowed signers: {fingerprint}")]
    UnknownKey {
        /// The key's fingerprint as `ssh-keygen -l` shows it.
        fingerprint: String,
    },
    /// The key is in the list, but not for git, or not for the time of the commit.
    #[error("it is signed with the key of {principals}, which {why}")]
    NotValid {
        /// Whose key it is.
        principals: String,
        /// Why it does not count, as a verb.
        why: &'static str,
    },
    /// There are so many commits that not all of them are looked at.
    #[error("it is one of more than {limit} commits since the applied one, which are too many to check")]
    TooMany {
        /// The most that are checked.
        limit: usize,
    },
    /// The commit is not what was signed.
    #[error("its signature does not fit what it says")]
    Forged,
}

impl SignatureError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned => {
                "sign commits: `git commit -S`, with `git config gpg.format ssh` and a key of the file of allowed signers, \
                 or with an OpenPGP key of it"
            }
            Self::KeyType { .. } => {
                "sign commits with `git config gpg.format ssh` and an ed25519, ECDSA (P-256, P-384) or RSA key"
            }
            Self::Kind { .. } => {
                "sign commits with `git config gpg.format ssh`; or put the signer's OpenPGP key, as `gpg --armor --export` \
                 writes it, into the file of allowed signers on this machine"
            }
            Self::UnknownKey { .. } | Self::NotValid { .. } => {
                "if this key may sign, put its line into the file of allowed signers on this machine"
            }
            Self::TooMany { .. } => "review them, and apply the branch by hand once: `xopero apply` in a clone of it",
            Self::Malformed { .. } | Self::Namespace { .. } | Self::Forged => {
                "ask who pushed the commit: git does not make such a signature"
            }
        }
    }
}
