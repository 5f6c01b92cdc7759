//! Addresses of declared things: `kind/name`, as change sets and messages spell them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::declaration::CredentialRole;
use super::names::{DestinationName, PlanName, ProjectKey, RetentionName, ServerName};

/// The address of one declared thing. Sorted by kind, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// The one set of recipients.
    pub fn recipients() -> Self {
        Self("recipients".into())
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
    pub fn project(key: &ProjectKey) -> Self {
        Self(format!("project/{key}"))
    }

    /// A credential of a project: `credential/PAY/extra-1`, or `credential/PAY/main`.
    pub fn credential(project: &ProjectKey, role: &CredentialRole) -> Self {
        Self(format!("credential/{project}/{role}"))
    }

    /// A backup plan.
    pub fn plan(name: &PlanName) -> Self {
        Self(format!("plan/{name}"))
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
