//! A state moves to another database: every row of what lasts, counted and compared before it counts.
//!
//! What is copied follows from the steps that lead to the schema, so a table that a step adds is never forgotten.

use futures_util::TryStreamExt as _;
use sha2::{Digest, Sha256};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::migrations::STEPS;
use super::{StateError, StateStore};

/// Tables of what is under way. Nothing is while a state moves.
const PASSING: [&str; 4] = ["queue_runs", "queue", "workers", "budgets"];

/// Rows that one statement writes.
const ROWS_AT_ONCE: usize = 64;

/// A table of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    name: &'static str,
    columns: Vec<(&'static str, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Bytes,
}

/// One value of a row.
enum Cell {
    Number(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// What a table holds, whatever the order of its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    rows: u64,
    sum: [u64; 4],
}

impl StateStore {
    /// Copies everything that lasts into `target`, which must be empty, and gives the number of rows of each table. It is
    /// compared before it counts: all of it, or nothing. The caller holds both locks of both.
    pub async fn copy_into(&self, target: &Self) -> Result<Vec<(&'static str, u64)>, StateError> {
        const READ: &str = "read what is to be copied";
        const WRITE: &str = "write what is copied";
        let mut source = self.begin(READ).await?;
        let mut into = target.begin(WRITE).await?;
        let tables = lasting();
        for table in &tables {
            if target.tally(&mut into, table, "key <> 'lineage'").await?.rows > 0 {
                return Err(StateError::NotEmpty { place: target.place() });
            }
        }
        sqlx::query("DELETE FROM meta WHERE key = 'lineage'")
            .execute(&mut *into)
            .await
            .map_err(target.failed(WRITE))?;
        let mut copied = Vec::new();
        for table in &tables {
            let mut read = Tally::default();
            let select = table.select("1 = 1");
            let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut *source);
            let mut some = Vec::new();
            loop {
                let row = rows.try_next().await.map_err(self.failed(READ))?;
                let ended = row.is_none();
                if let Some(row) = row {
                    let cells = table.cells(&row).map_err(self.failed(READ))?;
                    read.add(&cells);
                    some.push(cells);
                }
                if some.len() == ROWS_AT_ONCE || (ended && !some.is_empty()) {
                    table.insert(&mut into, std::mem::take(&mut some)).await.map_err(target.failed(WRITE))?;
                }
                if ended {
                    break;
                }
            }
            if target.tally(&mut into, table, "1 = 1").await? != read {
                return Err(target.damaged("a copy", format!("table {} is not what was read", table.name)));
            }
            copied.push((table.name, read.rows));
        }
        target.commit(into, WRITE).await?;
        Ok(copied)
    }

    /// Counts and sums up a table; of `meta`, which every state has, only what fits `of_meta`.
    async fn tally(
        &self,
        transaction: &mut Transaction<'static, Any>,
        table: &Table,
        of_meta: &str,
    ) -> Result<Tally, StateError> {
        let failed = self.failed("count what is there");
        let mut tally = Tally::default();
        let mut rows = sqlx::query(AssertSqlSafe(table.select(of_meta))).fetch(&mut **transaction);
        while let Some(row) = rows.try_next().await.map_err(&failed)? {
            tally.add(&table.cells(&row).map_err(&failed)?);
        }
        Ok(tally)
    }
}

impl Table {
    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// All rows, but for who holds locks.
    fn select(&self, of_meta: &str) -> String {
        let fits =
            if self.name == "meta" { format!("key NOT LIKE 'lock/%' AND {of_meta}") } else { "1 = 1".to_owned() };
        format!("SELECT {} FROM {} WHERE {fits}", self.names(), self.name)
    }

    fn cells(&self, row: &AnyRow) -> Result<Vec<Cell>, sqlx::Error> {
        let cell = |(index, (_, kind)): (usize, &(&str, Kind))| {
            Ok(match kind {
                Kind::Number => Cell::Number(row.try_get(index)?),
                Kind::Text => Cell::Text(row.try_get(index)?),
                Kind::Bytes => Cell::Bytes(row.try_get(index)?),
            })
        };
        self.columns.iter().enumerate().map(cell).collect()
    }

