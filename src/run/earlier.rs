//! Whether the server lists fewer repositories than it did: a lost permission looks like a deletion.

use std::collections::BTreeSet;

use super::task::Task;
use super::{Outcome, ProjectFailure, TaskName};
use crate::model::{Guard, PlannedProject, ProjectKey, RepoId, Uid};
use crate::state::{StateError, StateStore};

/// Runs of the plan that are looked through: those of one repository do not count.
const RUNS: u32 = 50;

/// Runs among them that are compared with: a project whose listing failed may be missing in the newest.
const COMPARED: usize = 5;

/// Names that are told.
const TOLD: usize = 5;

/// What earlier runs of a plan had in scope, newest run first.
#[derive(Debug, Default)]
pub(super) struct Earlier(Vec<Vec<Entry>>);

/// A repository of an earlier run.
#[derive(Debug)]
struct Entry {
    server: Uid,
    name: TaskName,
    repository: RepoId,
}

/// What is no longer listed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nothing.
    Nothing,
    /// So little that it is likely meant: worth a word for each.
    Few(Vec<String>),
    /// So much that somebody must look.
    Many(ProjectFailure),
}

impl Earlier {
    /// Recalls finished runs over the whole plan.
    pub(super) async fn load(state: &StateStore, plan: Uid) -> Result<Self, StateError> {
        let ended = [Outcome::Done.as_str(), Outcome::Partial.as_str()];
        let mut earlier = Vec::new();
        for run in state.runs_of(plan, ended, RUNS).await? {
            let of_one_repository = run.summary.as_ref().is_some_and(|summary| !summary["only"].is_null());
            if of_one_repository || earlier.len() == COMPARED {
                continue;
            }
            let entry =
                |(server, project, slug, repository)| Entry { server, name: TaskName { project, slug }, repository };
            earlier.push(state.scope_of(run.id).await?.into_iter().map(entry).collect());
        }
        Ok(Self(earlier))
    }

    /// Compares what a project lists with the newest run that knows the project. Repositories that the plan leaves out
    /// by now are not missed. `guard` says how much may be gone; otherwise the usual limit holds.
    pub(super) fn gone(
        &self,
        server: Uid,
        project: &ProjectKey,
        planned: &PlannedProject,
        listed: &[Task],
        guard: Option<Guard>,
    ) -> Gone {
        let ids: BTreeSet<RepoId> = listed.iter().map(|task| task.repository.id).collect();
        let of_project = |entry: &&Entry| entry.server == server && entry.name.project == *project;
        let newest = self.0.iter().find(|run| run.iter().any(|entry| of_project(&entry)));
        let before = newest.into_iter().flatten().filter(of_project);
        judge(before.filter(|entry| planned.selects(&entry.name.slug)).collect(), &ids, project, guard)
    }

    /// The projects of a server that some run knows.
    pub(super) fn projects(&self, server: Uid) -> BTreeSet<&ProjectKey> {
        let of_server = self.0.iter().flatten().filter(|entry| entry.server == server);
        of_server.map(|entry| &entry.name.project).collect()
    }
}

fn judge(before: Vec<&Entry>, ids: &BTreeSet<RepoId>, project: &ProjectKey, guard: Option<Guard>) -> Gone {
    let total = before.len();
    let gone = before.into_iter().filter(|entry| !ids.contains(&entry.repository));
    let names: Vec<String> = gone.map(|entry| entry.name.to_string()).collect();
    if names.is_empty() {
        return Gone::Nothing;
    }
    let many = match guard {
        Some(guard) => guard.max_repositories_removed.is_exceeded_by(names.len(), total),
        // More than three in ten, and at least three; or all.
        None => names.len() == total || (names.len() >= 3 && names.len() * 10 > total * 3),
    };
    if many {
        let mut told = names.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > TOLD {
            told = format!("{told} and {} more", names.len() - TOLD);
        }
        return Gone::Many(ProjectFailure {
            project: project.clone().into(),
            error: vec![
                format!("{} of the {total} repositories of the last run are no longer listed", names.len()),
                told,
            ],
            hint: Some(
                "if they were deleted or moved on purpose there is nothing to do: their snapshots are kept, and the \
                 next run compares with this one; otherwise check what the accounts may see"
                    .into(),
            ),
            throttled_until: None,
        });
    }
    Gone::Few(names.into_iter().map(|name| format!("{name} is no longer listed; its snapshots are kept")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(before: u64, now: u64) -> Gone {
        guarded(before, now, None)
    }

    fn guarded(before: u64, now: u64, guard: Option<Guard>) -> Gone {
        let entry = |id| {
            let name = TaskName { project: "PAY".parse().unwrap(), slug: format!("repo-{id}").parse().unwrap() };
            Entry { server: Uid::from_parts(1, 1), name, repository: RepoId(id) }
        };
        let before: Vec<_> = (0..before).map(entry).collect();
        judge(before.iter().collect(), &(0..now).map(RepoId).collect(), &"PAY".parse().unwrap(), guard)
    }

    #[test]
    fn growth_and_a_first_run_are_no_news() {
        assert_eq!(judged(0, 0), Gone::Nothing);
        assert_eq!(judged(0, 5), Gone::Nothing);
        assert_eq!(judged(5, 9), Gone::Nothing);
    }

    #[test]
    fn few_are_named() {
        assert!(matches!(judged(10, 8), Gone::Few(warnings) if warnings.len() == 2));
        assert!(matches!(judged(10, 7), Gone::Few(_)));
        assert!(matches!(judged(3, 1), Gone::Few(_)));
    }

    #[test]
    fn a_guard_of_the_plan_takes_the_place_of_the_usual_limit() {
        let guard = |share: &str| Some(Guard { max_repositories_removed: share.parse().unwrap() });
        assert!(matches!(guarded(10, 9, guard("0%")), Gone::Many(_)));
        assert!(matches!(guarded(10, 8, guard("20%")), Gone::Few(_)));
        assert!(matches!(guarded(10, 7, guard("20%")), Gone::Many(_)));
        assert!(matches!(guarded(10, 0, guard("100%")), Gone::Few(warnings) if warnings.len() == 10));
        assert_eq!(guarded(10, 10, guard("0%")), Gone::Nothing);
    }

    #[test]
    fn many_or_all_are_an_alarm() {
        for (before, now) in [(10, 6), (1, 0), (40, 0), (100, 69)] {
            let Gone::Many(failure) = judged(before, now) else { panic!("{before} {now}") };
            assert!(failure.error[0].starts_with(&(before - now).to_string()), "{failure:?}");
        }
        let Gone::Many(failure) = judged(40, 0) else { panic!() };
        assert!(failure.error[1].ends_with("and 35 more"), "{failure:?}");
    }
}
