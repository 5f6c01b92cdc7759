//! What the processes that work on this state may send together, by account ([`SharedBudget`]), and what one that used an
//! account alone left of its budget.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::{StateError, StateStore};
use crate::model::Limit;
use crate::throttle::{Holder, SharedBudget};

impl StateStore {
    /// Changes the budget that is shared for an account, by the clock of the database. Nothing, if there is no limit.
    /// What is there begins full, with what is told.
    ///
    /// It is read, and written only if nobody else has written it meanwhile: otherwise it is done again. Somebody gets
    /// through every time.
    pub async fn change_budget<T>(
        &self,
        holder: &Holder,
        limit: Limit,
        change: impl Fn(&mut SharedBudget, Timestamp) -> T,
    ) -> Result<Option<T>, StateError> {
        self.change_budget_at(&shared(holder), limit, change).await
    }

    /// Remembers what is left of the budget of an account that this process uses alone: so many requests, and how long
    /// it rests after a refusal, if it does. Of what several leave behind, the least counts.
    pub async fn leave_budget(
        &self,
        holder: &Holder,
        limit: Limit,
        (available, rest): (u64, Option<Duration>),
    ) -> Result<(), StateError> {
        let leave = |budget: &mut SharedBudget, now: Timestamp| {
            let until = rest.map(|rest| now.saturating_add(rest).unwrap_or(Timestamp::MAX));
            budget.leave(now, available, until);
        };
        self.change_budget_at(&left(holder), limit, leave).await.map(|_| ())
    }

    /// What earlier processes left of the budget of an account, and how long it rests yet. Nothing, if there is no limit,
    /// or if nobody left anything.
    pub async fn left_budget(
        &self,
        holder: &Holder,
        limit: Limit,
    ) -> Result<Option<(u64, Option<Duration>)>, StateError> {
        let statement = format!("SELECT {} AS now, body FROM budgets WHERE holder = $1", self.engine.now());
        let row = sqlx::query(AssertSqlSafe(statement.as_str()))
            .bind(left(holder))
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("read what is left of the budget of an account"))?;
        let Some(row) = row else { return Ok(None) };
        let read = self.read("what is left of the budget of an account", &row);
        let now = read.time("now")?;
        // What another version wrote says nothing.
        let Ok(mut budget) = read.json::<SharedBudget>("body") else { return Ok(None) };
        budget.tell(limit, now);
        let (available, until) = budget.left(now);
        let rest = until.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
        Ok(SharedBudget::full(limit, now).map(|_| (available, rest)))
    }

    /// How long an account rests yet after a refusal, by what any process has told of it. Nothing, if it does not.
    pub async fn rest_of(&self, holder: &Holder) -> Result<Option<Duration>, StateError> {
        const WHAT: &str = "whether an account rests";
        let statement = format!("SELECT {} AS now, body FROM budgets WHERE holder IN ($1, $2)", self.engine.now());
        let rows = sqlx::query(AssertSqlSafe(statement.as_str()))
            .bind(left(holder))
            .bind(shared(holder))
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read whether an account rests"))?;
        let mut longest = None;
        for row in rows {
            let read = self.read(WHAT, &row);
            let now = read.time("now")?;
            // What another version wrote says nothing.
            let Ok(mut budget) = read.json::<SharedBudget>("body") else { continue };
            let rest = budget.left(now).1.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
            longest = longest.max(rest.filter(|rest| !rest.is_zero()));
        }
        Ok(longest)
    }

    async fn change_budget_at<T>(
        &self,
        key: &str,
        limit: Limit,
        change: impl Fn(&mut SharedBudget, Timestamp) -> T,
    ) -> Result<Option<T>, StateError> {
        const WHAT: &str = "the shared budget of an account";
        let statement = format!(
            "SELECT {} AS now, budgets.body AS body, budgets.version AS version
             FROM (SELECT 1 AS one) AS here LEFT JOIN budgets ON budgets.holder = $1",
            self.engine.now()
        );
        loop {
            let row = sqlx::query(AssertSqlSafe(statement.as_str()))
                .bind(key.to_owned())
                .fetch_one(&self.pool)
                .await
                .map_err(self.failed("read the budget of an account"))?;
            let read = self.read(WHAT, &row);
            let now = read.time("now")?;
            let Some(mut budget) = SharedBudget::full(limit, now) else { return Ok(None) };
            let version: Option<i64> = read.get("version")?;
            if let Some(body) = read.get::<Option<String>>("body")? {
                match serde_json::from_str(&body) {
                    Ok(stored) => budget = stored,
                    // Another version wrote it: what is there is not known.
                    Err(_) => budget.lower(now, 0),
                }
            }
            budget.tell(limit, now);
            let answer = change(&mut budget, now);
            let body = serde_json::to_string(&budget).expect("a budget is plain data");
            let statement = match version {
                Some(_) => "UPDATE budgets SET body = $2, version = $3 + 1 WHERE holder = $1 AND version = $3",
                None => "INSERT INTO budgets (holder, body, version) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            };
            let written = sqlx::query(statement)
                .bind(key.to_owned())
                .bind(body)
                .bind(version.unwrap_or(0))
                .execute(&self.pool)
                .await
                .map_err(self.failed("record the budget of an account"))?;
            if written.rows_affected() > 0 {
                return Ok(Some(answer));
            }
        }
    }
}

