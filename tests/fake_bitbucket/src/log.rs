//! The request log: what came, from whom, and how it ended. Never a secret.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::signal::Signal;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The REST API.
    Rest,
    /// `GET info/refs`.
    GitInfoRefs,
    /// `POST git-upload-pack`.
    GitUploadPack {
        /// What the body asks for.
        command: Command,
    },
    /// `POST git-receive-pack`.
    GitReceivePack,
    /// `/status` and everything unknown.
    Other,
}

impl Kind {
    /// A listing of references with protocol v2.
    pub const LS_REFS: Self = Self::GitUploadPack { command: Command::LsRefs };
    /// A fetch with protocol v2.
    pub const FETCH: Self = Self::GitUploadPack { command: Command::Fetch };
    /// A fetch with protocol v0 or v1.
    pub const FETCH_V0: Self = Self::GitUploadPack { command: Command::V0 };
}

/// What the body of an upload-pack request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `command=ls-refs`.
    LsRefs,
    /// `command=fetch`.
    Fetch,
    /// Wants and haves without a command.
    V0,
    /// Neither of them.
    Unknown,
}

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// There is no answer yet.
    Received,
    /// The answer has begun.
    Answering,
    /// The answer was given to its end.
    Complete,
    /// The server broke the connection on purpose.
    Aborted,
    /// The client left before the end.
    ClientGone,
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts from 1 in the order of arrival, also after [`Log::clear`].
    pub sequence: u64,
    /// The request method.
    pub method: String,
    /// The path without the query, as it came.
    pub path: String,
    /// The query, as it came.
    pub query: Option<String>,
    /// The account that the server saw; `None` is anonymous or refused.
    pub account: Option<String>,
    /// What the request is about.
    pub kind: Kind,
    /// The status of the answer, once there is one.
    pub status: Option<u16>,
    /// How many bytes of the request body were read, as sent (possibly compressed).
    pub request_bytes: u64,
    /// How many bytes of the response body were handed to the connection.
    pub response_bytes: u64,
    /// Whether a `Cookie` header came.
    pub had_cookie: bool,
    /// The scheme of the `Authorization` header in lower case, without what follows it.
    pub authorization_scheme: Option<String>,
    /// The `Git-Protocol` header.
    pub git_protocol: Option<String>,
    /// The `Content-Encoding` header.
    pub content_encoding: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The version of HTTP, as `HTTP/1.1`.
    pub version: String,
    /// How far the exchange has come.
    pub progress: Progress,
}

impl Entry {
    /// Whether nothing more will happen to this entry.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self.progress {
            Progress::Received | Progress::Answering => false,
            Progress::Complete | Progress::Aborted | Progress::ClientGone => true,
        }
    }
}

/// Called with every entry that is over.
pub(crate) type Listener = Arc<dyn Fn(&Entry) + Send + Sync>;

/// All requests in the order of arrival; a cheap handle that can be cloned.
#[derive(Clone, Default)]
pub struct Log {
    state: Arc<Signal<State>>,
    listener: Option<Listener>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    entries: Vec<Entry>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    pub(crate) fn new(listener: Option<Listener>) -> Self {
        let state = Arc::default();
        Self { state, listener }
    }

    /// All entries as they are at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Entry> {
        self.state.read(|state| state.entries.clone())
    }

    /// Forgets all entries. Requests under way do not come back.
    pub fn clear(&self) {
        self.state.update(|state| state.entries.clear());
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.read(|state| state.entries.len())
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries fulfil the condition.
    #[must_use]
    pub fn count(&self, condition: impl Fn(&Entry) -> bool) -> usize {
        self.state.read(|state| state.entries.iter().filter(|e| condition(e)).count())
    }

    /// How many requests of this kind there were.
    #[must_use]
    pub fn count_kind(&self, kind: Kind) -> usize {
        self.count(|entry| entry.kind == kind)
    }

    /// How many requests of this account there were.
    #[must_use]
    pub fn count_account(&self, name: &str) -> usize {
        self.count(|entry| entry.account.as_deref() == Some(name))
    }

    /// The number of requests by account (`None` is anonymous) and kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<(Option<String>, Kind), usize> {
        let mut counts = BTreeMap::new();
        for entry in self.snapshot() {
            *counts.entry((entry.account, entry.kind)).or_insert(0) += 1;
        }
        counts
    }

    /// Waits until the condition holds for all entries together. It is asked again after every change.
    pub async fn wait_for(&self, condition: impl Fn(&[Entry]) -> bool) {
        self.state.wait(|state| condition(&state.entries)).await;
    }

    /// Like [`Log::wait_for`] for a thread; gives false when the time is over.
    #[must_use]
    pub fn wait_for_blocking(&self, timeout: Duration, condition: impl Fn(&[Entry]) -> bool) -> bool {
        self.state.wait_blocking(timeout, |state| condition(&state.entries))
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.state.update(|state| {
            state.last += 1;
            state.last
        })
    }

    pub(crate) fn push(&self, entry: Entry) {
        self.state.update(|state| {
            let after = |other: &Entry| other.sequence < entry.sequence;
            let place = state.entries.partition_point(after);
            state.entries.insert(place, entry);
        });
    }

    /// Changes one entry, unless it was cleared away.
    pub(crate) fn amend(&self, sequence: u64, change: impl FnOnce(&mut Entry)) {
        let over = self.state.update(|state| {
            let place = state.entries.binary_search_by_key(&sequence, |entry| entry.sequence);
            let entry = state.entries.get_mut(place.ok()?)?;
            let was_over = entry.is_over();
            change(entry);
            (entry.is_over() && !was_over).then(|| entry.clone())
        });
        if let (Some(listener), Some(entry)) = (&self.listener, over) {
            listener(&entry);
        }
    }
}
