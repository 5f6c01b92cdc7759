//! The credentials of a run: opened secrets, the turnstile before them, and those that turned out to be of no use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::deadline::Deadline;
use super::hours::Hours;
use super::journal::Journal;
use super::keyring::{Key, Keys};
use super::parking::Parking;
use super::passwords::Passwords;
use super::permission::{Permissions, Scope};
use super::rests::Rests;
use super::sending::PACE;
use super::server::ServerContext;
use super::turnstile::{Entry, Pass, Turnstile, Voucher};
use super::{Event, EventSink, Ledger, Refused, TaskError, ThrottledPeriod};
use crate::bitbucket::{Client, List};
use crate::clock::Clock;
use crate::http::{Authorization, HttpError};
use crate::model::{
    AccountName, Address, ConditionKind, CredentialRole, ProjectKey, ProjectSelector, Seen, ServerName, Sighting,
};
use crate::throttle::{Arrival, Ask, Holder, Lease, Outcome, Party, RotationId, Steadiness};

/// The credentials of one project, in the order of rotation.
pub(super) type Members = Vec<(CredentialRole, AccountName, Holder)>;

/// What a run opens before anything is sent.
pub(super) struct Opened {
    /// The credentials of each project, in the order of rotation.
    pub(super) rotations: BTreeMap<ProjectSelector, Members>,
    /// What is behind them.
    pub(super) authorizations: BTreeMap<(ProjectSelector, CredentialRole), Authorization>,
    /// The servers of the projects.
    pub(super) servers: BTreeMap<ProjectSelector, ServerName>,
    /// The ways to them.
    pub(super) contexts: BTreeMap<ServerName, Arc<ServerContext>>,
    /// Those that are passwords.
    pub(super) passwords: Passwords,
}

/// The opened credentials of a run, and what became of them.
pub(super) struct Credentials {
    pub(super) turnstile: Turnstile,
    party: Party,
    rotations: BTreeMap<ProjectSelector, RotationId>,
    pub(super) authorizations: BTreeMap<(ProjectSelector, CredentialRole), Authorization>,
    /// The same for whoever finds that one of them is refused.
    pub(super) keys: Arc<Keys>,
    /// Those that are passwords.
    pub(super) passwords: Passwords,
    permissions: Permissions,
    /// The servers of the projects.
    pub(super) servers: BTreeMap<ProjectSelector, ServerName>,
    /// The ways to them.
    pub(super) contexts: BTreeMap<ServerName, Arc<ServerContext>>,
    /// When accounts were left alone.
    pub(super) rests: Rests,
    /// Who is throttled.
    pub(super) parking: Arc<Parking>,
    /// Who records and tells what tasks go through.
    pub(super) journal: Arc<Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Arc<dyn EventSink>,
    /// Cancelled when nobody may wait for budget any more.
    pub(super) closing: CancellationToken,
    pub(super) stop: CancellationToken,
    /// When a task may begin.
    pub(super) hours: Arc<Hours>,
}

impl Credentials {
    /// Puts the rotations together with the authorizations of their credentials.
    pub(super) fn new(
        turnstile: Turnstile,
        opened: Opened,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
        (deadline, hours): (&Deadline, &Arc<Hours>),
    ) -> Self {
        let Opened { rotations, authorizations, servers, contexts, passwords } = opened;
        let party = turnstile.open();
        let (mut in_turn, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for (project, members) in rotations {
            let rotation = turnstile.add_rotation(party, project.clone(), members.clone());
            for (role, _, holder) in members {
                let mark = passwords.mark(&project, &role).cloned();
                let of = (project.clone(), role);
                let authorization = authorizations[&of].clone();
                keys.insert(of, Key { rotation, holder, authorization, mark });
            }
            in_turn.insert(project, rotation);
        }
        let keys = Arc::new(Keys::new(keys, Arc::clone(&events)));
        turnstile.keyring().add(party, Arc::clone(&keys));
        Self {
            party,
            rotations: in_turn,
            turnstile,
            authorizations,
            keys,
            passwords,
            permissions: Permissions::default(),
            servers,
            contexts,
            rests: Rests::default(),
            parking: Arc::default(),
            journal,
            clock,
            events,
            closing: deadline.closing().clone(),
            stop: deadline.stop().clone(),
            hours: Arc::clone(hours),
        }
    }

    /// The opened credentials, in the order of projects and roles.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProjectSelector, &CredentialRole, &Authorization)> {
        self.authorizations.iter().map(|((project, role), authorization)| (project, role, authorization))
    }

