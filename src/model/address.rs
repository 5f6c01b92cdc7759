//! Addresses of declared things, and of observed ones: `kind/name`, as change sets and messages spell them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProjectSelector;
use super::declaration::CredentialRole;
use super::names::{
    AccountName, AlertsName, CredentialName, DestinationName, PlanName, RepoId, RetentionName, ServerName,
};

/// A text that is not the address of anything that can be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address is a kind and a name, such as \"plan/nightly\" or \"credential/PAY/extra-1\"")]
pub struct InvalidAddress;

/// The address of one declared or observed thing. Sorted by kind, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// The one set of recipients.
    pub fn recipients() -> Self {
        Self("recipients".into())
    }

    /// Where the declaration comes from.
    pub fn source() -> Self {
        Self("source".into())
    }

    /// A server.
    pub fn server(name: &ServerName) -> Self {
        Self(format!("server/{name}"))
    }

    /// A destination.
    pub fn destination(name: &DestinationName) -> Self {
        Self(format!("destination/{name}"))
    }

    /// A shared retention.
    pub fn retention(name: &RetentionName) -> Self {
        Self(format!("retention/{name}"))
    }

    /// A project.
    pub fn project(key: &ProjectSelector) -> Self {
        Self(format!("project/{key}"))
    }

    /// A credential of a project: `credential/PAY/extra-1`, or `credential/PAY/main`.
    pub fn credential(project: &ProjectSelector, role: &CredentialRole) -> Self {
        Self(format!("credential/{project}/{role}"))
    }

    /// A repository that was observed: `repository/bb/812`.
    pub fn repository(server: &ServerName, id: RepoId) -> Self {
        Self(format!("repository/{server}/{id}"))
    }

    /// An account of a server that was observed: `account/bb/svc-backup`.
    pub fn account(server: &ServerName, account: &AccountName) -> Self {
        Self(format!("account/{server}/{account}"))
    }

    /// An `alerts` node.
    pub fn alerts(name: &AlertsName) -> Self {
        Self(format!("alerts/{name}"))
    }

    /// A backup plan.
    pub fn plan(name: &PlanName) -> Self {
        Self(format!("plan/{name}"))
    }

    /// The address that `text` spells. What it names need not be declared.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        fn of<N, E>(name: Result<N, E>, address: impl FnOnce(&N) -> Address) -> Option<Address> {
            name.ok().map(|name| address(&name))
        }
        let (kind, name) = text.split_once('/').ok_or(InvalidAddress)?;
        let address = match kind {
            "server" => of(ServerName::new(name), Self::server),
            "destination" => of(DestinationName::new(name), Self::destination),
            "retention" => of(RetentionName::new(name), Self::retention),
            "project" => of(ProjectSelector::new(name), Self::project),
            "plan" => of(PlanName::new(name), Self::plan),
            "alerts" => of(AlertsName::new(name), Self::alerts),
            "credential" => name.split_once('/').and_then(|(project, role)| {
                let role = match role {
                    "main" => CredentialRole::Main,
                    name => CredentialRole::Additional(CredentialName::new(name).ok()?),
                };
                of(ProjectSelector::new(project), |project| Self::credential(project, &role))
            }),
            _ => None,
        };
        address.ok_or(InvalidAddress)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `/`.
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "server/bb",
            "destination/nas",
            "retention/gfs",
            "project/TEAM-*",
            "plan/nightly",
            "alerts/ops",
            "credential/PAY/main",
            "credential/PAY/extra-1",
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.as_str(), address.kind()), (text, text.split('/').next().unwrap()));
        }
        for wrong in
            ["", "plan", "plan/", "plan/a b", "plan/a/b", "plans/a", "credential/PAY", "credential//main", "recipients"]
        {
            assert_eq!(Address::parse(wrong), Err(InvalidAddress), "{wrong:?}");
        }
    }
}
