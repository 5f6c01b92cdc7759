//! Whether a project lists fewer repositories than it did: a lost permission, an empty page and a broken search index
//! all look like a deletion.
//!
//! A listing that fell by more than a plan allows is *suspect*. It never becomes the new truth by itself: the last
//! trusted listing stays, every run tells, what is missing is asked for by name and backed up if it answers, and
//! nothing of it may be forgotten. It ends when the repositories are back, or when a person accepts it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ProjectFailure, TaskName};
use crate::model::{
    BackupPlan, ConditionKind, Guard, ListedRepository, PlanName, PlannedProject, ProjectKey, ProjectSelector, RepoId,
    Seen, shell_word,
};

/// Names that are told.
const TOLD: usize = 5;

/// What a plan takes of a project, and how much of it may be gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stake<'a> {
    plan: &'a PlanName,
    planned: &'a PlannedProject,
    guard: Option<Guard>,
}

/// The stakes of all plans in a declared project, that of `running` first: a listing serves all of them.
pub(super) fn stakes<'a>(
    plans: &'a BTreeMap<PlanName, BackupPlan>,
    declared: &ProjectSelector,
    running: &PlanName,
) -> Vec<Stake<'a>> {
    let of = |(name, plan): (&'a PlanName, &'a BackupPlan)| {
        let planned = plan.projects.get(declared)?;
        Some(Stake { plan: name, planned, guard: plan.guard })
    };
    let mut stakes: Vec<_> = plans.iter().filter_map(of).collect();
    stakes.sort_by_key(|stake| stake.plan != running);
    stakes
}

/// What is no longer listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shrink {
    /// Nothing.
    Nothing,
    /// So little that it is likely meant: the names.
    Little(BTreeMap<RepoId, String>),
    /// So much that somebody must look.
    Much(Suspicion),
}

/// A listing that is not trusted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suspicion {
    project: ProjectKey,
    what: String,
    names: String,
    accept: String,
}

impl Suspicion {
    /// For the summary.
    pub(super) fn failure(&self) -> ProjectFailure {
        let hint = format!(
            "what is missing keeps its backups, and the listing before this one stays in force. Check what the accounts \
             may see; if the repositories were deleted or moved on purpose, accept that once: {}",
            self.accept
        );
        ProjectFailure {
            project: self.project.clone().into(),
            error: vec![self.what.clone(), self.names.clone()],
            hint: Some(hint),
            throttled_until: None,
        }
    }

    /// For the memory.
    pub(super) fn seen(&self) -> Seen {
        let message = format!("{}; its listing is suspect until they are back or: {}", self.what, self.accept);
        Seen::Holds { reason: "Shrunken", message }
    }

    /// For the summary of the run that accepts it.
    pub(super) fn accepted(&self) -> String {
        format!("project {}: {}: accepted; their snapshots are kept", self.project, self.what)
    }
}

/// The condition that a suspect listing is.
pub(super) const CONDITION: ConditionKind = ConditionKind::ListingSuspect;

/// Compares a listing with the last trusted one. Repositories that a plan leaves out are not missed by it; the
/// strictest plan decides.
pub(super) fn judge(
    project: &ProjectKey,
    trusted: Option<&(Timestamp, BTreeMap<RepoId, &ListedRepository>)>,
    listed: impl Fn(RepoId) -> bool,
    stakes: &[Stake<'_>],
) -> Shrink {
    let (Some((at, before)), Some(running)) = (trusted, stakes.first()) else { return Shrink::Nothing };
    let missing = |stake: &Stake<'_>| -> (usize, Vec<(RepoId, &ListedRepository)>) {
        let in_scope: Vec<_> = before.iter().filter(|(_, one)| stake.planned.selects(&one.slug)).collect();
        let gone = in_scope.iter().filter(|(id, _)| !listed(**id));
        (in_scope.len(), gone.map(|(id, one)| (**id, **one)).collect())
    };
    for stake in stakes {
        let (total, gone) = missing(stake);
        if !is_many(gone.len(), total, stake.guard) {
            continue;
        }
        let share = stake
            .guard
            .map_or(String::new(), |guard| format!(" (plan {} allows {})", stake.plan, guard.max_repositories_removed));
        let mut names = gone.iter().take(TOLD).map(|(_, one)| name(project, one)).collect::<Vec<_>>().join(", ");
        if gone.len() > TOLD {
            names = format!("{names} and {} more", gone.len() - TOLD);
        }
        return Shrink::Much(Suspicion {
            project: project.clone(),
            what: format!(
                "{} of the {total} repositories that were listed on {} are no longer listed{share}",
                gone.len(),
                at.strftime("%Y-%m-%d")
            ),
            names,
            accept: format!("xopero run {} --accept-listing {}", running.plan, shell_word(project.as_str())),
        });
    }
    match missing(running).1 {
        gone if gone.is_empty() => Shrink::Nothing,
        gone => Shrink::Little(gone.into_iter().map(|(id, one)| (id, name(project, one))).collect()),
    }
}

