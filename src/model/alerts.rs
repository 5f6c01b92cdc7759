//! Who is told of what, and how: the `alerts` node.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{AccountName, PlanName};
use super::{AlertUrl, MailAddress, MailServer, Sealed};

/// What a sealed address is bound to, in place of the address that nobody may read.
pub const BOUND_TO_ALERTS: &str = "alerts";

/// Who is told, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerts {
    /// Of what. Never empty.
    pub occasions: BTreeSet<Occasion>,
    /// Of which plans; of all if there is none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub plans: BTreeSet<PlanName>,
    /// PEM certificates to trust besides the system's, as a path relative to the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// A program that takes JSON over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// A service that expects a sign of life from every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthchecks: Option<AlertAddress>,
    /// A topic of an ntfy server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntfy: Option<Ntfy>,
    /// An incoming webhook of Slack. Its address is the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Sealed>,
    /// People with mailboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// A program of this machine, by its absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
}

impl Alerts {
    /// The ways in which it tells, in the order of the words. Never empty.
    pub fn channels(&self) -> Vec<Channel> {
        let Self { occasions: _, plans: _, ca_file: _, webhook, healthchecks, ntfy, slack, email, exec } = self;
        let there = |channel: &Channel| match channel {
            Channel::Webhook => webhook.is_some(),
            Channel::Healthchecks => healthchecks.is_some(),
            Channel::Ntfy => ntfy.is_some(),
            Channel::Slack => slack.is_some(),
            Channel::Email => email.is_some(),
            Channel::Exec => exec.is_some(),
        };
        Channel::ALL.into_iter().filter(there).collect()
    }

    /// Whether it is about a plan.
    pub fn covers(&self, plan: &PlanName) -> bool {
        self.plans.is_empty() || self.plans.contains(plan)
    }

    /// The sealed values, by the channel and the node that holds them.
    pub fn sealed(&self) -> Vec<(Channel, &'static str, &Sealed)> {
        let mut all = Vec::new();
        if let Some(Webhook { address, signing_key }) = &self.webhook {
            all.extend(address.sealed().map(|sealed| (Channel::Webhook, ADDRESS, sealed)));
            all.extend(signing_key.as_ref().map(|sealed| (Channel::Webhook, SIGNING_KEY, sealed)));
        }
        let pings = self.healthchecks.as_ref().and_then(AlertAddress::sealed);
        all.extend(pings.map(|sealed| (Channel::Healthchecks, ADDRESS, sealed)));
        if let Some(Ntfy { address, token }) = &self.ntfy {
            all.extend(address.sealed().map(|sealed| (Channel::Ntfy, ADDRESS, sealed)));
            all.extend(token.as_ref().map(|sealed| (Channel::Ntfy, TOKEN, sealed)));
        }
        all.extend(self.slack.as_ref().map(|sealed| (Channel::Slack, ADDRESS, sealed)));
        let password = self.email.as_ref().and_then(|email| email.login.as_ref());
        all.extend(password.map(|(_, sealed)| (Channel::Email, PASSWORD, sealed)));
        all
    }
}

/// The node of a sealed address.
pub const ADDRESS: &str = "address";
/// The node of the key that a webhook's messages are signed with.
pub const SIGNING_KEY: &str = "signing-key";
/// The node of an access token.
pub const TOKEN: &str = "token";
/// The node of a mail account's password.
pub const PASSWORD: &str = "password";

/// What somebody can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The last run of a plan did not back up everything.
    Failed,
    /// What was told is over.
    Recovered,
    /// A run waits for budget, and has for long.
    Throttled,
    /// A plan should have succeeded again, and has not: also if nothing ran at all.
    Overdue,
    /// A project lists so much less than before that its listing is not believed.
    Suspect,
    /// A credential ends soon, is not accepted, or has lost a permission.
    Credential,
    /// A server cannot be reached.
    Server,
    /// A destination belongs to somebody else.
    Destination,
    /// A change waits for a person.
    Approval,
    /// The declaration cannot be read or followed; what is in force stays so.
    Source,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Failed,
        Self::Recovered,
        Self::Throttled,
        Self::Overdue,
        Self::Suspect,
        Self::Credential,
        Self::Server,
        Self::Destination,
        Self::Approval,
        Self::Source,
    ];

    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Recovered => "recovered",
            Self::Throttled => "throttled",
            Self::Overdue => "overdue",
            Self::Suspect => "suspect",
            Self::Credential => "credential",
            Self::Server => "server",
            Self::Destination => "destination",
            Self::Approval => "approval",
            Self::Source => "source",
        }
    }
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A way of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// JSON over HTTP.
    Webhook,
    /// Signs of life.
    Healthchecks,
    /// A topic of an ntfy server.
    Ntfy,
    /// An incoming webhook of Slack.
    Slack,
    /// Mail.
    Email,
    /// A program.
    Exec,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Webhook, Self::Healthchecks, Self::Ntfy, Self::Slack, Self::Email, Self::Exec];

    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Healthchecks => "healthchecks",
            Self::Ntfy => "ntfy",
            Self::Slack => "slack",
            Self::Email => "email",
            Self::Exec => "exec",
        }
    }

    /// The name of one of its secrets, in one word: `webhook.signing-key`.
    pub fn secret(self, key: &'static str) -> String {
        format!("{self}.{key}")
    }

    /// What secrets of it belong to, where there is no account.
    pub fn account(self) -> AccountName {
        AccountName::new(self.as_str()).expect("a word is an account name")
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Channel {
    type Err = UnknownChannel;
    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text).ok_or(UnknownChannel)
    }
}

/// A way of telling that this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a way of telling that this version does not know")]
pub struct UnknownChannel;

/// Where something is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertAddress {
    /// An address that everybody may read.
    Clear(AlertUrl),
    /// An address that lets in whoever knows it.
    Sealed(Sealed),
}

impl AlertAddress {
    /// The sealed value, if it is one.
    pub const fn sealed(&self) -> Option<&Sealed> {
        match self {
            Self::Clear(_) => None,
            Self::Sealed(sealed) => Some(sealed),
        }
    }
}

/// A program that takes JSON over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where.
    pub address: AlertAddress,
    /// What messages are signed with. It is sealed for the address, which can be read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<Sealed>,
}

/// A topic of an ntfy server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ntfy {
    /// Where.
    pub address: AlertAddress,
    /// Who may publish there. It is sealed for the address, which can be read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Sealed>,
}

/// People with mailboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// Whom. Never empty.
    pub to: BTreeSet<MailAddress>,
    /// From whom.
    pub from: MailAddress,
    /// The server that takes it.
    pub server: MailServer,
    /// The account there with its sealed password, if it demands one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<(AccountName, Sealed)>,
}
