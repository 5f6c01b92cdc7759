//! The two expressions that databases spell differently.

use super::super::StateStore;

impl StateStore {
    /// The database's time in milliseconds since 1970.
    #[expect(clippy::unused_self, reason = "it depends on the database")]
    pub(super) const fn now_sql(&self) -> &'static str {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    }

    /// Passes over rows of `waiting` that somebody else is claiming.
    #[expect(clippy::unused_self, reason = "it depends on the database")]
    pub(super) const fn skip_locked(&self) -> &'static str {
        ""
    }
}
