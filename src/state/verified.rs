//! What verifications came to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StateError, StateStore};
use crate::model::{DestinationId, Uid};

/// The kind of these observations, as the table has it.
const VERIFICATION: &str = "verification";

/// What came of verifying snapshots of a plan in a destination.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// How many were whole.
    pub whole: u64,
    /// How many were damaged.
    pub damaged: u64,
    /// When one was found to be whole for the last time.
    pub last_whole: Option<Timestamp>,
}

impl StateStore {
    /// Remembers what a verification of a snapshot came to.
    pub async fn record_verification(
        &self,
        plan: Uid,
        destination: DestinationId,
        whole: bool,
        at: Timestamp,
    ) -> Result<(), StateError> {
        let count = |before: Option<Verified>| {
            let mut verified = before.unwrap_or_default();
            if whole {
                (verified.whole, verified.last_whole) = (verified.whole.saturating_add(1), Some(at));
            } else {
                verified.damaged = verified.damaged.saturating_add(1);
            }
            Some(verified)
        };
        self.amend((VERIFICATION, &name(plan, destination)), "record a verification", count).await.map(drop)
    }

    /// What verifications came to, for each plan and destination of which something was verified.
    pub async fn verifications(&self) -> Result<BTreeMap<(Uid, DestinationId), Verified>, StateError> {
        let seen: BTreeMap<String, Verified> = self.seen(VERIFICATION).await?;
        let named = |(name, value): (String, Verified)| {
            let (plan, destination) = name.split_once('/')?;
            Some(((plan.parse().ok()?, destination.parse().ok()?), value))
        };
        Ok(seen.into_iter().filter_map(named).collect())
    }
}

fn name(plan: Uid, destination: DestinationId) -> String {
    format!("{plan}/{destination}")
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;

    #[tokio::test]
    async fn verifications_are_counted_for_each_plan_and_destination() {
        let (_home, store) = fresh().await;
        let (plan, other) = (Uid::from_parts(9, 1), Uid::from_parts(9, 2));
        let (here, there) = (DestinationId::from_parts(1, 1), DestinationId::from_parts(1, 2));
        let at = |second| Timestamp::from_second(second).unwrap();
        for (plan, destination, whole, second) in
            [(plan, here, true, 1), (plan, here, true, 2), (plan, here, false, 3), (other, there, false, 4)]
        {
            store.record_verification(plan, destination, whole, at(second)).await.unwrap();
        }
        let expected = [
            ((plan, here), Verified { whole: 2, damaged: 1, last_whole: Some(at(2)) }),
            ((other, there), Verified { whole: 0, damaged: 1, last_whole: None }),
        ];
        assert_eq!(store.verifications().await.unwrap(), expected.into());
        assert!(store.observations(None).await.unwrap().servers.is_empty(), "they are no server's");
    }
}
