//! Going on with a run that did not do everything: which run that is, and what of it counts.
//!
//! A run can be gone on with for a day, as long as its plan backs up the same parts to the same destinations. The
//! projects are listed anew. A repository that the earlier run backed up less than a day ago is not asked for again;
//! everything else is: what failed, waited, was not reached or was not there yet. The new run has a record of its own
//! that names the earlier one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::dispatch::Context;
use super::journal::Entry;
use super::task::Task;
use super::{Event, Ledger, RunError, TaskReport};
use crate::crash::{self, CrashPoint};
use crate::model::{Address, Applied, BackupPlan, Destination, DestinationName, Part, PlanName, RepoId, RunId, Uid};
use crate::state::{DONE, RunFilter, RunRow, StateError, StateStore, TaskRow};

/// What is older says nothing of today.
const FRESH: SignedDuration = SignedDuration::from_hours(24);

/// Rows that are read at once.
const AT_ONCE: u32 = 128;

/// Runs that are looked through for one over the whole plan.
const RUNS: u32 = 50;

/// What there is to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This run.
    Run(RunId),
    /// Nothing: this run did everything.
    Nothing {
        /// The run.
        run: RunId,
        /// When it began.
        started: Timestamp,
    },
}

/// Looks for the run to go on with: the last one over the whole plan, or the one that `text` is the beginning of.
pub async fn find(
    state: &StateStore,
    applied: &Applied,
    plan: &PlanName,
    text: Option<&str>,
    now: Timestamp,
) -> Result<Found, RunError> {
    let known = || applied.declaration.plans.keys().cloned().collect();
    let unknown = || RunError::UnknownPlan { plan: plan.clone(), known: known() };
    let uid = *applied.uids.get(&Address::plan(plan)).ok_or_else(unknown)?;
    let run = if let Some(text) = text {
        state.run(text).await?
    } else {
        let filter = RunFilter { plan: Some((plan.clone(), Some(uid))) };
        let runs = state.runs_before(&filter, None, RUNS).await?;
        let whole = runs.into_iter().find(|run| run.plan == uid && run.only.is_none());
        whole.ok_or_else(|| RunError::NeverRan { plan: plan.clone() })?
    };
    let then = if run.generation == applied.generation {
        None
    } else {
        match state.generation(run.generation).await? {
            Some(then) => Some(then),
            None => return Err(RunError::OtherWork { run: run.id, plan: plan.clone(), what: "what was in force" }),
        }
    };
    judge(&run, uid, plan, (then.as_ref(), applied), now)
}

/// Whether a run of a plan can be gone on with. `then` is what was in force, if it was something else than `applied`.
fn judge(
    run: &RunRow,
    uid: Uid,
    plan: &PlanName,
    (then, applied): (Option<&Applied>, &Applied),
    now: Timestamp,
) -> Result<Found, RunError> {
    let id = run.id;
    if run.plan != uid {
        return Err(RunError::OtherPlan { run: id, plan: plan.clone(), of: run.plan_name.clone() });
    }
    if let Some(slug) = &run.only {
        return Err(RunError::OneRepository { run: id, slug: slug.clone(), plan: plan.clone() });
    }
    if run.state == DONE {
        return Ok(Found::Nothing { run: id, started: run.started });
    }
    if now.duration_since(run.started) > FRESH {
        return Err(RunError::TooOld { run: id, started: run.started, plan: plan.clone() });
    }
    if let Some(then) = then {
        let (before, after) = (work_of(then, uid), work_of(applied, uid));
        let what = match (before, after) {
            (Some(before), Some(after)) if before.0 != after.0 => Some("parts"),
            (Some(before), Some(after)) if before.1 != after.1 => Some("destinations"),
            (Some(_), Some(_)) => None,
            (None, _) | (_, None) => Some("plan"),
        };
        if let Some(what) = what {
            return Err(RunError::OtherWork { run: id, plan: plan.clone(), what });
        }
    }
    Ok(Found::Run(id))
}

type Work<'a> = (&'a std::collections::BTreeSet<Part>, Vec<(&'a DestinationName, &'a Destination)>);

