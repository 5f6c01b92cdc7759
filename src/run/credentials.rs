//! One request, whoever answers for it: leases, exchanges, waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::deadline::Deadline;
use super::journal::Journal;
use super::permission::{Permissions, Scope};
use super::rests::Rests;
use super::{Event, EventSink, Ledger, Refused, TaskError, ThrottledPeriod};
use crate::clock::Clock;
use crate::http::{Authorization, HttpError, Refusal};
use crate::model::{Address, ConditionKind, CredentialRole, ProjectKey, ProjectSelector, Seen, ServerName, Sighting};
use crate::state::TaskRow;
use crate::throttle::{Acquired, CredentialPool, Lease, Outcome};

/// The pool of a run with the opened credentials behind it.
pub(super) struct Credentials {
    pool: Mutex<CredentialPool>,
    authorizations: BTreeMap<(ProjectSelector, CredentialRole), Authorization>,
    /// Those that left the pool, and why.
    rejected: Mutex<BTreeMap<(ProjectSelector, CredentialRole), Refused>>,
    permissions: Permissions,
    /// What was learnt on the way, for the memory.
    sightings: Mutex<Vec<Sighting>>,
    /// The servers of the projects.
    servers: BTreeMap<ProjectSelector, ServerName>,
    rests: Rests,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    /// Cancelled when nobody may wait for budget any more.
    closing: CancellationToken,
    stop: CancellationToken,
}

/// On whose behalf requests are made, with the account book that they are entered in.
pub(super) struct Caller<'a> {
    /// The project, as it is declared, whose credentials are used.
    pub(super) project: &'a ProjectSelector,
    /// What the requests are for, for people.
    pub(super) subject: String,
    /// The row of the task that the requests are for, if they are for one.
    pub(super) row: Option<TaskRow>,
    scope: Scope<'a>,
    /// The credential that the caller goes on with.
    lease: Option<Lease>,
    /// Credentials that lack a permission which the caller needs.
    unfit: BTreeSet<CredentialRole>,
    refusals: Vec<Refused>,
    /// Credentials that were told that there is no such project.
    blind: Vec<(Lease, Refused)>,
    /// The account book.
    pub(super) ledger: Ledger,
}

impl<'a> Caller<'a> {
    /// A caller without a lease.
    pub(super) fn new(project: &'a ProjectSelector, subject: String, scope: Scope<'a>) -> Self {
        let ledger = Ledger::default();
        Self {
            project,
            subject,
            row: None,
            scope,
            lease: None,
            unfit: BTreeSet::new(),
            refusals: Vec::new(),
            blind: Vec::new(),
            ledger,
        }
    }
}

impl<'a> Caller<'a> {
    /// A caller who asks with the main credential alone: what the server shows must not depend on whose turn it is.
    pub(super) fn main(project: &'a ProjectSelector, subject: String, credentials: &Credentials) -> Self {
        let of_project = credentials.authorizations.keys().filter(|(declared, _)| declared == project);
        let others = of_project.map(|(_, role)| role).filter(|role| **role != CredentialRole::Main);
        Self { unfit: others.cloned().collect(), ..Self::new(project, subject, Scope::Server) }
    }
}

impl Credentials {
    /// Puts the pool together with the authorizations of its credentials.
    pub(super) fn new(
        pool: CredentialPool,
        authorizations: BTreeMap<(ProjectSelector, CredentialRole), Authorization>,
        servers: BTreeMap<ProjectSelector, ServerName>,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
        deadline: &Deadline,
    ) -> Self {
        Self {
            pool: Mutex::new(pool),
            authorizations,
            rejected: Mutex::default(),
            permissions: Permissions::default(),
            sightings: Mutex::default(),
            servers,
            rests: Rests::default(),
            journal,
            clock,
            events,
            closing: deadline.closing().clone(),
            stop: deadline.stop().clone(),
        }
    }

