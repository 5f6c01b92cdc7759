//! What the processes that work on this state may send together, by account ([`SharedBudget`]).

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
        const WHAT: &str = "the shared budget of an account";
        let key = format!("{} {}", holder.server(), holder.account());
        let statement = format!(
            "SELECT {} AS now, budgets.body AS body, budgets.version AS version
             FROM (SELECT 1 AS one) AS here LEFT JOIN budgets ON budgets.holder = $1",
            self.engine.now()
        );
        loop {
            let row = sqlx::query(AssertSqlSafe(statement.as_str()))
                .bind(key.as_str())
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
                .bind(key.as_str())
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
