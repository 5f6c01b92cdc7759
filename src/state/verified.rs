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
        self.undisturbed(|| self.record_verification_once(plan, destination, whole, at)).await
    }

    async fn record_verification_once(
        &self,
        plan: Uid,
        destination: DestinationId,
        whole: bool,
        at: Timestamp,
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "record a verification";
        let name = name(plan, destination);
        let mut transaction = self.begin(ATTEMPT).await?;
        let row = sqlx::query("SELECT body FROM observed WHERE kind = $1 AND name = $2")
            .bind(VERIFICATION)
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        // What another version wrote, and cannot be read, is counted anew.
        let before = row.and_then(|row| self.read("a verification", &row).json("body").ok());
        let mut verified: Verified = before.unwrap_or_default();
        if whole {
            (verified.whole, verified.last_whole) = (verified.whole.saturating_add(1), Some(at));
        } else {
            verified.damaged = verified.damaged.saturating_add(1);
        }
        sqlx::query(
            "INSERT INTO observed (kind, name, body) VALUES ($1, $2, $3)
             ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
        )
        .bind(VERIFICATION)
        .bind(name.as_str())
        .bind(serde_json::to_string(&verified).expect("plain data"))
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        self.commit(transaction, ATTEMPT).await
    }

    /// What verifications came to, for each plan and destination of which something was verified.
    pub async fn verifications(&self) -> Result<BTreeMap<(Uid, DestinationId), Verified>, StateError> {
        let rows = sqlx::query("SELECT name, body FROM observed WHERE kind = $1")
            .bind(VERIFICATION)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read what was verified"))?;
        let mut verified = BTreeMap::new();
        for row in &rows {
            let read = self.read("a verification", row);
            let name: String = read.get("name")?;
            let parts = name.split_once('/').and_then(|(plan, place)| Some((plan.parse().ok()?, place.parse().ok()?)));
            if let (Some(of), Ok(value)) = (parts, read.json("body")) {
                verified.insert(of, value);
            }
        }
        Ok(verified)
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
