//! Listings that come in pages.

use std::collections::{BTreeMap, BTreeSet};

use super::TaskError;
use super::caller::Caller;
use super::credentials::Credentials;
use super::permission::is_missing_project;
use super::server::ServerContext;
use super::task::{ATTEMPTS, retry_wait};
use crate::bitbucket::{Client, List, Pager};
use crate::http::{Authorization, Retry};
use crate::model::AccountName;
use crate::throttle::Steadiness;

/// So many exchanges in the middle of a listing mean that no account has the budget to read it.
const MOST_RESTARTS: u32 = 20;

/// What a server lists, each entry once.
pub(super) struct Listed<T> {
    /// The entries, by their numbers.
    pub(super) entries: BTreeMap<u64, T>,
    /// Those that cannot be used, with the reason.
    pub(super) quarantined: Vec<String>,
    /// The account that read it to the end.
    pub(super) reader: Option<AccountName>,
}

/// All pages of a list, read from the first to the last by one account. `entry` is what is listed, as a noun.
///
/// Bitbucket shows each account what it may see, so pages of two accounts do not add up to a listing: after an
/// exchange the listing begins anew with the new account, and what was seen before stays. So whoever has read a page
/// rather waits for the next token of its account. Pages are no snapshot either: an entry can be on two of them. Its
/// number tells.
pub(super) async fn all_pages<T>(
    entry: &str,
    id: impl Fn(&T) -> u64,
    list: List<T>,
    server: &ServerContext,
    credentials: &Credentials,
    caller: &mut Caller<'_>,
) -> Result<Listed<T>, TaskError> {
    let (mut pager, client) = (Pager::new(list), &Client::new(server.http.clone()));
    let mut entries = BTreeMap::new();
    let mut quarantined = BTreeSet::new();
    let mut reader: Option<AccountName> = None;
    let mut missing: Option<TaskError> = None;
    let (mut failures, mut restarts) = (0, 0);
    while !pager.is_over() {
        let reading = &pager;
        let sent = credentials.send(caller, move |voucher| async move {
            let account = voucher.authorization.account().clone();
            let ask = |authorization: Authorization| async move { reading.ask(client, &authorization).await };
            Ok::<_, TaskError>((account, server.gate.listing(voucher, ask).await?))
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
        let was_at_start = pager.is_at_start();
        pager.turn(&page)?;
        entries.extend(page.values.into_iter().map(|value| (id(&value), value)));
        quarantined.extend(page.quarantined.into_iter().map(|found| match found.id {
            Some(id) => format!("{entry} {id}: {}", found.why),
            None => format!("an entry without a number: {}", found.why),
        }));
        let same_reader = reader.as_ref().is_none_or(|reader| *reader == account);
        reader = Some(account);
        caller.steadiness = Steadiness::Steady;
        if !same_reader && !was_at_start {
            restarts += 1;
            if restarts > MOST_RESTARTS {
                return Err(TaskError::EndlessListing { what: caller.subject.clone(), restarts: MOST_RESTARTS });
            }
            pager.restart();
        }
    }
    credentials.listed(caller);
    Ok(Listed { entries, quarantined: quarantined.into_iter().collect(), reader })
}
