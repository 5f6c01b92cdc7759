//! When to ask the server again.

use std::time::Duration;

/// However long a server asks to be left alone, it is asked again after so long.
const LONGEST_REQUEST: Duration = Duration::from_hours(1);

/// How often to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollPace {
    /// Between two questions while all is well.
    pub interval: Duration,
    /// At most between two questions after failures.
    pub longest: Duration,
    /// So many failures one after the other are told.
    pub stale_after: u32,
}

impl Default for PollPace {
    fn default() -> Self {
        Self { interval: Duration::from_mins(1), longest: Duration::from_mins(15), stale_after: 3 }
    }
}

/// How long to wait before the next question, after so many failures one after the other.
///
/// The wait doubles with every failure. `asked` is how long the server wants to be left alone. `random` spreads the
/// questions of many machines over a tenth of the wait to either side.
pub fn wait(pace: &PollPace, failures: u32, asked: Option<Duration>, random: u64) -> Duration {
    let doubled = pace.interval.saturating_mul(1 << failures.min(20));
    let middle = doubled.min(pace.longest.max(pace.interval));
    let spread = (middle / 5).as_nanos() * u128::from(random) / u128::from(u64::MAX);
    let spread = Duration::from_nanos(u64::try_from(spread).unwrap_or(u64::MAX));
    middle.saturating_sub(middle / 10).saturating_add(spread).max(asked.unwrap_or_default().min(LONGEST_REQUEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn failures_are_asked_about_less_and_less() {
        let pace = PollPace::default();
        let waits: Vec<u64> = (0..7).map(|failures| wait(&pace, failures, None, u64::MAX / 2).as_secs()).collect();
        assert_eq!(waits, [59, 119, 239, 479, 899, 899, 899]);
        let asked = |seconds| wait(&pace, 0, Some(Duration::from_secs(seconds)), 0).as_secs();
        assert_eq!((asked(10), asked(600), asked(1_000_000)), (54, 600, 3600));
    }

    proptest! {
        #[test]
        fn the_wait_is_bounded_and_grows(
            interval in 1u64..100_000, longest in 0u64..1_000_000, failures: u32, random: u64, asked in any::<Option<u32>>()
        ) {
            let (interval, longest) = (Duration::from_secs(interval), Duration::from_secs(longest));
            let pace = PollPace { interval, longest, stale_after: 3 };
            let asked = asked.map(|seconds| Duration::from_secs(u64::from(seconds)));
            let waited = wait(&pace, failures, asked, random);
            let most = longest.max(interval).max(LONGEST_REQUEST);
            prop_assert!(waited >= interval.saturating_sub(interval / 10) && waited <= most + most / 10);
            prop_assert!(wait(&pace, failures.saturating_add(1), asked, random) >= waited);
        }
    }
}
