//! What is known of the passwords of a run: those that were refused before are not shown to their server by every run.
//!
//! Runs of one process take turns with the passwords of an account, so that several of them that begin together do not
//! all find out by themselves that one is wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::http::HttpError;
use crate::model::{CredentialRole, LoginRefusal, PasswordMark, ProjectSelector, RefusedLogin};
use crate::state::{StateError, StateStore};

/// Whose turn it is to log in, by password.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<PasswordMark, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Those who want to show this password take turns here.
    pub(super) fn of(&self, mark: &PasswordMark) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.0.lock().expect("no holder panics").entry(mark.clone()).or_default())
    }
}

/// The passwords of a run.
pub(super) struct Passwords {
    state: Arc<StateStore>,
    marks: BTreeMap<(ProjectSelector, CredentialRole), PasswordMark>,
}

impl Passwords {
    /// The credentials of a run that are passwords.
    pub(super) fn new(
        state: Arc<StateStore>,
        marks: BTreeMap<(ProjectSelector, CredentialRole), PasswordMark>,
    ) -> Self {
        Self { state, marks }
    }

    /// What tells a credential's password from others, if it is a password.
    pub(super) fn mark(&self, project: &ProjectSelector, role: &CredentialRole) -> Option<&PasswordMark> {
        self.marks.get(&(project.clone(), role.clone()))
    }

    /// What is known against the credentials of the run.
    pub(super) async fn refused(
        &self,
    ) -> Result<BTreeMap<(ProjectSelector, CredentialRole), RefusedLogin>, StateError> {
        if self.marks.is_empty() {
            return Ok(BTreeMap::new());
        }
        let known = self.state.refused_logins().await?;
        let refused = self.marks.iter().filter_map(|(of, mark)| Some((of.clone(), known.get(mark)?.clone())));
        Ok(refused.collect())
    }

    /// What is known against one password.
    pub(super) async fn known(&self, mark: &PasswordMark) -> Result<Option<RefusedLogin>, StateError> {
        Ok(self.state.refused_logins().await?.remove(mark))
    }

    /// Remembers that a credential was refused. Nothing is known of it if it is no password, or if to ask again does no
    /// harm.
    pub(super) async fn refuse(
        &self,
        (project, role): (&ProjectSelector, &CredentialRole),
        said: (LoginRefusal, &str),
        now: Timestamp,
    ) -> Result<Option<RefusedLogin>, StateError> {
        match self.mark(project, role) {
            Some(mark) => self.state.refuse_login(mark, said, now).await,
            None => Ok(None),
        }
    }

    /// A password was accepted.
    pub(super) async fn accept(&self, mark: &PasswordMark) -> Result<(), StateError> {
        self.state.accept_login(mark).await
    }
}

/// Why a server refuses a login, if that is what an error says.
pub(super) fn login_refusal(error: Option<&HttpError>) -> Option<LoginRefusal> {
    match error {
        Some(HttpError::Unauthorized { meaning, .. }) => meaning.of_login(),
        _ => None,
    }
}