/// What the tasks of a plan do, whatever its repositories are: the parts, and where they go.
fn work_of(applied: &Applied, uid: Uid) -> Option<Work<'_>> {
    let declaration = &applied.declaration;
    let is_it = |(name, _): &(&PlanName, &BackupPlan)| applied.uids.get(&Address::plan(name)) == Some(&uid);
    let (_, plan) = declaration.plans.iter().find(is_it)?;
    let destinations = plan.destinations.iter().filter_map(|name| declaration.destinations.get_key_value(name));
    Some((&plan.parts, destinations.collect()))
}

/// What a task of an earlier run is worth to one that goes on: the report, with what it cost left behind.
fn worth(run: RunId, row: &TaskRow, now: Timestamp) -> Option<TaskReport> {
    let report: TaskReport = serde_json::from_value(row.detail.clone()).ok()?;
    let counts = report.result.is_good() && now.duration_since(row.changed) < FRESH;
    counts.then(|| TaskReport {
        carried: report.carried.or(Some(run)),
        objects: 0,
        received: 0,
        stored: 0,
        notes: Vec::new(),
        ledger: Ledger::default(),
        ..report
    })
}

/// Enters what the earlier run did into the record of this one. Gives that, and the tasks that are left.
pub(super) async fn carry(
    context: &Context,
    resumes: Option<RunId>,
    tasks: Vec<Task>,
) -> Result<(Vec<TaskReport>, Vec<Task>), StateError> {
    let Some(run) = resumes else { return Ok((Vec::new(), tasks)) };
    let (mut done, mut last): (BTreeMap<(Uid, RepoId), TaskRow>, Option<TaskRow>) = (BTreeMap::new(), None);
    loop {
        let page = context.state.tasks_after(run, last.as_ref(), AT_ONCE).await?;
        let Some(newest) = page.last().cloned() else { break };
        let good = page.into_iter().filter(|row| worth(run, row, context.clock.now()).is_some());
        done.extend(good.map(|row| ((row.server, row.repository), row)));
        last = Some(newest);
    }
    let (mut carried, mut left) = (Vec::new(), Vec::new());
    for task in tasks {
        let row = done.remove(&(task.server.uid, task.repository.id));
        let known = row.and_then(|row| Some((worth(run, &row, context.clock.now())?, row.changed)));
        let Some((report, changed)) = known else {
            left.push(task);
            continue;
        };
        // It may have another name by now.
        let report = TaskReport { name: task.name.clone(), ..report };
        let row = task.end_row(context.run, &report, changed);
        // If it cannot be written, whoever ends the work finds out.
        let _written = context.journal.enter(Entry::free(row, Event::TaskFinished { report: report.clone() })).await;
        carried.push(report);
    }
    crash::point(CrashPoint::RunCarried);
    Ok((carried, left))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Outcome, TaskName, TaskResult};
    use super::*;
    use crate::change::sample;
    use crate::model::{Generation, TaskState};
    use crate::state::{ABANDONED, RUNNING};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    const PLAN: Uid = Uid::from_parts(1, 1);

    fn applied() -> Applied {
        let mut applied = sample::applied(sample::declaration());
        applied.uids.insert(Address::plan(&"nightly".parse().unwrap()), PLAN);
        applied
    }

    fn run(state: &str) -> RunRow {
        RunRow {
            id: RunId::from_parts(1, 1),
            plan: PLAN,
            plan_name: "nightly".parse().unwrap(),
            generation: Generation(41),
            only: None,
            resumes: None,
            state: state.into(),
            started: at(10),
            finished: None,
            summary: None,
        }
    }

    fn judged(run: &RunRow, then: Option<&Applied>, now: Timestamp) -> Result<Found, RunError> {
        judge(run, PLAN, &"nightly".parse().unwrap(), (then, &applied()), now)
    }

    #[test]
    fn whatever_did_not_do_everything_can_be_gone_on_with_for_a_day() {
        for state in ["partial", "interrupted", "failed", ABANDONED, RUNNING] {
            assert_eq!(judged(&run(state), None, at(11)).unwrap(), Found::Run(run(state).id), "{state}");
        }
        let (id, started) = (run("done").id, at(10));
        assert_eq!(judged(&run("done"), None, at(90)).unwrap(), Found::Nothing { run: id, started });
        assert!(judged(&run("partial"), None, at(34)).is_ok());
        assert!(matches!(judged(&run("partial"), None, at(35)), Err(RunError::TooOld { .. })));
    }

    #[test]
    fn runs_of_another_plan_or_of_one_repository_are_not() {
        let of_another = RunRow { plan: Uid::from_parts(9, 9), ..run("partial") };
        assert!(matches!(judged(&of_another, None, at(11)), Err(RunError::OtherPlan { .. })));
        let of_one = RunRow { only: Some("ledger".parse().unwrap()), ..run("partial") };
        assert!(matches!(judged(&of_one, None, at(11)), Err(RunError::OneRepository { .. })));
    }

    #[test]
    fn another_generation_is_no_reason_as_long_as_the_work_is_the_same() {
        let mut then = applied();
        let plan = then.declaration.plans.values_mut().next().unwrap();
        plan.schedule = None;
        plan.projects.values_mut().next().unwrap().exclude.clear();
        assert!(judged(&run("partial"), Some(&then), at(11)).is_ok());
        then.declaration.destinations.values_mut().next().unwrap().encrypt_to.clear();
        let error = judged(&run("partial"), Some(&then), at(11)).unwrap_err();
        assert!(matches!(error, RunError::OtherWork { what: "destinations", .. }), "{error}");
        then.uids.clear();
        assert!(judged(&run("partial"), Some(&then), at(11)).is_err());
    }

    fn row(result: TaskResult, changed: Timestamp) -> TaskRow {
        let report = TaskReport {
            name: TaskName { project: "PAY".parse().unwrap(), slug: "ledger".parse().unwrap() },
            repository: RepoId(7),
            result,
            carried: None,
            throttled_until: None,
            error: Vec::new(),
            hint: None,
            destinations: Vec::new(),
            references: 3,
            objects: 12,
            received: 1000,
            stored: 900,
            protocol: None,
            suspect: None,
            notes: vec!["a note".into()],
            ledger: Ledger { exchanges: 1, ..Ledger::default() },
        };
        TaskRow {
            run: RunId::from_parts(1, 1),
            server: Uid::from_parts(1, 2),
            repository: RepoId(7),
            project: report.name.project.clone(),
            slug: report.name.slug.clone(),
            state: result.as_str().into(),
            detail: serde_json::to_value(&report).unwrap(),
            changed,
        }
    }

    #[test]
    fn only_what_is_backed_up_and_fresh_counts_and_costs_nothing_again() {
        let this = RunId::from_parts(5, 5);
        for result in TaskResult::ALL {
            assert_eq!(worth(this, &row(result, at(10)), at(11)).is_some(), result.is_good(), "{result:?}");
        }
        let carried = worth(this, &row(TaskResult::New, at(10)), at(11)).unwrap();
        assert_eq!((carried.carried, carried.references, carried.received, carried.stored), (Some(this), 3, 0, 0));
        assert_eq!(carried.ledger, Ledger::default());
        assert!(worth(this, &row(TaskResult::New, at(10)), at(34)).is_none(), "it is a day old");
        let totals = super::super::Totals::of(&[carried]);
        assert_eq!((totals.new, totals.carried), (0, 1));
        assert_eq!(totals.outcome(0, super::super::Ending::Completed), Outcome::Done);
    }

    #[test]
    fn what_was_carried_once_names_the_run_that_did_it() {
        let (first, second) = (RunId::from_parts(1, 1), RunId::from_parts(2, 2));
        let mut row = row(TaskResult::Unchanged, at(10));
        row.detail = serde_json::to_value(worth(first, &row, at(11)).unwrap()).unwrap();
        assert_eq!(worth(second, &row, at(12)).unwrap().carried, Some(first));
    }

    #[test]
    fn what_was_under_way_or_is_of_another_version_is_asked_for_again() {
        for detail in [serde_json::to_value(TaskState::Running).unwrap(), json!({"result": "mended"}), json!(null)] {
            let row = TaskRow { detail, ..row(TaskResult::New, at(10)) };
            assert!(worth(RunId::from_parts(1, 1), &row, at(11)).is_none());
        }
    }
}
