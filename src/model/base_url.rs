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

/// Whether an address leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
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
    use proptest::prelude::*;

    use super::*;
    use crate::model::{AccountName, ProjectKey, RepoSlug};

    /// What a server reads out of an address below the base, segment by segment.
    fn segments_of(base: &BaseUrl, url: &Url) -> Vec<String> {
        assert!(base.covers(url), "{url} is not below {base}");
        let below = url.as_str().strip_prefix(&base.origin()).and_then(|rest| rest.strip_prefix('/')).unwrap();
        assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
        below.split('/').map(decoded).collect()
    }

    fn decoded(segment: &str) -> String {
        let (mut bytes, mut rest) = (Vec::new(), segment.as_bytes());
        while let Some((first, after)) = rest.split_first() {
            if *first == b'%' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(*first);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    fn bases() -> [BaseUrl; 3] {
        ["https://bb.example.com", "https://bb.example.com:8443/bitbucket", "http://127.0.0.1:7990/a/b"]
            .map(|text| BaseUrl::new(text).unwrap())
    }

    proptest! {
        #[test]
        fn keys_slugs_and_accounts_arrive_as_they_are(
            key in "~?[A-Za-z0-9._-]{1,40}", slug in "[A-Za-z0-9._~-]{1,40}",
            account in prop_oneof!["\\PC{1,40}", "[%/?#\\\\+ ~.;&=@éß日🦀]{1,12}", "(%2[eEfF]|%25|\\.){1,4}"],
        ) {
            let (Ok(key), Ok(slug)) = (ProjectKey::new(key), RepoSlug::new(slug)) else { return Ok(()) };
            let Ok(account) = AccountName::new(account) else { return Ok(()) };
            for base in bases() {
                let sent = ["rest", "projects", key.as_str(), "repos", slug.as_str(), "users", account.as_str()];
                let url = base.join(sent);
                prop_assert_eq!(segments_of(&base, &url), sent, "{}", url);
                prop_assert_eq!(Url::parse(url.as_str()).unwrap(), url, "it is read as it was written");
            }
        }

        #[test]
        fn nothing_climbs_out_of_the_base(segments in prop::collection::vec(any::<String>(), 0..5)) {
            for base in bases() {
                let url = base.join(segments.iter().map(String::as_str));
                prop_assert!(base.covers(&url), "{}", url);
            }
        }
    }

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
        assert_eq!(base.join(["a/b", "50%", "ü"]).as_str(), "https://bb.example.com/bitbucket/a%2Fb/50%25/%C3%BC");
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
