//! A task that waits because no account has budget: told, recorded, and entered in its account book.

use std::time::Duration;

use jiff::Timestamp;

use super::caller::Caller;
use super::credentials::Credentials;
use super::journal::Entry;
use super::{Event, ThrottledPeriod};
use crate::model::{AccountName, TaskState};
use crate::state::TaskRow;

/// Later by less than this is no news.
const NEWS: Duration = Duration::from_secs(1);

/// One wait, which may turn out to be longer than was said at first.
pub(super) struct Wait {
    since: Timestamp,
    until: Timestamp,
    recorded: bool,
}

impl Wait {
    /// Until when it lasts at least, as far as it is known.
    pub(super) const fn until(&self) -> Timestamp {
        self.until
    }
}

impl Credentials {
    /// Tells and records that the caller waits for `prospect` from here on, as a part of `wait`, which begins if there is
    /// none. That it lasts longer than was said is told as well.
    pub(super) async fn throttle(&self, caller: &Caller<'_>, wait: &mut Option<Wait>, prospect: Duration) {
        let now = self.clock.now();
        let until = now.saturating_add(prospect).unwrap_or(Timestamp::MAX);
        let known = wait.as_ref().map(|wait| wait.until);
        let news = known.is_none_or(|known| until.duration_since(known) >= signed(NEWS));
        let wait = wait.get_or_insert(Wait { since: now, until, recorded: false });
        wait.until = wait.until.max(until);
        if news {
            let since = wait.since;
            let reason = format!("no account of project {} has budget", caller.project);
            let event = Event::Throttled { subject: caller.subject.clone(), until, reason: reason.clone() };
            wait.recorded |= caller.task.is_some();
            let state = TaskState::Throttled { since, until, reason };
            // If it cannot be written, whoever ends a task finds out.
            let _written = self.journal.enter(entry(caller, caller.task.is_some(), &state, event, now)).await;
        }
    }

    /// Ends a wait: the caller goes on with an account, or gives up.
    pub(super) async fn end_wait(&self, caller: &mut Caller<'_>, wait: Wait, account: Option<AccountName>) {
        let now = self.clock.now();
        caller.ledger.throttle(ThrottledPeriod { from: wait.since, until: now });
        if let Some(account) = account {
            let event = Event::Resumed { subject: caller.subject.clone(), account };
            let _written = self.journal.enter(entry(caller, wait.recorded, &TaskState::Running, event, now)).await;
        }
    }
}

/// What is entered of a caller that waits, or goes on: with the row of its task, if it is to be `recorded`.
fn entry(caller: &Caller<'_>, recorded: bool, state: &TaskState, event: Event, now: Timestamp) -> Entry {
    match caller.task.as_ref().filter(|_| recorded) {
        Some((claim, row)) => Entry::on_the_way(*claim, in_state(row, state, now), event),
        None => Entry::told(event),
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
