//! From columns to values, with the name of the database in every complaint.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{ColumnIndex, Decode, Row as _, Type};

use super::{StateError, StatePlace};

/// A row and what it is a row of.
pub(super) struct Reader<'a> {
    pub(super) row: &'a AnyRow,
    pub(super) what: &'static str,
    pub(super) place: &'a StatePlace,
}

impl Reader<'_> {
    fn damaged(&self, problem: impl Display) -> StateError {
        StateError::Damaged { place: self.place.clone(), what: self.what, problem: problem.to_string() }
    }

    /// The value of a column as the database has it.
    pub(super) fn get<T>(&self, column: &'static str) -> Result<T, StateError>
    where
        T: for<'r> Decode<'r, sqlx::Any> + Type<sqlx::Any>,
        &'static str: ColumnIndex<AnyRow>,
    {
        self.row.try_get(column).map_err(|error| self.damaged(error))
    }

    /// A column of text that spells a name or an identifier.
    pub(super) fn parse<T>(&self, column: &'static str) -> Result<T, StateError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text: String = self.get(column)?;
        text.parse().map_err(|error| self.damaged(error))
    }

    /// A column of text that holds JSON.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StateError> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|error| self.damaged(error))
    }

    /// A column that holds a time.
    pub(super) fn time(&self, column: &'static str) -> Result<Timestamp, StateError> {
        Timestamp::from_millisecond(self.get(column)?).map_err(|error| self.damaged(error))
    }

    /// A column that holds a number that is never negative.
    pub(super) fn count(&self, column: &'static str) -> Result<u64, StateError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|error| self.damaged(error))
    }
}
