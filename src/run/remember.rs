//! What a listing says in the light of earlier ones: renames, moves, and repositories that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::caller::Caller;
use super::dispatch::Context;
use super::memory::Memory;
use super::permission::Scope;
use super::server::ServerContext;
use super::{Ledger, TaskError};
use crate::bitbucket::{Client, Repository};
use crate::http::HttpError;
use crate::model::inventory::{compare, moved};
use crate::model::{
    Address, ConditionKind, CredentialRole, Inventory, ListedRepository, PlannedProject, ProjectKey, ProjectSelector,
    Remembered, RepoId, Seen, Sighting,
};
use crate::state::StateError;

/// Repositories of the last trusted listing that are asked for by name in one run.
const RECENT_ASKED: usize = 100;

/// The same of those that were missing before. If more are, somebody has to look anyway.
const EARLIER_ASKED: usize = 10;

/// How many accounts have to say that a repository is gone which was missing before, if there are so many. Of one that
/// was listed last time, all have to.
const WITNESSES: usize = 2;

/// The listing of one project, all of it.
pub(super) struct Listing<'a> {
    pub(super) context: &'a Context,
    pub(super) server: &'a ServerContext,
    pub(super) declared: &'a ProjectSelector,
    pub(super) planned: &'a PlannedProject,
    pub(super) project: &'a ProjectKey,
    pub(super) repositories: BTreeMap<RepoId, ListedRepository>,
}

/// Whether a listing is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// It takes the place of the one before.
    Trusted,
    /// So it does, whatever nobody could tell of what is missing.
    Accepted,
    /// The one before stays.
    Suspect,
}

/// What came of asking for what is not listed.
#[derive(Default)]
pub(super) struct Absent {
    /// The account book.
    pub(super) ledger: Ledger,
    /// What is in the project all the same: each account is shown what it may see.
    pub(super) found: Vec<Repository>,
    /// Of the last trusted listing: those of which nobody could tell whether they are there.
    pub(super) unknown: BTreeSet<RepoId>,
}

impl Listing<'_> {
    /// Compares the listing with what is known, and asks for what is missing. A trusted one is remembered, together with
    /// what answered, and `memory` follows it. A repository leaves it only when the accounts were asked. What was found
    /// comes back also if that fails.
    pub(super) async fn remember(self, memory: &mut Memory, trust: Trust) -> (Absent, Result<(), StateError>) {
        let Self { context, server, declared, planned, project, repositories } = self;
        let mut inventory = Inventory { observed_at: context.clock.now(), repositories };
        let known = &memory.known;
        let compare_all = |inventory: &Inventory| compare(&server.name, project, known, inventory, context.generation);
        let missing = compare_all(&inventory).absent.into_iter().filter_map(|id| Some((id, known.get(&id)?)));
        let (mut recent, earlier): (Vec<_>, Vec<_>) =
            missing.partition(|(_, last)| memory.is_on_trusted(project, last));
        recent.sort_by_key(|(id, last)| (!planned.selects(&last.last.slug), *id));
        let earlier = earlier.into_iter().take(match trust {
            Trust::Trusted | Trust::Accepted => EARLIER_ASKED,
            Trust::Suspect => 0,
        });
        let everyone = context.credentials.roles(declared).count();
        let of_recent = |(place, (id, last))| (id, last, (place < RECENT_ASKED).then_some(everyone));
        let recent = recent.into_iter().enumerate().map(of_recent);
        let mut absent = Absent::default();
        // A settled one takes its place among those that are asked for, so that many of them cost nothing.
        for (id, last, witnesses) in recent.chain(earlier.map(|(id, last)| (id, last, Some(WITNESSES)))) {
            if is_settled(context, server, id, last) {
                continue;
            }
            let asked = Asked { context, server, declared, id, last };
            let answer = match witnesses {
                Some(witnesses) => asked.ask(witnesses, &mut absent.ledger).await,
                None => Answer::Unknown,
            };
            match answer {
                Answer::Found(found) if found.project_id == last.last.project_id => absent.found.push(found),
                Answer::Unknown if trust != Trust::Accepted && memory.is_on_trusted(project, last) => {
                    absent.unknown.insert(id);
                }
                Answer::Found(_) | Answer::Gone | Answer::Unknown => {}
            }
        }
        if trust != Trust::Suspect {
            inventory.repositories.extend(absent.found.iter().map(|found| (found.id, found.listed())));
        }
        let comparison = compare_all(&inventory);
        for sighting in comparison.sightings {
            context.credentials.witness(sighting);
        }
        if trust != Trust::Suspect {
            let observed_at = inventory.observed_at;
            let mut remember = comparison.remember;
            remember.extend(absent.unknown.iter().filter_map(|id| {
                let stays = Remembered { seen_at: observed_at, ..known.get(id)?.clone() };
                Some((*id, stays))
            }));
            let recorded = context.state.record_listing(server.uid, project, observed_at, &remember).await;
            if recorded.is_err() {
                return (absent, recorded);
            }
            memory.known.extend(remember);
        }
        (absent, Ok(()))
    }
}

