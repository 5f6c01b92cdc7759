//! The pool's states and transitions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::{AccountName, CredentialRole, ProjectSelector, ServerName};

/// How long an account rests after a 429 that names no time: one refill of a token is at most a second on a
/// default server, and the rest doubles while the account keeps being refused.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest rest that is taken, whatever the server asks for.
const LONGEST_REST: Duration = Duration::from_mins(10);

/// A credential taken out of the pool for one request, or for the requests of one task until a 429.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The project whose rotation it came from.
    pub project: ProjectSelector,
    /// Which credential of the project.
    pub role: CredentialRole,
    /// The account behind it.
    pub account: AccountName,
}

/// How a request with a lease went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered: with success, or with a failure that has nothing to do with the credential.
    Answered,
    /// 429: the account's bucket is empty.
    RateLimited {
        /// What the server asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// The server does not accept the secret. Trying again could lock the account.
    Rejected,
}

/// What the pool has to offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// A credential whose account is not known to be limited.
    Lease(Lease),
    /// Every usable account is limited until then at least.
    Throttled {
        /// When the first of them may be asked again.
        until: Instant,
    },
    /// Every credential was rejected, or is one that the caller has ruled out.
    Exhausted,
}

/// The main and enabled additional credentials of all projects of a run, over the buckets of their accounts.
#[derive(Debug, Clone, Default)]
pub struct CredentialPool {
    buckets: BTreeMap<(ServerName, AccountName), Bucket>,
    rotations: BTreeMap<ProjectSelector, Rotation>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    limited_until: Option<Instant>,
    refusals: u32,
}

#[derive(Debug, Clone)]
struct Rotation {
    server: ServerName,
    members: Vec<Member>,
    next: usize,
}

#[derive(Debug, Clone)]
struct Member {
    role: CredentialRole,
    account: AccountName,
    rejected: bool,
}

