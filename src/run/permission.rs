//! Credentials that are good and do not see a project: they leave the rotation of that project, and of no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;

use super::server::ServerContext;
use super::{Refused, TaskError};
use crate::http::{HttpError, Refusal};
use crate::model::{CredentialRole, ProjectKey};

/// What requests are about. A refusal means something else for each.
#[derive(Clone, Copy)]
pub(super) enum Scope<'a> {
    /// The server as a whole.
    Server,
    /// The listing of a project.
    Listing(&'a ProjectKey),
    /// One repository of a project.
    Repository(&'a ProjectKey, &'a ServerContext),
}

impl<'a> Scope<'a> {
    /// The project, if it is about one.
    pub(super) const fn project(self) -> Option<&'a ProjectKey> {
        match self {
            Self::Server => None,
            Self::Listing(key) | Self::Repository(key, _) => Some(key),
        }
    }
}

/// A credential and a project.
type Pair = (ProjectKey, CredentialRole);

/// Which credentials do not see which projects.
#[derive(Default)]
pub(super) struct Permissions {
    /// Whether a credential that was refused a repository sees its project at all: asked once for each.
    asked: Mutex<BTreeMap<Pair, Arc<OnceCell<bool>>>>,
    lost: Mutex<BTreeMap<Pair, Refused>>,
}

impl Permissions {
    /// The credentials that do not see the project.
    pub(super) fn ruled_out(&self, project: &ProjectKey) -> BTreeSet<CredentialRole> {
        let lost = self.lost.lock().expect("no holder panics");
        lost.keys().filter(|(key, _)| key == project).map(|(_, role)| role.clone()).collect()
    }

    /// Why the credentials of the project that do not see it were refused.
    pub(super) fn refusals(&self, project: &ProjectKey) -> Vec<Refused> {
        let lost = self.lost.lock().expect("no holder panics");
        lost.iter().filter(|((key, _), _)| key == project).map(|(_, refused)| refused.clone()).collect()
    }

    /// Takes a credential out of the rotation of a project. Tells whether that is news.
    pub(super) fn lose(&self, project: &ProjectKey, refused: Refused) -> bool {
        let pair = (project.clone(), refused.credential.clone());
        self.lost.lock().expect("no holder panics").insert(pair, refused).is_none()
    }

    /// Whether a credential that may not read one repository sees the project. Whoever asks first looks. No answer, and
    /// one that says nothing about it, counts as a yes for this time, and the next one looks again.
    pub(super) async fn sees<T>(
        &self,
        project: &ProjectKey,
        role: &CredentialRole,
        look: impl AsyncFnOnce() -> Option<Result<T, TaskError>>,
    ) -> bool {
        let pair = (project.clone(), role.clone());
        let cell = Arc::clone(self.asked.lock().expect("no holder panics").entry(pair).or_default());
        let ask = || async {
            match look().await {
                Some(Ok(_)) => Ok(true),
                Some(Err(error)) if error.http().is_some_and(is_hidden) => Ok(false),
                Some(Err(_)) | None => Err(()),
            }
        };
        cell.get_or_try_init(ask).await.copied().unwrap_or(true)
    }
}

fn is_hidden(error: &HttpError) -> bool {
    matches!(error, HttpError::NotFound { .. } | HttpError::Unauthorized { meaning: Refusal::NoPermission, .. })
}

/// Whether an error says that there is no such project. A server says so of one that the account may not see, too.
pub(super) fn is_missing_project(error: &HttpError) -> bool {
    matches!(error, HttpError::NotFound { exception: Some(name), .. } if name == "NoSuchProjectException")
}
