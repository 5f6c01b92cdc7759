//! Bringing the schema of a database up to date.

use sqlx::{Any, AnyPool, AssertSqlSafe, Executor, Row as _, Transaction};

use super::engine::Engine;
use super::migrations::STEPS;
use super::row::Reader;
use super::{StateError, StatePlace};
use crate::crash::{self, CrashPoint};
use crate::model::Lineage;

/// Brings the schema up to date and gives the lineage, which is `minted` if there was none. Those who do so at the
/// same time take turns. What is up to date is only read, so that rights to change the schema are needed once.
pub(super) async fn migrate(
    pool: &AnyPool,
    engine: Engine,
    place: &StatePlace,
    minted: Lineage,
) -> Result<Lineage, StateError> {
    let known = i64::try_from(STEPS.len()).expect("the list of steps is short");
    let failed =
        |source: sqlx::Error| StateError::Migrate { place: place.clone(), version: known, source: source.into() };
    let opening = |source: sqlx::Error| StateError::Open { place: place.clone(), source: source.into() };

    let mut transaction = pool.begin_with(engine.begin_schema()).await.map_err(opening)?;
    if let Some(wait) = engine.schema_turn() {
        transaction.execute(wait).await.map_err(opening)?;
    }
    let found = version(&mut transaction, engine).await.map_err(opening)?;
    let taken = found.unwrap_or(0);
    if taken > known {
        return Err(StateError::Newer { place: place.clone(), found: taken, known });
    }
    if found.is_none() {
        transaction
            .execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
            .await
            .map_err(failed)?;
    }
    for step in &STEPS[usize::try_from(taken).unwrap_or(0).min(STEPS.len())..] {
        for statement in *step {
            transaction.execute(AssertSqlSafe(engine.schema(statement).into_owned())).await.map_err(failed)?;
        }
    }
    if taken != known {
        transaction.execute("DELETE FROM schema_version").await.map_err(failed)?;
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)")
            .bind(known)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    let find = "SELECT value FROM meta WHERE key = 'lineage'";
    let row = sqlx::query(find).fetch_optional(&mut *transaction).await.map_err(failed)?;
    let lineage = if let Some(row) = row {
        Reader { row: &row, what: "the lineage", place }.parse("value")?
    } else {
        sqlx::query("INSERT INTO meta (key, value) VALUES ('lineage', $1)")
            .bind(minted.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        minted
    };
    crash::point(CrashPoint::SchemaWritten);
    transaction.commit().await.map_err(failed)?;
    crash::point(CrashPoint::SchemaCommitted);
    Ok(lineage)
}

/// The number of the schema, if there is one.
async fn version(transaction: &mut Transaction<'static, Any>, engine: Engine) -> Result<Option<i64>, sqlx::Error> {
    let tables: i64 = sqlx::query(engine.has_schema()).fetch_one(&mut **transaction).await?.try_get(0)?;
    if tables == 0 {
        return Ok(None);
    }
    let row = sqlx::query("SELECT version FROM schema_version").fetch_optional(&mut **transaction).await?;
    row.map(|row| row.try_get(0)).transpose()
}
