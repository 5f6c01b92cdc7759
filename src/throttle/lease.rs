//! What callers say to the budgets and hear from them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::bucket::Token;
use crate::model::{AccountName, BaseUrl, CredentialRole, ProjectSelector};

/// An account of a server, which is what a limit belongs to: two credentials of one account share it, and so do two
/// names of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    server: String,
    account: String,
}

impl Holder {
    /// The account `account` of the server at `server`. Bitbucket does not tell accounts apart by case.
    pub fn new(server: &BaseUrl, account: &AccountName) -> Self {
        Self { server: server.origin(), account: account.as_str().to_lowercase() }
    }

    /// The origin of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The account, in lower case.
    pub fn account(&self) -> &str {
        &self.account
    }
}

/// One run of a plan, among which budgets are shared out in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party(pub(super) u64);

/// The credentials that one project of a run takes turns with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RotationId(pub(super) u64);

/// When a task came. Within a run, the older task is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(pub(super) u64);

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// A credential of a rotation, which a task goes on with from request to request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The project whose rotation it came from.
    pub project: ProjectSelector,
    /// Which credential of the project.
    pub role: CredentialRole,
    /// The account behind it.
    pub account: AccountName,
}

/// What a request needs.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Whose credentials.
    pub rotation: RotationId,
    /// The age of its task.
    pub arrival: Arrival,
    /// The credential that the task goes on with, if it has one.
    pub keep: Option<&'a CredentialRole>,
    /// What happens when that one has no token, and others have.
    pub steadiness: Steadiness,
    /// Credentials that are of no use for it.
    pub except: &'a BTreeSet<CredentialRole>,
}

/// Whether a task would rather wait for its account than go on with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Steadiness {
    /// Any account is as good.
    Any,
    /// It waits until its account's next token comes, unless the account rests after a 429: another one has to
    /// begin from the start.
    Steady,
}

/// The right to send one request. It has to be settled.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Grant {
    /// With which credential.
    pub lease: Lease,
    /// If it is not the one that the task would have gone on with: why not.
    pub lack: Option<Lack>,
    pub(super) rotation: RotationId,
    pub(super) holder: usize,
    pub(super) token: Token,
}

/// What an account lacks that a task would have gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It has no token, or rests.
    Budget,
    /// It has budget, but as many of its requests are under way as may be.
    Room,
}

/// What the budgets have to offer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request may be sent.
    Granted(Grant),
    /// There is no token for it. One is given to the ticket when its turn has come.
    Queued(Ticket),
    /// Every credential was rejected, or is ruled out.
    Exhausted,
}

/// Whether a request may be sent with its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It is sent.
    Goes,
    /// Too many are under way: ask again when one is answered, or at that time.
    Waits {
        /// When it goes at the latest.
        until: Instant,
    },
    /// A rest began since the token was taken, or the credential was rejected.
    Overtaken,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered: with success, or with a failure that has nothing to do with budgets.
    Answered,
    /// 429: the account's bucket is empty.
    RateLimited {
        /// What the server asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// It was not sent.
    Unsent,
    /// It may have been sent, and nobody waits for the answer.
    Lost,
}

/// What a ticket got.
#[derive(Debug, PartialEq, Eq)]
pub enum Served {
    /// Its request may be sent.
    Granted(Grant),
    /// Its last credential left the rotation.
    Exhausted,
}
