//! What can go wrong with one request, sorted by what the caller can do about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::model::{AccountName, LoginRefusal};

/// The request that failed: its address and the server's own number for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPlace {
    /// The address, without a user name or a password.
    pub address: String,
    /// `X-AREQUESTID`: what the server's administrator finds in the access log.
    pub request_id: Option<String>,
}

impl fmt::Display for RequestPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request_id {
            Some(id) => write!(f, "{} (request {id})", self.address),
            None => f.write_str(&self.address),
        }
    }
}

/// What a 401 or 403 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The password or token is wrong. Trying again leads to a CAPTCHA: the credential must rest at once.
    Rejected,
    /// The server saw no credential: the token has expired, was revoked, or was dropped on the way.
    Anonymous,
    /// The credential is good; the account may not read this.
    NoPermission,
    /// The account has no licence.
    Unlicensed,
    /// The account has to solve a CAPTCHA in the browser first.
    Captcha,
    /// The server takes tokens only: Basic authentication is switched off.
    BasicBlocked,
    /// The server takes the request for one that another site forged. It says nothing about the credential.
    Forged,
    /// The server did not say why.
    Unknown,
}

impl Refusal {
    /// What it says of the credential as such; `None` if it says nothing about it.
    pub const fn of_login(self) -> Option<LoginRefusal> {
        match self {
            Self::Rejected => Some(LoginRefusal::WrongSecret),
            Self::Anonymous => Some(LoginRefusal::NotAccepted),
            Self::Unlicensed => Some(LoginRefusal::Unlicensed),
            Self::Captcha => Some(LoginRefusal::Captcha),
            Self::BasicBlocked => Some(LoginRefusal::BasicBlocked),
            Self::NoPermission | Self::Forged | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rejected => "the password or token is wrong",
            Self::Anonymous => "the server saw no valid credential",
            Self::NoPermission => "the account has no permission",
            Self::Unlicensed => "the account is not licensed",
            Self::Captcha => "the account must solve a CAPTCHA",
            Self::BasicBlocked => "the server takes no passwords",
            Self::Forged => "the server's XSRF check refused the request",
            Self::Unknown => "the server refused access without a reason",
        })
    }
}

/// Whether the same request can succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It cannot, unless somebody changes something.
    Never,
    /// It can; the caller chooses the wait.
    Backoff,
    /// It can, after this time.
    After(Duration),
}

/// The chain of causes that the network or TLS gave, as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TransportError(String);

impl TransportError {
    /// Joins the causes of `error`, outermost first. Addresses are left out: [`RequestPlace`] has them.
    pub(super) fn new(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut causes = Vec::new();
        let mut next = error.source();
        while let Some(cause) = next.filter(|_| causes.len() < 8) {
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            next = cause.source();
        }
        if causes.is_empty() {
            causes.push(error.to_string());
        }
        Self(causes.join(": "))
    }
}

/// Why a request gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client could not be set up.
    #[error("cannot set up TLS")]
    Setup {
        /// What TLS said.
        #[source]
        cause: TransportError,
    },
    /// The additional CA file holds no certificate that can be used.
    #[error("the additional CA file holds no usable PEM certificate")]
    CertificateFile,
    /// What the environment names as the proxy is none. It may hold a password, so it is not repeated.
    #[error("HTTPS_PROXY is not the address of an HTTP proxy")]
    ProxyAddress,
    /// The secret has characters that no header can carry.
    #[error("the secret of account {account} is empty or has characters that cannot be sent")]
    UnusableSecret {
        /// Whose secret.
        account: AccountName,
    },
    /// The address does not belong to the configured server: no credential is sent there.
    #[error("{place} does not lie below the configured server")]
    Foreign {
        /// The request.
        place: RequestPlace,
    },
    /// 429: this account has used up its budget.
    #[error("{place}: the account is rate-limited")]
    RateLimited {
        /// The request.
        place: RequestPlace,
        /// How long the server asked to wait, clamped.
        retry_after: Option<Duration>,
        /// `Retry-After` as it came.
        raw: Option<String>,
    },
    /// 503: the server is busy or in maintenance, for every account.
    #[error("{place}: the server is busy{}", quoted(message))]
    Busy {
        /// The request.
        place: RequestPlace,
        /// How long the server asked to wait, clamped.
        retry_after: Option<Duration>,
        /// What the server wrote.
        message: String,
    },
    /// 401 or 403.
    #[error("{place}: {meaning}{}", quoted(message))]
    Unauthorized {
        /// The request.
        place: RequestPlace,
        /// What it means, decided by the exception that the server named.
        meaning: Refusal,
        /// What the server wrote.
        message: String,
    },
    /// 404.
    #[error("{place}: not found{}", quoted(message))]
    NotFound {
        /// The request.
        place: RequestPlace,
        /// The exception that the server named, without its package: `NoSuchRepositoryException`.
        exception: Option<String>,
        /// What the server wrote.
        message: String,
    },
    /// 409: what was asked for contradicts the state of the resource.
    #[error("{place}: conflict{}", quoted(message))]
    Conflict {
        /// The request.
        place: RequestPlace,
        /// The exception that the server named, without its package: `RepositoryArchivedException`.
        exception: Option<String>,
        /// What the server wrote.
        message: String,
    },
    /// 3xx. It is not followed.
    #[error("{place}: redirected to {to}")]
    Redirected {
        /// The request.
        place: RequestPlace,
        /// The scheme and host it points to.
        to: String,
    },
    /// Success, but of another content type: a login page, or a proxy's page.
    #[error("{place}: expected {expected}, got {content_type}")]
    UnexpectedContent {
        /// The request.
        place: RequestPlace,
        /// What came.
        content_type: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// The answer is not the JSON document that was expected.
    #[error("{place}: the answer is not the expected JSON")]
    InvalidJson {
        /// The request.
        place: RequestPlace,
        /// Where reading stopped.
        #[source]
        cause: serde_json::Error,
    },
    /// The answer is larger than the caller accepts.
    #[error("{place}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// The request.
        place: RequestPlace,
        /// The limit.
        limit: usize,
    },
    /// Nothing came for the configured time.
    #[error("{place}: timed out")]
    Timeout {
        /// The request.
        place: RequestPlace,
    },
    /// No answer began: no name, no connection, no TLS.
    #[error("{place}: cannot be reached")]
    Unreachable {
        /// The request.
        place: RequestPlace,
        /// What the network said.
        #[source]
        cause: TransportError,
    },
    /// The answer began and broke.
    #[error("{place}: the answer broke off")]
    Interrupted {
        /// The request.
        place: RequestPlace,
        /// What the network said.
        #[source]
        cause: TransportError,
    },
    /// Any other status that is not a success.
    #[error("{place}: status {status}{}", quoted(message))]
    Status {
        /// The request.
        place: RequestPlace,
        /// The status.
        status: u16,
        /// What the server wrote.
        message: String,
    },
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message:?}") }
}

