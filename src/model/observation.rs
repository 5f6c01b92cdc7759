//! What was seen of the outside world, and when: servers, credentials, projects, destinations.
//!
//! Seeing is not deciding. What follows from an observation for good is a [`Condition`](super::Condition); what it means
//! for a change is a note. Neither ever becomes part of a plan's identity: looking again must not make a plan stale.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Address;
use super::condition::Conditions;
use super::declaration::{Server, TokenBucket};
use super::inventory::Inventory;
use super::names::{AccountName, DestinationName, ProjectId, ProjectKey, ServerName};

/// The repositories of each project of each server.
pub type Inventories = BTreeMap<ServerName, BTreeMap<ProjectKey, Inventory>>;

/// Everything that is known of the outside world. What was never looked at is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observations {
    /// The servers.
    pub servers: BTreeMap<ServerName, ServerSeen>,
    /// The credentials, by `credential/PAY/main`.
    pub credentials: BTreeMap<Address, CredentialSeen>,
    /// The projects.
    pub projects: BTreeMap<ProjectKey, ProjectSeen>,
    /// The destinations.
    pub destinations: BTreeMap<DestinationName, DestinationSeen>,
    /// The repositories of each project, as a run listed them last. Servers may have projects of the same key.
    pub inventories: Inventories,
    /// The lasting facts that followed so far.
    pub conditions: Conditions,
}

/// What a server said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSeen {
    /// When.
    pub observed_at: Timestamp,
    /// Whether it could be reached.
    pub reach: Reach,
    /// Its version, such as `9.4.1`, if it told one.
    pub version: Option<String>,
    /// What every account may ask for, if the server told.
    pub limit: Option<RateLimit>,
    /// What single accounts may ask for, where it differs from that.
    pub exceptions: BTreeMap<AccountName, RateLimit>,
    /// When it was asked for its limits and answered, be it that it does not tell them.
    #[serde(default)]
    pub limits_asked: Option<Timestamp>,
}

/// How long an answer about limits is relied on: administrators change them, and nobody tells.
const LIMITS_LAST: Duration = Duration::from_hours(7 * 24);

impl ServerSeen {
    /// What an account may ask for, as far as the server told.
    pub fn limit_of(&self, account: &AccountName) -> Option<Limit> {
        match self.exceptions.get(account) {
            Some(limit) => Some(Limit { limit: *limit, source: LimitSource::Account }),
            None => self.limit.map(|limit| Limit { limit, source: LimitSource::Server }),
        }
    }

    /// When it answered about its limits. An earlier version kept no time for that alone.
    pub fn answered_about_limits(&self) -> Option<Timestamp> {
        self.limits_asked.or_else(|| self.limit.map(|_| self.observed_at))
    }

    /// Whether there is no need to ask it for its limits: it has answered, and not too long ago.
    pub fn has_answered_about_limits(&self, now: Timestamp) -> bool {
        let asked = self.answered_about_limits();
        asked.is_some_and(|asked| now.duration_since(asked).unsigned_abs() < LIMITS_LAST)
    }
}

/// Whether a server could be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It answered.
    Answered,
    /// It answered that it cannot serve anybody at this time: maintenance, starting, overload.
    Busy {
        /// What it said.
        why: String,
    },
    /// It did not answer, or something else answered in its place.
    Unreachable {
        /// What was found instead.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// How many requests an account may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateLimit {
    /// As many as it likes.
    Unlimited,
    /// A bucket of tokens, one for each request; per account and per node of the cluster.
    Bucket {
        /// Requests at once, when the bucket is full.
        burst: u32,
        /// Requests that are added each second.
        refill_per_second: u32,
    },
}

/// A limit, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The limit.
    pub limit: RateLimit,
    /// Who says so.
    pub source: LimitSource,
}

impl Limit {
    /// What Bitbucket allows each account unless somebody changed it.
    pub const USUAL: Self =
        Self { limit: RateLimit::Bucket { burst: 60, refill_per_second: 5 }, source: LimitSource::Assumed };
}

impl Server {
    /// What an account may ask for: what the file says, else what the server told, else what is usual.
    pub fn limit_of(&self, account: &AccountName, seen: Option<&ServerSeen>) -> Limit {
        match self.rate_limit {
            Some(TokenBucket { burst, refill_per_second }) => {
                Limit { limit: RateLimit::Bucket { burst, refill_per_second }, source: LimitSource::File }
            }
            None => seen.and_then(|seen| seen.limit_of(account)).unwrap_or(Limit::USUAL),
        }
    }
}

