//! The rate limit: one bucket of tokens per account, one token per request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::body::Reply;

/// How much an account may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Allowance {
    /// No limit.
    Unlimited,
    /// A bucket that starts full.
    Bucket {
        /// The size.
        capacity: u32,
        /// How fast it fills; 0 means that only [`Buckets::refill`] fills it.
        per_second: f64,
    },
}

/// What a refusal says about the time to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// No header.
    Absent,
    /// The seconds until the next token, rounded up.
    Computed,
    /// A fixed number of seconds.
    Seconds(u64),
    /// A date this far in the future.
    Date(Duration),
    /// Any text, for absurd values.
    Raw(String),
}

/// The body of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalBody {
    /// The usual error object.
    Json,
    /// An HTML page.
    Html,
    /// Plain text that claims to be JSON.
    BrokenJson,
    /// Nothing.
    Empty,
}

/// What a 429 looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The `Retry-After` header.
    pub retry_after: RetryAfter,
    /// The body.
    pub body: RefusalBody,
}

impl Default for Refusal {
    fn default() -> Self {
        Self { retry_after: RetryAfter::Computed, body: RefusalBody::Json }
    }
}

impl Refusal {
    /// How long the refused account is told to wait, if the header says that in a form that can be understood.
    fn told(&self, wait: Duration) -> Option<Duration> {
        match &self.retry_after {
            RetryAfter::Absent | RetryAfter::Raw(_) => None,
            RetryAfter::Computed => Some(Duration::from_secs_f64(wait.as_secs_f64().ceil())),
            RetryAfter::Seconds(seconds) => Some(Duration::from_secs(*seconds)),
            // A date has whole seconds.
            RetryAfter::Date(ahead) => Some(ahead.saturating_sub(Duration::from_secs(1))),
        }
    }

    pub(crate) fn reply(&self, wait: Duration) -> Reply {
        let json = "application/json;charset=UTF-8";
        let mut reply = match self.body {
            RefusalBody::Json => Reply::error(429, "You have sent too many requests.", None),
            RefusalBody::Html => {
                Reply::new(429).content("text/html", "<html><body><h1>Too many requests</h1></body></html>")
            }
            RefusalBody::BrokenJson => Reply::new(429).content(json, "Rate limited"),
            RefusalBody::Empty => Reply::new(429),
        };
        let value = match &self.retry_after {
            RetryAfter::Absent => return reply,
            RetryAfter::Computed => wait.as_secs_f64().ceil().to_string(),
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(ahead) => httpdate::fmt_http_date(SystemTime::now() + *ahead),
            RetryAfter::Raw(text) => text.clone(),
        };
        reply = reply.header("Retry-After", &value);
        reply
    }
}

/// A request that comes so shortly after a refusal was on its way already, on a busy machine too. The shortest wait that
/// a server tells is a second: whoever does not heed it comes later than this as well.
const ON_ITS_WAY: Duration = Duration::from_millis(500);

/// The buckets of all accounts; a cheap handle that can be cloned.
#[derive(Clone, Debug)]
pub struct Buckets {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    allowance: Allowance,
    own: BTreeMap<String, Allowance>,
    levels: BTreeMap<String, Level>,
    refused: BTreeMap<String, u64>,
    /// What the next refusal of an account fills into its bucket.
    relief: BTreeMap<String, u32>,
    /// When an account was told to wait first, and until when.
    told: BTreeMap<String, (Instant, Instant)>,
    violations: BTreeMap<String, u64>,
    manual: bool,
    refusal: Refusal,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    tokens: f64,
    since: Instant,
}

