//! One look at a branch: asking for its tip, fetching what led there, judging it.

use std::io::Write;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::commit::{Rewinds, Rules, Verdict, judge};
use super::objects::Objects;
use super::{BranchError, BranchSettings};
use crate::git::{Depth, FetchRequest, GitError, PackLimits, PackWalker, Remote, ServerFacts};
use crate::http::Authorization;
use crate::model::{ObjectFormat, ObjectId};

/// How far back the first request for history goes. Commits since the applied one are seldom more.
const FIRST_DEPTH: NonZeroU32 = NonZeroU32::new(200).expect("it is not zero");

/// A repository of settings is smaller.
const LIMITS: PackLimits = PackLimits { bytes: 128 << 20, objects: 1 << 20, inflated: 512 << 20 };

/// A look takes no longer than this.
const LONGEST_LOOK: Duration = Duration::from_mins(5);

/// What came of a look: the tip and what it is worth, or nothing if it is the one that was told.
pub(super) type Looked = Result<Option<(ObjectId, Verdict)>, BranchError>;

/// What is asked.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// The commit that is applied, in hexadecimal.
    pub(super) applied: Option<String>,
    /// The tip that needs no answer.
    pub(super) told: Option<ObjectId>,
    /// What to do with a tip that does not come from the applied commit.
    pub(super) rewinds: Rewinds,
}

/// Asks one server for one branch.
pub(super) struct Looker {
    remote: Remote,
    authorization: Authorization,
    settings: Arc<BranchSettings>,
    objects: Objects,
    /// What is remembered of the server.
    facts: Option<ServerFacts>,
}

impl Looker {
    pub(super) fn new(
        remote: Remote,
        authorization: Authorization,
        settings: Arc<BranchSettings>,
        place: &Path,
    ) -> Self {
        Self { remote, authorization, settings, objects: Objects::new(place), facts: None }
    }

    /// Looks in time, and gives itself back.
    pub(super) async fn begin(mut self: Box<Self>, question: Question) -> (Box<Self>, Looked) {
        let looked = match tokio::time::timeout(LONGEST_LOOK, self.look(&question)).await {
            Ok(looked) => looked,
            Err(_elapsed) => Err(BranchError::Timeout { after: LONGEST_LOOK }),
        };
        (self, looked)
    }

    /// Asks for the tip, and fetches and judges it if it is another one than was told.
    pub(super) async fn look(&mut self, question: &Question) -> Looked {
        let tip = self.tip().await?;
        if question.told == Some(tip) {
            return Ok(None);
        }
        let first = if question.applied.is_some() { FIRST_DEPTH } else { NonZeroU32::MIN };
        let mut verdict = Verdict::MoreHistory;
        for depth in [Depth::Commits(first), Depth::All] {
            let cuts = self.fetch(tip, depth).await?;
            verdict = self.judge(tip, cuts, question).await?;
            if !matches!(verdict, Verdict::MoreHistory) {
                break;
            }
        }
        let (objects, set_back) = (self.objects.clone(), matches!(verdict, Verdict::Rewound | Verdict::MoreHistory));
        let decided = tokio::task::spawn_blocking(move || objects.decide(!set_back)).await;
        decided.unwrap_or_else(|error| Err(self.objects.failed(error)))?;
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

    async fn judge(&self, tip: ObjectId, cuts: Vec<ObjectId>, question: &Question) -> Result<Verdict, BranchError> {
        let (objects, settings) = (self.objects.clone(), Arc::clone(&self.settings));
        let (applied, rewinds) = (question.applied.clone(), question.rewinds);
        let commit = tip.to_string();
        let judged = tokio::task::spawn_blocking(move || {
            let cuts: Vec<String> = cuts.iter().map(ToString::to_string).collect();
            let rules = Rules {
                branch: &settings.branch,
                applied: applied.as_deref(),
                signers: settings.signers.as_ref(),
                cuts: &cuts,
                rewinds,
            };
            judge(&objects.open()?, &commit, rules)
        });
        let unreadable =
            |source: Box<dyn std::error::Error + Send + Sync>| BranchError::Objects { commit: tip.to_string(), source };
        judged.await.map_err(|error| unreadable(error.into()))?.map_err(|error| unreadable(error.into()))
    }
}
