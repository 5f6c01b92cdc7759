//! Why an edit was not made.

use super::SecretAddress;
use crate::config::error::{Diagnostic, Invalid};
use crate::config::sources::Sources;
use crate::model::{
    Address, AlertsName, Channel, CredentialName, DestinationName, PlanName, ProjectSelector, PublicKey,
};

/// Why the files were left alone.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// A file is not KDL, or cannot be read.
    #[error("the file cannot be edited")]
    Invalid {
        /// What is wrong with it.
        #[source]
        source: Invalid,
    },
    /// The files would not be valid afterwards.
    #[error("the edit would make the file invalid")]
    WouldNotValidate {
        /// What the files would say.
        sources: Box<Sources>,
        /// What would be wrong with them.
        diagnostics: Vec<Diagnostic>,
    },
    /// Something that the edit is about is not declared.
    #[error("the file declares no {}", described(address))]
    NotDeclared {
        /// What is missing.
        address: Address,
        /// What is declared and has a name like it.
        meant: Option<String>,
    },
    /// The plan does not cover the project.
    #[error("plan {plan} does not name project {project}")]
    NotPlanned {
        /// The plan.
        plan: PlanName,
        /// The project.
        project: ProjectSelector,
    },
    /// The thing stands in the files more than once.
    #[error("the file declares {address} more than once")]
    Ambiguous {
        /// What is there more than once.
        address: String,
    },
    /// Plans enable the credential.
    #[error("credential {name} of project {project} is enabled by {}", plans.join(", "))]
    Enabled {
        /// The project.
        project: ProjectSelector,
        /// The credential.
        name: CredentialName,
        /// The plans, by name.
        plans: Vec<String>,
    },
    /// The credential has no sealed value of its own.
    #[error("{address} has no sealed value of its own to replace")]
    NoSecret {
        /// The credential.
        address: SecretAddress,
    },
    /// The destination has no bucket that keys could be for.
    #[error("destination {destination} names no bucket that keys are for")]
    NoBucket {
        /// The destination.
        destination: DestinationName,
    },
    /// The alerts have no such way of telling.
    #[error("alerts {alerts} have no `{channel}`")]
    NoChannel {
        /// The alerts.
        alerts: AlertsName,
        /// What is missing.
        channel: Channel,
    },
    /// What is sealed for an address has none that can be read.
    #[error("`{channel}` of alerts {alerts} does not say what the secret is for")]
    NoAlertAddress {
        /// The alerts.
        alerts: AlertsName,
        /// The way of telling.
        channel: Channel,
    },
    /// No recipient has that name or key.
    #[error("no recipient is {wanted}")]
    NoRecipient {
        /// What was asked for.
        wanted: String,
        /// Who there is.
        known: Vec<String>,
    },
    /// Several recipients have that name.
    #[error("{} recipients are called {wanted}", keys.len())]
    SeveralRecipients {
        /// What was asked for.
        wanted: String,
        /// Their keys.
        keys: Vec<PublicKey>,
    },
    /// Without recipients nothing could be sealed, and nobody could open anything.
    #[error("{wanted} is the only recipient")]
    LastRecipient {
        /// What was asked for.
        wanted: String,
    },
    /// The text is not a public key.
    #[error("{key} is not an age public key: {reason}")]
    NotAKey {
        /// The text.
        key: PublicKey,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is written in a way that the edit does not fit into.
    #[error("{address} cannot be edited without changing something else")]
    DoesNotFit {
        /// What was to be changed.
        address: String,
    },
}

impl EditError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { .. } => Some("correct what `xopero validate` reports".to_owned()),
            Self::WouldNotValidate { .. } => Some("the file stays as it is".to_owned()),
            Self::NotDeclared { meant: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::NotDeclared { address, meant: None } => Some(match address.kind() {
                "project" => "add `project \"KEY\" server=\"…\"` to the file, or check the spelling".to_owned(),
                "credential" => "`xopero credential list` shows what there is".to_owned(),
                _ => "check the spelling in the file".to_owned(),
            }),
            Self::NotPlanned { project, .. } => {
                Some(format!("add `project \"{project}\"` to the plan; a credential is enabled for a project of a plan"))
            }
            Self::Ambiguous { .. } => Some("remove one of them".to_owned()),
            Self::Enabled { .. } => Some(
                "disable it with `xopero credential disable PLAN PROJECT NAME`, or everywhere with --disable-everywhere"
                    .to_owned(),
            ),
            Self::NoSecret { .. } => {
                Some(
                "with `same-as` it uses the value of another one, which can be replaced there; otherwise seal one with \
                 `xopero credential add`"
                    .to_owned(),
            )
            }
            Self::NoBucket { .. } => Some("only `s3` has keys; correct what `xopero validate` reports of it".to_owned()),
            Self::NoChannel { channel, .. } => {
                Some(format!("add the line `{channel}` to their block; the secret is put into it"))
            }
            Self::NoAlertAddress { .. } => Some(
                "a signing key and a token are sealed for the address in clear text, a password for the account and the \
                 server; correct what `xopero validate` reports"
                    .to_owned(),
            ),
            Self::NoRecipient { known, .. } => Some(format!("recipients: {}", known.join(", "))),
            Self::SeveralRecipients { .. } => Some("name the one by its key".to_owned()),
            Self::LastRecipient { .. } => Some("add the one that takes its place first".to_owned()),
            Self::NotAKey { .. } => {
                Some("copy the `age1…` text from the `# public key:` line of the identity file".to_owned())
            }
            Self::DoesNotFit { .. } => Some("write it with its block on lines of its own".to_owned()),
        }
    }
}

/// `credential/PAY/extra-1` as people say it.
fn described(address: &Address) -> String {
    match address.as_str().split_once('/') {
        Some(("credential", _)) | None => address.to_string(),
        Some((kind, name)) => format!("{kind} {name}"),
    }
}
