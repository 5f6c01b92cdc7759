//! What was agreed to, and whether it is enough for what would happen.

use super::{ReconcileError, SavedPlan};
use crate::change::{ChangeSet, Known, PlanId};
use crate::model::{Applied, Source};

/// What was agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// Whatever needs no approval.
    Auto,
    /// Somebody saw this change set and said yes. Guarded changes need more than that.
    Confirmed(PlanId),
    /// Exactly this change set, with everything guarded that is in it.
    Approved(PlanId),
    /// The same, by the file that it was saved in.
    Saved(Box<SavedPlan>),
}

impl Approval {
    /// Whether it covers what is guarded, so that no commit has to allow it.
    pub(super) const fn is_complete(&self) -> bool {
        match self {
            Self::Approved(_) | Self::Saved(_) => true,
            Self::Auto | Self::Confirmed(_) => false,
        }
    }

    fn plan_id(&self) -> Option<&PlanId> {
        match self {
            Self::Auto => None,
            Self::Confirmed(id) | Self::Approved(id) => Some(id),
            Self::Saved(plan) => Some(&plan.plan_id),
        }
    }
}

/// Whether a change set is the one that was agreed to, and whether that is enough.
pub(super) fn agree(
    change_set: &ChangeSet,
    known: &Known,
    applied: Option<&Applied>,
    source: &Source,
    approval: &Approval,
) -> Result<(), ReconcileError> {
    let found = &change_set.plan_id;
    if let Some(expected) = approval.plan_id().filter(|expected| *expected != found) {
        // Asked for once more, a plan that was carried out is no surprise: whoever asked may not have heard the answer.
        if change_set.is_empty() && applied.is_some_and(|applied| applied.plan_id == expected.as_str()) {
            return Ok(());
        }
        return Err(ReconcileError::Stale {
            expected: expected.clone(),
            found: (!change_set.is_empty()).then(|| found.clone()),
            moved: moved(change_set, applied, source, approval, expected)?,
        });
    }
    let is_enough = approval.is_complete() || !change_set.needs_approval();
    if is_enough && !change_set.is_refused() { Ok(()) } else { Err(ReconcileError::refused(change_set, known)) }
}

/// What is other than it was when a plan was agreed to, as far as it can be told.
fn moved(
    change_set: &ChangeSet,
    applied: Option<&Applied>,
    source: &Source,
    approval: &Approval,
    expected: &PlanId,
) -> Result<Vec<String>, ReconcileError> {
    if let Approval::Saved(plan) = approval {
        if let (Some(base), Some(applied)) = (&plan.based_on, applied)
            && base.lineage != applied.lineage
        {
            return Err(ReconcileError::PlanOfAnother { plan: base.lineage, state: applied.lineage });
        }
        return Ok(plan.moved(change_set, applied, source));
    }
    Ok(match applied {
        Some(applied) if applied.plan_id == expected.as_str() => {
            vec![format!("it was applied as generation {}, and the file has changed since", applied.generation)]
        }
        Some(Applied { generation, applied_by, applied_at, .. }) if change_set.is_empty() => {
            vec![format!("generation {generation} (by {applied_by}, {applied_at:.0}) says what the file says")]
        }
        Some(Applied { generation, applied_by, applied_at, .. }) => {
            vec![format!(
                "the file has changed, or generation {generation} (by {applied_by}, {applied_at:.0}) came after it"
            )]
        }
        None => vec!["the file has changed".to_owned()],
    })
}