/// Who says what the limit is. In the order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitSource {
    /// Nobody: it is the usual one.
    Assumed,
    /// The server, for every account.
    Server,
    /// The server, for this account.
    Account,
    /// The file.
    File,
}

/// What a credential turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialSeen {
    /// When.
    pub observed_at: Timestamp,
    /// The server that it was shown to.
    pub server: ServerName,
    /// The account that the file declares.
    pub account: AccountName,
    /// The first digits of the digest of its sealed value: a credential that was sealed anew was not looked at.
    pub sealed: String,
    /// Whom the server took it for.
    pub login: Login,
    /// Whether it sees its project.
    pub project: Sight,
    /// Whether it can read repositories of the project.
    pub repositories: Sight,
}

/// Whom the server took a credential for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    /// For the declared account.
    Confirmed,
    /// For another account.
    Other {
        /// That one.
        account: AccountName,
    },
    /// For nobody: it answered as to a stranger.
    Nobody,
    /// It refused it.
    Refused {
        /// Why, in one word.
        reason: LoginRefusal,
        /// What it said.
        why: String,
    },
    /// It could not be opened, so it was not shown to the server.
    Sealed {
        /// Why not.
        why: String,
    },
    /// It was not shown to the server, or the answer says nothing about it.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Why a server refuses a credential altogether.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginRefusal {
    /// The password or token is wrong.
    WrongSecret,
    /// The token has expired, was revoked, or got lost on the way.
    NotAccepted,
    /// The account has no licence.
    Unlicensed,
    /// The account has to solve a CAPTCHA first.
    Captcha,
    /// The server takes no passwords.
    BasicBlocked,
}

impl LoginRefusal {
    /// One word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongSecret => "WrongSecret",
            Self::NotAccepted => "NotAccepted",
            Self::Unlicensed => "Unlicensed",
            Self::Captcha => "Captcha",
            Self::BasicBlocked => "BasicBlocked",
        }
    }
}

/// Whether something can be seen with a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// It can.
    Visible,
    /// The server does not show it.
    Hidden {
        /// What it said.
        why: String,
    },
    /// It was not looked at, or the answer says nothing about it.
    Unknown,
}

/// What a project turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSeen {
    /// When.
    pub observed_at: Timestamp,
    /// Whether any of its credentials sees it.
    pub visible: Sight,
    /// Its number: its identity.
    pub id: Option<ProjectId>,
    /// The key that the server gives it: another one than the declared one if it was renamed.
    pub key: Option<ProjectKey>,
    /// Its name, for people.
    pub name: Option<String>,
}

/// What a destination turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationSeen {
    /// When.
    pub observed_at: Timestamp,
    /// What it is good for.
    pub state: DestinationState,
}

/// What a destination is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationState {
    /// Its marker is ours, and it can be written.
    Ready,
    /// Nothing is there yet; `apply` can make it.
    New,
    /// Its marker is somebody else's, or another one than was bound.
    Foreign {
        /// Whose.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It cannot be read or written.
    Unusable {
        /// Why.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(limit: Option<RateLimit>, limits_asked: Option<i64>) -> ServerSeen {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (reach, exceptions) = (Reach::Answered, BTreeMap::new());
        let limits_asked = limits_asked.map(at);
        ServerSeen { observed_at: at(0), reach, version: None, limit, exceptions, limits_asked }
    }

    #[test]
    fn an_answer_about_limits_lasts_a_week() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let holds = |seen: &ServerSeen| {
            let days: Vec<i64> = (-9..20).filter(|day| seen.has_answered_about_limits(at(*day))).collect();
            days.first().copied().zip(days.last().copied())
        };
        assert_eq!(holds(&seen(None, None)), None);
        assert_eq!(holds(&seen(None, Some(10 * 86_400))), Some((4, 16)), "that it does not tell is an answer");
        assert_eq!(holds(&seen(Some(RateLimit::Unlimited), Some(10 * 86_400))), Some((4, 16)));
        assert_eq!(holds(&seen(Some(RateLimit::Unlimited), None)), Some((-6, 6)), "as an earlier version kept it");
    }
}
