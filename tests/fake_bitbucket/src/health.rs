//! How the server is: whether it serves at all, and how many git requests at once it can bear.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::body::Reply;
use crate::route::Route;

/// What `/status` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It serves.
    #[default]
    Running,
    /// It is locked: `/status` says so with 200, everything else is 503.
    Maintenance,
    /// It begins: everything is 503.
    Starting,
    /// It failed to begin: `/status` is 500, everything else is 503.
    Error,
}

impl Health {
    pub(crate) fn status(self) -> Reply {
        let (status, state) = match self {
            Self::Running => (200, "RUNNING"),
            Self::Maintenance => (200, "MAINTENANCE"),
            Self::Starting => (503, "STARTING"),
            Self::Error => (500, "ERROR"),
        };
        Reply::json(status, &json!({"state": state}))
    }

    /// The answer to everything but `/status`, unless the server serves.
    pub(crate) fn refusal(self) -> Option<Reply> {
        let page = "<!DOCTYPE html><html><body>Bitbucket is unavailable.</body></html>";
        (self != Self::Running).then(|| Reply::new(503).content("text/html;charset=UTF-8", page))
    }
}

/// The tickets of git requests; a cheap handle that can be cloned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tickets(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// How many there are; `None` is without end.
    total: Mutex<Option<usize>>,
    taken: AtomicUsize,
    peak: AtomicUsize,
}

/// One ticket, given back when the answer is over.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Counts>);

impl Tickets {
    pub(crate) fn set(&self, total: Option<usize>) {
        *self.0.total.lock().unwrap_or_else(PoisonError::into_inner) = total;
    }

    /// The most that were taken at once, since this was asked for last.
    pub(crate) fn peak(&self) -> usize {
        self.0.peak.swap(0, Ordering::SeqCst)
    }

    /// A ticket for a git request, which is refused if there is none left; nothing for any other request.
    pub(crate) fn take(&self, route: &Route) -> Result<Option<Ticket>, Reply> {
        let Route::Git { .. } = route else { return Ok(None) };
        let total = self.0.total.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = Ticket(Arc::clone(&self.0));
        let taken = self.0.taken.fetch_add(1, Ordering::SeqCst) + 1;
        if total.is_some_and(|total| taken > total) {
            let class = "com.atlassian.bitbucket.throttle.ResourceBusyException";
            return Err(Reply::error(503, "The server is under heavy load. Try again in a moment.", Some(class)));
        }
        self.0.peak.fetch_max(taken, Ordering::SeqCst);
        Ok(Some(ticket))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
    }
}
