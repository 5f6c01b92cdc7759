//! A run that may not take longer than so long.
//!
//! At the deadline nothing is begun any more, and what waits for budget gives up: it would only wait. What is under way
//! has a tenth of the time on top to end well, ten minutes at most; then it is stopped as by Ctrl-C, and leaves nothing
//! half done. That a pack ends in time is not promised: nobody knows its size before.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Ending, Event, EventSink};
use crate::clock::Clock;

/// The longest time on top.
const LONGEST_GRACE: Duration = Duration::from_mins(10);

/// How long what is under way may go on after the deadline.
fn grace(limit: Duration) -> Duration {
    (limit / 10).min(LONGEST_GRACE)
}

/// How a run learns that it has to end.
pub(super) struct Deadline {
    asked: CancellationToken,
    drained: CancellationToken,
    closing: CancellationToken,
    stop: CancellationToken,
    timer: Option<JoinHandle<()>>,
}

impl Deadline {
    /// Begins to count. `drained` is cancelled by whoever wants nothing to be begun any more, `asked` by whoever wants
    /// the run to stop.
    pub(super) fn start(
        limit: Option<Duration>,
        (drained, asked): (&CancellationToken, &CancellationToken),
        clock: &Arc<dyn Clock>,
        events: &Arc<dyn EventSink>,
    ) -> Self {
        let (closing, stop) = (drained.child_token(), asked.child_token());
        let timer = limit.map(|limit| {
            let (closing, stop) = (closing.clone(), stop.clone());
            let (clock, events) = (Arc::clone(clock), Arc::clone(events));
            tokio::spawn(async move {
                tokio::time::sleep(limit).await;
                let ends = clock.now().saturating_add(grace(limit)).unwrap_or(Timestamp::MAX);
                events.emit(&Event::DeadlineReached { ends });
                closing.cancel();
                tokio::time::sleep(grace(limit)).await;
                stop.cancel();
            })
        });
        Self { asked: asked.clone(), drained: drained.clone(), closing, stop, timer }
    }

    /// Cancelled when nothing may be begun any more.
    pub(super) const fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Cancelled when everything must end.
    pub(super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether nothing may be begun any more.
    pub(super) fn is_reached(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// How the run comes to its end.
    pub(super) fn ending(&self) -> Ending {
        if self.asked.is_cancelled() {
            Ending::Interrupted
        } else if self.drained.is_cancelled() {
            Ending::Drained
        } else if self.is_reached() {
            Ending::OutOfTime
        } else {
            Ending::Completed
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_has_a_tenth_on_top_and_ten_minutes_at_most() {
        assert_eq!(grace(Duration::from_secs(1)), Duration::from_millis(100));
        assert_eq!(grace(Duration::from_mins(30)), Duration::from_mins(3));
        assert_eq!(grace(Duration::from_hours(8)), LONGEST_GRACE);
    }
}