/// Where a budget is that several processes share.
fn shared(holder: &Holder) -> String {
    format!("{} {}", holder.server(), holder.account())
}

/// Where the rest of a budget is that somebody used alone: apart from what is shared, which is a part of the limit.
fn left(holder: &Holder) -> String {
    format!("left {} {}", holder.server(), holder.account())
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::{BaseUrl, LimitSource, RateLimit};
    use crate::throttle::Share;

    fn holder() -> Holder {
        Holder::new(&BaseUrl::new("https://bb.example.com").unwrap(), &"Svc".parse().unwrap())
    }

    fn limit(burst: u32, refill_per_second: u32) -> Limit {
        Limit { limit: RateLimit::Bucket { burst, refill_per_second }, source: LimitSource::File }
    }

    async fn reserve(store: &StateStore, want: u32) -> Share {
        // As good as nothing comes back.
        let share = store.change_budget(&holder(), limit(100, 0), |budget, now| budget.reserve(now, want)).await;
        share.unwrap().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_together_get_what_the_bucket_holds() {
        let (_home, store) = fresh().await;
        let tasks: Vec<_> = (0..40)
            .map(|want| {
                let store = store.clone();
                tokio::spawn(async move { reserve(&store, want % 7 + 1).await })
            })
            .collect();
        let mut got = 0;
        for task in tasks {
            if let Share::Granted(block) = task.await.unwrap() {
                got += block.tokens;
            }
        }
        assert_eq!(got, 100, "more than that was wanted");
        assert!(matches!(reserve(&store, 1).await, Share::NoneUntil(_)));
    }

    #[tokio::test]
    async fn what_is_left_of_a_budget_is_known_to_the_next_process() {
        let (_home, store) = fresh().await;
        // As good as nothing comes back.
        let limit = limit(100, 0);
        let left = async || store.left_budget(&holder(), limit).await.unwrap();
        assert_eq!(left().await, None);
        store.leave_budget(&holder(), limit, (40, None)).await.unwrap();
        store.leave_budget(&holder(), limit, (70, None)).await.unwrap();
        assert_eq!(left().await, Some((40, None)), "the least counts");
        store.leave_budget(&holder(), limit, (40, Some(Duration::from_mins(5)))).await.unwrap();
        let (available, rest) = left().await.unwrap();
        assert!(available == 40 && rest.unwrap() > Duration::from_mins(4), "{rest:?}");
        assert!(matches!(reserve(&store, 1).await, Share::Granted(_)), "what is shared is another matter");
        let free = Limit { limit: RateLimit::Unlimited, ..limit };
        assert_eq!(store.left_budget(&holder(), free).await.unwrap(), None);
    }

    #[tokio::test]
    async fn whoever_was_refused_tells_that_the_account_rests() {
        let (_home, store) = fresh().await;
        let limit = limit(100, 1);
        let rest = async || store.rest_of(&holder()).await.unwrap();
        store.leave_budget(&holder(), limit, (40, None)).await.unwrap();
        assert_eq!(rest().await, None, "an empty bucket is no refusal");
        store.leave_budget(&holder(), limit, (0, Some(Duration::from_mins(2)))).await.unwrap();
        let alone = rest().await.unwrap();
        assert!(alone > Duration::from_mins(1) && alone <= Duration::from_mins(2), "{alone:?}");
        let until = |now: Timestamp| now.saturating_add(Duration::from_mins(5)).unwrap();
        let refuse = |budget: &mut SharedBudget, now| budget.refused(now, until(now));
        store.change_budget(&holder(), limit, refuse).await.unwrap().unwrap();
        assert!(rest().await.unwrap() > Duration::from_mins(4), "the longest counts");
    }

    #[tokio::test]
    async fn a_refusal_stops_all_and_what_is_not_understood_is_empty() {
        let (_home, store) = fresh().await;
        let until = |now: Timestamp| now.saturating_add(std::time::Duration::from_mins(1)).unwrap();
        let refuse = |budget: &mut SharedBudget, now| budget.refused(now, until(now));
        store.change_budget(&holder(), limit(100, 1), refuse).await.unwrap().unwrap();
        assert!(matches!(reserve(&store, 1).await, Share::NoneUntil(at) if at > store.now().await.unwrap()));
        sqlx::query("UPDATE budgets SET body = 'x'").execute(&store.pool).await.unwrap();
        assert!(matches!(reserve(&store, 1).await, Share::NoneUntil(_)));
        let free = Limit { limit: RateLimit::Unlimited, ..limit(1, 1) };
        let asked = store.change_budget(&holder(), free, |_, _| ()).await;
        assert_eq!(asked.unwrap(), None);
    }
}
