//! Whether the server lists fewer repositories than it did: a lost permission looks like a deletion.

use std::collections::BTreeSet;

use super::task::Task;
use super::{Outcome, ProjectFailure, TaskName};
use crate::model::{PlannedProject, ProjectKey, RepoId, Uid};
use crate::state::{StateError, StateStore};

/// Runs of the plan that are looked through: those of one repository do not count.
const RUNS: u32 = 50;

/// Runs among them that are compared with: a project whose listing failed may be missing in the newest.
const COMPARED: usize = 5;

/// Names that are told.
const TOLD: usize = 5;

/// What earlier runs of a plan had in scope, newest run first.
#[derive(Debug, Default)]
pub(super) struct Earlier(Vec<Vec<(TaskName, RepoId)>>);

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
            let scope = state.scope_of(run.id).await?.into_iter();
            earlier.push(scope.map(|(project, slug, id)| (TaskName { project, slug }, id)).collect());
        }
        Ok(Self(earlier))
    }

    /// Compares what a project lists with the newest run that knows the project. Repositories that the plan leaves out
    /// by now are not missed.
    pub(super) fn gone(&self, project: &ProjectKey, planned: &PlannedProject, listed: &[Task]) -> Gone {
        let ids: BTreeSet<RepoId> = listed.iter().map(|task| task.repository.id).collect();
        judge(self.newest(project, planned), &ids, project)
    }

    fn newest(&self, project: &ProjectKey, planned: &PlannedProject) -> Vec<&(TaskName, RepoId)> {
        let of_project = |run: &'_ Vec<(TaskName, RepoId)>| run.iter().any(|(name, _)| name.project == *project);
        let run = self.0.iter().find(|run| of_project(run));
        let fits = |entry: &&(TaskName, RepoId)| entry.0.project == *project && planned.selects(&entry.0.slug);
        run.map(|run| run.iter().filter(fits).collect()).unwrap_or_default()
    }
}

fn judge(before: Vec<&(TaskName, RepoId)>, ids: &BTreeSet<RepoId>, project: &ProjectKey) -> Gone {
    let total = before.len();
    let names: Vec<String> =
        before.into_iter().filter(|(_, id)| !ids.contains(id)).map(|(name, _)| name.to_string()).collect();
    if names.is_empty() {
        return Gone::Nothing;
    }
    // More than three in ten, and at least three; or all.
    if names.len() == total || (names.len() >= 3 && names.len() * 10 > total * 3) {
        let mut told = names.iter().take(TOLD).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > TOLD {
            told = format!("{told} and {} more", names.len() - TOLD);
        }
        return Gone::Many(ProjectFailure {
            project: project.clone(),
            error: vec![
                format!("{} of the {total} repositories of the last run are no longer listed", names.len()),
                told,
            ],
            hint: Some(
                "if they were deleted or moved on purpose there is nothing to do: their snapshots are kept, and the \
                 next run compares with this one; otherwise check what the accounts may see"
                    .into(),
            ),
        });
    }
    Gone::Few(names.into_iter().map(|name| format!("{name} is no longer listed; its snapshots are kept")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(before: u64, now: u64) -> Gone {
        let entry = |id| {
            let name = TaskName { project: "PAY".parse().unwrap(), slug: format!("repo-{id}").parse().unwrap() };
            (name, RepoId(id))
        };
        let before: Vec<_> = (0..before).map(entry).collect();
        judge(before.iter().collect(), &(0..now).map(RepoId).collect(), &"PAY".parse().unwrap())
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
    fn many_or_all_are_an_alarm() {
        for (before, now) in [(10, 6), (1, 0), (40, 0), (100, 69)] {
            let Gone::Many(failure) = judged(before, now) else { panic!("{before} {now}") };
            assert!(failure.error[0].starts_with(&(before - now).to_string()), "{failure:?}");
        }
        let Gone::Many(failure) = judged(40, 0) else { panic!() };
        assert!(failure.error[1].ends_with("and 35 more"), "{failure:?}");
    }
}
