//! On whose behalf requests are made.

use std::collections::BTreeSet;
use std::time::Duration;

use super::credentials::Credentials;
use super::permission::Scope;
use super::{Ledger, Refused, TaskError};
use crate::model::{AccountName, CredentialRole, ProjectSelector};
use crate::state::TaskRow;
use crate::state::queue::Claim;
use crate::throttle::{Arrival, Lease, Steadiness};

/// On whose behalf requests are made, with the account book that they are entered in.
pub(super) struct Caller<'a> {
    /// The project, as it is declared, whose credentials are used.
    pub(super) project: &'a ProjectSelector,
    /// What the requests are for, for people.
    pub(super) subject: String,
    /// The task that the requests are for, if they are for one: its row, and the claim without which it is not written.
    pub(super) task: Option<(Claim, TaskRow)>,
    pub(super) scope: Scope<'a>,
    /// The credential that the caller goes on with.
    pub(super) lease: Option<Lease>,
    /// The account that asked last, unless it was refused.
    pub(super) asked_as: Option<AccountName>,
    /// Whether the last answer was a 429.
    pub(super) limited: bool,
    pub(super) steadiness: Steadiness,
    /// How long it would wait for budget, if not as long as it takes.
    pub(super) patience: Option<Duration>,
    /// When it came, once it has asked.
    pub(super) arrival: Option<Arrival>,
    /// Credentials that lack a permission which the caller needs.
    pub(super) unfit: BTreeSet<CredentialRole>,
    pub(super) refusals: Vec<Refused>,
    /// Credentials that were told that there is no such project.
    pub(super) blind: Vec<(Lease, Refused)>,
    /// The account book.
    pub(super) ledger: Ledger,
}

impl<'a> Caller<'a> {
    /// A caller without a lease.
    pub(super) fn new(project: &'a ProjectSelector, subject: String, scope: Scope<'a>) -> Self {
        Self {
            project,
            subject,
            task: None,
            scope,
            lease: None,
            asked_as: None,
            limited: false,
            steadiness: Steadiness::Any,
            patience: None,
            arrival: None,
            unfit: BTreeSet::new(),
            refusals: Vec::new(),
            blind: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// A caller who asks with the main credential alone: what the server shows must not depend on whose turn it is.
    pub(super) fn main(project: &'a ProjectSelector, subject: String, credentials: &Credentials) -> Self {
        let others = credentials.roles(project).filter(|role| **role != CredentialRole::Main);
        Self { unfit: others.cloned().collect(), ..Self::new(project, subject, Scope::Server) }
    }

    /// Lets the caller begin with the main credential, if its account has a token.
    pub(super) fn beginning_as_main(self, credentials: &Credentials) -> Self {
        let (project, role) = (self.project.clone(), CredentialRole::Main);
        let lease = credentials.authorizations.get(&(project.clone(), role.clone())).map(|authorization| {
            let account = authorization.account().clone();
            Lease { project, role, account }
        });
        Self { lease, ..self }
    }

    /// Lets the caller go on with another credential, because this one was told that there is no such project. Other
    /// accounts may see it.
    pub(super) fn doubt_own_eyes(&mut self, error: &TaskError) {
        let Some(lease) = self.lease.take() else { return };
        self.asked_as = None;
        let refused = Refused::new(&lease.project, lease.role.clone(), lease.account.clone(), error);
        self.unfit.insert(lease.role.clone());
        self.blind.push((lease, refused));
    }

    /// Lets the caller go on with another credential.
    pub(super) fn pass_on(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.asked_as = None;
            self.unfit.insert(lease.role);
        }
    }

    /// Whether it is for a task for which nothing was sent yet.
    pub(super) fn is_unbegun(&self) -> bool {
        matches!(self.scope, Scope::Repository(..)) && self.ledger.requests.is_empty()
    }

    /// The account that the caller goes on with, once it has asked for something.
    pub(super) fn account(&self) -> Option<&AccountName> {
        self.lease.as_ref().map(|lease| &lease.account)
    }
}
