//! What is in scope: the repositories that Bitbucket lists, through the plan's patterns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::credentials::{Caller, Credentials};
use super::server::ServerContext;
use super::task::{ATTEMPTS, Task, retry_wait};
use super::{Event, EventSink, Ledger, TaskError, TaskName};
use crate::bitbucket::{BitbucketError, Client, Repository};
use crate::http::Retry;
use crate::model::{AccountName, PlannedProject, ProjectKey, RepoId, RepoSlug};

/// More pages than this are not a project.
const MOST_PAGES: u32 = 10_000;

/// So many exchanges in the middle of a listing mean that no account has the budget to read it.
const MOST_RESTARTS: u32 = 20;

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

/// All pages, read from the first to the last by one account.
///
/// Bitbucket shows each account what it may see, so pages of two accounts do not add up to a listing: after an
/// exchange the listing begins anew with the new account, and what was seen before stays. Pages are no snapshot
/// either: a repository can be on two of them. Its number tells.
async fn all_pages(
    key: &ProjectKey,
    server: &ServerContext,
    credentials: &Credentials,
    caller: &mut Caller<'_>,
) -> Result<(BTreeMap<RepoId, Repository>, Vec<String>), TaskError> {
    let client = &Client::new(server.http.clone());
    let mut repositories = BTreeMap::new();
    let mut quarantined = BTreeSet::new();
    let mut reader: Option<AccountName> = None;
    let (mut start, mut failures, mut restarts) = (0, 0, 0);
    for _ in 0..MOST_PAGES {
        let sent = credentials.send(caller, move |authorization| async move {
            let _permit = server.listing.acquire().await.expect("never closed");
            let page = client.repositories(&authorization, key, start).await?;
            Ok::<_, BitbucketError>((authorization.account().clone(), page))
        });
        let (account, page) = match sent.await {
            Ok(answer) => answer,
            Err(error) if error.retry() != Retry::Never && failures + 1 < ATTEMPTS => {
                failures += 1;
                credentials.wait(retry_wait(failures)).await?;
                continue;
            }
            Err(error) => return Err(error),
        };
        failures = 0;
        repositories.extend(page.values.into_iter().map(|repository| (repository.id, repository)));
        quarantined.extend(page.quarantined.into_iter().map(|entry| match entry.id {
            Some(id) => format!("repository {id}: {}", entry.why),
            None => format!("an entry without a number: {}", entry.why),
        }));
        let same_reader = reader.as_ref().is_none_or(|reader| *reader == account);
        reader = Some(account);
        match page.next {
            _ if !same_reader && start > 0 && restarts < MOST_RESTARTS => {
                restarts += 1;
                start = 0;
            }
            _ if !same_reader && start > 0 => {
                return Err(TaskError::EndlessListing { project: key.clone(), pages: MOST_PAGES });
            }
            Some(next) => start = next,
            None => return Ok((repositories, quarantined.into_iter().collect())),
        }
    }
    Err(TaskError::EndlessListing { project: key.clone(), pages: MOST_PAGES })
}
