//! The address that an alert is sent to.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::BaseUrl;
use super::base_url::is_loopback;

/// Longer addresses are typing errors.
const LONGEST: usize = 2048;

/// Why nothing can be sent to an address. Worded to follow "it".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAlertUrl {
    /// It is not an absolute URL.
    #[error("is not an address such as \"https://hooks.example.com/xopero\"")]
    Malformed,
    /// It carries a user name, a password or a fragment.
    #[error("must not contain a user name, password or `#`")]
    Excess,
    /// It has a query, which usually is a secret.
    #[error("has a `?`: what follows is a secret as a rule, so seal the whole address as `address`")]
    Query,
    /// It is `http` to a host other than this machine.
    #[error("must be https: over http, names of projects and repositories would cross the network in clear text")]
    ClearText,
}

/// An `https` URL, or an `http` one to this machine, as it is sent: nothing is taken off its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertUrl(Url);

impl AlertUrl {
    /// An address that stands in the file for everybody to read.
    pub fn new(text: &str) -> Result<Self, InvalidAlertUrl> {
        let address = Self::secret(text)?;
        if address.0.query().is_some() { Err(InvalidAlertUrl::Query) } else { Ok(address) }
    }

    /// An address that is kept sealed, and may have a query.
    pub fn secret(text: &str) -> Result<Self, InvalidAlertUrl> {
        if text.len() > LONGEST {
            return Err(InvalidAlertUrl::Malformed);
        }
        let url = Url::parse(text).map_err(|_| InvalidAlertUrl::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return Err(InvalidAlertUrl::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(InvalidAlertUrl::Excess);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(InvalidAlertUrl::ClearText);
        }
        Ok(Self(url))
    }

    /// The whole address: what secrets are bound to.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The address to send to.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The address with more segments: a query stays behind them.
    pub fn with(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut().expect("http URLs have segments").pop_if_empty().extend(segments);
        url
    }

    /// Scheme, host and port: what may be shown of an address that is a secret.
    pub fn origin(&self) -> BaseUrl {
        BaseUrl::new(&self.0.origin().ascii_serialization()).expect("an origin is a base URL")
    }
}

impl fmt::Display for AlertUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for AlertUrl {
    type Error = InvalidAlertUrl;
    fn try_from(text: String) -> Result<Self, InvalidAlertUrl> {
        Self::new(&text)
    }
}

impl From<AlertUrl> for String {
    fn from(url: AlertUrl) -> Self {
        url.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_sent_as_it_is_written() {
        let address = AlertUrl::new("https://Hooks.example.com:443/a/b/").unwrap();
        assert_eq!(address.as_str(), "https://hooks.example.com/a/b/");
        assert_eq!(address.origin().origin(), "https://hooks.example.com");
        assert_eq!(address.with(&["start"]).as_str(), "https://hooks.example.com/a/b/start");
        let secret = AlertUrl::secret("http://127.0.0.1:9/x?token=1").unwrap();
        assert_eq!(secret.with(&["fail"]).as_str(), "http://127.0.0.1:9/x/fail?token=1");
    }

    #[test]
    fn what_would_leak_is_refused() {
        for (text, why) in [
            ("https:", InvalidAlertUrl::Malformed),
            ("ftp://example.com/x", InvalidAlertUrl::Malformed),
            ("http://hooks.example.com/x", InvalidAlertUrl::ClearText),
            ("https://user@hooks.example.com/x", InvalidAlertUrl::Excess),
            ("https://hooks.example.com/x#y", InvalidAlertUrl::Excess),
            ("https://hooks.example.com/x?token=1", InvalidAlertUrl::Query),
        ] {
            assert_eq!(AlertUrl::new(text), Err(why), "{text}");
        }
        assert_eq!(AlertUrl::new(&format!("https://a/{}", "x".repeat(LONGEST))), Err(InvalidAlertUrl::Malformed));
    }
}
