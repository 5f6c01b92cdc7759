//! The two expressions that databases spell differently.

use super::super::StateStore;

impl StateStore {
    /// The database's time in milliseconds since 1970.
    pub(super) const fn now_sql(&self) -> &'static str {
        self.engine.now()
    }

    /// Passes over rows that somebody else is claiming.
    pub(super) const fn skip_locked(&self) -> &'static str {
        self.engine.skip_locked()
    }
}
