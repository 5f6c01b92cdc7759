//! What servers, credentials, projects and destinations turned out to be, and the conditions that followed.

use std::collections::BTreeMap;
use std::fmt::Display;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Any, Transaction as Opened};

use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::condition::settle;
use crate::model::{
    Address, Applied, Condition, ConditionKind, Conditions, Generation, Inventories, Observations, Sighting, Transition,
};

/// The kinds of observations, as the table has them.
const SERVER: &str = "server";
const CREDENTIAL: &str = "credential";
const PROJECT: &str = "project";
const DESTINATION: &str = "destination";

impl StateStore {
    /// Everything that is known of the outside world: what was seen last, with the repositories of the projects that
    /// are in force.
    pub async fn observations(&self, applied: Option<&Applied>) -> Result<Observations, StateError> {
        let inventories = match applied {
            Some(applied) => self.inventories(applied).await?,
            None => Inventories::new(),
        };
        Ok(Observations {
            servers: self.seen(SERVER).await?,
            credentials: self.seen(CREDENTIAL).await?,
            projects: self.seen(PROJECT).await?,
            destinations: self.seen(DESTINATION).await?,
            inventories,
            conditions: self.conditions().await?,
        })
    }

    /// Remembers what was seen of servers, credentials, projects and destinations, in place of what was known of them.
    pub async fn record_observations(&self, seen: &Observations) -> Result<(), StateError> {
        self.undisturbed(|| self.record_observations_once(seen)).await
    }

    async fn record_observations_once(&self, seen: &Observations) -> Result<(), StateError> {
        const ATTEMPT: &str = "record what was observed";
        let mut rows = Vec::new();
        self.rows(SERVER, &seen.servers, &mut rows)?;
        self.rows(CREDENTIAL, &seen.credentials, &mut rows)?;
        self.rows(PROJECT, &seen.projects, &mut rows)?;
        self.rows(DESTINATION, &seen.destinations, &mut rows)?;
        let mut transaction = self.begin(ATTEMPT).await?;
        for (kind, name, body) in rows {
            self.put_seen((kind, &name), body, ATTEMPT, &mut transaction).await?;
        }
        crash::point(CrashPoint::ObservationsWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::ObservationsRecorded);
        Ok(())
    }

    /// The conditions that are known, also those that do not hold.
    pub async fn conditions(&self) -> Result<Conditions, StateError> {
        self.undisturbed(|| self.conditions_once()).await
    }

    async fn conditions_once(&self) -> Result<Conditions, StateError> {
        const ATTEMPT: &str = "read the conditions";
        let mut transaction = self.begin(ATTEMPT).await?;
        let conditions = self.conditions_in(&mut transaction, ATTEMPT).await?;
        self.commit(transaction, ATTEMPT).await?;
        Ok(conditions)
    }

    /// Lets the conditions follow from what was seen, and gives those that are news.
    pub async fn settle_conditions(
        &self,
        sightings: &[Sighting],
        generation: Option<Generation>,
        now: Timestamp,
    ) -> Result<Vec<Transition>, StateError> {
        self.undisturbed(|| self.settle_conditions_once(sightings, generation, now)).await
    }

