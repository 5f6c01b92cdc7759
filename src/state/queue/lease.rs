//! How long a claim is held without a word, and what becomes of a task whose owner was lost. Pure.

use std::time::Duration;

/// How long a claim is held after it was renewed.
pub const LEASE: Duration = Duration::from_mins(1);

/// How often claims are renewed.
pub const RENEW: Duration = Duration::from_secs(15);

/// After so long without a renewal an owner gives its tasks up by itself: they may soon be another's.
const GIVE_UP: Duration = Duration::from_secs(45);

/// A task that was lost so often is set aside: it may be what ends its workers.
pub const MOST_LOSSES: u64 = 5;

/// The wait after the second loss; each one after it is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// Whether an owner may still work on its tasks, so long after its claims were renewed for the last time, on its own
/// monotonic clock.
pub const fn is_trusted(since_renewed: Duration) -> bool {
    since_renewed.as_millis() < GIVE_UP.as_millis()
}

/// What becomes of a task whose owner was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterLoss {
    /// It can be claimed again.
    Again {
        /// Not before so long.
        after: Duration,
    },
    /// Nobody gets it any more in this run.
    Poisoned,
}

/// Decides what becomes of a task that was lost for the `losses`th time.
pub fn after_loss(losses: u64) -> AfterLoss {
    if losses >= MOST_LOSSES {
        return AfterLoss::Poisoned;
    }
    let doublings = u32::try_from(losses).unwrap_or(u32::MAX).checked_sub(2);
    // One loss is nothing: a host is restarted, a process killed.
    let after = doublings.map_or(Duration::ZERO, |doublings| FIRST_WAIT.saturating_mul(1 << doublings.min(10)));
    AfterLoss::Again { after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_gives_up_before_its_lease_is_over() {
        assert!(is_trusted(Duration::ZERO) && is_trusted(RENEW * 2) && is_trusted(Duration::from_millis(44_999)));
        assert!(!is_trusted(Duration::from_secs(45)) && !is_trusted(LEASE));
        assert!(GIVE_UP + RENEW <= LEASE, "whatever was sent last has ended by then");
    }

    #[test]
    fn a_task_that_is_lost_again_and_again_waits_longer_and_is_set_aside() {
        let seconds = |losses| match after_loss(losses) {
            AfterLoss::Again { after } => Some(after.as_secs()),
            AfterLoss::Poisoned => None,
        };
        let all: Vec<_> = (1..=6).map(seconds).collect();
        assert_eq!(all, [Some(0), Some(10), Some(20), Some(40), None, None]);
        assert_eq!(after_loss(u64::MAX), AfterLoss::Poisoned);
    }
}
