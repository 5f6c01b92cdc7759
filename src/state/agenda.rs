//! Which times of the schedules were dealt with. Apart from the generations, so that taking one back repeats no run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::Uid;

/// How far a plan has come in its schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgendaRow {
    /// The timetable that it is for, as the plan had it: the times of another one are not missed.
    pub timetable: String,
    /// The newest time that was dealt with.
    pub dealt_with: Timestamp,
}

impl StateStore {
    /// How far all plans have come.
    pub async fn agenda(&self) -> Result<BTreeMap<Uid, AgendaRow>, StateError> {
        let rows = sqlx::query("SELECT plan, timetable, dealt_with FROM agenda")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read which scheduled times were dealt with"))?;
        let row = |row| {
            let read = self.read("how far a plan has come in its schedule", row);
            let (timetable, dealt_with) = (read.get("timetable")?, read.time("dealt_with")?);
            Ok((read.parse("plan")?, AgendaRow { timetable, dealt_with }))
        };
        rows.iter().map(row).collect()
    }

    /// Remembers how far a plan has come.
    pub async fn deal_with(&self, plan: Uid, row: &AgendaRow) -> Result<(), StateError> {
        deal_with(plan, row)
            .execute(&self.pool)
            .await
            .map_err(self.failed("remember which scheduled time was dealt with"))?;
        crash::point(CrashPoint::TimeDealtWith);
        Ok(())
    }
}

/// The statement that remembers how far a plan has come: alone, or with the start of the run that deals with the time.
pub(super) fn deal_with<'q>(plan: Uid, row: &AgendaRow) -> Query<'q, Any, AnyArguments> {
    sqlx::query(
        "INSERT INTO agenda (plan, timetable, dealt_with) VALUES ($1, $2, $3)
         ON CONFLICT (plan) DO UPDATE SET timetable = excluded.timetable, dealt_with = excluded.dealt_with",
    )
    .bind(plan.to_string())
    .bind(row.timetable.clone())
    .bind(row.dealt_with.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;

    #[tokio::test]
    async fn the_last_word_counts() {
        let (_home, store) = fresh().await;
        assert!(store.agenda().await.unwrap().is_empty());
        let plan = Uid::from_parts(1, 7);
        let row = |timetable: &str, second| AgendaRow {
            timetable: timetable.into(),
            dealt_with: Timestamp::from_second(second).unwrap(),
        };
        for told in [row("30 1 * * *", 5), row("0 2 * * *", 9)] {
            store.deal_with(plan, &told).await.unwrap();
            assert_eq!(store.agenda().await.unwrap(), BTreeMap::from([(plan, told)]));
        }
    }
}
