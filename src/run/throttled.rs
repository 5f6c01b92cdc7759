//! A task that waits because no account has budget: told, recorded, and entered in its account book.

use std::time::Duration;

use jiff::Timestamp;

use super::credentials::{Caller, Credentials};
use super::{Event, TaskError, ThrottledPeriod};
use crate::model::{AccountName, TaskState};
use crate::state::TaskRow;

/// Waits that are shorter are over before anybody could read of them: they are told, and not recorded.
const SHORTEST_RECORDED: Duration = Duration::from_millis(250);

/// Later by less than this is no news.
const NEWS: Duration = Duration::from_secs(1);

/// One wait, which may turn out to be longer than was said at first.
pub(super) struct Wait {
    since: Timestamp,
    until: Timestamp,
    recorded: bool,
}

impl Credentials {
    /// Waits for `duration`, and not beyond the end of the run, as a part of `wait`, which begins if there is none.
    pub(super) async fn throttle(
        &self,
        caller: &mut Caller<'_>,
        wait: &mut Option<Wait>,
        duration: Duration,
    ) -> Result<(), TaskError> {
        let now = self.clock().now();
        let until = now.saturating_add(duration).unwrap_or(Timestamp::MAX);
        let known = wait.as_ref().map(|wait| wait.until);
        let news = known.is_none_or(|known| until.duration_since(known) >= signed(NEWS));
        let wait = wait.get_or_insert(Wait { since: now, until, recorded: false });
        wait.until = wait.until.max(until);
        if news {
            let since = wait.since;
            let reason = format!("no account of project {} has budget", caller.project);
            let event = Event::Throttled { subject: caller.subject.clone(), until, reason: reason.clone() };
            let worth_it = until.duration_since(since) >= signed(SHORTEST_RECORDED);
            let row = caller.row.as_ref().filter(|_| worth_it);
            wait.recorded |= row.is_some();
            let row = row.map(|row| in_state(row, &TaskState::Throttled { since, until, reason }, now));
            // If it cannot be written, whoever ends a task finds out.
            let _written = self.journal().enter(row, event).await;
        }
        let (since, until) = (wait.since, wait.until);
        let waited = tokio::select! {
            biased;
            () = self.closing().cancelled() => Err(TaskError::OutOfTime { until }),
            waited = self.wait(duration) => waited,
        };
        waited.inspect_err(|_| {
            caller.ledger.throttle(ThrottledPeriod { from: since, until: self.clock().now() });
        })
    }

    /// Ends a wait: the caller goes on with an account.
    pub(super) async fn go_on(&self, caller: &mut Caller<'_>, wait: Wait, account: AccountName) {
        let now = self.clock().now();
        let row = caller.row.as_ref().filter(|_| wait.recorded).map(|row| in_state(row, &TaskState::Running, now));
        caller.ledger.throttle(ThrottledPeriod { from: wait.since, until: now });
        let event = Event::Resumed { subject: caller.subject.clone(), account };
        let _written = self.journal().enter(row, event).await;
    }
}

/// The row of a task that has not ended.
fn in_state(row: &TaskRow, state: &TaskState, now: Timestamp) -> TaskRow {
    TaskRow {
        state: state.as_str().to_owned(),
        detail: serde_json::to_value(state).expect("a state is plain data"),
        changed: now,
        ..row.clone()
    }
}

fn signed(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}
