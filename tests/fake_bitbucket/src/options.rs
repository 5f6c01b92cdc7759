//! How a server is set up.

use std::fmt;
use std::sync::Arc;

use crate::account::Account;
use crate::limit::{Allowance, Refusal};
use crate::log::{Entry, Listener};
use crate::tls::Tls;
use crate::token::TokenRules;

/// Which git protocol the server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Whatever the client asks for, up to v2.
    V2,
    /// v1 at most: a request for v2 is answered with v1.
    V1,
    /// v0 only: the `Git-Protocol` header is ignored.
    V0Only,
}

/// The set-up of a server.
#[derive(Clone)]
pub struct Options {
    pub(crate) context_path: String,
    pub(crate) port: u16,
    pub(crate) accounts: Vec<Account>,
    pub(crate) page_cap: usize,
    pub(crate) allowance: Allowance,
    pub(crate) refusal: Refusal,
    pub(crate) protocol: Protocol,
    pub(crate) ssh_links: bool,
    pub(crate) user_in_links: bool,
    pub(crate) link_base: Option<String>,
    pub(crate) version: String,
    pub(crate) tls: Option<Tls>,
    pub(crate) listener: Option<Listener>,
    pub(crate) tokens: TokenRules,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("context_path", &self.context_path)
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            context_path: String::new(),
            port: 0,
            accounts: Vec::new(),
            page_cap: 1000,
            allowance: Allowance::Unlimited,
            refusal: Refusal::default(),
            protocol: Protocol::V2,
            ssh_links: true,
            user_in_links: false,
            link_base: None,
            version: "9.4.18".to_owned(),
            tls: None,
            listener: None,
            tokens: TokenRules::default(),
        }
    }
}

impl Options {
    /// No context path, no accounts, no rate limit, pages of up to 1000, protocol v2, ssh links.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The path below which everything is, such as `/bitbucket`.
    #[must_use]
    pub fn context_path(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.context_path = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// A fixed port instead of any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Adds an account.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// The most items on one page, whatever the client asks for.
    #[must_use]
    pub fn page_cap(mut self, cap: usize) -> Self {
        self.page_cap = cap;
        self
    }

    /// The rate limit of every account without one of its own.
    #[must_use]
    pub fn allowance(mut self, allowance: Allowance) -> Self {
        self.allowance = allowance;
        self
    }

    /// What a 429 looks like.
    #[must_use]
    pub fn refusal(mut self, refusal: Refusal) -> Self {
        self.refusal = refusal;
        self
    }

    /// Which git protocol the server speaks.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Leaves ssh links out of repositories.
    #[must_use]
    pub fn without_ssh_links(mut self) -> Self {
        self.ssh_links = false;
        self
    }

    /// Puts the user name of the caller into http links.
    #[must_use]
    pub fn user_in_links(mut self) -> Self {
        self.user_in_links = true;
        self
    }

    /// Writes links with this base URL (with the context path) instead of the real address.
    #[must_use]
    pub fn link_base(mut self, url: &str) -> Self {
        self.link_base = Some(url.trim_end_matches('/').to_owned());
        self
    }

    /// The version that `application-properties` gives.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Lets access tokens make and revoke access tokens, which the real server refuses.
    #[must_use]
    pub fn tokens_manage_tokens(mut self) -> Self {
        self.tokens.by_token = true;
        self
    }

    /// The most access tokens that an account may have.
    #[must_use]
    pub fn most_tokens(mut self, most: usize) -> Self {
        self.tokens.most = most;
        self
    }

    /// The most days that an access token may live, enforced by the administrator: every one has to end.
    #[must_use]
    pub fn longest_token_life(mut self, days: u32) -> Self {
        self.tokens.longest_life = Some(days);
        self
    }

    /// Serves `https` with this certificate and key, both in PEM, and offers HTTP/2 beside HTTP/1.1.
    #[must_use]
    pub fn tls(mut self, certificate: &[u8], key: &[u8]) -> Self {
        self.tls = Some(Tls { certificate: certificate.to_vec(), key: key.to_vec(), http2: true });
        self
    }

    /// Offers HTTP/1.1 alone.
    #[must_use]
    pub fn without_http2(mut self) -> Self {
        self.tls = self.tls.map(|tls| Tls { http2: false, ..tls });
        self
    }

    /// Calls this with every request that is over.
    #[must_use]
    pub fn on_request(mut self, listener: impl Fn(&Entry) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }
}
