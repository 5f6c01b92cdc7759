//! Looking and acting.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::ReconcileError;
use super::approval::{Approval, agree};
use super::bind::bind_destinations;
use super::known::known;
use super::settled::settled;
use crate::change::{ChangeSet, Glimpses, Known, change_set};
use crate::clock::Clock;
use crate::crash::{self, CrashPoint};
use crate::model::{Address, Applied, Declaration, Generation, Source, Uid};
use crate::secret::Identities;
use crate::source::Provenance;
use crate::state::{StateLock, StateStore};

/// How an apply ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The declaration is in force.
    Applied {
        /// Its number.
        generation: Generation,
        /// What was done.
        change_set: ChangeSet,
    },
    /// It was in force before.
    InSync {
        /// Its number; absent if nothing is declared and nothing applied.
        generation: Option<Generation>,
        /// The notes on it; no change is in it.
        change_set: ChangeSet,
    },
}

impl Outcome {
    /// What is in force; absent if nothing is declared and nothing applied.
    pub const fn generation(&self) -> Option<Generation> {
        match self {
            Self::Applied { generation, .. } => Some(*generation),
            Self::InSync { generation, .. } => *generation,
        }
    }
}

/// What an apply would do.
pub fn plan(state: Option<&Applied>, declaration: &Declaration, known: &Known, now: Timestamp) -> ChangeSet {
    change_set(state, declaration, known, now)
}

/// What is to come into force.
#[derive(Debug, Clone)]
pub struct Proposal<'a> {
    /// What it declares.
    pub declaration: Declaration,
    /// Where that was read from.
    pub source: Source,
    /// The earlier generation that it is taken from, if it is. Names in it that are not in force get back the
    /// identities that they had.
    pub rollback_of: Option<&'a Applied>,
    /// Who asks: `user@host`.
    pub who: &'a str,
    /// Where relative paths begin.
    pub base: &'a Path,
    /// Which commit it is of; nothing for what no file declares.
    pub provenance: Option<&'a Provenance>,
    /// What a look saw of projects that no run has listed, to say what it means.
    pub glimpses: Glimpses,
    /// What opens sealed values, to tell whether those that are exchanged have the same inside.
    pub identities: Option<&'a Identities>,
}

/// Puts a proposal in force as far as `approval` allows. All of it or nothing.
///
/// `_lock` is that of what is in force, held meanwhile. Destinations are made ready before the declaration comes into
/// force: doing that twice does no harm.
pub async fn apply(
    store: &StateStore,
    _lock: &StateLock,
    proposal: Proposal<'_>,
    approval: &Approval,
    clock: &dyn Clock,
) -> Result<Outcome, ReconcileError> {
    let now = clock.now();
    let applied = store.applied().await?;
    let Proposal { declaration, source, rollback_of, who, base, provenance, glimpses, identities: opening } = proposal;
    let known = known(store, applied.as_ref(), &declaration, opening, provenance).await?;
    let known = Known { glimpses, ..known };
    let change_set = plan(applied.as_ref(), &declaration, &known, now);
    agree(&change_set, &known, applied.as_ref(), &source, approval)?;
    if change_set.is_empty() {
        return Ok(Outcome::InSync { generation: change_set.based_on, change_set });
    }
    crash::point(CrashPoint::ChangeAgreed);
    let ours = bind_destinations(store, &declaration, base, clock).await?;
    crash::point(CrashPoint::DestinationsReady);

    let generation = Generation::after(change_set.based_on);
    let next = Applied {
        lineage: store.lineage(),
        generation,
        uids: identities([applied.as_ref(), rollback_of], &change_set.origins(), &declaration, clock),
        declaration,
        source,
        plan_id: change_set.plan_id.to_string(),
        applied_by: who.to_owned(),
        applied_at: now,
        rollback_of: rollback_of.map(|earlier| earlier.generation),
        allowed: if approval.is_complete() { Vec::new() } else { change_set.allowed_by() },
    };
    store.record_applied(&next, change_set.based_on).await?;
    // The declaration is in force, whatever becomes of what follows from it.
    if let Err(error) = settled(store, &next, &ours, now).await {
        tracing::warn!(%error, "what follows from the declaration is not remembered");
    }
    Ok(Outcome::Applied { generation, change_set })
}

