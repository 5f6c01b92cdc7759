//! Listings that come in pages.

use std::collections::{BTreeMap, BTreeSet};

use super::TaskError;
use super::caller::Caller;
use super::credentials::Credentials;
use super::permission::is_missing_project;
use super::server::ServerContext;
use super::task::{ATTEMPTS, retry_wait};
use crate::bitbucket::{BitbucketError, Client, Page};
use crate::http::{Authorization, Retry};
use crate::model::AccountName;

/// More pages than this are not a listing.
const MOST_PAGES: u32 = 10_000;

/// So many exchanges in the middle of a listing mean that no account has the budget to read it.
const MOST_RESTARTS: u32 = 20;

/// What a server lists, each entry once.
pub(super) struct Listed<T> {
    /// The entries, by their numbers.
    pub(super) entries: BTreeMap<u64, T>,
    /// Those that cannot be used, with the reason.
    pub(super) quarantined: Vec<String>,
}

/// All pages, read from the first to the last by one account. `page` asks for the one that begins at a number, and
/// `entry` is what is listed, as a noun.
///
/// Bitbucket shows each account what it may see, so pages of two accounts do not add up to a listing: after an
/// exchange the listing begins anew with the new account, and what was seen before stays. Pages are no snapshot
/// either: an entry can be on two of them. Its number tells.
pub(super) async fn all_pages<T, F, R>(
    entry: &str,
    id: impl Fn(&T) -> u64,
    page: F,
    server: &ServerContext,
    credentials: &Credentials,
    caller: &mut Caller<'_>,
) -> Result<Listed<T>, TaskError>
where
    F: Fn(Client, Authorization, u64) -> R,
    R: Future<Output = Result<Page<T>, BitbucketError>>,
{
    let (page, client) = (&page, &Client::new(server.http.clone()));
    let endless = |caller: &Caller<'_>| TaskError::EndlessListing { what: caller.subject.clone(), pages: MOST_PAGES };
    let mut entries = BTreeMap::new();
    let mut quarantined = BTreeSet::new();
    let mut reader: Option<AccountName> = None;
    let mut missing: Option<TaskError> = None;
    let (mut start, mut failures, mut restarts) = (0, 0, 0);
    for _ in 0..MOST_PAGES {
        let sent = credentials.send(caller, move |voucher| async move {
            let account = voucher.authorization.account().clone();
            let page = server.gate.listing(voucher, |authorization| page(client.clone(), authorization, start));
            Ok::<_, TaskError>((account, page.await?))
        });
        let (account, page) = match sent.await {
            Ok(answer) => answer,
            Err(error) if error.retry() != Retry::Never && failures + 1 < ATTEMPTS => {
                failures += 1;
                caller.ledger.wait(retry_wait(failures));
                credentials.wait(retry_wait(failures)).await?;
                continue;
            }
            Err(error) if error.http().is_some_and(is_missing_project) => {
                caller.doubt_own_eyes(&error);
                missing.get_or_insert(error);
                continue;
            }
            Err(TaskError::NoCredential { project, tried }) => {
                return Err(missing.unwrap_or(TaskError::NoCredential { project, tried }));
            }
            Err(error) => return Err(error),
        };
        failures = 0;
        entries.extend(page.values.into_iter().map(|value| (id(&value), value)));
        quarantined.extend(page.quarantined.into_iter().map(|found| match found.id {
            Some(id) => format!("{entry} {id}: {}", found.why),
            None => format!("an entry without a number: {}", found.why),
        }));
        let same_reader = reader.as_ref().is_none_or(|reader| *reader == account);
        reader = Some(account);
        match page.next {
            _ if !same_reader && start > 0 && restarts < MOST_RESTARTS => {
                restarts += 1;
                start = 0;
            }
            _ if !same_reader && start > 0 => return Err(endless(caller)),
            Some(next) => start = next,
            None => {
                credentials.listed(caller);
                return Ok(Listed { entries, quarantined: quarantined.into_iter().collect() });
            }
        }
    }
    Err(endless(caller))
}
