//! Values that are encrypted in the file and stay encrypted everywhere but at the moment of use.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::hex;

/// What a sealed value is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKind {
    /// An HTTP access token: sent as a Bearer token.
    Token,
    /// A user's password: sent with Basic authentication.
    Password,
    /// Half of the key to an object store. It is sealed for the address of the store, and its account is the bucket.
    S3,
    /// What a webhook's messages are signed with. It is sealed for the address that they go to, and never sent.
    SigningKey,
    /// An address that lets in whoever knows it.
    Address,
}

impl SecretKind {
    /// The word that the language and the envelope use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Password => "password",
            Self::S3 => "s3",
            Self::SigningKey => "signing-key",
            Self::Address => "address",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a credential of a Bitbucket account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// An HTTP access token: sent as a Bearer token.
    Token,
    /// A user's password: sent with Basic authentication.
    Password,
}

impl CredentialKind {
    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => SecretKind::Token.as_str(),
            Self::Password => SecretKind::Password.as_str(),
        }
    }
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<CredentialKind> for SecretKind {
    fn from(kind: CredentialKind) -> Self {
        match kind {
            CredentialKind::Token => Self::Token,
            CredentialKind::Password => Self::Password,
        }
    }
}

/// An age ciphertext as it stands in the file: ASCII armor, or base64 on one line. Safe to store and to show.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Takes the text between the quotes of an `(age)` value.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The ciphertext as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first eight hexadecimal digits of [`Self::full_digest`]: tells two ciphertexts apart for people.
    pub fn digest(&self) -> String {
        let mut digits = self.full_digest();
        digits.truncate(8);
        digits
    }

    /// SHA-256 of the ciphertext in hexadecimal: tells two of them apart even if somebody tries to make them alike.
    ///
    /// Surrounding white space does not count, so re-indenting the file does not change the digest.
    pub fn full_digest(&self) -> String {
        let lines: Vec<&str> = self.0.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        hex::encode(&Sha256::digest(lines.join("\n")))
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.digest())
    }
}