impl Buckets {
    pub(crate) fn new(allowance: Allowance, refusal: Refusal) -> Self {
        let state = State {
            allowance,
            own: BTreeMap::new(),
            levels: BTreeMap::new(),
            refused: BTreeMap::new(),
            relief: BTreeMap::new(),
            told: BTreeMap::new(),
            violations: BTreeMap::new(),
            manual: false,
            refusal,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Stops the clock: from here on only [`Buckets::refill`] fills the buckets.
    pub fn manual_refill(&self) {
        self.lock().manual = true;
    }

    /// Adds tokens to the bucket of an account, up to its capacity.
    pub fn refill(&self, account: &str, tokens: u32) {
        self.lock().adjust(account, |level, capacity| (level + f64::from(tokens)).min(capacity));
    }

    /// Adds tokens to the bucket of an account as soon as one of its requests was refused: whoever waits as told is
    /// served then, however late a test hears of the refusal.
    pub fn refill_when_refused(&self, account: &str, tokens: u32) {
        self.lock().relief.insert(account.to_owned(), tokens);
    }

    /// Takes all tokens of an account away.
    pub fn drain(&self, account: &str) {
        self.lock().adjust(account, |_, _| 0.0);
    }

    /// How many whole tokens an account has; `None` when it has no limit.
    #[must_use]
    pub fn tokens(&self, account: &str) -> Option<u32> {
        let mut state = self.lock();
        let level = state.level(account)?.tokens;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a level is between 0 and a u32")]
        Some(level as u32)
    }

    /// How many requests of an account were refused.
    #[must_use]
    pub fn refused(&self, account: &str) -> u64 {
        self.lock().refused.get(account).copied().unwrap_or(0)
    }

    /// How many requests of an account came although it had been told to wait, and were not on their way by then.
    #[must_use]
    pub fn violations(&self, account: &str) -> u64 {
        self.lock().violations.get(account).copied().unwrap_or(0)
    }

    /// Gives an account a limit of its own; its bucket starts full again.
    pub fn set_allowance(&self, account: &str, allowance: Allowance) {
        let mut state = self.lock();
        state.own.insert(account.to_owned(), allowance);
        state.levels.remove(account);
    }

    /// Changes what a refusal looks like.
    pub fn set_refusal(&self, refusal: Refusal) {
        self.lock().refusal = refusal;
    }

    /// The limit of accounts without one of their own.
    pub(crate) fn default_allowance(&self) -> Allowance {
        self.lock().allowance
    }

    /// The limit that an account has of its own.
    pub(crate) fn own_allowance(&self, account: &str) -> Option<Allowance> {
        self.lock().own.get(account).copied()
    }

    /// Takes a token, or gives the answer to send instead.
    pub(crate) fn take(&self, account: &str) -> Result<(), Reply> {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some((since, until)) = state.told.get(account)
            && now > *since + ON_ITS_WAY
            && now < *until
        {
            *state.violations.entry(account.to_owned()).or_insert(0) += 1;
        }
        let Some(level) = state.level(account) else {
            return Ok(());
        };
        if level.tokens >= 1.0 {
            level.tokens -= 1.0;
            return Ok(());
        }
        let missing = 1.0 - level.tokens;
        *state.refused.entry(account.to_owned()).or_insert(0) += 1;
        let wait = match state.allowance_of(account) {
            Allowance::Bucket { per_second, .. } if per_second > 0.0 => missing / per_second,
            Allowance::Bucket { .. } | Allowance::Unlimited => 1.0,
        };
        let wait = Duration::from_secs_f64(wait);
        if let Some(told) = state.refusal.told(wait) {
            let until = now + told;
            let (since, last) = state.told.entry(account.to_owned()).or_insert((now, until));
            if *last < now {
                *since = now;
            }
            *last = until.max(*last);
        }
        if let Some(tokens) = state.relief.remove(account) {
            state.adjust(account, |level, capacity| (level + f64::from(tokens)).min(capacity));
        }
        Err(state.refusal.reply(wait))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn allowance_of(&self, account: &str) -> Allowance {
        self.own.get(account).copied().unwrap_or(self.allowance)
    }

    /// The level of an account with the clock's refill in it.
    fn level(&mut self, account: &str) -> Option<&mut Level> {
        let Allowance::Bucket { capacity, per_second } = self.allowance_of(account) else {
            return None;
        };
        let capacity = f64::from(capacity);
        let since = Instant::now();
        let full = Level { tokens: capacity, since };
        let manual = self.manual;
        let level = self.levels.entry(account.to_owned()).or_insert(full);
        if !manual {
            let gained = (since - level.since).as_secs_f64() * per_second;
            level.tokens = (level.tokens + gained).min(capacity);
        }
        level.since = since;
        Some(level)
    }

    fn adjust(&mut self, account: &str, change: impl FnOnce(f64, f64) -> f64) {
        let Allowance::Bucket { capacity, .. } = self.allowance_of(account) else {
            return;
        };
        if let Some(level) = self.level(account) {
            level.tokens = change(level.tokens, f64::from(capacity));
        }
    }
}
