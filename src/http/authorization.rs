//! A credential in the form that a request carries it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::HttpError;
use crate::model::AccountName;

/// The `Authorization` header of one account. `Debug` shows the account and nothing else.
#[derive(Clone)]
pub struct Authorization {
    account: AccountName,
    header: HeaderValue,
}

impl Authorization {
    /// Sends an access token as a Bearer token.
    pub fn bearer(account: AccountName, token: &SecretString) -> Result<Self, HttpError> {
        let value = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        Self::from_value(account, &value)
    }

    /// Sends the account's name and password with Basic authentication.
    pub fn basic(account: AccountName, password: &SecretString) -> Result<Self, HttpError> {
        let pair = Zeroizing::new(format!("{account}:{}", password.expose_secret()));
        let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
        Self::from_value(account, &value)
    }

    fn from_value(account: AccountName, value: &str) -> Result<Self, HttpError> {
        let usable = !value.ends_with(' ') && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let header = HeaderValue::from_str(value).ok().filter(|_| usable);
        let Some(mut header) = header else { return Err(HttpError::UnusableSecret { account }) };
        header.set_sensitive(true);
        Ok(Self { account, header })
    }

    /// Whose credential this is.
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// Whether both would send the same to a server.
    pub fn is_same_secret(&self, other: &Self) -> bool {
        self.account == other.account && self.header == other.header
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorization({})", self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountName {
        AccountName::new("svc-backup").unwrap()
    }

    #[test]
    fn debug_shows_the_account_only() {
        let authorization = Authorization::bearer(account(), &SecretString::from("s3cr3t")).unwrap();
        let shown = format!("{authorization:?} {:?}", authorization.header);
        assert!(shown.contains("svc-backup") && !shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn basic_is_the_pair_in_base64() {
        let authorization = Authorization::basic(account(), &SecretString::from("pä:ss")).unwrap();
        let expected = format!("Basic {}", STANDARD.encode("svc-backup:pä:ss"));
        assert_eq!(authorization.header.to_str().unwrap(), expected);
    }

    #[test]
    fn a_token_that_could_split_a_header_is_refused() {
        for token in ["a\nb", "a\r\nHost: evil", "", "tök"] {
            let error = Authorization::bearer(account(), &SecretString::from(token)).unwrap_err();
            assert!(matches!(error, HttpError::UnusableSecret { .. }));
            assert!(token.is_empty() || !format!("{error} {error:?}").contains(token));
        }
    }
}
