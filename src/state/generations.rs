//! The applied generations.

use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::{Applied, Generation};

/// How many generations are remembered.
const KEPT: i64 = 50;

impl StateStore {
    /// What is in force.
    pub async fn applied(&self) -> Result<Option<Applied>, StateError> {
        Ok(self.history(1).await?.pop())
    }

    /// The generations that are remembered, newest first.
    pub async fn history(&self, limit: u32) -> Result<Vec<Applied>, StateError> {
        let rows = sqlx::query("SELECT body FROM generations ORDER BY generation DESC LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the generations"))?;
        rows.iter().map(|row| self.read("a generation", row).json("body")).collect()
    }

    /// One of the generations that are remembered.
    pub async fn generation(&self, generation: Generation) -> Result<Option<Applied>, StateError> {
        // A number beyond what the database counts to was never given to a generation.
        let Ok(number) = i64::try_from(generation.0) else { return Ok(None) };
        let row = sqlx::query("SELECT body FROM generations WHERE generation = $1")
            .bind(number)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("read a generation"))?;
        row.map(|row| self.read("a generation", &row).json("body")).transpose()
    }

    /// Puts a generation in force, provided that `expected` still is, and that this one follows it.
    pub async fn record_applied(&self, applied: &Applied, expected: Option<Generation>) -> Result<(), StateError> {
        self.undisturbed(|| self.record_applied_once(applied, expected)).await
    }

    async fn record_applied_once(&self, applied: &Applied, expected: Option<Generation>) -> Result<(), StateError> {
        const ATTEMPT: &str = "record a generation";
        if applied.lineage != self.lineage() {
            return Err(StateError::OtherLineage { place: self.place(), own: self.lineage(), other: applied.lineage });
        }
        let body = serde_json::to_string(applied).map_err(|error| self.damaged("a new generation", error))?;
        let mut transaction = self.begin(ATTEMPT).await?;
        let row = sqlx::query("SELECT generation FROM generations ORDER BY generation DESC LIMIT 1")
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let found = row.map(|row| self.read("a generation", &row).count("generation")).transpose()?.map(Generation);
        if found != expected || applied.generation != Generation::after(expected) {
            return Err(StateError::Moved { place: self.place(), expected, found });
        }
        let number = i64::try_from(applied.generation.0).map_err(|error| self.damaged("a new generation", error))?;
        sqlx::query("INSERT INTO generations (generation, applied_at, plan_id, body) VALUES ($1, $2, $3, $4)")
            .bind(number)
            .bind(applied.applied_at.as_millisecond())
            .bind(applied.plan_id.as_str())
            .bind(body)
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        sqlx::query("DELETE FROM generations WHERE generation <= $1")
            .bind(number.saturating_sub(KEPT))
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        crash::point(CrashPoint::GenerationWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::GenerationRecorded);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::{Declaration, Source};

    fn generation(store: &StateStore, number: u64) -> Applied {
        Applied {
            lineage: store.lineage(),
            generation: Generation(number),
            declaration: Declaration::default(),
            uids: BTreeMap::new(),
            source: Source { file: "xopero.kdl".into(), sha256: "00".into(), files: Vec::new(), commit: None },
            plan_id: "7f31c09ad2e4".into(),
            applied_by: "ada@vault".into(),
            applied_at: Timestamp::UNIX_EPOCH,
            rollback_of: None,
            allowed: Vec::new(),
        }
    }

    #[tokio::test]
    async fn generations_follow_one_another() {
        let (_home, store) = fresh().await;
        assert_eq!(store.applied().await.unwrap(), None);
        let (first, second) = (generation(&store, 1), generation(&store, 2));
        store.record_applied(&first, None).await.unwrap();
        store.record_applied(&second, Some(Generation(1))).await.unwrap();
        assert_eq!(store.applied().await.unwrap(), Some(second.clone()));
        assert_eq!(store.generation(Generation(1)).await.unwrap(), Some(first.clone()));
        for unknown in [0, 3, u64::MAX] {
            assert_eq!(store.generation(Generation(unknown)).await.unwrap(), None);
        }
        assert_eq!(store.history(10).await.unwrap(), [second, first]);
    }

    #[tokio::test]
    async fn who_looked_at_another_generation_is_refused() {
        let (_home, store) = fresh().await;
        store.record_applied(&generation(&store, 1), None).await.unwrap();
        for (number, expected) in [(1, None), (3, Some(Generation(2))), (3, Some(Generation(1)))] {
            let error = store.record_applied(&generation(&store, number), expected).await.unwrap_err();
            assert!(matches!(error, StateError::Moved { found: Some(Generation(1)), .. }), "{error}");
        }
        let mut foreign = generation(&store, 2);
        foreign.lineage = crate::model::Lineage::from_parts(1, 1);
        let error = store.record_applied(&foreign, Some(Generation(1))).await.unwrap_err();
        assert!(matches!(error, StateError::OtherLineage { .. }), "{error}");
        assert_eq!(store.history(10).await.unwrap().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_of_those_who_apply_at_the_same_time_gets_through() {
        let (_home, store) = fresh().await;
        for number in 1..=3 {
            let expected = Generation(number).0.checked_sub(1).filter(|before| *before > 0).map(Generation);
            let apply = || {
                let (store, generation) = (store.clone(), generation(&store, number));
                tokio::spawn(async move { store.record_applied(&generation, expected).await })
            };
            let mut recorded = 0;
            for task in (0..8).map(|_| apply()).collect::<Vec<_>>() {
                match task.await.unwrap() {
                    Ok(()) => recorded += 1,
                    Err(StateError::Moved { found, .. }) => assert_eq!(found, Some(Generation(number))),
                    Err(error) => panic!("{error}: {error:?}"),
                }
            }
            assert_eq!(recorded, 1);
        }
    }

    #[tokio::test]
    async fn fifty_generations_are_remembered() {
        let (_home, store) = fresh().await;
        let mut expected = None;
        for number in 1..=53 {
            store.record_applied(&generation(&store, number), expected).await.unwrap();
            expected = Some(Generation(number));
        }
        let history = store.history(100).await.unwrap();
        assert_eq!((history.len(), history[49].generation), (50, Generation(4)));
        assert_eq!(store.generation(Generation(3)).await.unwrap(), None);
    }
}
