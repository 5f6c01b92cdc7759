//! Looking at servers, credentials and destinations before anything relies on them.
//!
//! A look takes 10 seconds at most, whatever it meets, and it is cheap: for each server one request for its limits, one
//! for its git, and one for the limit of each account; for each secret one to log in; for each project and credential
//! one to see a repository, two if there is none to see, and if a person asks three more to see what it may do and one to
//! see who its account is. The one of a project's main credential is for the first page of its listing, which says what a
//! plan takes before a run has listed it ([`Glimpses`]). An account answers at most [`MOST_REQUESTS`] of them, a third of
//! the usual bucket, beginning with what was not looked at for the longest time. A secret is opened right before it is
//! sent, and only to the server that it was sealed for; without one that opens, a server is not asked at all.
//!
//! - [`candidates()`]: which credentials are looked at, and in which order;
//! - [`deadline`]: how long, and how much;
//! - [`secrets`]: which of them are shown to the server (pure);
//! - [`server`], [`view`] and [`destination`]: asking, one question at a time ([`asking`]);
//! - [`powers`]: what a credential may do besides reading (pure);
//! - [`verdict`]: what an answer means (pure);
//! - [`passwords`]: what is remembered of those that were refused;
//! - [`checked()`]: what is said of single credentials (pure);
//! - [`conclude`]: which conditions and notes follow (pure);
//! - [`pending`]: which of them wait until the declaration is in force (pure).
//!
//! A look is never an error: what could not be seen is a note. It changes nothing, anywhere but in the memory of what
//! was observed.

mod asking;
mod candidates;
mod checked;
mod conclude;
mod deadline;
mod destination;
mod passwords;
mod pending;
mod powers;
mod secrets;
mod server;
mod verdict;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::{join, join_all};
use jiff::Timestamp;

pub use checked::{Checked, checked};
pub(in crate::reconcile) use conclude::expiries;
pub use conclude::{notes, shared_accounts};
pub use powers::Power;

use crate::bitbucket::User;
use crate::change::{Glimpses, Note};
use crate::clock::Clock;
use crate::http::Proxies;
use crate::model::condition::settle;
use crate::model::{
    AccountName, Address, Applied, CredentialRole, CredentialSeen, Declaration, Generation, Observations,
    ProjectSelector, ServerName, Sighting, Transition,
};
use crate::secret::Identities;
use crate::state::{StateError, StateStore};
use crate::throttle::Holder;
use candidates::{Candidate, candidates};
use conclude::sightings;
use deadline::Deadline;
use server::Before;

/// The most requests that one account answers in one look.
pub const MOST_REQUESTS: u32 = 20;

/// What is looked at, and with what.
#[derive(Clone)]
pub struct Look<'a> {
    /// What is declared.
    pub declaration: &'a Declaration,
    /// The directory of the file: relative paths begin there.
    pub base: &'a Path,
    /// Through what servers are reached.
    pub proxies: &'a Proxies,
    /// The state, where there is one.
    pub state: Option<&'a StateStore>,
    /// What is in force, if something is.
    pub applied: Option<&'a Applied>,
    /// Who opens the credentials, or why nobody does.
    pub identities: Result<&'a Identities, String>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Which part of it.
    pub part: Part,
}

/// Which part of a declaration is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What the plans use: main and enabled credentials, and all destinations. An account is spared.
    InUse,
    /// These credentials and nothing else, each of them whatever it costs; passwords that are set aside stay so.
    Credentials(BTreeSet<(ProjectSelector, CredentialRole)>),
    /// This credential and nothing else, also if it is set aside: somebody has named it.
    Named(ProjectSelector, CredentialRole),
}

impl Part {
    /// Whether somebody wants to know everything of it.
    const fn is_thorough(&self) -> bool {
        match self {
            Self::InUse => false,
            Self::Credentials(_) | Self::Named(..) => true,
        }
    }

    /// Whether it is what somebody has named, and not what they have in mind among others.
    const fn is_named(&self) -> bool {
        match self {
            Self::InUse | Self::Credentials(_) => false,
            Self::Named(..) => true,
        }
    }
}

/// What came of a look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// What was seen.
    pub seen: Observations,
    /// Credentials that were not shown to their servers, and what was known of them before.
    pub left_alone: BTreeMap<Address, CredentialSeen>,
    /// Everything that is known after it.
    pub known: Observations,
    /// What credentials may do besides reading, as far as it was asked and told.
    pub powers: BTreeMap<Address, Power>,
    /// What the servers say of the accounts, as far as it was asked and told.
    pub users: BTreeMap<(ServerName, AccountName), User>,
    /// Conditions that began, changed or ended.
    pub transitions: Vec<Transition>,
    /// The beginnings of listings, for what is said of projects that no run has listed.
    pub glimpses: Glimpses,
    /// What was not looked at, and why.
    pub skipped: Vec<Note>,
    /// Requests that were sent, by account.
    pub requests: BTreeMap<AccountName, u64>,
    /// What becomes of the credentials whose password was refused, and not accepted since.
    pub set_aside: BTreeMap<Address, String>,
    /// What was seen of things that are not in force as they are declared.
    pending: Vec<Sighting>,
    /// The accounts that were asked, and whether their budget was used up.
    accounts: BTreeMap<(ServerName, AccountName), bool>,
}