    /// The opened credentials, in the order of projects and roles.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProjectSelector, &CredentialRole, &Authorization)> {
        self.authorizations.iter().map(|((project, role), authorization)| (project, role, authorization))
    }

    /// Takes a credential out of the pool for good.
    pub(super) fn reject(&self, project: &ProjectSelector, refused: Refused) {
        let (role, account) = (refused.credential.clone(), refused.account.clone());
        let lease = Lease { project: project.clone(), role: role.clone(), account: account.clone() };
        self.settle(&lease, Outcome::Rejected);
        let why = refused.why.clone();
        let known = self.rejected().insert((project.clone(), role.clone()), refused);
        // Requests under way with the same credential come back refused as well: that is no news.
        if known.is_none() {
            self.events.emit(&Event::CredentialRejected { project: project.clone(), credential: role, account, why });
        }
    }

    /// Lets the account of a credential rest after a 429 outside of any task.
    pub(super) fn rest(&self, project: &ProjectSelector, role: &CredentialRole, retry_after: Option<Duration>) {
        let Some(authorization) = self.authorizations.get(&(project.clone(), role.clone())) else { return };
        let account = authorization.account().clone();
        let lease = Lease { project: project.clone(), role: role.clone(), account };
        let now = self.clock.monotonic();
        let until = self.pool().settle(&lease, Outcome::RateLimited { retry_after }, now);
        self.tell_rest(&lease, until, now);
    }

    /// Sends one request with a credential of the caller's project.
    ///
    /// The caller keeps its credential from request to request. After a 429 the same request goes on with another
    /// account; when none has budget the caller waits, holding nothing else. A credential that the server rejects
    /// leaves the pool; one that may not do this is passed over for this caller. Any other failure is the caller's: a
    /// busy server was waited for at its gate.
    pub(super) async fn send<T, F, R, E>(&self, caller: &mut Caller<'_>, mut attempt: F) -> Result<T, TaskError>
    where
        F: FnMut(Authorization) -> R,
        R: Future<Output = Result<T, E>>,
        E: Into<TaskError>,
    {
        loop {
            let lease = self.lease(caller).await?;
            let authorization = &self.authorizations[&(lease.project.clone(), lease.role.clone())];
            caller.ledger.sent(&lease);
            let result = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(TaskError::Stopped),
                result = attempt(authorization.clone()) => result,
            };
            let error: TaskError = match result {
                Ok(value) => {
                    self.settle(&lease, Outcome::Answered);
                    return Ok(value);
                }
                Err(error) => error.into(),
            };
            match error.http() {
                Some(HttpError::RateLimited { retry_after, .. }) => {
                    caller.ledger.limited(&lease);
                    self.rate_limited(caller, lease, *retry_after);
                }
                Some(HttpError::Unauthorized { meaning, .. }) => {
                    let refused = Refused::new(&lease.project, lease.role.clone(), lease.account.clone(), &error);
                    caller.lease = None;
                    if let Some(reason) = meaning.of_login() {
                        let message = refused.why.clone();
                        let seen = Seen::Holds { reason: reason.as_str(), message };
                        self.witness_credential(&lease, ConditionKind::CredentialRejected, seen);
                        self.reject(&lease.project, refused);
                    } else {
                        self.settle(&lease, Outcome::Answered);
                        if *meaning == Refusal::NoPermission {
                            self.doubt(caller, &lease, authorization, &refused).await;
                        }
                        caller.refusals.push(refused);
                        caller.unfit.insert(lease.role.clone());
                    }
                }
                _ => {
                    self.settle(&lease, Outcome::Answered);
                    return Err(error);
                }
            }
        }
    }

    /// Takes a credential out of the rotation of the caller's project, if it does not see it at all.
    async fn doubt(&self, caller: &mut Caller<'_>, lease: &Lease, authorization: &Authorization, refused: &Refused) {
        let project = match caller.scope {
            Scope::Server => return,
            Scope::Listing(project) => project,
            Scope::Repository(project, http) => {
                let sent = || caller.ledger.sent(lease);
                if self.permissions.sees(project, &lease.role, http, authorization, sent).await {
                    return;
                }
                project
            }
        };
        self.lose(project, lease, refused.clone());
    }

    /// Takes a credential out of the rotation of one project.
    fn lose(&self, project: &ProjectKey, lease: &Lease, refused: Refused) {
        let why = refused.why.clone();
        if !self.permissions.lose(project, refused) {
            return;
        }
        let message = format!("project {project}: {why}");
        self.witness_credential(lease, ConditionKind::PermissionLost, Seen::Holds { reason: "ProjectHidden", message });
        let (credential, account) = (lease.role.clone(), lease.account.clone());
        self.events.emit(&Event::PermissionLost { project: project.clone(), credential, account, why });
    }

    /// A project was listed: what the caller was told before was about its credentials, not about the project.
    pub(super) fn listed(&self, caller: &mut Caller<'_>) {
        let Some(project) = caller.scope.project() else { return };
        for (lease, refused) in std::mem::take(&mut caller.blind) {
            self.lose(project, &lease, refused);
        }
        if let (Some(lease), ProjectSelector::Key(_)) = (&caller.lease, caller.project) {
            self.witness_credential(lease, ConditionKind::PermissionLost, Seen::Not);
        }
    }

    /// Remembers what was seen, until the run ends.
    pub(super) fn witness(&self, sighting: Sighting) {
        self.sightings.lock().expect("no holder panics").push(sighting);
    }

    fn witness_credential(&self, lease: &Lease, kind: ConditionKind, seen: Seen) {
        self.witness(Sighting { address: Address::credential(&lease.project, &lease.role), kind, seen });
    }

    /// What was seen on the way, in order.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        std::mem::take(&mut *self.sightings.lock().expect("no holder panics"))
    }

    /// The credentials that are of no use to the caller.
    fn ruled_out(&self, caller: &Caller<'_>) -> BTreeSet<CredentialRole> {
        let lost = caller.scope.project().map(|project| self.permissions.ruled_out(project));
        lost.into_iter().flatten().chain(caller.unfit.iter().cloned()).collect()
    }

    /// What the run says of the budgets of the accounts that `ledger` names.
    pub(super) fn budgets(&self, ledger: &Ledger, unfinished: bool, now: Timestamp) -> Vec<Sighting> {
        let used = self
            .authorizations
            .iter()
            .filter(|((project, role), _)| ledger.credentials.contains_key(&Address::credential(project, role)));
        let accounts = used.filter_map(|((project, _), authorization)| {
            Some((self.servers.get(project)?.clone(), authorization.account().clone()))
        });
        self.rests.sightings(accounts.collect(), unfinished, now)
    }

    /// Who records and tells what tasks go through.
    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Cancelled when nobody may wait for budget any more.
    pub(super) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// When accounts were left alone.
    pub(super) const fn rests(&self) -> &Rests {
        &self.rests
    }

    /// Time.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Waits, or ends early because the run is stopped.
    pub(super) async fn wait(&self, duration: Duration) -> Result<(), TaskError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(TaskError::Stopped),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    /// The caller's lease, or the next one of the rotation. Waits while the pool is throttled.
    async fn lease(&self, caller: &mut Caller<'_>) -> Result<Lease, TaskError> {
        if self.stop.is_cancelled() {
            return Err(TaskError::Stopped);
        }
        if let Some(lease) = &caller.lease {
            return Ok(lease.clone());
        }
        let mut waits = None;
        loop {
            let now = self.clock.monotonic();
            let ruled_out = self.ruled_out(caller);
            let acquired = self.pool().acquire(caller.project, &ruled_out, now);
            match acquired {
                Acquired::Lease(lease) => {
                    if let Some(wait) = waits {
                        self.go_on(caller, wait, lease.account.clone()).await;
                    }
                    caller.lease = Some(lease.clone());
                    return Ok(lease);
                }
                Acquired::Throttled { until } => {
                    self.throttle(caller, &mut waits, until.saturating_duration_since(now)).await?;
                }
                Acquired::Exhausted => {
                    let rejected = self.rejected();
                    let of_project = rejected.iter().filter(|((project, _), _)| project == caller.project);
                    let mut tried: Vec<Refused> =
                        of_project.map(|(_, refused)| refused.clone()).chain(caller.refusals.drain(..)).collect();
                    let lost = caller.scope.project().map(|project| self.permissions.refusals(project));
                    for refused in lost.into_iter().flatten() {
                        if tried.iter().all(|known| known.credential != refused.credential) {
                            tried.push(refused);
                        }
                    }
                    return Err(TaskError::NoCredential { project: caller.project.clone(), tried });
                }
            }
        }
    }

    fn rate_limited(&self, caller: &mut Caller<'_>, lease: Lease, retry_after: Option<Duration>) {
        let now = self.clock.monotonic();
        let until = self.pool().settle(&lease, Outcome::RateLimited { retry_after }, now);
        caller.lease = None;
        self.tell_rest(&lease, until, now);
        let ruled_out = self.ruled_out(caller);
        let next = self.pool().acquire(caller.project, &ruled_out, now);
        if let Acquired::Lease(next) = next {
            if next.account != lease.account {
                caller.ledger.exchange(&lease.account);
                self.events.emit(&Event::CredentialExchanged {
                    subject: caller.subject.clone(),
                    from: lease.account,
                    to: next.account.clone(),
                });
            }
            caller.lease = Some(next);
        }
    }

    fn tell_rest(&self, lease: &Lease, until: Option<Instant>, now: Instant) {
        if let Some(until) = until {
            let (from, wait) = (self.clock.now(), until.saturating_duration_since(now));
            let until = from.saturating_add(wait).unwrap_or(Timestamp::MAX);
            if let Some(server) = self.servers.get(&lease.project) {
                self.rests.note(server, &lease.account, ThrottledPeriod { from, until });
            }
            self.events.emit(&Event::RateLimited { account: lease.account.clone(), until });
        }
    }

    fn rejected(&self) -> std::sync::MutexGuard<'_, BTreeMap<(ProjectSelector, CredentialRole), Refused>> {
        self.rejected.lock().expect("no holder panics")
    }

    fn settle(&self, lease: &Lease, outcome: Outcome) {
        let now = self.clock.monotonic();
        self.pool().settle(lease, outcome, now);
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, CredentialPool> {
        self.pool.lock().expect("no holder panics")
    }
}

impl Caller<'_> {
    /// Lets the caller go on with another credential, because this one was told that there is no such project. Other
    /// accounts may see it.
    pub(super) fn doubt_own_eyes(&mut self, error: &TaskError) {
        let Some(lease) = self.lease.take() else { return };
        let refused = Refused::new(&lease.project, lease.role.clone(), lease.account.clone(), error);
        self.unfit.insert(lease.role.clone());
        self.blind.push((lease, refused));
    }

    /// Lets the caller go on with another credential.
    pub(super) fn pass_on(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.unfit.insert(lease.role);
        }
    }

    /// The account that the caller goes on with, once it has asked for something.
    pub(super) fn account(&self) -> Option<&crate::model::AccountName> {
        self.lease.as_ref().map(|lease| &lease.account)
    }
}