impl CredentialPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a project's credentials, in the order of rotation.
    pub fn add_project(
        &mut self,
        project: ProjectSelector,
        server: ServerName,
        credentials: impl IntoIterator<Item = (CredentialRole, AccountName)>,
    ) {
        let members: Vec<_> =
            credentials.into_iter().map(|(role, account)| Member { role, account, rejected: false }).collect();
        for member in &members {
            self.buckets.entry((server.clone(), member.account.clone())).or_default();
        }
        self.rotations.insert(project, Rotation { server, members, next: 0 });
    }

    /// Takes the next credential of a project whose account is not cooling, and moves the rotation past it.
    ///
    /// `except` rules credentials out for this request: those that lack a permission it needs. A project that was
    /// never added has no credentials.
    pub fn acquire(&mut self, project: &ProjectSelector, except: &BTreeSet<CredentialRole>, now: Instant) -> Acquired {
        let Some(rotation) = self.rotations.get_mut(project) else { return Acquired::Exhausted };
        let count = rotation.members.len();
        let mut earliest: Option<Instant> = None;
        for step in 0..count {
            let index = (rotation.next + step) % count;
            let member = &rotation.members[index];
            if member.rejected || except.contains(&member.role) {
                continue;
            }
            let bucket = self.buckets.get(&(rotation.server.clone(), member.account.clone()));
            match bucket.and_then(|bucket| bucket.limited_until).filter(|until| *until > now) {
                None => {
                    rotation.next = (index + 1) % count;
                    let (role, account) = (member.role.clone(), member.account.clone());
                    return Acquired::Lease(Lease { project: project.clone(), role, account });
                }
                Some(until) => earliest = Some(earliest.map_or(until, |other| other.min(until))),
            }
        }
        match earliest {
            Some(until) => Acquired::Throttled { until },
            None => Acquired::Exhausted,
        }
    }

    /// Records how a request with this lease went. Answers, for a 429 that begins a rest, until when it lasts; a 429 to
    /// a request that was under way at that time says nothing new.
    pub fn settle(&mut self, lease: &Lease, outcome: Outcome, now: Instant) -> Option<Instant> {
        let rotation = self.rotations.get_mut(&lease.project)?;
        let bucket = self.buckets.get_mut(&(rotation.server.clone(), lease.account.clone()))?;
        match outcome {
            Outcome::Answered => {
                // An answer to a request that was sent before the last refusal says nothing about the bucket.
                if bucket.limited_until.is_none_or(|until| until <= now) {
                    *bucket = Bucket::default();
                }
                None
            }
            Outcome::RateLimited { retry_after } => {
                let doubled = FIRST_REST.saturating_mul(1 << bucket.refusals.min(6));
                let until = now + retry_after.unwrap_or(doubled).clamp(Duration::from_millis(50), LONGEST_REST);
                let begins = bucket.limited_until.is_none_or(|earlier| earlier <= now);
                if begins {
                    bucket.refusals = bucket.refusals.saturating_add(1);
                }
                let until = bucket.limited_until.map_or(until, |earlier| earlier.max(until));
                bucket.limited_until = Some(until);
                begins.then_some(until)
            }
            Outcome::Rejected => {
                for member in rotation.members.iter_mut().filter(|member| member.role == lease.role) {
                    member.rejected = true;
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn role(name: &str) -> CredentialRole {
        if name == "main" { CredentialRole::Main } else { CredentialRole::Additional(name.parse().unwrap()) }
    }

    fn pool(members: &[(&str, &str)]) -> (CredentialPool, ProjectSelector) {
        let project: ProjectSelector = "PAY".parse().unwrap();
        let mut pool = CredentialPool::new();
        let credentials = members.iter().map(|(name, account)| (role(name), account.parse().unwrap()));
        pool.add_project(project.clone(), "bb".parse().unwrap(), credentials.collect::<Vec<_>>());
        (pool, project)
    }

    fn leased(pool: &mut CredentialPool, project: &ProjectSelector, now: Instant) -> Lease {
        match pool.acquire(project, &BTreeSet::new(), now) {
            Acquired::Lease(lease) => lease,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn leases_rotate() {
        let (mut pool, project) = pool(&[("main", "a"), ("extra-1", "b"), ("extra-2", "c")]);
        let now = SystemClock.monotonic();
        let accounts: Vec<_> = (0..4).map(|_| leased(&mut pool, &project, now).account.to_string()).collect();
        assert_eq!(accounts, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_limited_account_is_passed_over_until_its_time() {
        let (mut pool, project) = pool(&[("main", "a"), ("extra-1", "b")]);
        let now = SystemClock.monotonic();
        let lease = leased(&mut pool, &project, now);
        let wait = Duration::from_secs(5);
        assert_eq!(pool.settle(&lease, Outcome::RateLimited { retry_after: Some(wait) }, now), Some(now + wait));
        for _ in 0..3 {
            assert_eq!(leased(&mut pool, &project, now).account.as_str(), "b");
        }
        let later = now + wait;
        let accounts: Vec<_> = (0..2).map(|_| leased(&mut pool, &project, later).account.to_string()).collect();
        assert_eq!(accounts, ["a", "b"]);
    }

    #[test]
    fn quirk_07_two_credentials_of_one_account_are_one_bucket() {
        let (mut pool, project) = pool(&[("main", "a"), ("extra-1", "a")]);
        let now = SystemClock.monotonic();
        let lease = leased(&mut pool, &project, now);
        let until = pool.settle(&lease, Outcome::RateLimited { retry_after: None }, now).unwrap();
        assert_eq!(pool.acquire(&project, &BTreeSet::new(), now), Acquired::Throttled { until });
    }

    #[test]
    fn rests_double_without_a_hint_and_start_anew_after_an_answer() {
        let (mut pool, project) = pool(&[("main", "a")]);
        let mut now = SystemClock.monotonic();
        let mut rests = Vec::new();
        for _ in 0..3 {
            let lease = leased(&mut pool, &project, now);
            let until = pool.settle(&lease, Outcome::RateLimited { retry_after: None }, now).unwrap();
            rests.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(rests, [1, 2, 4]);
        let lease = leased(&mut pool, &project, now);
        pool.settle(&lease, Outcome::Answered, now);
        let until = pool.settle(&lease, Outcome::RateLimited { retry_after: None }, now).unwrap();
        assert_eq!((until - now).as_secs(), 1);
    }

    #[test]
    fn absurd_waits_are_clamped() {
        let (mut pool, project) = pool(&[("main", "a")]);
        let now = SystemClock.monotonic();
        let lease = leased(&mut pool, &project, now);
        let until = pool.settle(&lease, Outcome::RateLimited { retry_after: Some(Duration::MAX) }, now).unwrap();
        assert_eq!(until - now, LONGEST_REST);
    }

    #[test]
    fn rejected_credentials_leave_and_ruled_out_ones_stay_for_others() {
        let (mut pool, project) = pool(&[("main", "a"), ("extra-1", "b")]);
        let now = SystemClock.monotonic();
        let main = leased(&mut pool, &project, now);
        pool.settle(&main, Outcome::Rejected, now);
        assert_eq!(leased(&mut pool, &project, now).account.as_str(), "b");
        assert_eq!(pool.acquire(&project, &BTreeSet::from([role("extra-1")]), now), Acquired::Exhausted);
        assert_eq!(leased(&mut pool, &project, now).account.as_str(), "b");
    }

    proptest! {
        /// Whatever happens, no lease names an account that is cooling or a credential that was rejected, and a
        /// throttled pool names the earliest time at which it is not.
        #[test]
        fn leases_are_always_usable(steps in proptest::collection::vec((0u8..4, 0u64..8), 1..200)) {
            let names = [("main", "a"), ("extra-1", "b"), ("extra-2", "b"), ("extra-3", "c")];
            let (mut pool, project) = pool(&names);
            let mut now = SystemClock.monotonic();
            let mut cooling: BTreeMap<AccountName, Instant> = BTreeMap::new();
            let mut rejected: Vec<CredentialRole> = Vec::new();
            for (what, seconds) in steps {
                match pool.acquire(&project, &BTreeSet::new(), now) {
                    Acquired::Lease(lease) => {
                        prop_assert!(!rejected.contains(&lease.role));
                        prop_assert!(cooling.get(&lease.account).is_none_or(|until| *until <= now));
                        match what {
                            0 | 1 => { pool.settle(&lease, Outcome::Answered, now); }
                            2 => {
                                let retry_after = Some(Duration::from_secs(seconds));
                                let until = pool.settle(&lease, Outcome::RateLimited { retry_after }, now).unwrap();
                                cooling.insert(lease.account, until);
                            }
                            _ => {
                                pool.settle(&lease, Outcome::Rejected, now);
                                rejected.push(lease.role);
                            }
                        }
                    }
                    Acquired::Throttled { until } => {
                        prop_assert!(until > now);
                        now = until;
                        prop_assert!(matches!(pool.acquire(&project, &BTreeSet::new(), now), Acquired::Lease(_)));
                    }
                    Acquired::Exhausted => prop_assert_eq!(rejected.len(), names.len()),
                }
                now += Duration::from_millis(seconds * 100);
            }
        }
    }
}
