//! The end of a watch: nothing is begun, what is under way goes on for a while, and is interrupted then.

use std::time::Duration;

use super::{Progress, Watch};

/// Whoever supervises the watch hears of it while it drains.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

impl Watch {
    /// Waits for the runs. Those that are interrupted leave nothing half done, and the next watch goes on with them.
    pub(super) async fn drain(&self, progress: &mut Progress) {
        let over = tokio::time::sleep(self.drain);
        tokio::pin!(over);
        loop {
            self.sink.turned();
            tokio::select! {
                biased;
                ended = progress.runs.join_next_with_id() => match ended {
                    Some(ended) => self.ended(progress, ended).await,
                    None => return,
                },
                () = &mut over, if !progress.interrupt.is_cancelled() => progress.interrupt.cancel(),
                () = tokio::time::sleep(SIGN_OF_LIFE) => {}
            }
        }
    }
}
