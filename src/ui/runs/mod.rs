//! Runs that were, for people and for programs.

mod json;
mod list;
mod show;

pub use json::{detail_line, run_line, task_line};
pub use list::list;
pub use show::{Shown, show};

use super::{Style, millis};
use crate::run::Totals;

/// The sums that are not nothing: `3 new, 385 unchanged, 1 failed`.
pub(super) fn counts(totals: &Totals) -> String {
    let Totals { new, changed, unchanged, failed, interrupted, throttled, not_reached, carried, .. } = totals;
    let all = [
        (new, "new"),
        (changed, "changed"),
        (unchanged, "unchanged"),
        (failed, "failed"),
        (interrupted, "interrupted"),
        (throttled, "throttled"),
        (not_reached, "not reached"),
        (carried, "done before"),
    ];
    let some: Vec<String> =
        all.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    if some.is_empty() { "no repositories".to_owned() } else { some.join(", ") }
}

/// The word for how a run ended, in its colour.
fn painted(state: &str, style: Style) -> String {
    match state {
        "done" => style.green(state),
        "failed" => style.red(state),
        _ => style.yellow(state),
    }
}

/// Milliseconds for people.
pub(super) fn length(duration: u64) -> String {
    millis(i64::try_from(duration).unwrap_or(i64::MAX))
}

#[cfg(test)]
pub(super) mod sample {
    use jiff::Timestamp;

    use crate::model::{Generation, RunId, Waiting};
    use crate::run::Totals;
    use crate::run::record::{Costs, RunRecord};

    pub(super) fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A run that ended, one that was killed while it waited, and one under way.
    pub(super) fn records() -> Vec<RunRecord> {
        let started = at("2026-11-22T00:30:00Z");
        let partial = RunRecord {
            run: RunId::from_parts(started.as_millisecond().unsigned_abs(), 7),
            plan: "nightly".parse().unwrap(),
            generation: Generation(41),
            resumes: None,
            only: None,
            state: "partial".into(),
            started,
            finished: Some(at("2026-11-22T01:50:10Z")),
            totals: Totals { new: 3, changed: 12, unchanged: 385, failed: 1, ..Totals::default() },
            costs: Some(Costs {
                requests: 1412,
                rate_limited: 7,
                exchanges: 5,
                throttled_waits: 9,
                throttled_ms: 242_000,
            }),
            waiting: None,
        };
        let killed = RunRecord {
            run: RunId::from_parts(partial.run.millis() - 86_400_000, 7),
            state: "abandoned".into(),
            started: at("2026-11-21T00:30:00Z"),
            finished: None,
            totals: Totals { unchanged: 40, ..Totals::default() },
            costs: None,
            waiting: Some(Waiting { tasks: 2, since: at("2026-11-21T00:31:00Z"), until: at("2026-11-21T00:41:00Z") }),
            ..partial.clone()
        };
        let running = RunRecord {
            run: RunId::from_parts(partial.run.millis() + 86_400_000, 7),
            plan: "hot".parse().unwrap(),
            resumes: Some(partial.run),
            only: Some("ledger".parse().unwrap()),
            state: "running".into(),
            started: at("2026-11-23T00:30:00Z"),
            totals: Totals::default(),
            waiting: None,
            ..killed.clone()
        };
        vec![running, partial, killed]
    }
}
