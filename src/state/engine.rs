//! The words that SQLite and PostgreSQL do not share. Everything else of the SQL is one text for both.

use std::borrow::Cow;

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// Begins a transaction whose outcome is as if it had been alone.
    ///
    /// SQLite takes the write lock at the beginning: a transaction that reads first and writes later could otherwise
    /// be refused in the middle by a writer of another process. PostgreSQL lets them run side by side, and refuses one
    /// of those that got in each other's way.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }

    /// Begins the transaction that brings the schema up to date. On PostgreSQL it sees what others have done while it
    /// waited for its turn.
    pub(super) const fn begin_schema(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// Waits until nobody else changes the schema, until the end of the transaction.
    pub(super) const fn schema_turn(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(
                "SELECT CAST(pg_advisory_xact_lock(
                    hashtextextended('xopero schema ' || COALESCE(current_schema(), ''), 0)) AS TEXT)",
            ),
        }
    }

    /// Counts the tables that hold the number of the schema.
    pub(super) const fn has_schema(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'",
            Self::Postgres => "SELECT COUNT(to_regclass('schema_version'))",
        }
    }

    /// A statement of the schema in its own words. PostgreSQL calls bytes otherwise, and sorts text by the rules of a
    /// language unless it is told not to.
    pub(super) fn schema(self, statement: &'static str) -> Cow<'static, str> {
        match self {
            Self::Sqlite => Cow::Borrowed(statement),
            Self::Postgres => Cow::Owned(statement.replace(" BLOB", " BYTEA").replace(" TEXT", " TEXT COLLATE \"C\"")),
        }
    }

    /// At the end of a query for rows that are about to be changed: passes over those that somebody else is changing.
    /// SQLite has one writer at a time.
    pub(super) const fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// The clock of the database in milliseconds since 1970, as an expression. It stands still within a statement.
    pub(super) const fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(ROUND(unixepoch('now', 'subsec') * 1000) AS BIGINT)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS BIGINT)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::migrations::STEPS;
    use super::*;

    #[test]
    fn every_column_has_a_type_of_the_engine() {
        for statement in STEPS.iter().copied().flatten() {
            assert_eq!(Engine::Sqlite.schema(statement), *statement);
            let own = Engine::Postgres.schema(statement);
            assert!(!own.contains("BLOB"), "{own}");
            assert_eq!(own.matches(" TEXT").count(), own.matches(" TEXT COLLATE \"C\"").count(), "{own}");
        }
    }
}
