//! What killed writers left unfinished in a destination, and nobody else's.
//!
//! The unfinished file of a living writer looks the same. So what lies there is listed first, and only then the state
//! is asked who is at work: a file that was there before, and is of no repository that somebody holds and of no run that
//! is under way, has no writer. Its name holds an id that was minted for it: nobody begins it anew.

use std::collections::BTreeSet;

use super::RunError;
use super::conclude::Whole;
use super::dispatch::{Context, DestinationContext};
use super::error::lines;
use crate::state::Disorder;
use crate::store::{StoreError, keys};

/// Sweeps the destinations in which something may have been left.
pub(super) async fn sweep(context: &Context, disorderly: &[Disorder], whole: &mut Whole) -> Result<(), RunError> {
    for disorder in disorderly {
        let of_it = |destination: &&DestinationContext| destination.id == disorder.destination;
        let Some(destination) = context.destinations.iter().find(of_it) else { continue };
        match sweep_one(context, destination).await? {
            Ok(Swept { freed, is_whole }) => {
                if freed > 0 {
                    tracing::info!(destination = %destination.name, freed, "removed what a killed run left");
                }
                // Whoever holds what was left alone may be dead as well: then the next run finds it.
                if is_whole {
                    context.state.swept(disorder, context.run).await?;
                }
            }
            // It takes space and harms nothing; whether the destination works is for the tasks to find.
            Err(error) => whole.warnings.push(format!("{}: {}", destination.name, lines(&error).join(": "))),
        }
    }
    Ok(())
}

/// What came of sweeping a destination.
struct Swept {
    /// Bytes that came free.
    freed: u64,
    /// Whether nothing unfinished is left.
    is_whole: bool,
}

/// Removes what has no writer.
async fn sweep_one(context: &Context, destination: &DestinationContext) -> Result<Result<Swept, StoreError>, RunError> {
    let store = destination.store.clone();
    let found = tokio::task::spawn_blocking(move || store.unfinished()).await.expect("looking does not panic");
    if found.is_empty() {
        return Ok(Ok(Swept { freed: 0, is_whole: true }));
    }
    let (held, runs) = context.state.living().await?;
    let (held, runs): (BTreeSet<_>, BTreeSet<_>) = (held.into_iter().collect(), runs.into_iter().collect());
    let is_alive = |key: &str| {
        keys::repository_of(key).is_some_and(|repository| held.contains(&repository))
            || keys::run_of(key).is_some_and(|run| runs.contains(&run))
    };
    let most = found.len();
    let left: Vec<_> = found.into_iter().filter(|unfinished| !is_alive(unfinished.key())).collect();
    let is_whole = left.len() == most;
    let store = destination.store.clone();
    let removed = tokio::task::spawn_blocking(move || store.remove_unfinished(&left)).await;
    Ok(removed.expect("sweeping does not panic").map(|freed| Swept { freed, is_whole }))
}
