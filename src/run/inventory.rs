//! What is in scope: the repositories that Bitbucket lists, through the plan's patterns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::credentials::{Caller, Credentials};
use super::server::ServerContext;
use super::task::Task;
use super::{Event, EventSink, Ledger, TaskError, TaskName};
use crate::bitbucket::{Client, Repository};
use crate::model::{PlannedProject, ProjectKey, RepoId, RepoSlug};

/// More pages than this are not a project.
const MOST_PAGES: u32 = 10_000;

/// The repositories of one project.
pub(super) struct Inventory {
    /// Those in scope, by slug.
    pub(super) tasks: Vec<Task>,
    /// Entries that cannot be used, with the reason.
    pub(super) quarantined: Vec<String>,
}

/// Lists a project, all pages, archived repositories included. The account book comes back also with an error.
pub(super) async fn list_project(
    key: &ProjectKey,
    planned: &PlannedProject,
    only: Option<&RepoSlug>,
    server: &Arc<ServerContext>,
    credentials: &Credentials,
    events: &Arc<dyn EventSink>,
) -> (Result<Inventory, TaskError>, Ledger) {
    let mut caller = Caller::new(key, format!("project {key}"));
    let listed = all_pages(key, server, credentials, &mut caller).await;
    let ledger = std::mem::take(&mut caller.ledger);
    let inventory = listed.map(|(repositories, quarantined)| {
        let total = repositories.len();
        let in_scope = repositories
            .into_values()
            .filter(|repository| planned.selects(&repository.slug) && only.is_none_or(|only| *only == repository.slug));
        let mut tasks: Vec<_> = in_scope
            .map(|repository| Task {
                name: TaskName { project: key.clone(), slug: repository.slug.clone() },
                project: key.clone(),
                repository,
                server: Arc::clone(server),
            })
            .collect();
        tasks.sort_by(|one, other| one.name.cmp(&other.name));
        events.emit(&Event::ProjectListed {
            project: key.clone(),
            in_scope: tasks.len(),
            out_of_scope: total - tasks.len(),
        });
        Inventory { tasks, quarantined }
    });
    (inventory, ledger)
}

/// Pages are not a snapshot: a repository can be seen on two of them. Its number tells.
async fn all_pages(
    key: &ProjectKey,
    server: &ServerContext,
    credentials: &Credentials,
    caller: &mut Caller<'_>,
) -> Result<(BTreeMap<RepoId, Repository>, Vec<String>), TaskError> {
    let client = &Client::new(server.http.clone());
    let mut repositories = BTreeMap::new();
    let mut quarantined = Vec::new();
    let mut start = 0;
    for _ in 0..MOST_PAGES {
        let page = credentials
            .send(caller, move |authorization| async move {
                let _permit = server.listing.acquire().await.expect("never closed");
                client.repositories(&authorization, key, start).await
            })
            .await?;
        repositories.extend(page.values.into_iter().map(|repository| (repository.id, repository)));
        quarantined.extend(page.quarantined.into_iter().map(|entry| entry.why));
        match page.next {
            Some(next) => start = next,
            None => return Ok((repositories, quarantined)),
        }
    }
    Err(TaskError::EndlessListing { project: key.clone(), pages: MOST_PAGES })
}
