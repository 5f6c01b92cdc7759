//! The declaration: what `xopero.kdl` says, after every name is resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::names::{
    AccountName, CredentialName, DestinationName, PlanName, ProjectKey, PublicKey, RepoSlug, RetentionName, ServerName,
};
use super::{Address, BaseUrl, Pattern, Sealed, SecretKind};

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
    /// The projects to protect, by key.
    pub projects: BTreeMap<ProjectKey, Project>,
    /// The backup plans, by name.
    pub plans: BTreeMap<PlanName, BackupPlan>,
}

impl Declaration {
    /// The additional credentials that no plan enables, sorted.
    pub fn never_enabled(&self) -> Vec<Address> {
        let enabled = |key: &ProjectKey, name: &CredentialName| {
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

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The place.
    pub place: Place,
    /// Whose identity opens the backups. Never empty.
    pub encrypt_to: Vec<PublicKey>,
}

/// The kind and address of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A directory of this machine, absolute or relative to the file.
    Local {
        /// The directory.
        path: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { path } => f.write_str(path),
        }
    }
}

/// Which snapshots stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The rules. A snapshot stays if one of them keeps it.
    pub keep: KeepRules,
    /// How long a snapshot that no rule keeps stays all the same.
    pub grace: Duration,
}

/// How many snapshots each rule keeps; zero means that the rule is not in use. At least one rule is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRules {
    /// The newest ones.
    pub last: u32,
    /// The newest of each hour.
    pub hourly: u32,
    /// The newest of each day.
    pub daily: u32,
    /// The newest of each week.
    pub weekly: u32,
    /// The newest of each month.
    pub monthly: u32,
    /// The newest of each year.
    pub yearly: u32,
}

/// A Bitbucket project with the credentials that may be used for it.
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
    pub kind: SecretKind,
    /// The secret.
    pub sealed: Sealed,
    /// The last day on which it works, if it ends.
    pub expires: Option<Date>,
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

/// What is backed up, when, to where, for how long, and with which credentials: the `plan` node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPlan {
    /// The projects it covers. Never empty.
    pub projects: BTreeMap<ProjectKey, PlannedProject>,
    /// What is backed up of each repository. Never empty.
    pub parts: BTreeSet<Part>,
    /// Where to. Never empty.
    pub destinations: BTreeSet<DestinationName>,
    /// For how long.
    pub retention: PlanRetention,
    /// When. Without one the plan runs only when asked to.
    pub schedule: Option<Cron>,
}

/// One project inside a backup plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedProject {
    /// Repositories to take: those that fit at least one.
    pub include: Vec<Pattern>,
    /// Repositories to leave out: those that fit at least one.
    pub exclude: Vec<Pattern>,
    /// The additional credentials that are switched on for this plan, in the order of the file.
    pub enabled_credentials: Vec<CredentialName>,
}

impl PlannedProject {
    /// Whether a repository is in scope.
    pub fn selects(&self, slug: &RepoSlug) -> bool {
        let fits = |pattern: &Pattern| pattern.matches(slug.as_str());
        self.include.iter().any(fits) && !self.exclude.iter().any(fits)
    }
}

/// A part of a repository that can be backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Every reference and object.
    Git,
}

impl Part {
    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
        }
    }
}

/// The retention of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanRetention {
    /// A shared one.
    Named(RetentionName),
    /// One of its own.
    Own(Retention),
}

/// A schedule as it is written: five cron fields and a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cron {
    /// Minute, hour, day of month, month, day of week.
    pub expression: String,
    /// An IANA time zone, `UTC` if the file does not name one.
    pub time_zone: String,
}