/// The identities of servers and plans: those they have, also under the names they are moved from; those they had in the
/// generation that is taken back; new ones for new names. A name that was given up and comes back in the file is
/// something new: nothing tells that it means the same, and old backups must not fall under new rules.
fn identities(
    known: [Option<&Applied>; 2],
    origins: &BTreeMap<&Address, &Address>,
    declared: &Declaration,
    clock: &dyn Clock,
) -> BTreeMap<Address, Uid> {
    let known = |address: &Address| {
        let origin = origins.get(address).copied().unwrap_or(address);
        known.into_iter().flatten().find_map(|applied| applied.uids.get(origin).copied())
    };
    let servers = declared.servers.keys().map(Address::server);
    let plans = declared.plans.keys().map(Address::plan);
    servers
        .chain(plans)
        .map(|address| {
            let uid = known(&address).unwrap_or_else(|| Uid::mint(clock));
            (address, uid)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::change::{Counts, RailKind, sample};
    use crate::clock::{ManualClock, SystemClock};
    use crate::model::condition::holding;
    use crate::model::{ConditionKind, Lineage, Seen, Sighting};
    use crate::reconcile::SavedPlan;
    use crate::state::{Exclusive, LockBody, StateLocation};

    struct World {
        home: tempfile::TempDir,
        clock: ManualClock,
        store: StateStore,
    }

    impl World {
        async fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let clock = ManualClock::at("2026-11-22T00:00:00Z".parse().unwrap());
            let store = StateStore::open(&StateLocation::beside(home.path()), &clock).await.unwrap();
            Self { home, clock, store }
        }

        async fn apply(&self, declaration: &Declaration, approval: Approval) -> Result<Outcome, ReconcileError> {
            let proposal = proposal(declaration, self.home.path());
            apply(&self.store, &lock(&self.store).await, proposal, &approval, &self.clock).await
        }

        async fn take_back(&self, number: u64) -> Outcome {
            let earlier = self.store.generation(Generation(number)).await.unwrap().unwrap();
            let applied = self.applied().await;
            let declaration = super::super::taken_back(&earlier, Some(&applied));
            let id = plan(Some(&applied), &declaration, &Known::default(), self.clock.now()).plan_id;
            let proposal = Proposal { rollback_of: Some(&earlier), ..proposal(&declaration, self.home.path()) };
            let approval = Approval::Approved(id);
            apply(&self.store, &lock(&self.store).await, proposal, &approval, &self.clock).await.unwrap()
        }

        async fn applied(&self) -> Applied {
            self.store.applied().await.unwrap().unwrap()
        }
    }

    fn source() -> Source {
        Source { file: "xopero.kdl".into(), sha256: "00".into(), files: Vec::new(), commit: None }
    }

    fn proposal<'a>(declaration: &Declaration, base: &'a Path) -> Proposal<'a> {
        let (declaration, source) = (declaration.clone(), source());
        Proposal {
            declaration,
            source,
            rollback_of: None,
            who: "ada@vault",
            base,
            provenance: None,
            glimpses: Glimpses::default(),
            identities: None,
        }
    }

    /// One plan leaves, and another comes.
    fn replace_plan(declared: &mut Declaration) {
        let plan = declared.plans.remove(&"nightly".parse().unwrap()).unwrap();
        declared.plans.insert("hot".parse().unwrap(), plan);
    }

    async fn lock(store: &StateStore) -> StateLock {
        let body = LockBody {
            id: "1".into(),
            who: "ada@vault".into(),
            pid: 7,
            operation: "apply".into(),
            since: Timestamp::UNIX_EPOCH,
        };
        StateLock::acquire(store.location(), Exclusive::Applying, &body).await.unwrap()
    }

    #[tokio::test]
    async fn what_comes_into_force_settles_what_it_proves() {
        let world = World::new().await;
        let mut declared = sample::declaration();
        world.apply(&declared, Approval::Auto).await.unwrap();
        let foreign = Sighting {
            address: Address::destination(declared.destinations.keys().next().unwrap()),
            kind: ConditionKind::DestinationForeign,
            seen: Seen::Holds { reason: "Foreign", message: "it is somebody else's".into() },
        };
        world.store.settle_conditions(&[foreign], None, world.clock.now()).await.unwrap();
        let project = declared.projects.values_mut().next().unwrap();
        project.main.expires = Some("2026-11-24".parse().unwrap());
        world.apply(&declared, Approval::Auto).await.unwrap();
        let conditions = world.store.conditions().await.unwrap();
        let holding: Vec<String> = holding(&conditions)
            .map(|(address, kind, condition)| format!("{} {address} {}", kind.as_str(), condition.reason))
            .collect();
        assert_eq!(holding, ["CredentialExpiring credential/PAY/main Within3Days"]);
    }

    #[tokio::test]
    async fn applying_twice_changes_nothing_the_second_time() {
        let world = World::new().await;
        let declared = sample::declaration();
        let first = world.apply(&declared, Approval::Auto).await.unwrap();
        assert!(matches!(first, Outcome::Applied { generation: Generation(1), .. }));
        let applied = world.applied().await;
        assert_eq!((&applied.declaration, applied.applied_by.as_str()), (&declared, "ada@vault"));
        let second = world.apply(&declared, Approval::Auto).await.unwrap();
        assert!(matches!(second, Outcome::InSync { generation: Some(Generation(1)), .. }));
        assert!(plan(Some(&applied), &declared, &Known::default(), world.clock.now()).is_empty());
    }

    #[tokio::test]
    async fn a_plan_made_before_there_was_a_state_can_be_approved() {
        let world = World::new().await;
        let declared = sample::declaration();
        let id = plan(None, &declared, &Known::default(), world.clock.now()).plan_id;
        world.apply(&declared, Approval::Approved(id)).await.unwrap();
    }

    #[tokio::test]
    async fn identities_are_kept_and_new_ones_minted() {
        let world = World::new().await;
        let mut declared = sample::declaration();
        world.apply(&declared, Approval::Auto).await.unwrap();
        let before = world.applied().await.uids;
        let plan = declared.plans.values().next().unwrap().clone();
        declared.plans.insert("hot".parse().unwrap(), plan);
        world.apply(&declared, Approval::Auto).await.unwrap();
        let after = world.applied().await.uids;
        let addresses: Vec<&str> = after.keys().map(Address::as_str).collect();
        assert_eq!(addresses, ["plan/hot", "plan/nightly", "server/bb"]);
        assert!(before.iter().all(|(address, uid)| after[address] == *uid));
    }

    #[tokio::test]
    async fn what_is_guarded_needs_its_own_approval() {
        let world = World::new().await;
        world.apply(&sample::declaration(), Approval::Auto).await.unwrap();
        let mut declared = sample::declaration();
        replace_plan(&mut declared);
        let id = plan(Some(&world.applied().await), &declared, &Known::default(), world.clock.now()).plan_id;
        for approval in [Approval::Auto, Approval::Confirmed(id.clone())] {
            let error = world.apply(&declared, approval).await.unwrap_err();
            assert!(error.hint().unwrap().contains(&format!("`xopero apply --approve {id}`")));
            let ReconcileError::RefusedByRail { rails, .. } = error else { panic!("{error}") };
            assert_eq!(rails[0].kind, RailKind::PlanLeaves);
        }
        let other = plan(None, &declared, &Known::default(), world.clock.now()).plan_id;
        for approval in [Approval::Confirmed(other.clone()), Approval::Approved(other)] {
            let error = world.apply(&declared, approval).await.unwrap_err();
            assert!(matches!(&error, ReconcileError::Stale { found: Some(found), .. } if *found == id), "{error}");
        }
        assert_eq!(world.applied().await.generation, Generation(1));

        let done = world.apply(&declared, Approval::Approved(id)).await.unwrap();
        let Outcome::Applied { generation: Generation(2), change_set } = done else { panic!("{done:?}") };
        assert_eq!(change_set.counts(), Counts { add: 1, retire: 1, ..Counts::default() });
    }

    #[tokio::test]
    async fn a_moved_plan_keeps_its_identity() {
        let world = World::new().await;
        world.apply(&sample::declaration(), Approval::Auto).await.unwrap();
        let before = world.applied().await.uids;
        let mut declared = sample::declaration();
        replace_plan(&mut declared);
        let address = |name: &str| Address::parse(name).unwrap();
        declared.moved.insert(address("plan/nightly"), address("plan/hot"));
        world.apply(&declared, Approval::Auto).await.unwrap();
        let after = world.applied().await.uids;
        assert_eq!(after[&address("plan/hot")], before[&address("plan/nightly")]);
        assert!(matches!(world.apply(&declared, Approval::Auto).await.unwrap(), Outcome::InSync { .. }));
    }

    #[tokio::test]
    async fn no_approval_lets_through_what_is_refused() {
        let world = World::new().await;
        world.apply(&sample::declaration(), Approval::Auto).await.unwrap();
        let mut declared = sample::declaration();
        declared.plans.clear();
        let id = plan(Some(&world.applied().await), &declared, &Known::default(), world.clock.now()).plan_id;
        for approval in [Approval::Auto, Approval::Confirmed(id.clone()), Approval::Approved(id)] {
            let error = world.apply(&declared, approval).await.unwrap_err();
            assert!(matches!(&error, ReconcileError::Refused { .. }), "{error}");
            assert!(error.hint().unwrap().contains("retire each of them"));
        }
        assert_eq!(world.applied().await.generation, Generation(1), "what is in force stays");
    }

    #[tokio::test]
    async fn a_saved_plan_holds_for_exactly_that() {
        let world = World::new().await;
        world.apply(&sample::declaration(), Approval::Auto).await.unwrap();
        let applied = world.applied().await;
        let mut declared = sample::declaration();
        replace_plan(&mut declared);
        let set = plan(Some(&applied), &declared, &Known::default(), world.clock.now());
        let saved = SavedPlan::new(&set, Some(&applied), source());
        let approval = || Approval::Saved(Box::new(saved.clone()));

        let error = world.apply(&sample::declaration(), approval()).await.unwrap_err();
        let ReconcileError::Stale { found: None, moved, .. } = error else { panic!("{error}") };
        assert!(moved.iter().any(|line| line.starts_with("plan/nightly: to retire then")), "{moved:?}");

        let mut foreign = saved.clone();
        foreign.plan_id = plan(None, &declared, &Known::default(), world.clock.now()).plan_id;
        foreign.based_on.as_mut().unwrap().lineage = Lineage::from_parts(7, 7);
        let error = world.apply(&declared, Approval::Saved(Box::new(foreign))).await.unwrap_err();
        assert!(matches!(error, ReconcileError::PlanOfAnother { .. }), "{error}");

        world.apply(&declared, approval()).await.unwrap();
        let again = world.apply(&declared, approval()).await.unwrap();
        assert!(matches!(again, Outcome::InSync { generation: Some(Generation(2)), .. }), "asked once more");
        let error = world.apply(&sample::declaration(), approval()).await.unwrap_err();
        let ReconcileError::Stale { moved, .. } = error else { panic!("{error}") };
        assert_eq!(moved[0], "the state has moved from generation 1 to generation 2");
    }

    #[tokio::test]
    async fn an_id_that_names_nothing_is_not_passed_over() {
        let world = World::new().await;
        world.apply(&sample::declaration(), Approval::Auto).await.unwrap();
        let other = "0123456789ab".parse().unwrap();
        let error = world.apply(&sample::declaration(), Approval::Approved(other)).await.unwrap_err();
        assert!(matches!(error, ReconcileError::Stale { found: None, .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_taken_back_has_the_identity_that_it_had() {
        let world = World::new().await;
        world.apply(&sample::declaration(), Approval::Auto).await.unwrap();
        let first = world.applied().await;
        let mut declared = sample::declaration();
        replace_plan(&mut declared);
        let id = plan(Some(&first), &declared, &Known::default(), world.clock.now()).plan_id;
        world.apply(&declared, Approval::Approved(id)).await.unwrap();

        assert!(matches!(world.take_back(1).await, Outcome::Applied { generation: Generation(3), .. }));
        let third = world.applied().await;
        assert_eq!((&third.declaration, &third.uids), (&first.declaration, &first.uids));
        assert_eq!(third.rollback_of, Some(Generation(1)));
        assert!(matches!(world.take_back(1).await, Outcome::InSync { .. }));
    }

    #[tokio::test]
    async fn tasks_can_apply() {
        let world = World::new().await;
        let (store, base) = (world.store.clone(), world.home.path().to_owned());
        let task = async move {
            let proposal = proposal(&sample::declaration(), &base);
            apply(&store, &lock(&store).await, proposal, &Approval::Auto, &SystemClock).await
        };
        tokio::spawn(task).await.unwrap().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn after_an_approved_apply_the_plan_is_empty(before in sample::declarations(), after in sample::declarations()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let world = World::new().await;
                for declared in [before, after] {
                    let state = world.store.applied().await.unwrap();
                    let set = plan(state.as_ref(), &declared, &Known::default(), world.clock.now());
                    if set.is_refused() {
                        return;
                    }
                    world.apply(&declared, Approval::Approved(set.plan_id)).await.unwrap();
                    assert!(plan(Some(&world.applied().await), &declared, &Known::default(), world.clock.now()).is_empty());
                }
            });
        }
    }
}
