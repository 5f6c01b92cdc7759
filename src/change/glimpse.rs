//! What a look saw of projects that no run has listed.
//!
//! It serves to say what a change means. Nothing is decided by it: neither a rail nor the name of a change set knows it,
//! so that looking again never makes a plan stale.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::{ListedRepository, ProjectKey, RepoId, ServerName};

/// The beginning of a project's listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// The repositories on the first page.
    pub repositories: BTreeMap<RepoId, ListedRepository>,
    /// Whether these are all that there are.
    pub complete: bool,
}

/// Glimpses of projects, by server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glimpses(BTreeMap<ServerName, BTreeMap<ProjectKey, Glimpse>>);

impl Glimpses {
    /// Remembers what was seen of a project.
    pub fn add(&mut self, server: &ServerName, project: ProjectKey, glimpse: Glimpse) {
        self.0.entry(server.clone()).or_default().insert(project, glimpse);
    }

    /// What was seen of a project.
    pub(super) fn of<'a>(
        &'a self,
        server: &ServerName,
        project: &ProjectKey,
    ) -> Option<((&'a ServerName, &'a ProjectKey), &'a Glimpse)> {
        let (server, projects) = self.0.get_key_value(server)?;
        let (project, glimpse) = projects.get_key_value(project)?;
        Some(((server, project), glimpse))
    }
}

/// How much of a project was seen, where no run has listed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Repositories of the project, at least.
    pub repositories: usize,
    /// Whether these are all that there are.
    pub complete: bool,
}
