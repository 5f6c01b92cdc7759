//! Why a message did not arrive.

use std::path::PathBuf;
use std::time::Duration;

use crate::http::{HttpError, Retry};
use crate::model::AlertsName;
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
        /// Of which kind.
        fault: MailFault,
        /// What it said, or what happened.
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

/// Why a mail server did not take a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailFault {
    /// Nobody answers there, or somebody who says nothing.
    Unreachable,
    /// What answers does not speak TLS.
    Tls,
    /// Its certificate is not trusted.
    Certificate,
    /// It speaks clear text only.
    NoStartTls,
    /// It lets in nobody by a password.
    NoLogin,
    /// It does not let in the account.
    Login {
        /// The alerts that name it.
        alerts: AlertsName,
    },
    /// It lets in nobody without an account.
    LoginDemanded {
        /// The alerts that name none, or one that is not enough.
        alerts: AlertsName,
    },
    /// It does not take the letter.
    Refused,
}

impl MailFault {
    fn hint(&self, place: &str) -> String {
        match self {
            Self::Unreachable => {
                "check the name, the port and the firewall; TLS from the first byte is smtps:// (usually \
                                  port 465), TLS by STARTTLS is smtp:// (usually port 587)"
                    .to_owned()
            }
            Self::Tls => "smtps:// is TLS from the first byte (usually port 465); a server that begins it by STARTTLS \
                          (usually port 587) is smtp://"
                .to_owned(),
            Self::Certificate => format!(
                "check the name in {place}: the certificate must be for it; if a private CA signed it, name the CA's \
                 certificate by `ca-file` in the alerts"
            ),
            Self::NoStartTls => "letters and passwords do not leave this machine in clear text: ask for the server's \
                                 port for STARTTLS (usually 587), or for its TLS port (465) and write smtps://"
                .to_owned(),
            Self::NoLogin => "leave out `account` and `password` if it takes mail from this machine without them, or \
                              ask for the port where accounts log in (usually 587 or 465)"
                .to_owned(),
            Self::Login { alerts } => format!(
                "check `account` (some servers want the whole address) and seal its password anew, which may have to be \
                 one for applications: xopero secrets set alerts/{alerts}/email/password"
            ),
            Self::LoginDemanded { alerts } => format!(
                "add `account=` to `email` and seal its password: xopero secrets set alerts/{alerts}/email/password"
            ),
            Self::Refused => "check whether it takes mail for these addresses, and from the one in `from`".to_owned(),
        }
    }
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
            Self::CaFile { .. } => "`ca-file` names certificates in PEM, relative to the file that declares the alerts",
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
            Self::Mail { place, fault, .. } => return Some(fault.hint(place)),
            Self::ExecNotAllowed { .. } => {
                "add --allow-exec to the command that runs here; a file alone cannot make this machine call programs"
            }
            Self::Exec { .. } => "call it by hand: it reads JSON from standard input and ends with 0",
            Self::Slow { .. } => "check that the receiver answers",
        };
        Some(hint.to_owned())
    }
}
