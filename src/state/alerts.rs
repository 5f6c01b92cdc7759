//! What was told to whom, and what is still to be told.
//!
//! Contract: that something counts as told and the messages that tell it are recorded in one transaction. A kill after
//! it loses nothing: the messages lie in the outbox until somebody takes them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::any::AnyRow;

use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::{AlertsName, Channel};

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldRow {
    /// By which alerts.
    pub alerts: AlertsName,
    /// What it is, for these alerts.
    pub key: String,
    /// What was told, in the words of the room that tells.
    pub body: Value,
}

/// A message that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Its identity: a message is queued once, however often it is asked for.
    pub id: String,
    /// By which alerts.
    pub alerts: AlertsName,
    /// By which way.
    pub channel: Channel,
    /// What it is about, if a newer message about the same makes this one worthless; otherwise empty.
    pub about: String,
    /// What it says.
    pub body: Value,
}

/// A message in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its identity.
    pub id: String,
    /// By which alerts.
    pub alerts: AlertsName,
    /// By which way.
    pub channel: Channel,
    /// What it says.
    pub body: Value,
    /// Since when it waits.
    pub created: Timestamp,
    /// When it is to be tried.
    pub next_at: Timestamp,
    /// How often it was tried.
    pub attempts: u64,
}

/// How a way of telling stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// The alerts.
    pub alerts: AlertsName,
    /// The way.
    pub channel: Channel,
    /// When something was sent last.
    pub last_sent: Option<Timestamp>,
    /// Messages that wait.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub waiting_since: Option<Timestamp>,
    /// How often that one was tried.
    pub attempts: u64,
    /// Messages that were given up and are remembered.
    pub given_up: u64,
    /// Why the last attempt failed, of what waits or was given up.
    pub last_error: Option<String>,
}

/// What a look at the facts leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telling {
    /// What counts as told from here on.
    pub told: Vec<ToldRow>,
    /// What is forgotten.
    pub forgotten: Vec<(AlertsName, String)>,
    /// What is to be sent.
    pub messages: Vec<NewMessage>,
}

/// What was told and sent before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// What counts as told.
    pub told: Vec<ToldRow>,
    /// When messages were queued since the time that was asked for, by alerts. Those that the next one makes worthless do
    /// not count.
    pub queued: BTreeMap<AlertsName, Vec<Timestamp>>,
}

const WAITS: &str = "waits";
const SENT: &str = "sent";
const GIVEN_UP: &str = "given-up";

impl StateStore {
    /// Lets `decide` say what is told, from what was told and what was queued after `since`, and records it: all of it,
    /// or nothing. Gives the number of messages.
    pub async fn tell(
        &self,
        since: Timestamp,
        now: Timestamp,
        decide: impl Fn(&Before) -> Telling,
    ) -> Result<usize, StateError> {
        self.undisturbed(|| self.tell_once(since, now, &decide)).await
    }

