//! A server during a run: its client, its limits on concurrency, and what is known of its git.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::caller::Caller;
use super::credentials::Credentials;
use super::deadline::Deadline;
use super::gate::Gate;
use super::lanes::Roads;
use super::{Event, EventSink, RunError, TaskError};
use crate::clock::{Clock, random_bits};
use crate::git::{Advertisement, Protocol, Remote, ServerFacts};
use crate::http::{HttpClient, HttpError, Proxies, Tally};
use crate::model::{BaseUrl, Server, ServerName, Uid};
use crate::state::StateStore;

/// A server that the run talks to.
pub(super) struct ServerContext {
    /// Its identity.
    pub(super) uid: Uid,
    /// Its name.
    pub(super) name: ServerName,
    /// Its address.
    pub(super) url: BaseUrl,
    /// The client.
    pub(super) http: HttpClient,
    /// How many requests at once.
    pub(super) gate: Gate,
    /// How many tasks are worth having under way: enough to keep both busy.
    pub(super) tasks: usize,
    /// Bitbucket's version, once it has told.
    pub(super) version: std::sync::OnceLock<String>,
    contact: Mutex<Contact>,
}

/// What is known of the server's git.
#[derive(Default)]
struct Contact {
    facts: Option<ServerFacts>,
    /// Why nothing is known, while attempts to reach it fail.
    failures: Vec<String>,
}

/// After so many failures in a row to reach the server's git, the rest of the run does not try.
const MOST_FAILURES: usize = 3;

impl ServerContext {
    /// Makes the client and recalls what the state knows. `base` is the directory of the file.
    pub(super) async fn open(
        name: ServerName,
        uid: Uid,
        declared: &Server,
        base: &Path,
        (proxies, tally): (&Proxies, &Tally),
        state: &StateStore,
        (clock, events, deadline, roads): (&Arc<dyn Clock>, &Arc<dyn EventSink>, &Deadline, &Roads),
    ) -> Result<Self, RunError> {
        let ca = match &declared.ca_file {
            Some(path) => {
                let read = std::fs::read(base.join(path));
                Some(read.map_err(|source| RunError::CaFile { path: path.clone(), source })?)
            }
            None => None,
        };
        let client = |source| RunError::Client { server: declared.url.origin(), source };
        let http =
            HttpClient::new(&declared.url, ca.as_deref(), proxies, declared.timeout).map_err(client)?.counted(tally);
        let facts = state.server_facts(uid).await?.and_then(|body| serde_json::from_slice(&body).ok());
        // A server without v2 is asked once a run: it may have been upgraded, or its proxy repaired.
        let facts = facts.filter(|facts: &ServerFacts| facts.protocol == Protocol::V2);
        let (listing, packs) = (usize::from(declared.concurrency.listing), usize::from(declared.concurrency.packs));
        let (clock, events) = (Arc::clone(clock), Arc::clone(events));
        let seed = u64::try_from(random_bits() >> 64).expect("it has 64 bits");
        let lanes = roads.to(&declared.url, declared.concurrency, seed);
        let gate = Gate::new(name.clone(), lanes, http.clone(), clock, events, deadline);
        Ok(Self {
            uid,
            name,
            url: declared.url.clone(),
            http,
            gate,
            tasks: listing + 2 * packs,
            version: std::sync::OnceLock::new(),
            contact: Mutex::new(Contact { facts, failures: Vec::new() }),
        })
    }

    /// What is known of the server's git. The first contact asks for its capabilities through `remote`; everybody
    /// else waits for that answer instead of asking the same. A server that cannot be reached is not tried by every
    /// task again.
    pub(super) async fn facts(
        &self,
        remote: &Remote,
        credentials: &Credentials,
        caller: &mut Caller<'_>,
        state: &StateStore,
        events: &Arc<dyn EventSink>,
    ) -> Result<ServerFacts, TaskError> {
        let mut contact = self.contact.lock().await;
        if let Some(facts) = &contact.facts {
            return Ok(facts.clone());
        }
        if contact.failures.len() >= MOST_FAILURES {
            let causes = contact.failures.clone();
            return Err(TaskError::NoContact { server: self.url.origin(), causes });
        }
        match self.discover(remote, credentials, caller).await {
            Ok(advertisement) => self.learn(&mut contact, advertisement.facts, state, events).await,
            Err(error) => {
                let server_wide = matches!(
                    error.http(),
                    Some(HttpError::Timeout { .. } | HttpError::Unreachable { .. } | HttpError::Busy { .. })
                );
                if server_wide {
                    contact.failures.push(error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Reads the advertisement of one repository.
    pub(super) async fn discover(
        &self,
        remote: &Remote,
        credentials: &Credentials,
        caller: &mut Caller<'_>,
    ) -> Result<Advertisement, TaskError> {
        credentials
            .send(caller, move |voucher| async move {
                self.gate
                    .listing(voucher.for_git(), |authorization| async move { remote.discover(&authorization).await })
                    .await
            })
            .await
    }

    /// Remembers that the server speaks another protocol than was known.
    pub(super) async fn relearn(
        &self,
        facts: ServerFacts,
        state: &StateStore,
        events: &Arc<dyn EventSink>,
    ) -> Result<ServerFacts, TaskError> {
        let mut contact = self.contact.lock().await;
        if contact.facts.as_ref().is_some_and(|known| known.protocol == facts.protocol) {
            return Ok(facts);
        }
        self.learn(&mut contact, facts, state, events).await
    }

    async fn learn(
        &self,
        contact: &mut Contact,
        facts: ServerFacts,
        state: &StateStore,
        events: &Arc<dyn EventSink>,
    ) -> Result<ServerFacts, TaskError> {
        let body = serde_json::to_vec(&facts).expect("facts are plain data");
        state.set_server_facts(self.uid, &body).await?;
        let protocol = facts.protocol.as_str().to_owned();
        events.emit(&Event::ProtocolLearned { server: self.url.origin(), protocol });
        *contact = Contact { facts: Some(facts.clone()), failures: Vec::new() };
        Ok(facts)
    }
}
