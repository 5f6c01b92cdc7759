//! Rows of the table of what was observed: one value for each kind and name, replaced as a whole.
//!
//! A value that another version wrote in its own words is as good as none: it is only a memory.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Any, Transaction};

use super::{StateError, StateStore};

impl StateStore {
    /// All values of a kind, by their names.
    pub(super) async fn seen<K, V>(&self, kind: &'static str) -> Result<BTreeMap<K, V>, StateError>
    where
        K: Ord + DeserializeOwned,
        V: DeserializeOwned,
    {
        let rows = sqlx::query("SELECT name, body FROM observed WHERE kind = $1")
            .bind(kind)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read what was observed"))?;
        let mut seen = BTreeMap::new();
        for row in &rows {
            let read = self.read("an observation", row);
            let name = serde_json::from_value(Value::String(read.get("name")?));
            if let (Ok(name), Ok(value)) = (name, read.json("body")) {
                seen.insert(name, value);
            }
        }
        Ok(seen)
    }

    /// Replaces one value by what `change` makes of it, and gives the new one. Where that is nothing, the old one stays.
    pub(super) async fn amend<V>(
        &self,
        (kind, name): (&'static str, &str),
        attempt: &'static str,
        change: impl Fn(Option<V>) -> Option<V>,
    ) -> Result<Option<V>, StateError>
    where
        V: Serialize + DeserializeOwned,
    {
        self.undisturbed(|| self.amend_once((kind, name), attempt, &change)).await
    }

    async fn amend_once<V>(
        &self,
        (kind, name): (&'static str, &str),
        attempt: &'static str,
        change: impl Fn(Option<V>) -> Option<V>,
    ) -> Result<Option<V>, StateError>
    where
        V: Serialize + DeserializeOwned,
    {
        let mut transaction = self.begin(attempt).await?;
        let row = sqlx::query("SELECT body FROM observed WHERE kind = $1 AND name = $2")
            .bind(kind)
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.failed(attempt))?;
        let before = row.and_then(|row| self.read("an observation", &row).json("body").ok());
        let Some(value) = change(before) else { return Ok(None) };
        let body = serde_json::to_string(&value).map_err(|error| self.damaged("an observation", error))?;
        self.put_seen((kind, name), body, attempt, &mut transaction).await?;
        self.commit(transaction, attempt).await?;
        Ok(Some(value))
    }

    /// Puts one value in the place of what was there.
    pub(super) async fn put_seen(
        &self,
        (kind, name): (&'static str, &str),
        body: String,
        attempt: &'static str,
        transaction: &mut Transaction<'static, Any>,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO observed (kind, name, body) VALUES ($1, $2, $3)
             ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
        )
        .bind(kind)
        .bind(name)
        .bind(body)
        .execute(&mut **transaction)
        .await
        .map_err(self.failed(attempt))?;
        Ok(())
    }
}
