//! What the state remembers of the source that is followed: for those who look, and for the next start.

use std::sync::Arc;

use crate::clock::Clock;
use crate::model::{Address, ConditionKind, Followed, FollowedBranch, FollowedCommit, Seen, Sighting};
use crate::source::{SourceEvent, Tip, short_commit};
use crate::state::{StateError, StateStore};

/// Writes down what a source told.
pub(super) struct SourceMemory {
    pub(super) state: Arc<StateStore>,
    pub(super) clock: Arc<dyn Clock>,
    /// The branch; nothing for a file, which everybody can look at.
    pub(super) branch: Option<FollowedBranch>,
}

impl SourceMemory {
    /// Remembers what is followed from here on. What was read of the same branch before stays known.
    pub(super) async fn begin(&self) -> Result<(), StateError> {
        let known = self.state.followed().await?;
        match &self.branch {
            Some(branch) if known.as_ref().is_some_and(|known| known.at == *branch) => Ok(()),
            Some(branch) => self.state.follow(&Followed::new(branch.clone())).await,
            None if known.is_some() => {
                self.state.unfollow().await?;
                self.settle(&all(|_| Seen::Not)).await
            }
            None => Ok(()),
        }
    }

    /// Remembers what became of the source.
    pub(super) async fn saw(&self, event: &SourceEvent) -> Result<(), StateError> {
        if self.branch.is_none() {
            return Ok(());
        }
        if let SourceEvent::Changed(snapshot) = event
            && let (Some(tip), Some(known)) = (&snapshot.tip, self.state.followed().await?)
        {
            self.state.follow(&Followed { tip: Some(self.commit(tip)), ..known }).await?;
        }
        self.settle(&sightings(event)).await
    }

    fn commit(&self, tip: &Tip) -> FollowedCommit {
        FollowedCommit {
            commit: tip.at.commit().to_owned(),
            author: tip.author.clone(),
            committed_at: tip.time,
            signed_by: tip.signed_by.clone(),
            read_at: self.clock.now(),
        }
    }

    async fn settle(&self, sightings: &[Sighting]) -> Result<(), StateError> {
        let generation = self.state.applied().await?.map(|applied| applied.generation);
        self.state.settle_conditions(sightings, generation, self.clock.now()).await?;
        Ok(())
    }
}

/// What lasts of what a source told. That a server does not answer says nothing about the commits that were read.
fn sightings(event: &SourceEvent) -> Vec<Sighting> {
    let (kind, reason, message) = match event {
        SourceEvent::Changed(_) | SourceEvent::Back => return all(|_| Seen::Not),
        SourceEvent::Polling { .. } => return Vec::new(),
        SourceEvent::Stale { reason, hint, since } => {
            let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            let message = format!("it could not be read since {since:.0}: {reason}{hint}");
            let seen = Seen::Holds { reason: "NotRead", message };
            return vec![sighting(ConditionKind::SourceStale, seen)];
        }
        SourceEvent::Missing { reason, .. } => {
            (ConditionKind::SourceStale, "FileMissing", format!("{reason}, at the branch's last commit"))
        }
        SourceEvent::Rewound { applied, tip } => {
            let (applied, tip) = (short_commit(applied), short_commit(tip));
            let message = format!(
                "the branch was set back or written anew: {tip} does not come from {applied}, which is in force"
            );
            (ConditionKind::SourceRewound, "Rewound", message)
        }
        SourceEvent::Unsigned { commit, tip: _, why } => {
            let message = format!("commit {} is not signed as demanded: {why}", short_commit(commit));
            (ConditionKind::SourceUnsigned, "Unsigned", message)
        }
    };
    all(|other| if other == kind { Seen::Holds { reason, message: message.clone() } } else { Seen::Not })
}

fn all(seen: impl Fn(ConditionKind) -> Seen) -> Vec<Sighting> {
    let kinds = [ConditionKind::SourceStale, ConditionKind::SourceRewound, ConditionKind::SourceUnsigned];
    kinds.into_iter().map(|kind| sighting(kind, seen(kind))).collect()
}

fn sighting(kind: ConditionKind, seen: Seen) -> Sighting {
    Sighting { address: Address::source(), kind, seen }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::Conditions;
    use crate::model::condition::{holding, settle};
    use crate::source::signature::SignatureError;

    #[test]
    fn one_trouble_takes_the_place_of_another_and_silence_does_not() {
        let stale = SourceEvent::Stale { reason: "no answer".into(), hint: None, since: Timestamp::UNIX_EPOCH };
        let rewound = SourceEvent::Rewound { applied: "a".repeat(40), tip: "b".repeat(40) };
        let why = SignatureError::Unsigned;
        let unsigned = SourceEvent::Unsigned { commit: "c".repeat(40), tip: "c".repeat(40), why };
        let mut known = Conditions::new();
        let mut held = |event: &SourceEvent| {
            known = settle(&known, &sightings(event), None, Timestamp::UNIX_EPOCH).0;
            holding(&known).map(|(_, kind, _)| kind.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(held(&rewound), ["SourceRewound"]);
        assert_eq!(held(&stale), ["SourceStale", "SourceRewound"]);
        assert_eq!(held(&unsigned), ["SourceUnsigned"]);
        assert_eq!(held(&SourceEvent::Back), [""; 0]);
    }
}
