//! A server during a run: its client, its limits on concurrency, and what is known of its git.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};

use super::credentials::{Caller, Credentials};
use super::{Event, EventSink, RunError, TaskError};
use crate::git::{Advertisement, Protocol, Remote, ServerFacts};
use crate::http::HttpClient;
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
    /// Listings and REST calls under way.
    pub(super) listing: Semaphore,
    /// Packs under way.
    pub(super) packs: Semaphore,
    /// How many tasks are worth having under way: enough to keep both busy.
    pub(super) tasks: usize,
    /// Bitbucket's version, once it has told.
    pub(super) version: std::sync::OnceLock<String>,
    facts: Mutex<Option<ServerFacts>>,
}

impl ServerContext {
    /// Makes the client and recalls what the state knows. `base` is the directory of the file.
    pub(super) async fn open(
        name: ServerName,
        uid: Uid,
        declared: &Server,
        base: &Path,
        state: &StateStore,
    ) -> Result<Self, RunError> {
        let ca = match &declared.ca_file {
            Some(path) => {
                let read = std::fs::read(base.join(path));
                Some(read.map_err(|source| RunError::CaFile { path: path.clone(), source })?)
            }
            None => None,
        };
        let client = |source| RunError::Client { server: declared.url.origin(), source };
        let http = HttpClient::new(&declared.url, ca.as_deref(), declared.timeout).map_err(client)?;
        let facts = state.server_facts(uid).await?.and_then(|body| serde_json::from_slice(&body).ok());
        // A server without v2 is asked once a run: it may have been upgraded, or its proxy repaired.
        let facts = facts.filter(|facts: &ServerFacts| facts.protocol == Protocol::V2);
        let (listing, packs) = (usize::from(declared.concurrency.listing), usize::from(declared.concurrency.packs));
        Ok(Self {
            uid,
            name,
            url: declared.url.clone(),
            http,
            listing: Semaphore::new(listing),
            packs: Semaphore::new(packs),
            tasks: listing + 2 * packs,
            version: std::sync::OnceLock::new(),
            facts: Mutex::new(facts),
        })
    }

    /// What is known of the server's git. The first contact asks for its capabilities through `remote`; everybody
    /// else waits for that answer instead of asking the same.
    pub(super) async fn facts(
        &self,
        remote: &Remote,
        credentials: &Credentials,
        caller: &mut Caller<'_>,
        state: &StateStore,
        events: &Arc<dyn EventSink>,
    ) -> Result<ServerFacts, TaskError> {
        let mut known = self.facts.lock().await;
        if let Some(facts) = &*known {
            return Ok(facts.clone());
        }
        let advertisement = self.discover(remote, credentials, caller).await?;
        self.learn(&mut known, advertisement.facts, state, events).await
    }

    /// Reads the advertisement of one repository.
    pub(super) async fn discover(
        &self,
        remote: &Remote,
        credentials: &Credentials,
        caller: &mut Caller<'_>,
    ) -> Result<Advertisement, TaskError> {
        caller.ledger.git_requests += 1;
        credentials
            .send(caller, move |authorization| async move {
                let _permit = self.listing.acquire().await.expect("never closed");
                remote.discover(&authorization).await
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
        let mut known = self.facts.lock().await;
        if known.as_ref().is_some_and(|known| known.protocol == facts.protocol) {
            return Ok(facts);
        }
        self.learn(&mut known, facts, state, events).await
    }

    async fn learn(
        &self,
        known: &mut Option<ServerFacts>,
        facts: ServerFacts,
        state: &StateStore,
        events: &Arc<dyn EventSink>,
    ) -> Result<ServerFacts, TaskError> {
        let body = serde_json::to_vec(&facts).expect("facts are plain data");
        state.set_server_facts(self.uid, &body).await?;
        let protocol = facts.protocol.as_str().to_owned();
        events.emit(&Event::ProtocolLearned { server: self.url.origin(), protocol });
        *known = Some(facts.clone());
        Ok(facts)
    }
}

/// Why a run over this protocol deserves a word, if it does.
pub(super) fn protocol_note(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::V2 => None,
        Protocol::V0 | Protocol::V1 => Some(
            "the server (or a proxy before it) does not answer in git protocol v2: every listing carries all \
             references, and an unborn HEAD is not told",
        ),
    }
}

/// How long to wait before a task is tried again, by the number of the failed attempt from 1.
pub(super) const fn retry_wait(attempt: u32) -> Duration {
    Duration::from_millis(250 << if attempt > 4 { 4 } else { attempt })
}
