//! What generations changed, each against the one before it.

use jiff::Timestamp;

use super::plan;
use crate::change::{ChangeSet, Counts, Known};
use crate::model::{AllowedBy, Applied, Generation, Source};

/// One generation, for people who look back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub generation: Generation,
    /// When it came into force.
    pub applied_at: Timestamp,
    /// Who applied it.
    pub applied_by: String,
    /// Where its declaration was read from.
    pub source: Source,
    /// The earlier generation that was taken back with it.
    pub rollback_of: Option<Generation>,
    /// The commits that allowed what was guarded in it.
    pub allowed: Vec<AllowedBy>,
    /// The change set that was agreed to.
    pub plan_id: String,
    /// What it changed; absent if the generation before it is no longer remembered.
    pub counts: Option<Counts>,
}

impl Entry {
    /// A generation, and what it changed against the one `before` it. That is not known if there was one that is not
    /// given.
    pub fn new(applied: &Applied, before: Option<&Applied>) -> (Self, Option<ChangeSet>) {
        let known = before.is_some() || applied.generation == Generation::after(None);
        let changes = known.then(|| {
            let mut changes = plan(before, &applied.declaration, &Known::default(), applied.applied_at);
            // What there was to know besides is over, and what was guarded was approved.
            changes.notes.clear();
            changes.rails.clear();
            changes.impacts.clear();
            changes
        });
        let entry = Self {
            generation: applied.generation,
            applied_at: applied.applied_at,
            applied_by: applied.applied_by.clone(),
            source: applied.source.clone(),
            rollback_of: applied.rollback_of,
            allowed: applied.allowed.clone(),
            plan_id: applied.plan_id.clone(),
            counts: changes.as_ref().map(ChangeSet::counts),
        };
        (entry, changes)
    }
}

/// The entries of successive generations, both newest first.
pub fn entries(remembered: &[Applied]) -> Vec<Entry> {
    let before = remembered.iter().skip(1).map(Some).chain([None]);
    remembered.iter().zip(before).map(|(applied, before)| Entry::new(applied, before).0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;
    use crate::model::Declaration;

    #[test]
    fn each_generation_is_compared_with_the_one_before() {
        let generation = |number: u64, declaration: Declaration| Applied {
            generation: Generation(number),
            ..sample::applied(declaration)
        };
        let mut without = sample::declaration();
        without.plans.clear();
        let three =
            [generation(3, sample::declaration()), generation(2, without), generation(1, sample::declaration())];
        let counts = |all: &[Applied]| entries(all).into_iter().map(|entry| entry.counts).collect::<Vec<_>>();
        let (one, gone, first) = (
            Counts { add: 1, ..Counts::default() },
            Counts { retire: 1, ..Counts::default() },
            Counts { add: 9, ..Counts::default() },
        );
        assert_eq!(counts(&three), [Some(one), Some(gone), Some(first)]);
        assert_eq!(counts(&three[..2]), [Some(one), None], "what came before is forgotten");
        assert!(entries(&[]).is_empty());
    }
}
