//! Stretches of time, and what many of them cover together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A time in which a task waited because no account had budget, or in which an account rested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ThrottledPeriod {
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub until: Timestamp,
}

impl ThrottledPeriod {
    /// Its length. A clock that was set back makes it nothing.
    pub fn millis(&self) -> u64 {
        (self.until.as_millisecond() - self.from.as_millisecond()).max(0).unsigned_abs()
    }
}

/// What periods cover together, in order and without overlaps: at most `most` stretches. If there are more, those
/// with the shortest gaps between them are taken for one.
pub(super) fn covered(mut periods: Vec<ThrottledPeriod>, most: usize) -> Vec<ThrottledPeriod> {
    periods.sort();
    let mut gap = 0;
    loop {
        periods = joined(periods, gap);
        if periods.len() <= most.max(1) {
            return periods;
        }
        gap = (gap * 2).max(1000);
    }
}

/// Takes neighbours for one that are at most `gap` milliseconds apart.
fn joined(sorted: Vec<ThrottledPeriod>, gap: i64) -> Vec<ThrottledPeriod> {
    let mut joined: Vec<ThrottledPeriod> = Vec::new();
    for period in sorted {
        match joined.last_mut() {
            Some(last) if period.from.as_millisecond() - last.until.as_millisecond() <= gap => {
                last.until = last.until.max(period.until);
            }
            Some(_) | None => joined.push(period),
        }
    }
    joined
}

/// The sum of lengths.
pub fn total_millis(periods: &[ThrottledPeriod]) -> u64 {
    periods.iter().map(ThrottledPeriod::millis).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn period(from: i64, until: i64) -> ThrottledPeriod {
        let at = |second| Timestamp::from_second(second).unwrap();
        ThrottledPeriod { from: at(from), until: at(until) }
    }

    #[test]
    fn tasks_that_wait_together_wait_once() {
        let all = vec![period(7, 9), period(1, 4), period(2, 3), period(4, 5)];
        let covered = covered(all.clone(), 10);
        assert_eq!(covered, [period(1, 5), period(7, 9)]);
        assert_eq!((total_millis(&all), total_millis(&covered)), (7_000, 6_000));
        assert_eq!(super::covered(all, 1), [period(1, 9)]);
        assert_eq!(super::covered(Vec::new(), 1), []);
        assert_eq!(period(9, 2).millis(), 0, "a clock that was set back");
    }

    proptest! {
        #[test]
        fn what_is_covered_is_in_order_bounded_and_loses_nothing(
            some in proptest::collection::vec((0i64..500, 0i64..9), 0..60), most in 1usize..9
        ) {
            let all: Vec<_> = some.iter().map(|(from, length)| period(*from, from + length)).collect();
            let covered = covered(all.clone(), most);
            prop_assert!(covered.len() <= most);
            prop_assert!(covered.windows(2).all(|pair| pair[0].until < pair[1].from));
            for period in all {
                prop_assert!(covered.iter().any(|whole| whole.from <= period.from && period.until <= whole.until));
            }
        }
    }
}
