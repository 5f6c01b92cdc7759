//! Bitbucket Data Center's REST interface: what a backup has to know about projects and repositories.
//!
//! Every call is one request with one credential, and lists come page by page ([`Pager`]), so that the caller can
//! exchange the credential between any two requests; whoever has only one can take a list as a stream. What comes back
//! is checked: a repository whose name could be harmful, or that cannot be understood, is [`Quarantined`] and does not
//! hide the others.
//!
//! A renamed project or repository still answers to its old name, so what an answer says (its id, key and slug) wins
//! over what was asked for. Identity is the numeric id.

mod access_tokens;
mod application_properties;
#[cfg(test)]
mod canned;
mod dates;
mod default_branch;
mod error;
mod list;
mod page;
mod projects;
mod pull_requests;
mod rate_limit;
mod repositories;
mod status;
mod users;

pub use access_tokens::{AccessToken, InvalidTokenId, MadeToken, TokenId, TokenOwner, WantedToken};
pub use application_properties::ServerVersion;
pub use error::BitbucketError;
pub use list::{Bounds, List, Pager};
pub use page::{Page, Quarantined};
pub use projects::ListedProject;
pub use pull_requests::{PullRequest, PullRequestState, hidden_commits};
pub use repositories::Repository;
pub use status::ServerState;
pub use users::{InvalidUserSlug, User, UserKind, UserSlug};

use crate::http::HttpClient;

/// The most bytes of one document.
const LARGEST_DOCUMENT: usize = 8 << 20;

/// The most bytes of one page of a list.
const LARGEST_PAGE: usize = 64 << 20;

/// The REST interface of one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
}

impl Client {
    /// Talks through `http`.
    pub fn new(http: HttpClient) -> Self {
        Self { http }
    }

    /// The connection beneath, for the git side of the same server.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }
}

/// At most 300 characters of a display name.
fn short_name(name: String) -> String {
    if name.chars().count() <= 300 { name } else { name.chars().take(300).collect() }
}