    /// The credentials of a project.
    pub(super) fn roles<'a>(&'a self, project: &'a ProjectSelector) -> impl Iterator<Item = &'a CredentialRole> {
        let of_project = self.authorizations.keys().filter(move |(declared, _)| declared == project);
        of_project.map(|(_, role)| role)
    }

    /// The rotation of a project that is part of the run.
    pub(super) fn rotation(&self, project: &ProjectSelector) -> RotationId {
        self.rotations[project]
    }

    /// Takes a credential out of the pool for good.
    pub(super) fn reject(&self, project: &ProjectSelector, refused: Refused) {
        self.keys.reject(&self.turnstile, project, refused);
    }

    /// Sends one request with one credential, outside of any task, through the server's gate like any other. Nothing,
    /// if its account has no budget within [`PACE`], or if the run ends. A password that is refused leaves all pools.
    pub(super) async fn send_as<T, E, F, R>(
        &self,
        server: &ServerContext,
        of: (&ProjectSelector, &CredentialRole),
        arrival: Arrival,
        ledger: &mut Ledger,
        request: F,
    ) -> Option<Result<T, TaskError>>
    where
        F: Fn(Authorization) -> R,
        R: Future<Output = Result<T, E>>,
        E: Into<TaskError>,
    {
        let _turn = match self.login_turn(of).await {
            Ok(turn) => turn,
            Err(TaskError::Stopped) => return None,
            Err(error) => return Some(Err(error)),
        };
        let said = self.send_in_turn(server, of, arrival, ledger, request).await;
        if let Some(Err(error)) = &said
            && let Err(error) = self.heed_refusal(of, error).await
        {
            return Some(Err(error.into()));
        }
        said
    }