/// Looks, and remembers what was seen where there is a state. Only a state that cannot be used is an error.
pub async fn look(look: &Look<'_>) -> Result<Looked, StateError> {
    let known = match look.state {
        Some(state) => state.observations(look.applied).await?,
        None => Observations::default(),
    };
    let refused = match look.state {
        Some(state) => state.refused_logins().await?,
        None => BTreeMap::new(),
    };
    let by_server = candidates(look.declaration, &look.part, &known);
    let rests = rests(look, &by_server).await?;
    let known_before = Before { known, refused, rests };
    let deadline = Deadline::begin(look.clock);
    let (before, end) = (&known_before, &deadline);
    let servers = by_server
        .into_iter()
        .map(|(name, candidates)| async move { (name, server::ask(look, name, candidates, before, end).await) });
    let destinations = match look.part {
        Part::InUse => look.declaration.destinations.iter().collect(),
        Part::Credentials(_) | Part::Named(..) => Vec::new(),
    };
    let destinations = destinations.into_iter().map(|(name, it)| destination::probe(look, name, it, &deadline));
    let (servers, destinations) = join(join_all(servers), join_all(destinations)).await;

    let Before { known, mut refused, .. } = known_before;
    let mut looked = Looked { known, ..Looked::default() };
    let mut passwords_said = BTreeMap::new();
    for (name, answers) in servers {
        looked.seen.servers.extend(answers.server);
        looked.seen.credentials.extend(answers.credentials);
        looked.left_alone.extend(answers.left_alone);
        looked.seen.projects.extend(answers.projects);
        looked.skipped.extend(answers.skipped);
        looked.powers.extend(answers.powers);
        passwords_said.extend(answers.passwords);
        looked.users.extend(answers.users.into_iter().map(|(account, user)| ((name.clone(), account), user)));
        for (project, glimpse) in answers.glimpses {
            looked.glimpses.add(name, project, glimpse);
        }
        for (account, spent) in answers.accounts {
            *looked.requests.entry(account.clone()).or_default() += u64::from(spent.requests);
            looked.accounts.insert((name.clone(), account), spent.limited);
        }
    }
    passwords::remember(look, passwords_said, &mut refused).await?;
    looked.set_aside = passwords::consequences(look.declaration, &refused);
    for destination in destinations {
        let (name, seen) = destination?;
        looked.seen.destinations.insert(name, seen);
    }
    remember(look, &mut looked).await?;
    Ok(looked)
}

/// The accounts that rest after a refusal, and until when: a look spares them.
async fn rests(
    look: &Look<'_>,
    by_server: &BTreeMap<&ServerName, Vec<Candidate<'_>>>,
) -> Result<BTreeMap<(ServerName, AccountName), Timestamp>, StateError> {
    let mut rests = BTreeMap::new();
    let Some(state) = look.state else { return Ok(rests) };
    for (name, candidates) in by_server {
        let url = &look.declaration.servers[*name].url;
        let accounts: BTreeSet<&AccountName> = candidates.iter().map(|one| &one.credential.account).collect();
        for account in accounts {
            if let Some(rest) = state.rest_of(&Holder::new(url, account)).await? {
                let until = look.clock.now().saturating_add(rest).unwrap_or(Timestamp::MAX);
                rests.insert(((*name).clone(), account.clone()), until);
            }
        }
    }
    Ok(rests)
}

/// Lets the conditions follow from what was seen of a declaration that has come into force since.
pub async fn confirm(
    looked: &Looked,
    state: &StateStore,
    generation: Generation,
    now: Timestamp,
) -> Result<Vec<Transition>, StateError> {
    state.settle_conditions(&looked.pending, Some(generation), now).await
}

/// Puts what was seen in place of what was known, and lets the conditions follow.
async fn remember(look: &Look<'_>, looked: &mut Looked) -> Result<(), StateError> {
    let now = look.clock.now();
    let sightings = sightings(look.declaration, &look.part, looked, now);
    let (sightings, waiting) = pending::part(sightings, look.applied, look.declaration);
    looked.pending = waiting;
    let generation = look.applied.map(|applied| applied.generation);
    if let Some(state) = look.state {
        state.record_observations(&looked.seen).await?;
        looked.transitions = state.settle_conditions(&sightings, generation, now).await?;
        looked.known.conditions = state.conditions().await?;
    } else {
        (looked.known.conditions, looked.transitions) = settle(&looked.known.conditions, &sightings, generation, now);
    }
    let (known, seen) = (&mut looked.known, looked.seen.clone());
    known.servers.extend(seen.servers);
    known.credentials.extend(seen.credentials);
    known.projects.extend(seen.projects);
    known.destinations.extend(seen.destinations);
    Ok(())
}
