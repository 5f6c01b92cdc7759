//! For how long snapshots are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which snapshots stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The rules. A snapshot stays if one of them keeps it.
    pub keep: KeepRules,
    /// How long a snapshot that no rule keeps stays all the same.
    pub grace: Duration,
}

/// How many snapshots each rule keeps; zero means that the rule is not in use. At least one rule is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRules {
    /// The newest ones.
    pub last: u32,
    /// The newest of each hour.
    pub hourly: u32,
    /// The newest of each day.
    pub daily: u32,
    /// The newest of each week.
    pub weekly: u32,
    /// The newest of each month.
    pub monthly: u32,
    /// The newest of each year.
    pub yearly: u32,
}
