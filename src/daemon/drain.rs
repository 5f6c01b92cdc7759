//! The end: nothing is begun, what is under way goes on for a while, and is interrupted then.

use std::pin::Pin;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// Whoever supervises the process hears of it while it drains.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// Waits for what is under way, and interrupts it when that takes too long.
pub(super) struct Drain {
    over: Pin<Box<Sleep>>,
    interrupt: CancellationToken,
}

impl Drain {
    /// Lets it go on for so long until it is interrupted.
    pub(super) fn begin(patience: Duration, interrupt: CancellationToken) -> Self {
        Self { over: Box::pin(tokio::time::sleep(patience)), interrupt }
    }

    /// What ends next, until nothing is under way. `alive` hears that it goes on, from time to time.
    pub(super) async fn next<T: 'static>(
        &mut self,
        under_way: &mut JoinSet<T>,
        alive: impl Fn(),
    ) -> Option<Result<(Id, T), JoinError>> {
        loop {
            alive();
            tokio::select! {
                biased;
                ended = under_way.join_next_with_id() => return ended,
                () = &mut self.over, if !self.interrupt.is_cancelled() => self.interrupt.cancel(),
                () = tokio::time::sleep(SIGN_OF_LIFE) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_takes_too_long_is_interrupted() {
        for (patience, takes_too_long) in [(Duration::ZERO, true), (Duration::from_hours(1), false)] {
            let interrupt = CancellationToken::new();
            let mut under_way = JoinSet::new();
            let long = interrupt.clone();
            under_way.spawn(async move {
                if takes_too_long {
                    long.cancelled().await;
                }
            });
            let signs = std::cell::Cell::new(0);
            let alive = || signs.set(signs.get() + 1);
            let mut drain = Drain::begin(patience, interrupt.clone());
            assert!(drain.next(&mut under_way, alive).await.is_some());
            assert_eq!(interrupt.is_cancelled(), takes_too_long);
            assert!(drain.next(&mut under_way, alive).await.is_none() && signs.get() >= 2);
        }
    }
}
