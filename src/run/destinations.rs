//! The destinations of a run: opened once their markers have proven that they are those that were applied.

use super::conclude::Whole;
use super::dispatch::{DestinationContext, Execution};
use super::error::lines;
use super::work::Role;
use super::{DestinationFailure, RunError};
use crate::model::{Address, BackupPlan, ConditionKind, DestinationName, Seen, Sighting};
use crate::secret::PublicKeys;
use crate::store::{Store, StoreError};

/// Opens the destinations of a plan. Those that cannot be used are entered in `whole`; an error means that none can.
///
/// Whose they are is remembered at once: a run that finds none of them its own does not come to its end. A worker may
/// see another disk under the same path, and remembers nothing.
pub(super) async fn open_destinations(
    execution: &Execution,
    role: Role,
    backup_plan: &BackupPlan,
    whole: &mut Whole,
) -> Result<Vec<DestinationContext>, RunError> {
    let (mut destinations, mut sightings) = (Vec::new(), Vec::new());
    let mut first_failure = None;
    for name in &backup_plan.destinations {
        let opened = open_destination(execution, name).await;
        sightings.extend(whose(name, &opened));
        match opened {
            Ok(destination) => destinations.push(destination),
            Err(error @ RunError::State(_)) => return Err(error),
            Err(error) => {
                let (destination, hint) = (name.clone(), error.hint());
                whole.destinations_failed.push(DestinationFailure { destination, error: lines(&error), hint });
                first_failure = first_failure.or(Some(error));
            }
        }
    }
    match role {
        Role::Coordinator => {
            let (state, generation) = (&execution.state, execution.applied.generation);
            let news = state.settle_conditions(&sightings, Some(generation), execution.clock.now()).await?;
            whole.transitions.extend(news);
        }
        Role::Worker { .. } => {}
    }
    if let Some(error) = first_failure
        && destinations.is_empty()
    {
        return Err(error);
    }
    Ok(destinations)
}

/// What opening says of whose a destination is. One that cannot be read says nothing.
fn whose(name: &DestinationName, opened: &Result<DestinationContext, RunError>) -> Option<Sighting> {
    let seen = match opened {
        Ok(_) => Seen::Not,
        Err(error @ RunError::Store(StoreError::Foreign { .. } | StoreError::Exchanged { .. })) => {
            Seen::Holds { reason: "Foreign", message: lines(error).join(": ") }
        }
        Err(_) => return None,
    };
    Some(Sighting { address: Address::destination(name), kind: ConditionKind::DestinationForeign, seen })
}

/// Opens a destination for writing.
async fn open_destination(execution: &Execution, name: &DestinationName) -> Result<DestinationContext, RunError> {
    let Execution { applied, base, state, .. } = execution;
    let declared = &applied.declaration.destinations[name];
    let unbound = || RunError::Unbound { destination: name.clone() };
    let id = state.destination_id(name, &declared.place).await?.ok_or_else(unbound)?;
    let store = Store::open_bound(&declared.place, base, id, applied.lineage).await?;
    let recipients = |source| RunError::Recipients { destination: name.clone(), source };
    let keys = PublicKeys::parse(&declared.encrypt_to).map_err(recipients)?;
    Ok(DestinationContext { name: name.clone(), id, store, keys })
}
