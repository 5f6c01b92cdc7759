//! A share in a run that another process coordinates.
//!
//! Whoever takes one has identities, a way to the servers and to the destinations of its own. What it lacks is said, and
//! the run is left to others: a backup goes to all destinations of its plan.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::conclude::Whole;
use super::dispatch::{Execution, prepare};
use super::error::lines;
use super::work::{Role, help};
use super::{EventSink, RunError, Turnstile};
use crate::clock::Clock;
use crate::http::{Proxies, Tally};
use crate::model::{Address, Applied, PlanName};
use crate::secret::Identities;
use crate::state::StateStore;
use crate::state::queue::OpenRun;

/// What a share in a run needs from outside.
pub struct Share {
    /// The run.
    pub open: OpenRun,
    /// The plan's name in what is in force for the run, with that.
    pub plan: (PlanName, Applied),
    /// The directory of the file: relative paths begin there.
    pub base: PathBuf,
    /// Through what servers are reached.
    pub proxies: Proxies,
    /// How servers answer this process.
    pub tally: Tally,
    /// The state.
    pub state: Arc<StateStore>,
    /// Who opens the credentials.
    pub identities: Identities,
    /// The accounts' budgets, which all runs of a process share.
    pub turnstile: Turnstile,
    /// How many tasks may be under way on one server, if that is less than it is worth.
    pub most: Option<NonZeroUsize>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
    /// Cancelled to begin nothing more: what is under way is finished, the rest given back.
    pub closing: CancellationToken,
    /// Cancelled to interrupt what is under way, too: it is given back.
    pub stop: CancellationToken,
}

/// What became of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shared {
    /// The run is over, or the worker was asked to stop.
    Done {
        /// Repositories that were backed up here.
        tasks: usize,
    },
    /// This process cannot do it.
    Unfit {
        /// Why, one line each.
        why: Vec<String>,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// The plan of a run that is open, with what is in force for the run.
pub async fn plan_of(state: &StateStore, open: &OpenRun) -> Result<Option<(PlanName, Applied)>, RunError> {
    let Some(applied) = state.generation(open.generation).await? else { return Ok(None) };
    let is_it = |name: &&PlanName| applied.uids.get(&Address::plan(name)) == Some(&open.plan);
    let name = applied.declaration.plans.keys().find(is_it).cloned();
    Ok(name.map(|name| (name, applied)))
}

/// Works on a run until it is over, or nothing more is to be begun.
pub async fn share(share: Share) -> Result<Shared, RunError> {
    let Share { open, plan: (plan, applied), base, proxies, tally, state, identities, turnstile, most, .. } = share;
    let (clock, events) = (share.clock, share.events);
    let execution = Execution {
        applied,
        plan,
        only: None,
        resumes: None,
        scheduled: None,
        max_duration: None,
        hours: None,
        accepted: BTreeSet::new(),
        base,
        proxies,
        tally,
        state: Arc::clone(&state),
        identities,
        turnstile,
        clock: Arc::clone(&clock),
        events,
        closing: share.closing,
        stop: share.stop,
    };
    let role = Role::Worker { most: most.map(NonZeroUsize::get) };
    let mut whole = Whole::default();
    let (context, servers, _plan) = match prepare(&execution, open.run, role, &mut whole).await {
        Ok(prepared) => prepared,
        Err(RunError::State(error)) => return Err(error.into()),
        Err(error) => return Ok(Shared::Unfit { why: lines(&error), hint: error.hint() }),
    };
    if let Some(failed) = whole.destinations_failed.into_iter().next() {
        let why = std::iter::once(format!("destination {}", failed.destination)).chain(failed.error).collect();
        return Ok(Shared::Unfit { why, hint: failed.hint });
    }
    let context = Arc::new(context);
    let worked = help(&context, &servers, role).await;
    if worked.is_err() {
        // Nobody has to wait until what it held is taken for lost.
        state.end_leases(context.keeper.owner()).await?;
    }
    // What was learnt of credentials on the way is remembered whatever came of it.
    let sightings = context.credentials.sightings();
    state.settle_conditions(&sightings, Some(open.generation), clock.now()).await?;
    Ok(Shared::Done { tasks: worked? })
}
