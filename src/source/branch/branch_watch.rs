//! Asking the server whenever it is time to ask.

use std::collections::VecDeque;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::commit::{Rewinds, Verdict};
use super::looker::{Looked, Looker, Question};
use super::{Branch, BranchError, PollPace, wait};
use crate::clock::{Clock, random_bits};
use crate::git::Remote;
use crate::http::{Authorization, Retry};
use crate::model::{FollowedBranch, ObjectId};
use crate::source::signature::AllowedSigners;
use crate::source::{Flaw, Snapshot, SourceEvent};

/// A look under way, with what looks.
type Looking = Pin<Box<dyn Future<Output = (Box<Looker>, Looked)> + Send>>;

/// What to follow, and by which rules. All of it comes from this machine, never from the repository.
#[derive(Debug, Clone)]
pub struct BranchSettings {
    /// The file in the branch.
    pub branch: Branch,
    /// How often to ask.
    pub pace: PollPace,
    /// Who must have signed every commit since the applied one, if signatures are demanded.
    pub signers: Option<AllowedSigners>,
}

/// Follows a file in a branch at a server.
pub struct BranchWatch {
    settings: Arc<BranchSettings>,
    at: FollowedBranch,
    clock: Arc<dyn Clock>,
    work: Work,
    /// The commit that is applied, in hexadecimal.
    applied: Option<String>,
    /// The tip that was told last.
    told: Option<ObjectId>,
    /// Whether it was given, not refused.
    was_given: bool,
    failures: u32,
    failing_since: Option<Timestamp>,
    due: Instant,
    /// Whether somebody wanted a look while there was one.
    woken: bool,
    events: VecDeque<SourceEvent>,
}

/// Whether it is looked.
enum Work {
    /// It is not.
    Resting(Box<Looker>),
    /// It is. Kept here, so that a wait that is dropped does not drop the look.
    Looking {
        looking: Looking,
        /// What was applied when it began.
        applied: Option<String>,
    },
    /// Only while one of the others becomes the other.
    Changing,
}

impl BranchWatch {
    /// Follows a branch of `remote`. What is fetched is kept in the directory `place`, which belongs to this watch alone;
    /// `applied` is the commit of the generation that is in force, if it is of a commit.
    pub fn new(
        remote: Remote,
        authorization: Authorization,
        settings: BranchSettings,
        place: &Path,
        applied: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let settings = Arc::new(settings);
        let at = FollowedBranch {
            repository: remote.url().to_string(),
            branch: settings.branch.name.to_string(),
            path: settings.branch.path.clone(),
        };
        Self {
            work: Work::Resting(Box::new(Looker::new(remote, authorization, Arc::clone(&settings), place))),
            settings,
            at,
            applied,
            told: None,
            was_given: false,
            failures: 0,
            failing_since: None,
            due: clock.monotonic(),
            woken: false,
            clock,
            events: VecDeque::new(),
        }
    }

    /// What is followed.
    pub fn at(&self) -> FollowedBranch {
        self.at.clone()
    }

    /// Asks at once, as a webhook wants it.
    pub fn wake(&mut self) {
        self.due = self.clock.monotonic();
        self.woken = true;
    }

    /// Asks at once, and gives or tells what it finds also if that is what was told last, as a signal wants it.
    pub fn read_again(&mut self) {
        self.told = None;
        self.wake();
    }

    /// Tells that this commit is applied. What comes next must come from it. If the branch was refused, somebody may
    /// have decided otherwise: it is looked at once what it is worth then.
    pub fn applied(&mut self, commit: &str) {
        if self.applied.as_deref() == Some(commit) {
            return;
        }
        self.applied = Some(commit.to_owned());
        if !self.was_given && self.told.take().is_some() {
            self.wake();
        }
    }

    /// Waits for what happens next. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> SourceEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if let Work::Looking { looking, applied } = &mut self.work {
                let (looker, looked) = looking.as_mut().await;
                let overtaken = *applied != self.applied;
                self.work = Work::Resting(looker);
                if overtaken {
                    // It was judged by what is no longer so.
                    self.told = None;
                } else {
                    self.looked(looked);
                }
                if std::mem::take(&mut self.woken) || overtaken {
                    self.due = self.clock.monotonic();
                }
            } else if self.clock.monotonic() < self.due {
                tokio::time::sleep_until(self.due.into()).await;
            } else {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        self.woken = false;
        let applied = self.applied.clone();
        let question = Question { applied: applied.clone(), told: self.told, rewinds: Rewinds::Refused };
        self.work = match std::mem::replace(&mut self.work, Work::Changing) {
            Work::Resting(looker) => Work::Looking { looking: Box::pin(looker.begin(question)), applied },
            other => other,
        };
    }

    fn looked(&mut self, looked: Looked) {
        let mut asked = None;
        match looked {
            Ok(found) => {
                let was_stale = self.failures >= self.settings.pace.stale_after;
                (self.failures, self.failing_since) = (0, None);
                match found {
                    Some((tip, verdict)) => self.arrived(tip, verdict),
                    None if was_stale && self.was_given => self.events.push_back(SourceEvent::Back),
                    // What was wrong with it is told again: it is in place of the trouble that is over.
                    None if was_stale => {
                        self.told = None;
                        return self.wake();
                    }
                    None => {}
                }
            }
            Err(error) => {
                if let BranchError::Git(error) = &error
                    && let Retry::After(pause) = error.retry()
                {
                    asked = Some(pause);
                }
                self.failures = self.failures.saturating_add(1);
                let since = *self.failing_since.get_or_insert_with(|| self.clock.now());
                self.log(&error);
                if self.failures == self.settings.pace.stale_after {
                    let (reason, hint) = (error.told(), error.hint());
                    self.events.push_back(SourceEvent::Stale { reason, hint, since });
                }
            }
        }
        let random = u64::try_from(random_bits() >> 64).expect("half of the bits fit");
        self.due = self.clock.monotonic() + wait(&self.settings.pace, self.failures, asked, random);
    }

    /// The first failure of several is for people, too: who has just begun to follow a branch need not wait for more.
    fn log(&self, error: &BranchError) {
        let (branch, why, hint) = (&self.settings.branch, error.told(), error.hint());
        if self.failures == 1 {
            tracing::warn!(%branch, hint, "it cannot be read, and is asked for again: {why}");
        } else {
            tracing::debug!(%branch, hint, "it cannot be read: {why}");
        }
    }

    fn arrived(&mut self, tip: ObjectId, verdict: Verdict) {
        self.told = Some(tip);
        self.was_given = matches!(verdict, Verdict::Good(..));
        self.events.push_back(match verdict {
            Verdict::Good(tree, tip) => SourceEvent::Changed(Box::new(Snapshot { tree: *tree, tip: Some(tip) })),
            Verdict::Flawed(Flaw { path, reason }) => SourceEvent::Missing { path, reason, since: self.clock.now() },
            Verdict::Unsigned(commit, why) => SourceEvent::Unsigned { commit, tip: tip.to_string(), why },
            // All of the history was looked at: there is no way from the one to the other.
            Verdict::Rewound | Verdict::MoreHistory => {
                SourceEvent::Rewound { applied: self.applied.clone().unwrap_or_default(), tip: tip.to_string() }
            }
        });
    }
}
