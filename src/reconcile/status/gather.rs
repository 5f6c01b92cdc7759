//! Finding out how things stand.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{File, Known};
use crate::model::{Applied, DestinationId, DestinationName, Lineage, PlanName, RunId, Waiting};
use crate::reconcile::ReconcileError;
use crate::state::{DONE, RunRow, StateError, StateStore};
use crate::store::{Access, Store, StoreError};

/// How long a destination may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs of one plan that are looked through for one over all of its repositories.
const RUNS: u32 = 50;

/// Generations that are looked through for the beginning of a pause.
const GENERATIONS: u32 = 50;

/// Whether a destination can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Its marker is there, and ours.
    Reached,
    /// It belongs to somebody else, as far as its marker says.
    Foreign(String),
    /// Why not.
    Problem(String),
}

/// Finds out what is known. Nothing is changed, and no server is asked; relative paths begin at `base`.
pub async fn gather(store: &StateStore, file: File, base: &Path) -> Result<Known, ReconcileError> {
    let applied = store.applied().await?;
    let runs = newest_runs(store).await?;
    let waiting = waiting(store, &runs).await?;
    let mut destinations = BTreeMap::new();
    if let Some(applied) = &applied {
        for (name, destination) in &applied.declaration.destinations {
            let id = store.destination_id(name, &destination.place).await?;
            let place = reach(&destination.place, base, id, applied.lineage).await;
            destinations.insert(name.clone(), (id, place));
        }
    }
    let paused_since = match &applied {
        Some(applied) if applied.declaration.plans.values().any(|plan| plan.paused.is_some()) => {
            paused_since(&store.history(GENERATIONS).await?)
        }
        Some(_) | None => BTreeMap::new(),
    };
    Ok(Known {
        options: String::new(),
        applied,
        file,
        runs,
        waiting,
        paused_since,
        conditions: store.conditions().await?,
        holdings: store.holdings().await?,
        channels: store.channels().await?,
        destinations: destinations.into_iter().collect::<BTreeMap<DestinationName, _>>(),
        followed: store.followed().await?,
    })
}

/// The newest run of every plan in every state that runs have, and of every plan the last one that backed up everything.
pub async fn newest_runs(store: &StateStore) -> Result<Vec<RunRow>, StateError> {
    let idle = store.is_idle().await;
    let runs = store.newest_runs().await?;
    let idle = idle && store.is_idle().await;
    let mut runs: Vec<_> = runs.into_iter().map(|run| run.settled(idle)).collect();
    let only = |run: &RunRow| run.summary.as_ref().is_some_and(|summary| !summary["only"].is_null());
    let of_one: Vec<_> = runs.iter().filter(|run| run.state == DONE && only(run)).collect();
    let mut whole = Vec::new();
    for run in of_one {
        whole.extend(store.runs_of(run.plan, [DONE, DONE], RUNS).await?.into_iter().find(|run| !only(run)));
    }
    runs.extend(whole);
    Ok(runs)
}

/// What waits for budget in those of the runs that did not end.
pub async fn waiting(store: &StateStore, runs: &[RunRow]) -> Result<BTreeMap<RunId, Waiting>, StateError> {
    let mut waiting = BTreeMap::new();
    for run in runs.iter().filter(|run| run.summary.is_none()) {
        waiting.extend(Waiting::of(&store.waiting_tasks(run.id).await?).map(|waiting| (run.id, waiting)));
    }
    Ok(waiting)
}

async fn reach(place: &crate::model::Place, base: &Path, id: Option<DestinationId>, lineage: Lineage) -> Place {
    let Some(id) = id else { return Place::Problem("not bound: apply again".to_owned()) };
    let look = async {
        let store = Store::open(place, base, Access::Write)?;
        store.demand(id, lineage).await
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(Ok(_marker)) => Place::Reached,
        Ok(Err(error @ (StoreError::Foreign { .. } | StoreError::Exchanged { .. }))) => {
            Place::Foreign(error.to_string())
        }
        Ok(Err(error)) => Place::Problem(error.to_string()),
        Err(_elapsed) => Place::Problem(format!("it does not answer within {} s", PATIENCE.as_secs())),
    }
}

/// Since when each plan that is paused has been, by successive generations, newest first.
fn paused_since(history: &[Applied]) -> BTreeMap<PlanName, Timestamp> {
    let Some(newest) = history.first() else { return BTreeMap::new() };
    let paused = newest.declaration.plans.iter().filter(|(_, plan)| plan.paused.is_some());
    paused
        .filter_map(|(name, _)| {
            let is_paused =
                |applied: &&Applied| applied.declaration.plans.get(name).is_some_and(|plan| plan.paused.is_some());
            let first = history.iter().take_while(is_paused).last()?;
            Some((name.clone(), first.applied_at))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::{Generation, Pause};

    #[test]
    fn a_pause_began_with_the_first_generation_that_has_it() {
        let generation = |second: i64, paused: bool| {
            let mut declaration = sample::declaration();
            let pause = Pause { reason: "migration".into(), until: None };
            declaration.plans.values_mut().next().unwrap().paused = paused.then_some(pause);
            let applied_at = Timestamp::from_second(second).unwrap();
            Applied { generation: Generation(7), applied_at, ..sample::applied(declaration) }
        };
        let since = |history: &[Applied]| paused_since(history).into_values().map(Timestamp::as_second).next();
        assert_eq!(
            since(&[generation(4, true), generation(3, true), generation(2, false), generation(1, true)]),
            Some(3)
        );
        assert_eq!(since(&[generation(4, false), generation(3, true)]), None);
        assert_eq!(since(&[]), None);
    }
}
