//! How far a task is that has not ended.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The state of a task that is under way. One that ended has a report instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum TaskState {
    /// It went on after a wait.
    Running,
    /// It waits, because no account that it may use has budget.
    Throttled {
        /// Since when.
        since: Timestamp,
        /// Until when at least.
        until: Timestamp,
        /// Why, for people.
        reason: String,
    },
}

impl TaskState {
    /// The word for a task that waits.
    pub const THROTTLED: &str = "throttled";

    /// The word that people and programs see.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Throttled { .. } => Self::THROTTLED,
        }
    }
}

/// Tasks that wait for budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many.
    pub tasks: u64,
    /// Since when the first of them does.
    pub since: Timestamp,
    /// Until when the first of them does at least.
    pub until: Timestamp,
}

impl Waiting {
    /// What the states of tasks say together; `None` if none waits.
    pub fn of(states: &[TaskState]) -> Option<Self> {
        let waits = states.iter().filter_map(|state| match state {
            TaskState::Throttled { since, until, .. } => Some((*since, *until)),
            TaskState::Running => None,
        });
        waits.fold(None, |sum: Option<Self>, (since, until)| {
            Some(sum.map_or(Self { tasks: 1, since, until }, |sum| Self {
                tasks: sum.tasks + 1,
                since: sum.since.min(since),
                until: sum.until.min(until),
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_waits_is_told_by_the_first_of_it() {
        let waits = |since, until| TaskState::Throttled { since: at(since), until: at(until), reason: "r".into() };
        assert_eq!(Waiting::of(&[TaskState::Running]), None);
        let waiting = Waiting::of(&[waits(3, 9), TaskState::Running, waits(2, 12)]);
        assert_eq!(waiting, Some(Waiting { tasks: 2, since: at(2), until: at(9) }));
    }
}
