//! What a listing says in the light of earlier ones: renames, moves, and repositories that are gone.

use std::collections::{BTreeMap, BTreeSet};

use super::caller::Caller;
use super::dispatch::Context;
use super::permission::Scope;
use super::sending::PACE;
use super::server::ServerContext;
use super::{Ledger, TaskError};
use crate::bitbucket::{Client, Repository};
use crate::http::HttpError;
use crate::model::inventory::{compare, moved};
use crate::model::{
    Address, ConditionKind, Inventory, ListedRepository, ProjectKey, ProjectSelector, Remembered, RepoId, Seen,
    Sighting,
};
use crate::state::StateError;

/// Absent repositories that are asked for by name. If more are absent, somebody has to look anyway.
const ASKED: usize = 10;

/// The same of a listing that is not believed.
const ASKED_OF_SUSPECT: usize = 100;

/// How many accounts have to say that a repository is gone, if there are so many.
const WITNESSES: usize = 2;

/// The listing of one project, all of it.
pub(super) struct Listing<'a> {
    pub(super) context: &'a Context,
    pub(super) server: &'a ServerContext,
    pub(super) declared: &'a ProjectSelector,
    pub(super) project: &'a ProjectKey,
    pub(super) repositories: BTreeMap<RepoId, ListedRepository>,
}

/// Whether a listing is believed.
pub(super) enum Trust<'a> {
    /// It takes the place of the one before.
    Trusted,
    /// The one before stays. These are missing.
    Suspect(&'a BTreeSet<RepoId>),
}

/// What came of asking for what is not listed.
#[derive(Default)]
pub(super) struct Absent {
    /// The account book.
    pub(super) ledger: Ledger,
    /// What is still in the project, though a suspect listing leaves it out.
    pub(super) found: Vec<Repository>,
}

impl Listing<'_> {
    /// Compares the listing with `known`, and asks for what is missing. A trusted one is remembered, and `known`
    /// follows it.
    pub(super) async fn remember(
        self,
        known: &mut BTreeMap<RepoId, Remembered>,
        trust: Trust<'_>,
    ) -> Result<Absent, StateError> {
        let Self { context, server, declared, project, repositories } = self;
        let inventory = Inventory { observed_at: context.clock.now(), repositories };
        let comparison = compare(&server.name, project, known, &inventory, context.generation);
        for sighting in comparison.sightings {
            context.credentials.witness(sighting);
        }
        let mut absent = Absent::default();
        let (asked, missing) = match trust {
            Trust::Trusted => (ASKED, None),
            Trust::Suspect(missing) => (ASKED_OF_SUSPECT, Some(missing)),
        };
        let settled = |id: &RepoId| context.left.contains(&Address::repository(&server.name, *id));
        let ids = comparison.absent.iter().filter(|id| missing.is_none_or(|missing| missing.contains(id)));
        // A settled one takes its place among those that are asked for, so that many of them cost nothing.
        for id in ids.take(asked).filter(|id| !settled(id)) {
            let Some(last) = known.get(id) else { continue };
            let asked = Asked { context, server, declared, id: *id, last };
            let found = asked.ask(&mut absent.ledger).await;
            let here = |found: &Repository| missing.is_some() && found.project_id == last.last.project_id;
            absent.found.extend(found.filter(here));
        }
        if missing.is_none() {
            let remember = comparison.remember;
            context.state.record_listing(server.uid, project, inventory.observed_at, &remember).await?;
            known.extend(remember);
        }
        Ok(absent)
    }
}

/// A repository that is not listed any more.
struct Asked<'a> {
    context: &'a Context,
    server: &'a ServerContext,
    declared: &'a ProjectSelector,
    id: RepoId,
    last: &'a Remembered,
}

impl Asked<'_> {
    /// Asks for it by its last name. Bitbucket answers to former names, so the number decides whether what comes back
    /// is the same one, which it then gives.
    async fn ask(&self, ledger: &mut Ledger) -> Option<Repository> {
        let Self { context, server, declared, id, last } = *self;
        let (key, slug) = (&last.last.project, &last.last.slug);
        let mut caller = Caller::new(declared, format!("repository {key}/{slug}"), Scope::Server);
        let client = &Client::new(server.http.clone());
        let mut missing = 0;
        let mut still_there = None;
        for _ in 0..WITNESSES {
            let sent = context.credentials.send(&mut caller, move |voucher| async move {
                let ask = |authorization| async move { client.repository(&authorization, key, slug).await };
                server.gate.listing(voucher, ask).await
            });
            match sent.await {
                Ok(found) if found.id == id => {
                    self.witness(ConditionKind::RepoMoved, moved(id, &last.before, &found.listed()));
                    self.witness(ConditionKind::RepoGone, Seen::Not);
                    missing = 0;
                    still_there = Some(found);
                    break;
                }
                // Its name is another one's.
                Ok(_) => missing += 1,
                Err(error) if matches!(error.http(), Some(HttpError::NotFound { .. })) => missing += 1,
                Err(TaskError::NoCredential { .. }) if missing > 0 => break,
                Err(_) => {
                    missing = 0;
                    break;
                }
            }
            caller.pass_on();
            // Nothing waits for a second account that rests: the next run asks again.
            caller.patience = Some(PACE);
        }
        ledger.add(&caller.ledger);
        if missing > 0 {
            let message = format!("repository {key}/{slug} (id {id}) is gone; its backups are kept");
            self.witness(ConditionKind::RepoGone, Seen::Holds { reason: "NotFound", message });
        }
        still_there
    }

    fn witness(&self, kind: ConditionKind, seen: Seen) {
        let address = Address::repository(&self.server.name, self.id);
        self.context.credentials.witness(Sighting { address, kind, seen });
    }
}
