//! The address of a Bitbucket server.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Why a text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBaseUrl {
    /// It is not an absolute URL.
    #[error("is not an address such as \"https://bitbucket.example.com\"")]
    Malformed,
    /// It carries a user name, a password, a query or a fragment.
    #[error("must not contain a user name, password, `?` or `#`")]
    Excess,
    /// It is `http` to a host other than this machine.
    #[error("must be https: over http, tokens and repositories would cross the network in clear text")]
    ClearText,
}

/// A server's base URL: scheme, host, port and context path (`https://host/bitbucket`), without a trailing `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Takes an `https` URL, or an `http` one to a loopback address.
    pub fn new(text: &str) -> Result<Self, InvalidBaseUrl> {
        let mut url = Url::parse(text).map_err(|_| InvalidBaseUrl::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return Err(InvalidBaseUrl::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidBaseUrl::Excess);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(InvalidBaseUrl::ClearText);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// The canonical text that secrets are bound to: scheme, host, port unless it is the default, context path.
    pub fn origin(&self) -> String {
        self.0.as_str().trim_end_matches('/').to_owned()
    }

    /// The address of something below the base. `segments` are encoded one by one; the context path is kept.
    pub fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        url.path_segments_mut().expect("http URLs have segments").pop_if_empty().extend(segments);
        url
    }

    /// Whether `url` has this scheme, host and port and lies below the context path.
    pub fn covers(&self, url: &Url) -> bool {
        let context = self.0.path().trim_end_matches('/');
        let below = url.path().strip_prefix(context).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        url.origin() == self.0.origin() && below && url.username().is_empty() && url.password().is_none()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = InvalidBaseUrl;
    fn try_from(text: String) -> Result<Self, InvalidBaseUrl> {
        Self::new(&text)
    }
}

impl From<BaseUrl> for String {
    fn from(url: BaseUrl) -> String {
        url.origin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_canonical() {
        let origin = |text: &str| BaseUrl::new(text).map(|url| url.origin());
        assert_eq!(origin("https://BB.example.com:443/"), Ok("https://bb.example.com".into()));
        assert_eq!(origin("https://bb.example.com/bitbucket/"), Ok("https://bb.example.com/bitbucket".into()));
        assert_eq!(origin("http://127.0.0.1:7990"), Ok("http://127.0.0.1:7990".into()));
        assert_eq!(origin("http://bb.example.com"), Err(InvalidBaseUrl::ClearText));
        assert_eq!(origin("https://user@bb.example.com"), Err(InvalidBaseUrl::Excess));
        assert_eq!(origin("https:"), Err(InvalidBaseUrl::Malformed));
        assert_eq!(origin("ssh://bb.example.com"), Err(InvalidBaseUrl::Malformed));
    }

    #[test]
    fn quirk_20_joining_keeps_the_context_path_and_encodes() {
        let base = BaseUrl::new("https://bb.example.com/bitbucket").unwrap();
        assert_eq!(base.join(["rest", "a b"]).as_str(), "https://bb.example.com/bitbucket/rest/a%20b");
        assert_eq!(base.join(["projects", "~jdoe"]).as_str(), "https://bb.example.com/bitbucket/projects/~jdoe");
    }

    #[test]
    fn covers_only_what_is_below() {
        let base = BaseUrl::new("https://bb.example.com/bitbucket").unwrap();
        let covers = |text: &str| base.covers(&Url::parse(text).unwrap());
        assert!(covers("https://bb.example.com/bitbucket/scm/pay/a.git"));
        assert!(!covers("https://bb.example.com/bitbucketeer/scm"));
        assert!(!covers("https://bb.example.com:444/bitbucket/scm"));
        assert!(!covers("http://bb.example.com/bitbucket/scm"));
        assert!(!covers("https://evil.example.com/bitbucket/scm"));
    }
}
