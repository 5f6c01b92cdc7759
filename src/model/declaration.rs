//! The declaration: what `xopero.kdl` says, after every name is resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::names::{
    AccountName, AlertsName, CredentialName, DestinationName, InvalidName, PlanName, PublicKey, RetentionName,
    ServerName,
};
use super::{Address, Alerts, BackupPlan, BaseUrl, CredentialKind, Destination, ProjectSelector, Retention, Sealed};

/// Everything that is declared. References between its parts are known to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Who can open the sealed values of the file.
    pub recipients: Vec<Recipient>,
    /// The servers, by name.
    pub servers: BTreeMap<ServerName, Server>,
    /// Where backups go, by name.
    pub destinations: BTreeMap<DestinationName, Destination>,
    /// Shared retention rules, by name.
    pub retentions: BTreeMap<RetentionName, Retention>,
    /// The projects to protect, by key or pattern. No key fits two patterns of one server.
    pub projects: BTreeMap<ProjectSelector, Project>,
    /// The backup plans, by name.
    pub plans: BTreeMap<PlanName, BackupPlan>,
    /// Who is told of what, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alerts: BTreeMap<AlertsName, Alerts>,
    /// What has another name than it was applied under: the old address, and the one that took its place. Both are of
    /// one kind. The old one is not declared; the new one is, or was moved on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moved: BTreeMap<Address, Address>,
    /// Plans that left on purpose: no more runs, their backups are kept. None of them is declared.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub retired: BTreeSet<Address>,
}

impl Declaration {
    /// The additional credentials that no plan enables, sorted.
    pub fn never_enabled(&self) -> Vec<Address> {
        let enabled = |key: &ProjectSelector, name: &CredentialName| {
            let mut planned = self.plans.values().filter_map(|plan| plan.projects.get(key));
            planned.any(|project| project.enabled_credentials.contains(name))
        };
        let mut idle = Vec::new();
        for (key, project) in &self.projects {
            for name in project.additional.keys().filter(|name| !enabled(key, name)) {
                idle.push(Address::credential(key, &CredentialRole::Additional(name.clone())));
            }
        }
        idle.sort();
        idle
    }
}

/// Someone who can open the sealed values of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The public key.
    pub key: PublicKey,
    /// Whose it is, for people.
    pub name: Option<String>,
}

/// A Bitbucket Data Center server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its base URL.
    pub url: BaseUrl,
    /// PEM certificates to trust besides the system's, as a path relative to the file.
    pub ca_file: Option<String>,
    /// How long to wait for a connection, and for the next byte of an answer.
    pub timeout: Duration,
    /// How much to ask at the same time.
    pub concurrency: Concurrency,
    /// What the server allows each account, where the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<TokenBucket>,
}

/// How many requests of a kind may be under way at one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Reference listings and REST calls.
    pub listing: u16,
    /// Packs.
    pub packs: u16,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { listing: 8, packs: 2 }
    }
}

/// The token bucket that a server keeps for each account on each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenBucket {
    /// Requests that a full bucket allows at once. At least 1.
    pub burst: u32,
    /// Requests that come back each second. At least 1.
    pub refill_per_second: u32,
}

/// A Bitbucket project, or all that fit a pattern, with the credentials that may be used for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The server it is on.
    pub server: ServerName,
    /// The main credential: every plan on this project uses it.
    pub main: Credential,
    /// Additional credentials. Declared here; used only by plans that enable them.
    pub additional: BTreeMap<CredentialName, Credential>,
}

impl Project {
    /// The credential of a role.
    pub fn credential(&self, role: &CredentialRole) -> Option<&Credential> {
        match role {
            CredentialRole::Main => Some(&self.main),
            CredentialRole::Additional(name) => self.additional.get(name),
        }
    }
}

/// An account and its sealed secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The account it logs in as.
    pub account: AccountName,
    /// What the secret is.
    pub kind: CredentialKind,
    /// The secret.
    pub sealed: Sealed,
    /// The last day on which it works, if it ends.
    pub expires: Option<Date>,
    /// The credential that all this was taken from, if it is not declared here but there. Both are one account on one
    /// server, and one token bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<CredentialReference>,
}

/// A credential by the project that declares it: `PAY` for its main one, `PAY/extra-1` for an additional one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CredentialReference {
    /// The project.
    pub project: ProjectSelector,
    /// Which of its credentials.
    pub role: CredentialRole,
}

impl FromStr for CredentialReference {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (project, role) = match text.split_once('/') {
            None => (text, CredentialRole::Main),
            Some((project, name)) => (project, CredentialRole::Additional(CredentialName::new(name)?)),
        };
        Ok(Self { project: ProjectSelector::new(project)?, role })
    }
}

impl fmt::Display for CredentialReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            CredentialRole::Main => self.project.fmt(f),
            CredentialRole::Additional(name) => write!(f, "{}/{name}", self.project),
        }
    }
}

/// Which credential of a project is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialRole {
    /// The main one.
    Main,
    /// An additional one, by name.
    Additional(CredentialName),
}

impl fmt::Display for CredentialRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("main"),
            Self::Additional(name) => name.fmt(f),
        }
    }
}
