//! One question to one server: within the time, within the budget of the account, and with a secret that was sealed for
//! that server.

use super::Look;
use super::deadline::{Budget, Deadline, ONE, Spared};
use super::verdict::{chain, is_rate_limited, login_refusal};
use crate::bitbucket::{BitbucketError, Client, List, Pager};
use crate::http::{Authorization, HttpClient};
use crate::model::{Credential, CredentialKind, Reach, Server, ServerName};
use crate::secret::{Expected, Identities, open};

/// Pages of a list that are worth a look.
const MOST_PAGES: usize = 5;

/// What all requests to a server share.
pub(super) struct Asked<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) name: &'a ServerName,
    pub(super) declared: &'a Server,
    pub(super) client: Client,
    pub(super) deadline: &'a Deadline<'a>,
    pub(super) budget: &'a Budget,
}
impl Asked<'_> {
    /// Sends a request if the account's budget allows it; `Err` if it does not, `None` if the answer did not come.
    pub(super) async fn send_kept<T>(
        &self,
        authorization: &Authorization,
        request: impl Future<Output = Result<T, BitbucketError>>,
    ) -> Result<Option<Result<T, BitbucketError>>, Spared> {
        self.budget.take(authorization)?;
        let said = self.deadline.within(request).await;
        if let Some(Err(error)) = &said {
            if is_rate_limited(error) {
                self.budget.limit(authorization.account());
            } else if login_refusal(error).is_some() {
                self.budget.refuse(authorization);
            }
        }
        Ok(said)
    }

    /// Looks for entries that fit, page by page: until a page has some, or until the end. `None` if nothing was found on
    /// so many pages that the rest is not worth a look, or if an answer did not come.
    pub(super) async fn search<T>(
        &self,
        authorization: &Authorization,
        list: List<T>,
        fits: impl Fn(&T) -> bool,
    ) -> Result<Option<Result<Vec<T>, BitbucketError>>, Spared> {
        let mut pager = Pager::new(list);
        for _ in 0..MOST_PAGES {
            let page = match self.send_kept(authorization, pager.ask(&self.client, authorization)).await? {
                Some(Ok(page)) => page,
                Some(Err(error)) => return Ok(Some(Err(error))),
                None => return Ok(None),
            };
            if let Err(error) = pager.turn(&page) {
                return Ok(Some(Err(error)));
            }
            let found: Vec<T> = page.values.into_iter().filter(|value| fits(value)).collect();
            if !found.is_empty() || pager.is_over() {
                return Ok(Some(Ok(found)));
            }
        }
        Ok(None)
    }

    /// One request for a question whose failure says nothing.
    pub(super) async fn send<T>(
        &self,
        authorization: &Authorization,
        request: impl Future<Output = Result<T, BitbucketError>>,
    ) -> Result<Option<T>, Spared> {
        Ok(self.send_kept(authorization, request).await?.and_then(Result::ok))
    }

    /// Opens a secret, for this server and no other.
    pub(super) fn open(&self, credential: &Credential, identities: &Identities) -> Result<Authorization, String> {
        let (origin, account) = (self.declared.url.origin(), credential.account.clone());
        let expected = Expected { kind: credential.kind.into(), origin, account: account.clone() };
        let secret = open(&credential.sealed, identities, &expected).map_err(|error| chain(&error))?;
        let authorization = match credential.kind {
            CredentialKind::Token => Authorization::bearer(account, &secret),
            CredentialKind::Password => Authorization::basic(account, &secret),
        };
        authorization.map_err(|error| chain(&error))
    }
}

/// A client that waits no longer than one request may take.
pub(super) fn client(declared: &Server, look: &Look<'_>) -> Result<HttpClient, Reach> {
    let read = |path: &String| {
        std::fs::read(look.base.join(path)).map_err(|error| Reach::Unreachable {
            why: format!("cannot read the certificates in {path}: {error}"),
            hint: Some("ca-file is relative to xopero.kdl".to_owned()),
        })
    };
    let ca = declared.ca_file.as_ref().map(read).transpose()?;
    HttpClient::new(&declared.url, ca.as_deref(), look.proxies, declared.timeout.min(ONE))
        .map_err(|error| Reach::Unreachable { why: chain(&error), hint: error.hint() })
}
