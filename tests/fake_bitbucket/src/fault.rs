//! Fault rules: which requests go wrong, and how.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::body::Reply;
use crate::gate::Gate;
use crate::log::Kind;
use crate::server::Control;

/// Which requests a rule is for. Conditions add up; [`When::any`] has none.
#[derive(Clone, Debug, Default)]
pub struct When {
    method: Option<String>,
    path: Option<String>,
    kind: Option<Kind>,
    account: Option<String>,
    skip: u64,
    at_most: Option<u64>,
}

impl When {
    /// Every request.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests of one kind.
    #[must_use]
    pub fn kind(kind: Kind) -> Self {
        let kind = Some(kind);
        Self { kind, ..Self::default() }
    }

    /// Requests whose path with the query contains this text.
    #[must_use]
    pub fn path_contains(mut self, text: &str) -> Self {
        self.path = Some(text.to_owned());
        self
    }

    /// Requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Requests of this account.
    #[must_use]
    pub fn account(mut self, name: &str) -> Self {
        self.account = Some(name.to_owned());
        self
    }

    /// Only the first `count` of the requests that match.
    #[must_use]
    pub fn first(mut self, count: u64) -> Self {
        self.at_most = Some(count);
        self
    }

    /// Only the `number`th of the requests that match, counted from 1.
    #[must_use]
    pub fn nth(mut self, number: u64) -> Self {
        self.skip = number.saturating_sub(1);
        self.at_most = Some(1);
        self
    }

    /// All requests that match, but for the first `count`.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    fn matches(&self, request: &Asked<'_>) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        same(&self.method, request.method)
            && self.kind.is_none_or(|kind| kind == request.kind)
            && (self.account.is_none() || self.account.as_deref() == request.account)
            && self.path.as_deref().is_none_or(|part| request.target.contains(part))
    }

    fn covers(&self, number: u64) -> bool {
        number > self.skip && self.at_most.is_none_or(|at_most| number <= self.skip + at_most)
    }
}

/// A request, as far as rules look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) kind: Kind,
    pub(crate) account: Option<&'a str>,
}

/// What happens to a request. Actions that answer by themselves come before permissions and the rate limit and
/// cost no token; the others change the answer that the server gives otherwise.
#[derive(Clone, Debug)]
pub enum Action {
    /// Answers with a status, headers and a body.
    Answer {
        /// The status.
        status: u16,
        /// The headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Answers with the HTML login page and status 200.
    LoginPage,
    /// Sends the client somewhere else.
    Redirect {
        /// 302 or 307, for example.
        status: u16,
        /// The whole URL.
        location: String,
    },
    /// Holds the request back before anything else happens; goes on as usual after the release.
    Hang(Gate),
    /// Runs something and then goes on as usual.
    Run(Hook),
    /// Holds the answer after this many bytes of its body, until the release.
    Hold {
        /// Bytes of the body that pass before.
        after: u64,
        /// What it waits for.
        gate: Gate,
    },
    /// Closes the connection after this many bytes of the body, without a proper end.
    CloseAfter(u64),
    /// Resets the connection (TCP RST) after this many bytes of the body.
    ResetAfter(u64),
    /// Ends the body properly after this many bytes.
    TruncateAfter(u64),
    /// Inverts the byte at this place of the body.
    FlipByte(u64),
    /// Keeps status and headers and sends this body.
    ReplaceBody(Bytes),
    /// Sends an error of the remote (side-band 3) after this many bytes of the pack, and ends.
    SidebandError {
        /// Bytes of the pack that pass before.
        after: u64,
        /// The text, as bytes.
        text: Vec<u8>,
    },
    /// Inverts the last byte of the pack, which belongs to its checksum.
    CorruptPackTrailer,
    /// Puts a `shallow-info` section with these object ids before the pack of a protocol v2 fetch.
    ShallowInfo(Vec<String>),
    /// Answers a git request with a single `ERR` packet.
    ErrPacket(Vec<u8>),
}

impl Action {
    /// Answers with a status and the usual error object.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::answer(Reply::error(status, "Something is wrong.", None))
    }

    /// Answers with a status, a content type and a body.
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::answer(Reply::new(status).content(content_type, body))
    }

    /// Runs something with the server at hand, such as deleting a repository, and then goes on as usual.
    #[must_use]
    pub fn run(hook: impl Fn(&Control) + Send + Sync + 'static) -> Self {
        Self::Run(Hook(Arc::new(hook)))
    }

    fn answer(reply: Reply) -> Self {
        let body = match reply.source {
            crate::body::Source::Ready(bytes) => bytes,
            crate::body::Source::Flowing(_) => Bytes::new(),
        };
        Self::Answer { status: reply.status, headers: reply.headers, body }
    }
}

/// What [`Action::Run`] runs.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn(&Control) + Send + Sync>);

impl Hook {
    pub(crate) fn call(&self, control: &Control) {
        (self.0)(control);
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

/// A rule at work; a cheap handle that can be cloned. The rule stays when the handle goes.
#[derive(Clone)]
pub struct Fault {
    rule: Arc<Rule>,
    faults: Faults,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("when", &self.rule.when).finish_non_exhaustive()
    }
}

impl Fault {
    /// How many requests it has acted on.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.rule.hits.load(Ordering::SeqCst)
    }

    /// Takes the rule away.
    pub fn remove(&self) {
        let mut rules = self.faults.lock();
        rules.retain(|rule| !Arc::ptr_eq(rule, &self.rule));
    }
}

struct Rule {
    when: When,
    action: Action,
    matched: AtomicU64,
    hits: AtomicU64,
}

/// All rules in the order in which they were made.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    rules: Arc<Mutex<Vec<Arc<Rule>>>>,
}

impl Faults {
    pub(crate) fn add(&self, when: When, action: Action) -> Fault {
        let rule = Arc::new(Rule { when, action, matched: AtomicU64::new(0), hits: AtomicU64::new(0) });
        self.lock().push(Arc::clone(&rule));
        let faults = self.clone();
        Fault { rule, faults }
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// The actions of all rules that are due for this request, the oldest rule first.
    pub(crate) fn due(&self, request: &Asked<'_>) -> Vec<Action> {
        let rules = self.lock();
        let due = rules.iter().filter(|rule| {
            rule.when.matches(request) && {
                let number = rule.matched.fetch_add(1, Ordering::SeqCst) + 1;
                rule.when.covers(number)
            }
        });
        due.map(|rule| {
            rule.hits.fetch_add(1, Ordering::SeqCst);
            rule.action.clone()
        })
        .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Rule>>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
