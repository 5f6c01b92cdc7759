//! What is known of the passwords of a run: those that were refused before are not shown to their server by every run.
//!
//! Runs of one process take turns with a password until each has seen that it is right, so that several requests that
//! begin together do not all find out by themselves that it is wrong. What other processes were refused with is looked up
//! in the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::http::HttpError;
use crate::model::{CredentialRole, LoginRefusal, PasswordMark, ProjectSelector, RefusedLogin};
use crate::state::{StateError, StateStore};

/// How often a run looks whether one of its passwords was refused elsewhere.
const LOOK: Duration = Duration::from_secs(3);

/// For how long a login that was accepted tells that refusals without a reason are not about the password.
const VOUCHED: Duration = Duration::from_mins(1);

/// The turn with a password, until it is dropped.
pub(super) type Turn = tokio::sync::OwnedMutexGuard<()>;

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
    /// Those that were accepted in this run.
    proven: Mutex<BTreeSet<PasswordMark>>,
    looked: Mutex<Option<Instant>>,
    /// When it was last seen that a password logs in that had been refused without a reason.
    vouched: Mutex<BTreeMap<PasswordMark, Instant>>,
    /// Refusals without a reason since a password was last accepted.
    doubts: Mutex<BTreeMap<PasswordMark, u32>>,
}

impl Passwords {
    /// The credentials of a run that are passwords.
    pub(super) fn new(
        state: Arc<StateStore>,
        marks: BTreeMap<(ProjectSelector, CredentialRole), PasswordMark>,
    ) -> Self {
        Self {
            state,
            marks,
            proven: Mutex::default(),
            looked: Mutex::default(),
            vouched: Mutex::default(),
            doubts: Mutex::default(),
        }
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

    /// Remembers that a password was refused. Nothing is known of it if to ask again does no harm.
    pub(super) async fn refuse(
        &self,
        mark: &PasswordMark,
        said: (LoginRefusal, &str),
        now: Timestamp,
    ) -> Result<Option<RefusedLogin>, StateError> {
        self.state.refuse_login(mark, said, now).await
    }

    /// An answer has shown that a password is right.
    pub(super) fn prove(&self, mark: &PasswordMark) {
        let mut proven = self.proven.lock().expect("no holder panics");
        if !proven.contains(mark) {
            proven.insert(mark.clone());
        }
        self.doubts.lock().expect("no holder panics").remove(mark);
    }

    /// A password was refused without a reason, and nobody tells whether it logs in: it is proven no longer. Tells how
    /// often that was so since it was accepted.
    pub(super) fn doubt(&self, mark: &PasswordMark) -> u32 {
        self.proven.lock().expect("no holder panics").remove(mark);
        let mut doubts = self.doubts.lock().expect("no holder panics");
        let count = doubts.entry(mark.clone()).or_default();
        *count += 1;
        *count
    }

    /// A password that was refused without a reason logs in.
    pub(super) fn vouch_for(&self, mark: &PasswordMark, now: Instant) {
        self.prove(mark);
        self.vouched.lock().expect("no holder panics").insert(mark.clone(), now);
    }

    /// Whether it was seen a moment ago that a password logs in.
    pub(super) fn is_vouched_for(&self, mark: &PasswordMark, now: Instant) -> bool {
        let vouched = self.vouched.lock().expect("no holder panics");
        vouched.get(mark).is_some_and(|at| now.saturating_duration_since(*at) < VOUCHED)
    }

    /// Whether an answer has shown that a password is right.
    pub(super) fn is_proven(&self, mark: &PasswordMark) -> bool {
        self.proven.lock().expect("no holder panics").contains(mark)
    }

    /// Whether it is time to look for refusals elsewhere: from here on, somebody does.
    pub(super) fn is_time_to_look(&self, now: Instant) -> bool {
        let mut looked = self.looked.lock().expect("no holder panics");
        let is_time = looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK);
        if is_time {
            *looked = Some(now);
        }
        is_time
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