impl HttpError {
    /// Whether the same request can succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Busy { retry_after, .. } => {
                retry_after.map_or(Retry::Backoff, Retry::After)
            }
            Self::Timeout { .. } | Self::Unreachable { .. } | Self::Interrupted { .. } => Retry::Backoff,
            Self::Status { status, .. } if *status >= 500 || *status == 408 => Retry::Backoff,
            Self::Setup { .. }
            | Self::CertificateFile
            | Self::ProxyAddress
            | Self::UnusableSecret { .. }
            | Self::Foreign { .. }
            | Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Redirected { .. }
            | Self::UnexpectedContent { .. }
            | Self::InvalidJson { .. }
            | Self::TooLarge { .. }
            | Self::Status { .. } => Retry::Never,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::CertificateFile => "`ca-file` must hold PEM certificates (-----BEGIN CERTIFICATE-----)",
            Self::ProxyAddress => {
                "HTTPS_PROXY (or ALL_PROXY) takes an address such as http://proxy.example.com:3128; SOCKS is not spoken"
            }
            Self::UnusableSecret { .. } => "seal the token again; it must not contain line breaks or be empty",
            Self::Foreign { .. } => "if the server has another address too, use that one as `url`",
            Self::Busy { .. } => "the server is overloaded or in maintenance; it concerns all accounts",
            Self::Unauthorized { meaning, .. } => match meaning {
                Refusal::Rejected => "make a new token for the account and seal it in place of the old one",
                Refusal::Anonymous => "the token may have expired or been revoked: make a new one and seal it",
                Refusal::NoPermission => "give the account read permission on the project and its repositories",
                Refusal::Unlicensed => "give the account a Bitbucket licence",
                Refusal::Captcha => "sign in as the account in a browser, or let an administrator clear its CAPTCHA",
                Refusal::BasicBlocked => "seal an HTTP access token of the account in place of its password",
                Refusal::Forged => "a proxy may be changing headers: check what stands between here and Bitbucket",
                Refusal::Unknown => "check that the token is valid and that the account may read the project",
            },
            Self::NotFound { .. } => "it may have been renamed, moved or deleted, or the account may not see it",
            Self::Redirected { .. } => {
                "`url` must be the address that the server answers at itself; a redirect is \
                                        never followed with a credential. A redirect to a login page means that the \
                                        credential was not accepted"
            }
            Self::UnexpectedContent { .. } => {
                "a login page or a proxy answered in place of Bitbucket: check `url` \
                                               and whether single sign-on covers the REST and git addresses"
            }
            Self::Unreachable { .. } => {
                "check the host name, the port, the firewall, HTTPS_PROXY and NO_PROXY and, for a private CA, `ca-file`"
            }
            Self::Timeout { .. } => "raise `timeout` of the server if it is known to be slow",
            Self::Setup { .. }
            | Self::RateLimited { .. }
            | Self::Conflict { .. }
            | Self::InvalidJson { .. }
            | Self::TooLarge { .. }
            | Self::Interrupted { .. }
            | Self::Status { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
