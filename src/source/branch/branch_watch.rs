//! Asking the server whenever it is time to ask.

use std::collections::VecDeque;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::commit::{Rules, Verdict, judge};
use super::objects::Objects;
use super::{Branch, BranchError, PollPace, wait};
use crate::clock::{Clock, random_bits};
use crate::git::{Depth, FetchRequest, GitError, PackLimits, PackWalker, Remote, ServerFacts};
use crate::http::{Authorization, Retry};
use crate::model::{ObjectFormat, ObjectId};
use crate::source::signature::AllowedSigners;
use crate::source::{Flaw, Snapshot, SourceEvent};

/// How far back the first request for history goes. Commits since the applied one are seldom more.
const FIRST_DEPTH: NonZeroU32 = NonZeroU32::new(200).expect("it is not zero");

/// A repository of settings is smaller.
const LIMITS: PackLimits = PackLimits { bytes: 128 << 20, objects: 1 << 20, inflated: 512 << 20 };

/// A look takes no longer than this.
const LONGEST_LOOK: Duration = Duration::from_mins(5);

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
    remote: Remote,
    authorization: Authorization,
    settings: Arc<BranchSettings>,
    clock: Arc<dyn Clock>,
    objects: Objects,
    /// What is remembered of the server.
    facts: Option<ServerFacts>,
    /// The commit that is applied, in hexadecimal.
    applied: Option<String>,
    /// The tip that was told last.
    told: Option<ObjectId>,
    /// Whether it was given, not refused.
    was_given: bool,
    failures: u32,
    failing_since: Option<Timestamp>,
    due: Instant,
    events: VecDeque<SourceEvent>,
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
        Self {
            remote,
            authorization,
            settings: Arc::new(settings),
            objects: Objects::new(place),
            facts: None,
            applied,
            told: None,
            was_given: false,
            failures: 0,
            failing_since: None,
            due: clock.monotonic(),
            clock,
            events: VecDeque::new(),
        }
    }

    /// Asks at once, as a signal or a webhook wants it.
    pub fn wake(&mut self) {
        self.due = self.clock.monotonic();
    }

    /// Tells that this commit is applied. What comes next must come from it.
    pub fn applied(&mut self, commit: &str) {
        if self.applied.as_deref() != Some(commit) {
            self.applied = Some(commit.to_owned());
            if self.told.is_some_and(|told| told.to_string() != commit) {
                self.told = None;
            }
        }
    }

    /// Waits for what happens next. A call that is dropped loses nothing but the look that it was at.
    pub async fn next(&mut self) -> SourceEvent {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            if self.clock.monotonic() < self.due {
                tokio::time::sleep_until(self.due.into()).await;
                continue;
            }
            let looked = match tokio::time::timeout(LONGEST_LOOK, self.look()).await {
                Ok(looked) => looked,
                Err(_) => Err(BranchError::Timeout { after: LONGEST_LOOK }),
            };
            self.looked(looked);
        }
    }

    fn looked(&mut self, looked: Result<Option<(ObjectId, Verdict)>, BranchError>) {
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
                tracing::debug!(branch = %self.settings.branch, error = error.told(), "the branch cannot be read");
                if let BranchError::Git(error) = &error
                    && let Retry::After(pause) = error.retry()
                {
                    asked = Some(pause);
                }
                self.failures = self.failures.saturating_add(1);
                let since = *self.failing_since.get_or_insert_with(|| self.clock.now());
                if self.failures == self.settings.pace.stale_after {
                    let (reason, hint) = (error.told(), error.hint());
                    self.events.push_back(SourceEvent::Stale { reason, hint, since });
                }
            }
        }
        let random = u64::try_from(random_bits() >> 64).expect("half of the bits fit");
        self.due = self.clock.monotonic() + wait(&self.settings.pace, self.failures, asked, random);
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

    /// Asks for the tip, and fetches and judges it if it is another one than was told.
    pub(super) async fn look(&mut self) -> Result<Option<(ObjectId, Verdict)>, BranchError> {
        let tip = self.tip().await?;
        if self.told == Some(tip) {
            return Ok(None);
        }
        let first = if self.applied.is_some() { FIRST_DEPTH } else { NonZeroU32::MIN };
        let mut verdict = Verdict::MoreHistory;
        for depth in [Depth::Commits(first), Depth::All] {
            let cuts = self.fetch(tip, depth).await?;
            verdict = self.judge(tip, cuts).await?;
            if !matches!(verdict, Verdict::MoreHistory) {
                break;
            }
        }
        Ok(Some((tip, verdict)))
    }

    async fn tip(&mut self) -> Result<ObjectId, BranchError> {
        let facts = if let Some(facts) = &self.facts {
            facts.clone()
        } else {
            let advertisement = self.remote.discover(&self.authorization).await?;
            if advertisement.object_format != ObjectFormat::Sha1 {
                return Err(BranchError::ObjectFormat);
            }
            self.facts.insert(advertisement.facts).clone()
        };
        let name = &self.settings.branch.name;
        let listed = self.remote.list_below(&self.authorization, &facts, ObjectFormat::Sha1, &[name]).await;
        // It may speak another protocol since then: the next look asks.
        let listing = listed.inspect_err(|error| {
            if matches!(error, GitError::NotV2 { .. }) {
                self.facts = None;
            }
        })?;
        let tip = listing.references.tips.iter().find(|tip| tip.name == *name);
        // A tag stands for its commit.
        tip.map(|tip| tip.peeled.unwrap_or(tip.oid)).ok_or_else(|| BranchError::Gone { branch: name.clone() })
    }

    /// Replaces what was fetched. Gives the commits where the history is cut off.
    async fn fetch(&self, tip: ObjectId, depth: Depth) -> Result<Vec<ObjectId>, BranchError> {
        let Some(facts) = &self.facts else {
            return Err(BranchError::Gone { branch: self.settings.branch.name.clone() });
        };
        let request = FetchRequest { facts, format: ObjectFormat::Sha1, wants: &[tip], haves: &[] };
        let mut stream = self.remote.fetch_to(&self.authorization, &request, depth).await?;
        let mut walker = PackWalker::new(ObjectFormat::Sha1, LIMITS);
        let mut spool = self.objects.spool()?;
        let refused = |source| BranchError::Pack { source };
        while let Some(bytes) = stream.next().await? {
            walker.push(&bytes).map_err(refused)?;
            spool.write_all(&bytes).map_err(|error| self.objects.failed(error))?;
        }
        walker.finish().map_err(refused)?;
        let (objects, cuts) = (self.objects.clone(), stream.cuts().to_vec());
        let stored = tokio::task::spawn_blocking(move || objects.replace(spool, &cuts).map(|()| cuts)).await;
        stored.unwrap_or_else(|error| Err(self.objects.failed(error)))
    }

    async fn judge(&self, tip: ObjectId, cuts: Vec<ObjectId>) -> Result<Verdict, BranchError> {
        let (objects, settings, applied) = (self.objects.clone(), Arc::clone(&self.settings), self.applied.clone());
        let commit = tip.to_string();
        let judged = tokio::task::spawn_blocking(move || {
            let cuts: Vec<String> = cuts.iter().map(ToString::to_string).collect();
            let rules = Rules {
                branch: &settings.branch,
                applied: applied.as_deref(),
                signers: settings.signers.as_ref(),
                cuts: &cuts,
            };
            judge(&objects.open()?, &commit, rules)
        });
        let unreadable =
            |source: Box<dyn std::error::Error + Send + Sync>| BranchError::Objects { commit: tip.to_string(), source };
        judged.await.map_err(|error| unreadable(error.into()))?.map_err(|error| unreadable(error.into()))
    }
}
