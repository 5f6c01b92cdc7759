//! That work waits for budget is said once in a while, and not for every repository that waits.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::model::PlanName;
use crate::run::Event;

/// Between two lines that say so for a plan.
const EVERY: Duration = Duration::from_mins(10);

/// When it was said last, for each plan.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<BTreeMap<PlanName, Timestamp>>);

impl Waits {
    /// Whether people should hear of an event at `now`: of each but the waits that are like one they heard of.
    pub(super) fn is_news(&self, plan: &PlanName, event: &Event, now: Timestamp) -> bool {
        if !matches!(event, Event::Throttled { .. }) {
            return true;
        }
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = said.get(plan).copied();
        // A clock that was set back tells once more rather than never.
        let is_news =
            last.is_none_or(|last| now < last || now.duration_since(last) >= EVERY.try_into().unwrap_or_default());
        if is_news {
            said.insert(plan.clone(), now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_waits_are_one_line_until_some_time_has_passed() {
        let (waits, start) = (Waits::default(), Timestamp::UNIX_EPOCH + Duration::from_hours(10));
        let (nightly, hot): (PlanName, PlanName) = ("nightly".parse().unwrap(), "hot".parse().unwrap());
        let wait = |number: u64| Event::Throttled {
            subject: format!("PAY/repo-{number:04}"),
            until: start,
            reason: "no budget".into(),
        };
        let told = (0..1000)
            .filter(|number| waits.is_news(&nightly, &wait(*number), start + Duration::from_millis(number * 10)));
        assert_eq!(told.collect::<Vec<_>>(), [0]);
        assert!(waits.is_news(&hot, &wait(0), start));
        assert!(waits.is_news(&nightly, &Event::Stopping, start));
        assert!(waits.is_news(&nightly, &wait(0), start + EVERY));
        assert!(waits.is_news(&nightly, &wait(0), start), "the clock was set back");
    }
}