    async fn tell_once(
        &self,
        since: Timestamp,
        now: Timestamp,
        decide: &impl Fn(&Before) -> Telling,
    ) -> Result<usize, StateError> {
        const ATTEMPT: &str = "record what is told";
        let mut transaction = self.begin(ATTEMPT).await?;
        let rows = sqlx::query("SELECT alerts, key, body FROM alerts_told ORDER BY alerts, key")
            .fetch_all(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        let told = rows.iter().map(|row| {
            let read = self.read("what was told", row);
            Ok(ToldRow { alerts: read.parse("alerts")?, key: read.get("key")?, body: read.json("body")? })
        });
        let mut before = Before { told: told.collect::<Result<_, StateError>>()?, queued: BTreeMap::new() };
        let rows = sqlx::query(
            "SELECT DISTINCT alerts, created FROM alerts_outbox WHERE created > $1 AND about = '' ORDER BY created",
        )
        .bind(since.as_millisecond())
        .fetch_all(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        for row in &rows {
            let read = self.read("a message", row);
            before.queued.entry(read.parse("alerts")?).or_default().push(read.time("created")?);
        }
        let Telling { told, forgotten, messages } = decide(&before);
        for ToldRow { alerts, key, body } in &told {
            sqlx::query(
                "INSERT INTO alerts_told (alerts, key, body) VALUES ($1, $2, $3)
                 ON CONFLICT (alerts, key) DO UPDATE SET body = excluded.body",
            )
            .bind(alerts.as_str())
            .bind(key)
            .bind(body.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        }
        for (alerts, key) in &forgotten {
            sqlx::query("DELETE FROM alerts_told WHERE alerts = $1 AND key = $2")
                .bind(alerts.as_str())
                .bind(key)
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
        }
        for NewMessage { id, alerts, channel, about, body } in &messages {
            if !about.is_empty() {
                sqlx::query(
                    "DELETE FROM alerts_outbox
                     WHERE alerts = $1 AND channel = $2 AND about = $3 AND state = $4 AND id <> $5",
                )
                .bind(alerts.as_str())
                .bind(channel.as_str())
                .bind(about)
                .bind(WAITS)
                .bind(id)
                .execute(&mut *transaction)
                .await
                .map_err(self.failed(ATTEMPT))?;
            }
            sqlx::query(
                "INSERT INTO alerts_outbox
                    (id, alerts, channel, about, body, state, created, next_at, taken_until, attempts, ended)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0, 0, 0) ON CONFLICT (id) DO NOTHING",
            )
            .bind(id)
            .bind(alerts.as_str())
            .bind(channel.as_str())
            .bind(about)
            .bind(body.to_string())
            .bind(WAITS)
            .bind(now.as_millisecond())
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        }
        if !messages.is_empty() {
            crash::point(CrashPoint::AlertsWritten);
        }
        self.commit(transaction, ATTEMPT).await?;
        if !messages.is_empty() {
            crash::point(CrashPoint::AlertsRecorded);
        }
        Ok(messages.len())
    }

    /// The oldest message that waits of each way of telling: the others wait for it.
    pub async fn oldest_messages(&self) -> Result<Vec<Message>, StateError> {
        let rows = sqlx::query(
            "SELECT id, alerts, channel, body, created, next_at, attempts FROM alerts_outbox AS one
             WHERE state = $1 AND NOT EXISTS (
                SELECT 1 FROM alerts_outbox AS other
                WHERE other.state = $1 AND other.alerts = one.alerts AND other.channel = one.channel
                AND (other.created, other.id) < (one.created, one.id))
             ORDER BY created, id",
        )
        .bind(WAITS)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("look for messages"))?;
        rows.iter().map(|row| self.message_of(row)).collect()
    }

    fn message_of(&self, row: &AnyRow) -> Result<Message, StateError> {
        let read = self.read("a message", row);
        Ok(Message {
            id: read.get("id")?,
            alerts: read.parse("alerts")?,
            channel: read.parse("channel")?,
            body: read.json("body")?,
            created: read.time("created")?,
            next_at: read.time("next_at")?,
            attempts: read.count("attempts")?,
        })
    }

    /// Takes a message until a time, unless somebody else has it.
    pub async fn take_message(&self, id: &str, now: Timestamp, until: Timestamp) -> Result<bool, StateError> {
        let done = sqlx::query(
            "UPDATE alerts_outbox SET taken_until = $1, attempts = attempts + 1
             WHERE id = $2 AND state = $3 AND taken_until <= $4",
        )
        .bind(until.as_millisecond())
        .bind(id)
        .bind(WAITS)
        .bind(now.as_millisecond())
        .execute(&self.pool)
        .await
        .map_err(self.failed("take a message"))?;
        Ok(done.rows_affected() == 1)
    }

    /// Remembers that a message was sent.
    pub async fn message_sent(&self, id: &str, at: Timestamp) -> Result<(), StateError> {
        self.end_message(id, SENT, at, None).await
    }

    /// Remembers that a message is given up.
    pub async fn message_given_up(&self, id: &str, at: Timestamp, error: &str) -> Result<(), StateError> {
        self.end_message(id, GIVEN_UP, at, Some(error)).await
    }

    async fn end_message(&self, id: &str, state: &str, at: Timestamp, error: Option<&str>) -> Result<(), StateError> {
        sqlx::query("UPDATE alerts_outbox SET state = $1, ended = $2, error = $3 WHERE id = $4")
            .bind(state)
            .bind(at.as_millisecond())
            .bind(error)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(self.failed("record what became of a message"))?;
        Ok(())
    }

    /// Remembers that an attempt failed, and when the next one is.
    pub async fn message_failed(&self, id: &str, next_at: Timestamp, error: &str) -> Result<(), StateError> {
        sqlx::query("UPDATE alerts_outbox SET next_at = $1, taken_until = 0, error = $2 WHERE id = $3")
            .bind(next_at.as_millisecond())
            .bind(error)
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(self.failed("record that a message could not be sent"))?;
        Ok(())
    }

    /// Forgets a message that has nobody to go to.
    pub async fn drop_message(&self, id: &str) -> Result<(), StateError> {
        sqlx::query("DELETE FROM alerts_outbox WHERE id = $1")
            .bind(id)
            .execute(&self.pool)
            .await
            .map_err(self.failed("forget a message"))?;
        Ok(())
    }

    /// Forgets everything of alerts and ways that are not among these: nobody is to be told by them any more.
    pub async fn keep_ways(&self, ways: &BTreeSet<(AlertsName, Channel)>) -> Result<(), StateError> {
        const ATTEMPT: &str = "forget what was told by alerts that have left";
        let rows = sqlx::query("SELECT DISTINCT alerts, channel FROM alerts_outbox")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed(ATTEMPT))?;
        for row in &rows {
            let read = self.read("a message", row);
            let (alerts, channel): (String, String) = (read.get("alerts")?, read.get("channel")?);
            // What another version wrote belongs to nobody here, either.
            if !ways.iter().any(|(name, way)| name.as_str() == alerts && way.as_str() == channel) {
                sqlx::query("DELETE FROM alerts_outbox WHERE alerts = $1 AND channel = $2")
                    .bind(alerts)
                    .bind(channel)
                    .execute(&self.pool)
                    .await
                    .map_err(self.failed(ATTEMPT))?;
            }
        }
        let rows = sqlx::query("SELECT DISTINCT alerts FROM alerts_told")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed(ATTEMPT))?;
        for row in &rows {
            let alerts: String = self.read("what was told", row).get("alerts")?;
            if !ways.iter().any(|(name, _)| name.as_str() == alerts) {
                sqlx::query("DELETE FROM alerts_told WHERE alerts = $1")
                    .bind(alerts)
                    .execute(&self.pool)
                    .await
                    .map_err(self.failed(ATTEMPT))?;
            }
        }
        Ok(())
    }

    /// Forgets what was sent or given up before `before`.
    pub async fn forget_messages(&self, before: Timestamp) -> Result<(), StateError> {
        sqlx::query("DELETE FROM alerts_outbox WHERE state <> $1 AND ended < $2")
            .bind(WAITS)
            .bind(before.as_millisecond())
            .execute(&self.pool)
            .await
            .map_err(self.failed("forget old messages"))?;
        Ok(())
    }

    /// How every way of telling stands that was ever used.
    pub async fn channels(&self) -> Result<Vec<ChannelRow>, StateError> {
        let rows = sqlx::query(
            "SELECT alerts, channel,
                MAX(CASE WHEN state = $2 THEN ended ELSE 0 END) AS last_sent,
                SUM(CASE WHEN state = $1 THEN 1 ELSE 0 END) AS waiting,
                MIN(CASE WHEN state = $1 THEN created END) AS waiting_since,
                MAX(CASE WHEN state = $1 THEN attempts ELSE 0 END) AS attempts,
                SUM(CASE WHEN state = $3 THEN 1 ELSE 0 END) AS given_up,
                MAX(error) AS last_error
             FROM alerts_outbox GROUP BY alerts, channel ORDER BY alerts, channel",
        )
        .bind(WAITS)
        .bind(SENT)
        .bind(GIVEN_UP)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("count messages"))?;
        let row = |row| {
            let read = self.read("how a way of telling stands", row);
            let waiting_since: Option<i64> = read.get("waiting_since")?;
            let last_sent: i64 = read.get("last_sent")?;
            Ok(ChannelRow {
                alerts: read.parse("alerts")?,
                channel: read.parse("channel")?,
                last_sent: (last_sent > 0).then(|| read.time("last_sent")).transpose()?,
                waiting: read.count("waiting")?,
                waiting_since: waiting_since.map(|_| read.time("waiting_since")).transpose()?,
                attempts: read.count("attempts")?,
                given_up: read.count("given_up")?,
                last_error: read.get("last_error")?,
            })
        };
        rows.iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::store::tests::fresh;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ops() -> AlertsName {
        "ops".parse().unwrap()
    }

    fn message(id: &str, about: &str) -> NewMessage {
        let (channel, about) = (Channel::Webhook, about.to_owned());
        NewMessage { id: id.to_owned(), alerts: ops(), channel, about, body: json!({"id": id}) }
    }

    fn telling(messages: Vec<NewMessage>) -> Telling {
        Telling { messages, ..Telling::default() }
    }

    async fn waiting(store: &StateStore) -> Vec<String> {
        store.oldest_messages().await.unwrap().into_iter().map(|message| message.id).collect()
    }

    #[tokio::test]
    async fn what_is_told_and_its_messages_are_recorded_together() {
        let (_home, store) = fresh().await;
        let row = ToldRow { alerts: ops(), key: "failed plan/nightly".into(), body: json!({"reason": "partial"}) };
        let told = store
            .tell(at(0), at(5), |before| {
                assert_eq!(before, &Before::default());
                Telling { told: vec![row.clone()], ..telling(vec![message("a", ""), message("a", "")]) }
            })
            .await;
        assert_eq!(told.unwrap(), 2);
        assert_eq!(waiting(&store).await, ["a"], "one identity is one message");
        let queued = async |since| {
            let seen = std::sync::Mutex::new(Vec::new());
            let look = |before: &Before| {
                assert_eq!(before.told, std::slice::from_ref(&row));
                *seen.lock().unwrap() = before.queued.values().flatten().copied().collect();
                Telling { forgotten: vec![(ops(), "another".to_owned())], ..Telling::default() }
            };
            store.tell(at(since), at(6), look).await.unwrap();
            seen.into_inner().unwrap()
        };
        assert_eq!(queued(4).await, [at(5)]);
        store.tell(at(0), at(7), |_| telling(vec![message("ping", "plan/a")])).await.unwrap();
        assert_eq!(queued(5).await, []);
    }

    #[tokio::test]
    async fn one_after_the_other_and_by_one_only() {
        let (_home, store) = fresh().await;
        store.tell(at(0), at(1), |_| telling(vec![message("a", ""), message("b", "")])).await.unwrap();
        assert_eq!(waiting(&store).await, ["a"]);
        assert!(store.take_message("a", at(2), at(60)).await.unwrap());
        assert!(!store.take_message("a", at(3), at(60)).await.unwrap(), "somebody has it");
        assert!(store.take_message("a", at(60), at(120)).await.unwrap(), "whoever had it was killed");
        store.message_failed("a", at(300), "it is down").await.unwrap();
        let [oldest] = &store.oldest_messages().await.unwrap()[..] else { panic!() };
        assert_eq!((oldest.id.as_str(), oldest.attempts, oldest.next_at), ("a", 2, at(300)));
        let [row] = &store.channels().await.unwrap()[..] else { panic!() };
        assert_eq!((row.waiting, row.attempts, row.waiting_since, row.last_sent), (2, 2, Some(at(1)), None));
        assert_eq!(row.last_error.as_deref(), Some("it is down"));
        store.message_given_up("a", at(301), "it is down").await.unwrap();
        assert_eq!(waiting(&store).await, ["b"]);
        store.message_sent("b", at(302)).await.unwrap();
        let [row] = &store.channels().await.unwrap()[..] else { panic!() };
        assert_eq!((row.waiting, row.given_up, row.last_sent), (0, 1, Some(at(302))));
        assert!(!store.take_message("b", at(900), at(960)).await.unwrap(), "it was sent");
        store.forget_messages(at(302)).await.unwrap();
        let [row] = &store.channels().await.unwrap()[..] else { panic!() };
        assert_eq!((row.given_up, row.last_error.as_deref()), (0, None));
    }

    /// Watches with connections of their own, as other processes have.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_several_see_at_the_same_time_is_told_once_and_sent_by_one() {
        let (_home, store) = fresh().await;
        let tell = |number: u64| {
            let location = store.location().clone();
            tokio::spawn(async move {
                let store = StateStore::open(&location, &crate::clock::SystemClock).await?;
                let row = ToldRow { alerts: ops(), key: "failed plan/nightly".into(), body: json!(number) };
                let news = |before: &Before| match before.told[..] {
                    [] => Telling { told: vec![row.clone()], ..telling(vec![message(&number.to_string(), "")]) },
                    [..] => Telling::default(),
                };
                let told = store.tell(at(0), at(1), news).await?;
                let [waiting] = &store.oldest_messages().await?[..] else { panic!("one message waits") };
                let taken = store.take_message(&waiting.id, at(2), at(60)).await?;
                store.close().await;
                Ok::<_, StateError>((told, usize::from(taken)))
            })
        };
        let (mut told, mut taken) = (0, 0);
        for one in (0..6).map(tell).collect::<Vec<_>>() {
            let (more, of_it) = one.await.unwrap().unwrap();
            (told, taken) = (told + more, taken + of_it);
        }
        assert_eq!((told, taken), (1, 1));
    }

    #[tokio::test]
    async fn of_alerts_that_have_left_nothing_stays() {
        let (_home, store) = fresh().await;
        let other: AlertsName = "other".parse().unwrap();
        let told = |alerts: &AlertsName| ToldRow { alerts: alerts.clone(), key: "k".into(), body: json!(1) };
        let news = |_: &Before| Telling {
            told: vec![told(&ops()), told(&other)],
            ..telling(vec![
                message("hook", ""),
                NewMessage { channel: Channel::Slack, ..message("slack", "") },
                NewMessage { alerts: other.clone(), ..message("other", "") },
            ])
        };
        store.tell(at(0), at(1), news).await.unwrap();
        store.message_sent("slack", at(2)).await.unwrap();
        let ways = |ways: &[(AlertsName, Channel)]| ways.iter().cloned().collect();
        let all = ways(&[(ops(), Channel::Webhook), (ops(), Channel::Slack), (other.clone(), Channel::Webhook)]);
        store.keep_ways(&all).await.unwrap();
        assert_eq!((waiting(&store).await.len(), store.channels().await.unwrap().len()), (2, 3));
        store.keep_ways(&ways(&[(ops(), Channel::Webhook)])).await.unwrap();
        assert_eq!((waiting(&store).await, store.channels().await.unwrap().len()), (vec!["hook".to_owned()], 1));
        let looked = |before: &Before| {
            assert_eq!(before.told, [told(&ops())]);
            Telling::default()
        };
        store.tell(at(0), at(3), looked).await.unwrap();
        store.keep_ways(&BTreeSet::new()).await.unwrap();
        assert_eq!(store.channels().await.unwrap(), []);
        store.tell(at(0), at(4), |before| (assert_eq!(before.told, []), Telling::default()).1).await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_message_takes_the_place_of_one_about_the_same() {
        let (_home, store) = fresh().await;
        store.tell(at(0), at(1), |_| telling(vec![message("start", "plan/a"), message("other", "")])).await.unwrap();
        store.tell(at(0), at(2), |_| telling(vec![message("success", "plan/a")])).await.unwrap();
        assert_eq!(waiting(&store).await, ["other"]);
        store.drop_message("other").await.unwrap();
        assert_eq!(waiting(&store).await, ["success"]);
    }
}
