//! The proxies on the way, as `HTTPS_PROXY` and `NO_PROXY` name them.

use std::fmt;

use reqwest::{NoProxy, Proxy};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::HttpError;

/// Through what servers are reached. The values are those of the environment; nothing here reads it.
///
/// A proxy tunnels: it sees the server's name and nothing of what is said. Its own name and password may stand in its
/// address, so `Debug` and errors show neither.
#[derive(Clone, Default)]
pub struct Proxies {
    https: Option<SecretString>,
    except: Option<String>,
}

impl Proxies {
    /// A proxy for everything but the hosts in `except`: names with their subdomains, addresses and networks, separated
    /// by commas; `*` is everybody. Whether it is the address of a proxy is found out when a client is made.
    pub fn new(https: Option<String>, except: Option<String>) -> Self {
        let given = |text: &String| !text.trim().is_empty();
        Self { https: https.filter(given).map(SecretString::from), except: except.filter(given) }
    }

    /// The proxy for `https` addresses. A server on this machine has no `https` and no proxy.
    pub(super) fn proxy(&self) -> Result<Option<Proxy>, HttpError> {
        let Some(text) = &self.https else { return Ok(None) };
        let mut excepted = self.except.as_deref().unwrap_or_default().split(',');
        if excepted.any(|host| host.trim() == "*") {
            return Ok(None);
        }
        let text = text.expose_secret().trim();
        // As everywhere, an address without a scheme is one of `http`.
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&whole).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let proxy = url.and_then(|url| Proxy::https(url).ok()).ok_or(HttpError::ProxyAddress)?;
        Ok(Some(proxy.no_proxy(self.except.as_deref().and_then(NoProxy::from_string))))
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.https.is_some() { "Proxies(one)" } else { "Proxies(none)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proxy_is_an_error_that_does_not_repeat_it() {
        for good in ["http://proxy.example.com:3128", "proxy.example.com:3128", " https://u:s3cr3t@proxy:8443/ "] {
            assert!(Proxies::new(Some(good.into()), Some("a, .b, 10.0.0.0/8".into())).proxy().unwrap().is_some());
        }
        for none in [None, Some(String::new()), Some(" ".into())] {
            assert!(Proxies::new(none, None).proxy().unwrap().is_none());
        }
        let everybody = Proxies::new(Some("http://proxy:3128".into()), Some("a.example.com, *".into()));
        assert!(everybody.proxy().unwrap().is_none());
        for bad in ["socks5://u:s3cr3t@proxy:1080", "http://", "http://u:s3cr3t@", "http://a b"] {
            let proxies = Proxies::new(Some(bad.into()), None);
            let error = proxies.proxy().unwrap_err();
            assert!(matches!(error, HttpError::ProxyAddress), "{bad}");
            assert!(!format!("{error} {error:?} {proxies:?}").contains("s3cr3t"));
        }
    }
}