    async fn settle_conditions_once(
        &self,
        sightings: &[Sighting],
        generation: Option<Generation>,
        now: Timestamp,
    ) -> Result<Vec<Transition>, StateError> {
        const ATTEMPT: &str = "record conditions";
        if sightings.is_empty() {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin(ATTEMPT).await?;
        let known = self.conditions_in(&mut transaction, ATTEMPT).await?;
        let (settled, news) = settle(&known, sightings, generation, now);
        for (address, kinds) in &settled {
            for (kind, condition) in kinds {
                if known.get(address).and_then(|kinds| kinds.get(kind)) == Some(condition) {
                    continue;
                }
                let body = serde_json::to_string(condition).expect("a condition is plain data");
                sqlx::query(
                    "INSERT INTO conditions (address, kind, body) VALUES ($1, $2, $3)
                     ON CONFLICT (address, kind) DO UPDATE SET body = excluded.body",
                )
                .bind(address.as_str())
                .bind(kind.as_str())
                .bind(body)
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
            }
        }
        crash::point(CrashPoint::ConditionsWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::ConditionsRecorded);
        Ok(news)
    }

    async fn conditions_in(
        &self,
        transaction: &mut Opened<'static, Any>,
        attempt: &'static str,
    ) -> Result<Conditions, StateError> {
        let rows = sqlx::query("SELECT address, kind, body FROM conditions")
            .fetch_all(&mut **transaction)
            .await
            .map_err(self.failed(attempt))?;
        let mut conditions = Conditions::new();
        for row in &rows {
            let read = self.read("a condition", row);
            // A kind that another version knows says nothing to this one.
            let Ok(kind) = read.parse::<ConditionKind>("kind") else { continue };
            let condition: Condition = read.json("body")?;
            let address = serde_json::from_value(Value::String(read.get("address")?));
            let address: Address = address.map_err(|error| self.damaged("a condition", error))?;
            conditions.entry(address).or_default().insert(kind, condition);
        }
        Ok(conditions)
    }

    fn rows<K: Display, V: Serialize>(
        &self,
        kind: &'static str,
        seen: &BTreeMap<K, V>,
        rows: &mut Vec<(&'static str, String, String)>,
    ) -> Result<(), StateError> {
        for (name, value) in seen {
            let body = serde_json::to_string(value).map_err(|error| self.damaged("an observation", error))?;
            rows.push((kind, name.to_string(), body));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::{
        Address, CredentialSeen, DestinationSeen, DestinationState, Login, Reach, Seen, ServerSeen, Sight,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn address() -> Address {
        Address::project(&"PAY".parse().unwrap())
    }

    fn observations(second: i64) -> Observations {
        let server = ServerSeen {
            observed_at: at(second),
            reach: Reach::Answered,
            version: Some("9.4.1".into()),
            limit: None,
            exceptions: BTreeMap::new(),
            limits_asked: None,
        };
        let credential = CredentialSeen {
            observed_at: at(second),
            server: "bb".parse().unwrap(),
            account: "svc backup/x".parse().unwrap(),
            sealed: "a1b2c3d4".into(),
            login: Login::Unknown { why: "it was not shown".into() },
            project: Sight::Hidden { why: "no".into() },
            repositories: Sight::Unknown,
        };
        let destination = DestinationSeen { observed_at: at(second), state: DestinationState::Ready };
        Observations {
            servers: [("bb".parse().unwrap(), server)].into(),
            credentials: [(address(), credential)].into(),
            destinations: [("nas".parse().unwrap(), destination)].into(),
            ..Observations::default()
        }
    }

    #[tokio::test]
    async fn the_last_look_counts_and_the_others_stay() {
        let (_home, store) = fresh().await;
        assert_eq!(store.observations(None).await.unwrap(), Observations::default());
        store.record_observations(&observations(1)).await.unwrap();
        let newer = Observations { destinations: BTreeMap::new(), ..observations(2) };
        store.record_observations(&newer).await.unwrap();
        let expected = Observations { destinations: observations(1).destinations, ..newer };
        assert_eq!(store.observations(None).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_condition_lasts_from_look_to_look_and_is_news_once() {
        let (_home, store) = fresh().await;
        let seen = |kind, holds: bool| {
            let holding = Seen::Holds { reason: "Renamed", message: "it is BILL".into() };
            [Sighting { address: address(), kind, seen: if holds { holding } else { Seen::Not } }]
        };
        let renamed = seen(ConditionKind::ProjectRenamed, true);
        let news = store.settle_conditions(&renamed, Some(Generation(4)), at(1)).await.unwrap();
        assert_eq!(news.len(), 1);
        assert_eq!(store.settle_conditions(&renamed, Some(Generation(5)), at(2)).await.unwrap(), []);
        let known = store.conditions().await.unwrap();
        let condition = &known[&address()][&ConditionKind::ProjectRenamed];
        assert_eq!((condition.since, condition.generation), (at(1), Some(Generation(4))));
        let ended = store.settle_conditions(&seen(ConditionKind::ProjectRenamed, false), None, at(3)).await.unwrap();
        assert_eq!(ended.len(), 1);

        let silent = seen(ConditionKind::ServerUnreachable, true);
        for (second, count) in [(4, 0), (5, 0), (6, 1), (7, 0)] {
            assert_eq!(store.settle_conditions(&silent, None, at(second)).await.unwrap().len(), count, "{second}");
        }
    }

    #[tokio::test]
    async fn what_another_version_wrote_is_left_out() {
        let (_home, store) = fresh().await;
        for statement in [
            "INSERT INTO observed (kind, name, body) VALUES ('server', 'bb', '{\"shape\":\"other\"}')",
            "INSERT INTO conditions (address, kind, body) VALUES ('server/bb', 'Haunted', '{}')",
        ] {
            sqlx::query(statement).execute(&store.pool).await.unwrap();
        }
        assert_eq!(store.observations(None).await.unwrap(), Observations::default());
    }
}