    async fn insert(
        &self,
        transaction: &mut Transaction<'static, Any>,
        rows: Vec<Vec<Cell>>,
    ) -> Result<(), sqlx::Error> {
        let width = self.columns.len();
        let row = |row: usize| {
            let numbers: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", numbers.join(", "))
        };
        let values: Vec<String> = (0..rows.len()).map(row).collect();
        let statement = format!("INSERT INTO {} ({}) VALUES {}", self.name, self.names(), values.join(", "));
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for cell in rows.into_iter().flatten() {
            query = match cell {
                Cell::Number(number) => query.bind(number),
                Cell::Text(text) => query.bind(text),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        query.execute(&mut **transaction).await.map(|_| ())
    }
}

impl Tally {
    fn add(&mut self, cells: &[Cell]) {
        let mut hash = Sha256::new();
        for cell in cells {
            let (tag, bytes): (u8, Option<Vec<u8>>) = match cell {
                Cell::Number(number) => (0, number.map(|number| number.to_be_bytes().to_vec())),
                Cell::Text(text) => (1, text.as_ref().map(|text| text.as_bytes().to_vec())),
                Cell::Bytes(bytes) => (2, bytes.clone()),
            };
            // Nothing is not the same as something empty, and values do not run into each other.
            hash.update([tag, u8::from(bytes.is_some())]);
            let bytes = bytes.unwrap_or_default();
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(&bytes);
        }
        self.rows += 1;
        for (sum, part) in self.sum.iter_mut().zip(hash.finalize().chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_be_bytes(part.try_into().expect("eight bytes")));
        }
    }
}

/// The tables of what lasts, those first that others refer to.
fn lasting() -> Vec<Table> {
    let mut tables = tables();
    tables.retain(|table| !PASSING.contains(&table.name));
    tables
}

/// The tables that the steps lead to.
fn tables() -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for statement in STEPS.iter().copied().flatten() {
        if let Some(rest) = statement.strip_prefix("CREATE TABLE ") {
            let (name, columns) = rest.split_once(" (").expect("a table has columns");
            let columns = columns.split(',').filter_map(column).collect();
            tables.push(Table { name, columns });
        } else if let Some(rest) = statement.strip_prefix("ALTER TABLE ") {
            let (name, added) = rest.split_once(" ADD COLUMN ").expect("columns are only ever added");
            let table = tables.iter_mut().find(|table| table.name == name).expect("it was made before");
            table.columns.extend(column(added));
        }
    }
    tables
}

/// The column that a part of a statement is about, if it is about one.
fn column(part: &'static str) -> Option<(&'static str, Kind)> {
    let mut words = part.split_whitespace();
    let name = words.next()?;
    let kind = match words.next()?.trim_end_matches(')') {
        "BIGINT" => Kind::Number,
        "TEXT" => Kind::Text,
        "BLOB" => Kind::Bytes,
        _ => return None,
    };
    Some((name, kind))
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::super::tests::{Home, fresh, fresh_file};
    use super::*;
    use crate::clock::SystemClock;

    /// Something of every kind: a generation of odd text, bytes that are no text, and numbers that are absent.
    async fn fill(store: &StateStore) {
        store.set_server_facts(crate::model::Uid::from_parts(1, 1), b"\x00\xffbytes").await.unwrap();
        for number in 0..150 {
            let statement = format!(
                "INSERT INTO runs (id, plan, plan_name, generation, state, started, finished, summary)
                 VALUES ('{number:026}', 'p', 'nightly \u{fc} ''', {}, 'done', {number}, NULL, '')",
                i64::MAX
            );
            store.pool.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        let task = "INSERT INTO tasks (run, server, repository, project, slug, state, detail, changed)
            VALUES ('00000000000000000000000007', 's', 'r', 'PAY', 'ledger', 'done', '{}', 1)";
        store.pool.execute(task).await.unwrap();
    }

    #[tokio::test]
    async fn the_steps_tell_every_table_and_column() {
        let (_home, store) = fresh_file().await;
        let rows = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'schema_version'")
            .fetch_all(&store.pool)
            .await
            .unwrap();
        let mut found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let mut known: Vec<&str> = tables().iter().map(|table| table.name).collect();
        found.sort_unstable();
        known.sort_unstable();
        assert_eq!(found, known);
        for table in tables() {
            let statement = format!("SELECT name, type FROM pragma_table_info('{}')", table.name);
            let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&store.pool).await.unwrap();
            let found: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            let known = table.columns.iter().map(|(name, kind)| {
                let kind = match kind {
                    Kind::Number => "BIGINT",
                    Kind::Text => "TEXT",
                    Kind::Bytes => "BLOB",
                };
                ((*name).to_owned(), kind.to_owned())
            });
            assert_eq!(found, known.collect::<Vec<_>>(), "{}", table.name);
        }
    }

    #[tokio::test]
    async fn a_state_moves_there_and_back() {
        let (_file, file) = fresh_file().await;
        fill(&file).await;
        let (_home, there) = fresh().await;
        let copied = file.copy_into(&there).await.unwrap();
        assert!(copied.contains(&("runs", 150)) && copied.contains(&("tasks", 1)), "{copied:?}");
        let location = there.location().clone();
        drop(there);
        let there = StateStore::open(&location, &SystemClock).await.unwrap();
        assert_eq!(there.lineage(), file.lineage());
        let (_file, back) = fresh_file().await;
        assert_eq!(there.copy_into(&back).await.unwrap(), copied);
        let facts = back.server_facts(crate::model::Uid::from_parts(1, 1)).await.unwrap();
        assert_eq!(facts.as_deref(), Some(&b"\x00\xffbytes"[..]));
    }

    #[tokio::test]
    async fn what_is_not_empty_is_left_alone() {
        let (_file, file) = fresh_file().await;
        fill(&file).await;
        let (_home, location) = Home::make().await;
        let there = StateStore::open(&location, &SystemClock).await.unwrap();
        there.set_server_facts(crate::model::Uid::from_parts(2, 2), b"mine").await.unwrap();
        let error = file.copy_into(&there).await.unwrap_err();
        assert!(matches!(error, StateError::NotEmpty { .. }), "{error}");
        assert!(there.newest_runs().await.unwrap().is_empty());
    }
}