    /// The same for whoever has the turn with the credential's password, and heeds what is said of it.
    pub(super) async fn send_in_turn<T, E, F, R>(
        &self,
        server: &ServerContext,
        (project, role): (&ProjectSelector, &CredentialRole),
        arrival: Arrival,
        ledger: &mut Ledger,
        request: F,
    ) -> Option<Result<T, TaskError>>
    where
        F: Fn(Authorization) -> R,
        R: Future<Output = Result<T, E>>,
        E: Into<TaskError>,
    {
        let authorization = &self.authorizations[&(project.clone(), role.clone())];
        let (pass, was_sent, said) = loop {
            let pass = Arc::new(self.pass_of(project, role, arrival).await?);
            let voucher = Voucher::new(authorization.clone(), Arc::clone(&pass));
            let said = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    pass.enter(ledger);
                    return None;
                }
                said = server.gate.listing(voucher, &request) => said,
            };
            let was_sent = pass.enter(ledger);
            if !matches!(said, Err(TaskError::Overtaken)) {
                break (pass, was_sent, said);
            }
            pass.settle(Outcome::Unsent);
        };
        match &said {
            Err(error) if let Some(HttpError::RateLimited { retry_after, .. }) = error.http() => {
                ledger.limited(pass.lease());
                if let Err(error) = self.settle_refusal(&pass, *retry_after).await {
                    return Some(Err(error));
                }
            }
            Ok(_) | Err(_) => {
                pass.settle(if was_sent { Outcome::Answered } else { Outcome::Unsent });
            }
        }
        Some(said)
    }

    async fn pass_of(&self, project: &ProjectSelector, role: &CredentialRole, arrival: Arrival) -> Option<Pass> {
        let except: BTreeSet<_> = self.roles(project).filter(|other| *other != role).cloned().collect();
        let rotation = self.rotation(project);
        let ask = Ask { rotation, arrival, keep: None, steadiness: Steadiness::Any, except: &except };
        let mut place = match self.turnstile.ask(ask) {
            Entry::Admitted(pass) => return Some(pass),
            Entry::Exhausted => return None,
            Entry::Queued(place) => place,
        };
        while place.prospect() <= PACE {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = self.closing.cancelled() => return None,
                pass = place.turn() => return pass,
                // The account may begin to rest while this waits.
                () = tokio::time::sleep(PACE) => {}
            }
        }
        None
    }

    /// Takes a credential out of the rotation of the caller's project, if it does not see it at all. Where that cannot be
    /// found out soon it stays, and is of no use for this caller alone.
    pub(super) async fn doubt(&self, caller: &mut Caller<'_>, lease: &Lease, refused: &Refused) {
        let project = match caller.scope {
            Scope::Server => return,
            Scope::Listing(project) => project,
            Scope::Repository(project, server) => {
                let of = (&lease.project, &lease.role);
                let arrival = *caller.arrival.get_or_insert_with(|| self.turnstile.arrive());
                let client = &Client::new(server.http.clone());
                let first = &List::repositories(project).one_by_one();
                let look = async || {
                    let request =
                        |authorization: Authorization| async move { client.first_page(first, &authorization).await };
                    self.send_as(server, of, arrival, &mut caller.ledger, request).await
                };
                if self.permissions.sees(project, &lease.role, look).await {
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
        self.keys.tell(&(lease.project.clone(), lease.role.clone()));
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
        self.keys.witness(sighting);
    }

    fn witness_credential(&self, lease: &Lease, kind: ConditionKind, seen: Seen) {
        self.witness(Sighting { address: Address::credential(&lease.project, &lease.role), kind, seen });
    }

    /// What was seen on the way, in order.
    pub(super) fn sightings(&self) -> Vec<Sighting> {
        self.keys.sightings()
    }

    /// The credentials that are of no use to the caller.
    pub(super) fn ruled_out(&self, caller: &Caller<'_>) -> BTreeSet<CredentialRole> {
        let lost = caller.scope.project().map(|project| self.permissions.ruled_out(project));
        lost.into_iter().flatten().chain(caller.unfit.iter().cloned()).collect()
    }

    /// Why the caller has nobody to go on with.
    pub(super) fn nobody(&self, caller: &mut Caller<'_>) -> TaskError {
        let rejected = self.keys.rejected();
        let of_project = rejected.iter().filter(|((project, _), _)| project == caller.project);
        let mut tried: Vec<Refused> =
            of_project.map(|(_, refused)| refused.clone()).chain(caller.refusals.drain(..)).collect();
        let lost = caller.scope.project().map(|project| self.permissions.refusals(project));
        for refused in lost.into_iter().flatten() {
            if tried.iter().all(|known| known.credential != refused.credential) {
                tried.push(refused);
            }
        }
        TaskError::NoCredential { project: caller.project.clone(), tried }
    }

    /// Tells that an account rests, if that is news.
    pub(super) fn tell_rest(&self, lease: &Lease, rests: Option<Duration>) {
        if let Some(rest) = rests {
            let from = self.clock.now();
            let until = from.saturating_add(rest).unwrap_or(Timestamp::MAX);
            if let Some(server) = self.servers.get(&lease.project) {
                self.rests.note(server, &lease.account, ThrottledPeriod { from, until });
            }
            self.events.emit(&Event::RateLimited { account: lease.account.clone(), until });
        }
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
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.turnstile.keyring().remove(self.party);
        self.turnstile.close(self.party);
    }
}