/// Whether it is known what became of a repository. One that was moved to where it was listed last is not among those.
fn is_settled(context: &Context, server: &ServerContext, id: RepoId, last: &Remembered) -> bool {
    let has_come = last.before.project_id != last.last.project_id;
    !has_come && context.left.contains(&Address::repository(&server.name, id))
}

/// A repository that is not listed any more.
struct Asked<'a> {
    context: &'a Context,
    server: &'a ServerContext,
    declared: &'a ProjectSelector,
    id: RepoId,
    last: &'a Remembered,
}

/// How long a further account is waited for. It is longer than the rest after a 429 that names none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is said of a repository that is asked for by name.
enum Answer {
    /// It is there.
    Found(Repository),
    /// It is gone, or no account may read it.
    Gone,
    /// Nobody could tell.
    Unknown,
}

impl Asked<'_> {
    /// Asks for it by its last name, as so many accounts, or until one finds it; the main credential's is the first, if
    /// it has budget. Bitbucket answers to former names, so the number decides whether what comes back is the same one.
    async fn ask(&self, witnesses: usize, ledger: &mut Ledger) -> Answer {
        let Self { context, server, declared, id, last } = *self;
        let (key, slug) = (&last.last.project, &last.last.slug);
        let caller = Caller::new(declared, format!("repository {key}/{slug}"), Scope::Server);
        let mut caller = caller.beginning_as_main(&context.credentials);
        let client = &Client::new(server.http.clone());
        let (mut missing, mut answer) = (0, Answer::Gone);
        for _ in 0..witnesses {
            let sent = context.credentials.send(&mut caller, move |voucher| async move {
                let ask = |authorization| async move { client.repository(&authorization, key, slug).await };
                server.gate.listing(voucher, ask).await
            });
            match sent.await {
                Ok(found) if found.id == id => {
                    self.witness(ConditionKind::RepoMoved, moved(id, &last.before, &found.listed()));
                    self.witness(ConditionKind::RepoGone, Seen::Not);
                    missing = 0;
                    answer = Answer::Found(found);
                    break;
                }
                // Its name is another one's.
                Ok(_) => missing += 1,
                Err(error) if matches!(error.http(), Some(HttpError::NotFound { .. })) => missing += 1,
                // The others may not read it, or do not log in: what the main one was told stands.
                Err(TaskError::NoCredential { .. }) if caller.unfit.contains(&CredentialRole::Main) => break,
                Err(_) => {
                    (missing, answer) = (0, Answer::Unknown);
                    break;
                }
            }
            caller.pass_on();
            // Nothing waits long for a further account that rests: the next run asks again.
            caller.patience = Some(PATIENCE);
        }
        ledger.add(&caller.ledger);
        if missing > 0 {
            let message = format!("repository {key}/{slug} (id {id}) is gone; its backups are kept");
            self.witness(ConditionKind::RepoGone, Seen::Holds { reason: "NotFound", message });
        }
        answer
    }

    fn witness(&self, kind: ConditionKind, seen: Seen) {
        let address = Address::repository(&self.server.name, self.id);
        self.context.credentials.witness(Sighting { address, kind, seen });
    }
}
