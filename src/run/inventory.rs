//! What Bitbucket lists: the projects that a pattern selects, and the repositories of a project.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::caller::Caller;
use super::credentials::Credentials;
use super::pages::{Listed, all_pages};
use super::permission::Scope;
use super::server::ServerContext;
use super::task::Task;
use super::{Event, EventSink, Ledger, TaskError, TaskName};
use crate::bitbucket::{List, ListedProject, Repository};
use crate::model::{AccountName, ListedRepository, PlannedProject, ProjectKey, ProjectSelector, RepoId, RepoSlug};

/// The repositories of one project.
pub(super) struct Inventory {
    /// Those in scope, by slug.
    pub(super) tasks: Vec<Task>,
    /// All of them, as the memory keeps them.
    pub(super) listed: BTreeMap<RepoId, ListedRepository>,
    /// Entries that cannot be used, with the reason.
    pub(super) quarantined: Vec<String>,
    /// The account whose view it is.
    pub(super) reader: Option<AccountName>,
}

/// Lists the projects that the main credential of `declared` may see. The account book comes back also with an error.
pub(super) async fn list_projects(
    declared: &ProjectSelector,
    server: &ServerContext,
    credentials: &Credentials,
) -> (Result<Listed<ListedProject>, TaskError>, Ledger) {
    let mut caller = Caller::main(declared, format!("projects {declared}"), credentials);
    let id = |project: &ListedProject| project.id.0;
    let list = match declared {
        ProjectSelector::Pattern(pattern) => List::projects_fitting(pattern),
        ProjectSelector::Key(_) => List::projects(),
    };
    let listed = all_pages("project", id, list, server, credentials, &mut caller).await;
    (listed, std::mem::take(&mut caller.ledger))
}

/// What a listing is wanted of.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The project.
    pub(super) key: &'a ProjectKey,
    /// What declares it.
    pub(super) declared: &'a ProjectSelector,
    /// What the plan takes of it.
    pub(super) planned: &'a PlannedProject,
    /// One repository instead of all that are in scope.
    pub(super) only: Option<&'a RepoSlug>,
}

impl Wanted<'_> {
    /// Whether a repository is in scope.
    pub(super) fn takes(&self, slug: &RepoSlug) -> bool {
        self.planned.selects(slug) && self.only.is_none_or(|only| only == slug)
    }
}

/// Lists a project, all pages, archived repositories included. Credentials are those of what declares it: the main one,
/// so that what is listed does not change with whose turn it is; another one, if that has no budget or does not see the
/// project. The account book comes back also with an error. `scope` is what a refusal is about.
pub(super) async fn list_project(
    wanted: Wanted<'_>,
    scope: Scope<'_>,
    server: &Arc<ServerContext>,
    credentials: &Credentials,
    events: &Arc<dyn EventSink>,
) -> (Result<Inventory, TaskError>, Ledger) {
    let Wanted { key, declared, .. } = wanted;
    let caller = Caller::new(declared, format!("project {key}"), scope);
    let mut caller = caller.beginning_as_main(credentials);
    let id = |repository: &Repository| repository.id.0;
    let listed = all_pages("repository", id, List::repositories(key), server, credentials, &mut caller).await;
    let ledger = std::mem::take(&mut caller.ledger);
    let inventory = listed.map(|Listed { entries, quarantined, reader }| {
        let total = entries.len();
        let listed = entries.values().map(|repository| (repository.id, repository.listed())).collect();
        let in_scope = entries.into_values().filter(|repository| wanted.takes(&repository.slug));
        let mut tasks: Vec<_> = in_scope.map(|repository| task(key, declared, repository, server)).collect();
        tasks.sort_by(|one, other| one.name.cmp(&other.name));
        events.emit(&Event::ProjectListed {
            project: key.clone(),
            in_scope: tasks.len(),
            out_of_scope: total - tasks.len(),
        });
        Inventory { tasks, listed, quarantined, reader }
    });
    (inventory, ledger)
}

/// The task of a repository that is in scope.
pub(super) fn task(
    key: &ProjectKey,
    declared: &ProjectSelector,
    repository: Repository,
    server: &Arc<ServerContext>,
) -> Task {
    Task {
        name: TaskName { project: key.clone(), slug: repository.slug.clone() },
        declared: declared.clone(),
        repository,
        server: Arc::clone(server),
    }
}
