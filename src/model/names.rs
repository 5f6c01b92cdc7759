//! Names that people write or a server reports, each valid by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that breaks the rule of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {rule}")]
pub struct InvalidName {
    /// What the name is for, as a noun.
    pub kind: &'static str,
    /// The rule, as a phrase that follows "must be".
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks `text` against the rule of this kind of name.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) { Ok(Self(text)) } else { Err(InvalidName { kind: $kind, rule: $rule }) }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

/// Letters, digits, `.`, `_`, `-` and a leading `~`: what Bitbucket uses in keys and slugs, and nothing that
/// could act as a path, an option or an escape sequence.
fn is_server_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text != "."
        && text != ".."
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

fn is_declared_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

name!(
    /// The key of a Bitbucket project, such as `PAY`, or `~jdoe` for a personal one.
    ProjectKey, "a project key", "1 to 128 letters, digits, `.`, `_`, `-`, with `~` for personal projects", is_server_name
);
name!(
    /// The slug of a Bitbucket repository. It changes when the repository is renamed; see [`RepoId`].
    RepoSlug, "a repository slug", "1 to 128 letters, digits, `.`, `_`, `-` or `~`", is_server_name
);
name!(
    /// The name of a declared server.
    ServerName, "a server name", "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit", is_declared_name
);
name!(
    /// The name of a declared destination.
    DestinationName, "a destination name", "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit", is_declared_name
);
name!(
    /// The name of a declared retention.
    RetentionName, "a retention name", "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit", is_declared_name
);
name!(
    /// The name of a backup plan.
    PlanName, "a plan name", "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit", is_declared_name
);
name!(
    /// The name of an `alerts` node.
    AlertsName, "the name of alerts", "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit", is_declared_name
);
name!(
    /// The name of an additional credential inside its project.
    CredentialName, "a credential name", "1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit", is_declared_name
);
name!(
    /// The user name of an account on a server. Owns one token bucket per node.
    ///
    /// A `.` or `..` cannot be a part of an address: whoever asks for it gets another resource.
    AccountName, "an account name", "1 to 255 characters without control characters or `:`, and not `.` or `..`",
    |text| {
        (1..=255).contains(&text.len())
            && !matches!(text, "." | "..")
            && !text.chars().any(|c| c.is_control() || c == ':')
    }
);
name!(
    /// An age recipient (`age1…`): the public half of an identity. Whether it is a usable key is decided by
    /// the room that encrypts.
    PublicKey, "a recipient", "an age public key that begins with `age1`",
    |text| text.len() <= 4096 && text.starts_with("age1") && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
);

name!(
    /// The name of a bucket in an object store.
    BucketName, "a bucket name", "3 to 63 small letters, digits, `.` or `-`, beginning and ending with a letter or digit",
    |text| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        (3..=63).contains(&text.len())
            && edge(text.as_bytes().first())
            && edge(text.as_bytes().last())
            && !text.contains("..")
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
    }
);
name!(
    /// What the keys of a destination's objects begin with, without a `/` at its ends.
    KeyPrefix, "a prefix", "names of letters, digits, `.`, `_` or `-`, with `/` between them, 512 characters at most",
    |text| {
        let segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        text.len() <= 512 && text.split('/').all(segment)
    }
);
name!(
    /// A region of an object store.
    Region, "a region", "1 to 64 small letters, digits or `-`, beginning with a letter or digit, such as \"eu-central-1\"",
    |text| {
        (1..=64).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }
);

/// Bitbucket's own number of a repository: stable over renames and moves, and the identity of its backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepoId(pub u64);

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bitbucket's own number of a project: stable when its key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub u64);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_slugs_are_refused() {
        for hostile in ["", ".", "..", "a/b", "-o", "a b", "a\u{1b}[2J", "a\u{202e}b", "a\n", "ü"] {
            assert!(RepoSlug::new(hostile).is_err(), "{hostile:?}");
        }
        for real in ["ledger", "ledger.core_2", "~jdoe", ".github"] {
            assert!(RepoSlug::new(real).is_ok(), "{real:?}");
        }
    }

    #[test]
    fn buckets_prefixes_and_regions_are_no_paths() {
        for hostile in ["", "ab", "Ab-c", "a..b", "-abc", "abc-", "a/b", "a_bc"] {
            assert!(BucketName::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(BucketName::new("corp-git.backups").is_ok());
        for hostile in ["", "/a", "a/", "a//b", "a/../b", "..", "a b", "a\u{1b}"] {
            assert!(KeyPrefix::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(KeyPrefix::new("team/bitbucket").is_ok());
        assert!(Region::new("eu-central-1").is_ok() && Region::new("eu.evil").is_err() && Region::new("").is_err());
    }

    #[test]
    fn account_names_cannot_break_basic_authentication_or_addresses() {
        assert!(AccountName::new("user:name").is_err());
        for hostile in ["", ".", "..", "a\n"] {
            assert!(AccountName::new(hostile).is_err(), "{hostile:?}");
        }
        assert!(AccountName::new("svc-backup@example.com").is_ok());
    }
}
