//! Mailboxes, and the server that takes mail.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::Url;

/// A text that is no mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mail address is a name, `@` and a domain, such as \"ops@example.com\"")]
pub struct InvalidMailAddress;

/// A mailbox: `ops@example.com`, without a display name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(String);

impl MailAddress {
    /// Takes what every mail server takes: visible ASCII without anything that could end a header or a command.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidMailAddress> {
        let text = text.into();
        let (local, domain) = text.split_once('@').ok_or(InvalidMailAddress)?;
        let local_part = (1..=64).contains(&local.len())
            && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte))
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let valid = local_part && domain.len() <= 253 && domain.split('.').all(label);
        if valid { Ok(Self(text)) } else { Err(InvalidMailAddress) }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MailAddress {
    type Error = InvalidMailAddress;
    fn try_from(text: String) -> Result<Self, InvalidMailAddress> {
        Self::new(text)
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.0
    }
}

/// Why a text is not the address of a mail server. Worded to follow "it".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMailServer {
    /// It has another form.
    #[error("is not an address such as \"smtps://mail.example.com:465\" or \"smtp://mail.example.com:587\"")]
    Malformed,
    /// It says more than where the server is.
    #[error("must be a scheme, a host and a port, and nothing else: the account and its password stand beside it")]
    Excess,
}

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MailSecurity {
    /// TLS from the first byte: `smtps`.
    Tls,
    /// TLS before anything is said: `smtp`. A server that does not offer it gets nothing.
    StartTls,
    /// No TLS: `smtp` to this machine.
    Loopback,
}

/// A server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailServer {
    security: MailSecurity,
    host: String,
    port: u16,
}

impl MailServer {
    /// Takes `smtps://host[:port]` or `smtp://host[:port]`.
    pub fn new(text: &str) -> Result<Self, InvalidMailServer> {
        let url = Url::parse(text).map_err(|_| InvalidMailServer::Malformed)?;
        let (encrypted, usual) = match url.scheme() {
            "smtps" => (true, 465),
            "smtp" => (false, 587),
            _ => return Err(InvalidMailServer::Malformed),
        };
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let address = host.parse::<IpAddr>();
        let name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        if host.is_empty() || host.len() > 253 || !(name || address.is_ok()) {
            return Err(InvalidMailServer::Malformed);
        }
        let excess = !url.username().is_empty()
            || url.password().is_some()
            || !matches!(url.path(), "" | "/")
            || url.query().is_some()
            || url.fragment().is_some();
        if excess {
            return Err(InvalidMailServer::Excess);
        }
        let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let security = match (encrypted, here) {
            (true, _) => MailSecurity::Tls,
            (false, true) => MailSecurity::Loopback,
            (false, false) => MailSecurity::StartTls,
        };
        Ok(Self { security, host, port: url.port().unwrap_or(usual) })
    }

    /// How it is spoken to.
    pub const fn security(&self) -> MailSecurity {
        self.security
    }

    /// Its name or number.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The canonical text that passwords are bound to.
    pub fn origin(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            MailSecurity::Tls => "smtps",
            MailSecurity::StartTls | MailSecurity::Loopback => "smtp",
        };
        let bracketed = self.host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

impl TryFrom<String> for MailServer {
    type Error = InvalidMailServer;
    fn try_from(text: String) -> Result<Self, InvalidMailServer> {
        Self::new(&text)
    }
}

impl From<MailServer> for String {
    fn from(server: MailServer) -> Self {
        server.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_cannot_end_a_header_or_a_command() {
        for hostile in
            ["", "ops", "@example.com", "ops@", "a b@example.com", "a@b@c", "a@b\r\nRCPT TO:<x@y>", "a@b>", "ü@b"]
        {
            assert!(MailAddress::new(hostile).is_err(), "{hostile:?}");
        }
        for real in ["ops@example.com", "first.last+tag@mail-1.example.com", "root@localhost"] {
            assert!(MailAddress::new(real).is_ok(), "{real}");
        }
    }

    #[test]
    fn a_server_has_one_spelling() {
        let spelt = |text: &str| MailServer::new(text).map(|server| (server.to_string(), server.security()));
        let tls = |text: &str, security| Ok((text.to_owned(), security));
        assert_eq!(spelt("smtps://Mail.example.com"), tls("smtps://mail.example.com:465", MailSecurity::Tls));
        assert_eq!(spelt("smtp://mail.example.com"), tls("smtp://mail.example.com:587", MailSecurity::StartTls));
        assert_eq!(spelt("smtp://127.0.0.1:25/"), tls("smtp://127.0.0.1:25", MailSecurity::Loopback));
        assert_eq!(spelt("smtp://[::1]:25"), tls("smtp://[::1]:25", MailSecurity::Loopback));
        assert_eq!(spelt("https://mail.example.com"), Err(InvalidMailServer::Malformed));
        assert_eq!(spelt("smtps:"), Err(InvalidMailServer::Malformed));
        assert_eq!(spelt("smtps://user:pw@mail.example.com"), Err(InvalidMailServer::Excess));
        assert_eq!(spelt("smtps://mail.example.com/x"), Err(InvalidMailServer::Excess));
        for text in ["smtps://mail.example.com:465", "smtp://[::1]:25"] {
            assert_eq!(MailServer::new(text).unwrap().to_string(), text);
        }
    }
}
