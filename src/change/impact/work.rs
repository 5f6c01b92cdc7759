//! How many requests the next run of a plan needs, and how long the servers' limits make it wait for them.

use std::collections::{BTreeMap, BTreeSet};

use super::Effect;
use super::rotation::accounts;
use super::scope::{Listing, Scope};
use crate::model::{
    AccountName, BackupPlan, Declaration, Limit, LimitSource, Observations, ProjectSelector, RateLimit, ServerName,
};

/// Repositories on one page of a listing.
const PAGE: usize = 1000;

/// The requests that wait for the same buckets.
#[derive(Debug, Default)]
struct Queue {
    requests: u64,
    /// Whether there are more than these.
    more: bool,
    accounts: BTreeSet<AccountName>,
    /// Declared for these projects, and not enabled by the plan.
    idle: BTreeSet<AccountName>,
}

/// Requests and waiting time of the next run. Nothing, while no listing of any of the plan's projects is known.
///
/// Each project costs a request for each page of its listing, and each repository one for its references; a repository
/// without a snapshot, or every one if `full`, costs one more for its objects. Changed repositories are not foreseen.
pub(super) fn work(
    declared: &Declaration,
    plan: &BackupPlan,
    scope: &Scope<'_>,
    full: bool,
    observed: &Observations,
) -> Vec<Effect> {
    let mut queues: BTreeMap<&ServerName, Queue> = BTreeMap::new();
    let mut unseen: BTreeSet<&ServerName> = BTreeSet::new();
    for (selector, planned) in &plan.projects {
        let Some(project) = declared.projects.get(selector) else { continue };
        let requests = requests_of(selector, scope, full);
        if requests == 0 {
            unseen.insert(&project.server);
            continue;
        }
        let queue = queues.entry(&project.server).or_default();
        queue.requests = queue.requests.saturating_add(requests);
        queue.more |= scope.listings(selector).any(Listing::is_partial);
        let (enabled, idle) = accounts(project, planned);
        queue.accounts.extend(enabled.into_iter().cloned());
        queue.idle.extend(idle.into_iter().cloned());
    }
    for (server, queue) in &mut queues {
        queue.more |= unseen.contains(server);
    }
    queues.into_iter().map(|(server, queue)| estimate(declared, server, &queue, observed)).collect()
}

fn requests_of(selector: &ProjectSelector, scope: &Scope<'_>, full: bool) -> u64 {
    let mut requests = 0;
    for listed in scope.listings(selector) {
        let pages = listed.total.div_ceil(PAGE).max(1);
        let packs = if full {
            listed.in_scope.len()
        } else {
            listed.in_scope.values().filter(|repository| repository.stored.is_none()).count()
        };
        requests += pages + listed.in_scope.len() + packs;
    }
    requests as u64
}

fn estimate(declared: &Declaration, server: &ServerName, queue: &Queue, observed: &Observations) -> Effect {
    let limits = |accounts: &BTreeSet<AccountName>| -> Vec<Limit> {
        accounts.iter().map(|account| limit(declared, server, account, observed)).collect()
    };
    let enabled = limits(&queue.accounts);
    let more: BTreeSet<AccountName> = queue.accounts.union(&queue.idle).cloned().collect();
    let with_more = waiting(queue.requests, &limits(&more)).filter(|_| more.len() > queue.accounts.len());
    Effect::Work {
        server: server.clone(),
        requests: queue.requests,
        more_repositories: queue.more,
        accounts: queue.accounts.len(),
        refill_per_second: refill(&enabled),
        seconds: waiting(queue.requests, &enabled),
        more: with_more.map(|seconds| (more.len(), seconds)),
        source: enabled.iter().map(|limit| limit.source).min().unwrap_or(LimitSource::Assumed),
    }
}

fn limit(declared: &Declaration, server: &ServerName, account: &AccountName, observed: &Observations) -> Limit {
    let seen = observed.servers.get(server);
    declared.servers.get(server).map_or(Limit::USUAL, |server| server.limit_of(account, seen))
}

/// Requests that come back each second, over all accounts. `None` if one of them may ask as it likes.
fn refill(limits: &[Limit]) -> Option<u64> {
    let one = |limit: &Limit| match limit.limit {
        RateLimit::Unlimited => None,
        RateLimit::Bucket { refill_per_second, .. } => Some(u64::from(refill_per_second)),
    };
    limits.iter().map(one).sum()
}

/// Seconds until so many requests are through, if the buckets are full at the beginning. `None` if they never are, or
/// if nothing limits them.
fn waiting(requests: u64, limits: &[Limit]) -> Option<u64> {
    let burst = |limit: &Limit| match limit.limit {
        RateLimit::Unlimited => u64::MAX,
        RateLimit::Bucket { burst, .. } => u64::from(burst),
    };
    let at_once = limits.iter().map(burst).fold(0, u64::saturating_add);
    let refill = refill(limits)?;
    (refill > 0).then(|| requests.saturating_sub(at_once).div_ceil(refill))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(accounts: usize) -> Vec<Limit> {
        vec![Limit::USUAL; accounts]
    }

    #[test]
    fn accounts_divide_the_waiting() {
        assert_eq!(waiting(4130, &usual(3)), Some(264));
        assert_eq!(waiting(4130, &usual(5)), Some(154));
        assert_eq!(waiting(100, &usual(2)), Some(0), "full buckets are enough");
        assert_eq!(refill(&usual(3)), Some(15));
    }

    #[test]
    fn what_has_no_limit_does_not_wait() {
        let mut limits = usual(1);
        limits.push(Limit { limit: RateLimit::Unlimited, source: LimitSource::Account });
        assert_eq!((waiting(u64::MAX, &limits), refill(&limits)), (None, None));
        let nothing = Limit { limit: RateLimit::Bucket { burst: 1, refill_per_second: 0 }, source: LimitSource::File };
        assert_eq!(waiting(2, &[nothing]), None);
        assert_eq!(waiting(2, &[]), None);
    }
}
