//! Why a message did not arrive.

use std::path::PathBuf;
use std::time::Duration;

use crate::http::{HttpError, Retry};
use crate::secret::SecretError;

/// Why a message was not taken. Addresses that are secrets are told by their origin alone, and what a server wrote is left
/// out where it could repeat one.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// A sealed value cannot be opened.
    #[error("the sealed {what} cannot be opened")]
    Secret {
        /// Which: `slack address`.
        what: String,
        /// Why not.
        #[source]
        source: SecretError,
    },
    /// What was sealed is no address.
    #[error("the sealed address of `{channel}` is none that can be used")]
    Address {
        /// The way of telling.
        channel: String,
    },
    /// The certificates cannot be read.
    #[error("cannot read the certificates {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The server did not take it.
    #[error("{place}: {}", said(source))]
    Http {
        /// Where, as far as it may be shown.
        place: String,
        /// What went wrong. It is no source: it names the whole address.
        source: Box<HttpErrorHidden>,
    },
    /// The mail server did not take it.
    #[error("{place}: {reason}")]
    Mail {
        /// Where.
        place: String,
        /// What it said.
        reason: String,
    },
    /// A program is not called, because whoever started xopero did not allow it.
    #[error("{program} is not called: this xopero was started without --allow-exec")]
    ExecNotAllowed {
        /// The program.
        program: String,
    },
    /// A program did not end well.
    #[error("{program} {reason}")]
    Exec {
        /// The program.
        program: String,
        /// What happened.
        reason: String,
    },
    /// It took too long.
    #[error("{place}: no answer within {} s", within.as_secs())]
    Slow {
        /// Where.
        place: String,
        /// How long it was waited for.
        within: Duration,
    },
}

/// A failed request whose address must not be told.
#[derive(Debug)]
pub struct HttpErrorHidden(pub(super) HttpError);

impl std::fmt::Display for HttpErrorHidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&said(self))
    }
}

impl std::error::Error for HttpErrorHidden {}

/// What went wrong, without the address and without the words of the server.
fn said(error: &HttpErrorHidden) -> String {
    match &error.0 {
        HttpError::RateLimited { .. } => "status 429: too many messages".to_owned(),
        HttpError::Busy { .. } => "status 503: it is busy".to_owned(),
        HttpError::Unauthorized { .. } => "status 401 or 403: it does not let us in".to_owned(),
        HttpError::NotFound { .. } => "status 404: not found".to_owned(),
        HttpError::Conflict { .. } => "status 409".to_owned(),
        HttpError::Redirected { to, .. } => format!("it redirects to {to}"),
        HttpError::Timeout { .. } => "timed out".to_owned(),
        HttpError::Unreachable { cause, .. } => format!("cannot be reached: {cause}"),
        HttpError::Interrupted { cause, .. } => format!("the answer broke off: {cause}"),
        HttpError::Status { status, .. } => format!("status {status}"),
        HttpError::Setup { cause } => format!("cannot set up TLS: {cause}"),
        HttpError::CertificateFile | HttpError::ProxyAddress | HttpError::UnusableSecret { .. } => error.0.to_string(),
        HttpError::Foreign { .. }
        | HttpError::UnexpectedContent { .. }
        | HttpError::InvalidJson { .. }
        | HttpError::TooLarge { .. } => "the answer cannot be used".to_owned(),
    }
}

impl DeliveryError {
    /// The error with its causes, on one line.
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        if let Self::Secret { source, .. } = self {
            line = format!("{line}: {source}");
        }
        if let Self::CaFile { source, .. } = self {
            line = format!("{line}: {source}");
        }
        line
    }

    /// How long the receiver asked to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http { source, .. } => match source.0.retry() {
                Retry::After(wait) => Some(wait),
                Retry::Never | Retry::Backoff => None,
            },
            Self::Secret { .. }
            | Self::Address { .. }
            | Self::CaFile { .. }
            | Self::Mail { .. }
            | Self::ExecNotAllowed { .. }
            | Self::Exec { .. }
            | Self::Slow { .. } => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Secret { source, .. } => return source.hint(),
            Self::Address { .. } => "seal the address again: xopero secrets set",
            Self::CaFile { .. } => "`ca-file` is relative to the file that declares the alerts",
            Self::Http { source, .. } => match &source.0 {
                HttpError::Unauthorized { .. } => "check the token or the address: it may have been revoked",
                HttpError::NotFound { .. } => "check the address: services answer so when a webhook was removed",
                HttpError::Redirected { .. } => "write the address that answers itself: redirects are not followed",
                HttpError::RateLimited { .. } | HttpError::Busy { .. } => "it is tried again by itself",
                HttpError::Unreachable { .. } | HttpError::Timeout { .. } => {
                    "check the name, the port, the firewall, HTTPS_PROXY and, for a private CA, `ca-file`"
                }
                HttpError::Setup { .. }
                | HttpError::CertificateFile
                | HttpError::ProxyAddress
                | HttpError::UnusableSecret { .. }
                | HttpError::Foreign { .. }
                | HttpError::Conflict { .. }
                | HttpError::UnexpectedContent { .. }
                | HttpError::InvalidJson { .. }
                | HttpError::TooLarge { .. }
                | HttpError::Interrupted { .. }
                | HttpError::Status { .. } => return source.0.hint(),
            },
            Self::Mail { .. } => {
                "check the server, the account with its password, and whether it takes mail for `from`"
            }
            Self::ExecNotAllowed { .. } => {
                "add --allow-exec to the command that runs here; a file alone cannot make this machine call programs"
            }
            Self::Exec { .. } => "call it by hand: it reads JSON from standard input and ends with 0",
            Self::Slow { .. } => "check that the receiver answers",
        };
        Some(hint.to_owned())
    }
}
