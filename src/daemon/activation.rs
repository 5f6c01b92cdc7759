//! What becomes of a declaration that was read: every activation decides anew, from the state as it is then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::change::{Counts, Glimpses, PlanId, Rail};
use crate::clock::Clock;
use crate::config::Diagnostic;
use crate::model::{Generation, Source, Uid};
use crate::reconcile::{Approval, Outcome, Proposal, ReconcileError, apply, known, plan};
use crate::secret::{IdentitySources, find_identities};
use crate::source::{Provenance, Snapshot};
use crate::state::{Exclusive, LockBody, StateError, StateLock, StateStore};

/// How long somebody who applies by hand is waited for before the next activation.
const FOR_OTHERS: Duration = Duration::from_secs(5);

/// How much is applied without a person. It is a setting of the machine, and never of the file that it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AutoApply {
    /// Nothing.
    None,
    /// What `xopero apply --auto-approve` would let through.
    #[default]
    Safe,
    /// Guarded changes, too. What is refused stays refused.
    Guarded,
}

/// Who activates, and with what.
#[derive(Clone)]
pub struct Activator {
    /// The state.
    pub state: Arc<StateStore>,
    /// Where relative paths begin.
    pub base: PathBuf,
    /// `user@host`.
    pub who: String,
    /// Where identities are looked for. Without one, exchanged secrets cannot be compared, which stops nothing.
    pub identities: IdentitySources,
    /// How much is applied.
    pub level: AutoApply,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// What came of an activation.
#[derive(Debug)]
pub enum Activation {
    /// The declaration is in force.
    Applied {
        /// Its number.
        generation: Generation,
        /// What changed.
        counts: Counts,
    },
    /// It was in force before.
    InSync {
        /// Its number; absent if nothing is declared and nothing applied.
        generation: Option<Generation>,
    },
    /// A person must agree.
    Pending {
        /// To this change set.
        plan_id: PlanId,
        /// What asks for it. Nothing, if nothing is ever applied without a person.
        rails: Vec<String>,
    },
    /// No approval lets it through.
    Refused {
        /// What stands in its way.
        rails: Vec<String>,
    },
    /// It says nothing that can be applied.
    Invalid {
        /// What is wrong, in the order of the files.
        diagnostics: Vec<Diagnostic>,
    },
    /// Somebody else changes the state.
    Busy {
        /// Who, if it is known.
        holder: Option<Box<LockBody>>,
    },
    /// It could not be applied.
    Failed {
        /// Why.
        error: ReconcileError,
    },
}

impl Activator {
    /// Puts what was read in force, as far as that is allowed without a person.
    pub async fn activate(&self, snapshot: &Snapshot) -> Activation {
        let tree = &snapshot.tree;
        let declaration = match tree.decode() {
            Ok(decoded) => decoded.declaration,
            Err(invalid) => return Activation::Invalid { diagnostics: invalid.diagnostics },
        };
        let provenance = Provenance::of(tree);
        let source = Source { commit: provenance.commit().map(str::to_owned), ..tree.source() };
        let identities = find_identities(&self.identities).ok();
        let proposal = Proposal {
            declaration,
            source,
            rollback_of: None,
            who: &self.who,
            base: &self.base,
            provenance: Some(&provenance),
            glimpses: Glimpses::default(),
            identities: identities.as_ref(),
        };
        match self.put_in_force(proposal).await {
            Ok(activation) => activation,
            Err(ReconcileError::State(StateError::Locked { holder, .. })) => Activation::Busy { holder },
            Err(ReconcileError::RefusedByRail { plan_id, rails, .. }) => {
                Activation::Pending { plan_id, rails: rails.iter().map(Rail::line).collect() }
            }
            Err(ReconcileError::Refused { rails, .. }) => {
                Activation::Refused { rails: rails.iter().map(Rail::line).collect() }
            }
            Err(error) => Activation::Failed { error },
        }
    }

    async fn put_in_force(&self, proposal: Proposal<'_>) -> Result<Activation, ReconcileError> {
        let approval = match self.level {
            AutoApply::Safe => Approval::Auto,
            AutoApply::None | AutoApply::Guarded => {
                let applied = self.state.applied().await?;
                let (declared, identities) = (&proposal.declaration, proposal.identities);
                let known = known(&self.state, applied.as_ref(), declared, identities, proposal.provenance).await?;
                let set = plan(applied.as_ref(), declared, &known, self.clock.now());
                if set.is_empty() {
                    return Ok(Activation::InSync { generation: set.based_on });
                }
                if self.level == AutoApply::None {
                    return Ok(Activation::Pending { plan_id: set.plan_id, rails: Vec::new() });
                }
                Approval::Approved(set.plan_id)
            }
        };
        let body = || LockBody {
            id: Uid::mint(&*self.clock).to_string(),
            who: self.who.clone(),
            pid: std::process::id(),
            operation: "watch".to_owned(),
            since: self.clock.now(),
        };
        let location = self.state.location();
        let lock = StateLock::acquire_within(location, Exclusive::Applying, body, FOR_OTHERS, |_| {}).await?;
        Ok(match apply(&self.state, &lock, proposal, &approval, &*self.clock).await? {
            Outcome::Applied { generation, change_set } => {
                Activation::Applied { generation, counts: change_set.counts() }
            }
            Outcome::InSync { generation, .. } => Activation::InSync { generation },
        })
    }
}