fn name(project: &ProjectKey, repository: &ListedRepository) -> String {
    TaskName { project: project.clone(), slug: repository.slug.clone() }.to_string()
}

/// Whether `gone` of `total` repositories are more than may be gone at once.
fn is_many(gone: usize, total: usize, guard: Option<Guard>) -> bool {
    match guard {
        Some(guard) => guard.max_repositories_removed.is_exceeded_by(gone, total),
        // More than three in ten, and at least three; or all.
        None => gone > 0 && (gone == total || (gone >= 3 && gone * 10 > total * 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pattern, ProjectId, RepositoryState};

    fn repository(id: u64) -> ListedRepository {
        ListedRepository {
            project: "PAY".parse().unwrap(),
            project_id: ProjectId(7),
            slug: format!("repo-{id}").parse().unwrap(),
            state: RepositoryState::Available,
            archived: false,
            stored: None,
        }
    }

    /// `before` repositories, of which the first `now` are still listed; each plan with its guard.
    fn judged(before: u64, now: u64, guards: &[Option<&str>]) -> Shrink {
        let repositories: BTreeMap<_, _> = (0..before).map(|id| (RepoId(id), repository(id))).collect();
        let trusted = (Timestamp::UNIX_EPOCH, repositories.iter().map(|(id, one)| (*id, one)).collect());
        let planned = PlannedProject {
            include: vec![Pattern::new("*").unwrap()],
            exclude: Vec::new(),
            enabled_credentials: Vec::new(),
        };
        let names: Vec<PlanName> = (0..guards.len()).map(|number| format!("plan-{number}").parse().unwrap()).collect();
        let guard = |share: &str| Guard { max_repositories_removed: share.parse().unwrap() };
        let stakes: Vec<_> = names
            .iter()
            .zip(guards)
            .map(|(plan, share)| Stake { plan, planned: &planned, guard: share.map(guard) })
            .collect();
        judge(&"PAY".parse().unwrap(), Some(&trusted), |id| id.0 < now, &stakes)
    }

    #[test]
    fn growth_and_a_first_listing_are_no_news() {
        for (before, now) in [(0, 0), (0, 5), (5, 9)] {
            assert_eq!(judged(before, now, &[None]), Shrink::Nothing);
        }
        assert_eq!(judge(&"PAY".parse().unwrap(), None, |_| false, &[]), Shrink::Nothing);
    }

    #[test]
    fn few_are_named() {
        let gone = [8, 9].map(|id| (RepoId(id), format!("PAY/repo-{id}")));
        assert_eq!(judged(10, 8, &[None]), Shrink::Little(gone.into()));
        assert!(matches!(judged(10, 7, &[None]), Shrink::Little(_)));
        assert!(matches!(judged(3, 1, &[None]), Shrink::Little(_)));
    }

    #[test]
    fn many_or_all_are_an_alarm_that_says_how_to_accept_it() {
        for (before, now) in [(10, 6), (1, 0), (40, 0), (100, 69)] {
            let Shrink::Much(suspicion) = judged(before, now, &[None]) else { panic!("{before} {now}") };
            let failure = suspicion.failure();
            assert!(failure.error[0].starts_with(&(before - now).to_string()), "{failure:?}");
            let accept = "xopero run plan-0 --accept-listing PAY";
            assert!(failure.hint.is_some_and(|hint| hint.ends_with(accept)));
            assert!(matches!(suspicion.seen(), Seen::Holds { message, .. } if message.ends_with(accept)));
        }
        let Shrink::Much(suspicion) = judged(40, 0, &[None]) else { panic!() };
        assert!(suspicion.failure().error[1].ends_with("and 35 more"), "{suspicion:?}");
    }

    #[test]
    fn the_strictest_guard_of_all_plans_decides() {
        assert!(matches!(judged(10, 9, &[Some("0%")]), Shrink::Much(_)));
        assert!(matches!(judged(10, 8, &[Some("20%")]), Shrink::Little(_)));
        assert!(matches!(judged(10, 7, &[Some("20%")]), Shrink::Much(_)));
        assert!(matches!(judged(10, 0, &[Some("100%")]), Shrink::Little(names) if names.len() == 10));
        let Shrink::Much(suspicion) = judged(10, 7, &[Some("100%"), Some("20%")]) else { panic!() };
        let told = format!("{:?}", suspicion.failure());
        assert!(told.contains("plan plan-1 allows 20%") && told.contains("run plan-0 --accept-listing"), "{told}");
        assert_eq!(judged(10, 10, &[Some("0%")]), Shrink::Nothing);
    }
}
