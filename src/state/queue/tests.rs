use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::super::store::tests::fresh;
use super::super::{RunStart, StateError, StateStore, TaskRow};
use super::lease::{LEASE, MOST_LOSSES};
use super::{Claim, Course, Progress, QueuedTask};
use crate::clock::SystemClock;
use crate::model::{Generation, PlanName, ProjectKey, ProjectSelector, RepoId, RepoSlug, RunId, Uid};

const SERVER: Uid = Uid::from_parts(1, 3);

fn owner(number: u128) -> Uid {
    Uid::from_parts(7, number)
}

fn pay() -> ProjectSelector {
    ProjectKey::new("PAY").unwrap().into()
}

async fn begin(store: &StateStore) -> RunId {
    let id = RunId::mint(&SystemClock);
    let name = PlanName::new("nightly").unwrap();
    let (plan, at) = (Uid::from_parts(1, 1), Timestamp::UNIX_EPOCH);
    let (generation, only, resumes, scheduled) = (Generation(1), None, None, None);
    let run = RunStart { id, plan, plan_name: &name, generation, only, resumes, scheduled, at };
    store.start_run(run, &[]).await.unwrap();
    id
}

/// A run of these repositories, whose coordinator is `owner(0)`; open to others.
async fn run_of(store: &StateStore, repositories: impl IntoIterator<Item = u64>) -> RunId {
    let run = begin(store).await;
    let task = |number: u64| QueuedTask {
        server: SERVER,
        repository: RepoId(number),
        project: pay(),
        body: number.to_string(),
    };
    let tasks: Vec<_> = repositories.into_iter().map(task).collect();
    store.enqueue(run, owner(0), &tasks).await.unwrap();
    store.open_to_others(run, owner(0), LEASE).await.unwrap();
    run
}

/// A claim of a repository, in a run of its own.
pub(in crate::state) async fn claim_of(store: &StateStore, server: Uid, repository: RepoId) -> Claim {
    let run = begin(store).await;
    let task = QueuedTask { server, repository, project: pay(), body: String::new() };
    store.enqueue(run, owner(0), &[task]).await.unwrap();
    store.claim(owner(0), run, &pay(), 1, LEASE).await.unwrap()[0].claim
}

async fn claim(store: &StateStore, by: u128, run: RunId, most: usize) -> Vec<Claim> {
    let claimed = store.claim(owner(by), run, &pay(), most, LEASE).await.unwrap();
    claimed.into_iter().map(|claimed| claimed.claim).collect()
}

fn numbers(claims: &[Claim]) -> Vec<u64> {
    claims.iter().map(|claim| claim.repository.0).collect()
}

fn report(claim: Claim, ended: bool, by: &str) -> Progress {
    let row = TaskRow {
        run: claim.run,
        server: claim.server,
        repository: claim.repository,
        project: ProjectKey::new("PAY").unwrap(),
        slug: RepoSlug::new(format!("repo-{}", claim.repository)).unwrap(),
        state: if ended { "changed" } else { "throttled" }.into(),
        detail: json!({"by": by}),
        changed: Timestamp::UNIX_EPOCH,
    };
    Progress { claim, row, ended }
}

async fn end(store: &StateStore, claim: Claim) -> bool {
    store.settle(&[], &[report(claim, true, "end")]).await.unwrap().is_empty()
}

async fn lose(store: &StateStore, by: u128) -> usize {
    store.end_leases(owner(by)).await.unwrap();
    store.reap().await.unwrap().len()
}

#[tokio::test]
async fn tasks_are_claimed_in_their_order_by_the_coordinator_and_by_others_while_the_run_is_open() {
    let (_home, store) = fresh().await;
    let run = run_of(&store, [5, 3, 4, 1]).await;
    assert_eq!(numbers(&claim(&store, 0, run, 2).await), [5, 3]);
    assert_eq!(numbers(&claim(&store, 1, run, 1).await), [4]);
    assert_eq!(store.look(run, owner(0)).await.unwrap().course, Course::Begins);
    store.open_to_others(run, owner(0), Duration::ZERO).await.unwrap();
    assert_eq!(claim(&store, 1, run, 9).await, []);
    assert!(store.open_runs().await.unwrap().is_empty());
    let look = store.look(run, owner(0)).await.unwrap();
    assert_eq!((look.course, look.waiting[0].tasks, look.elsewhere, look.gatherable), (Course::Held, 1, 1, false));
    assert_eq!(numbers(&claim(&store, 0, run, 9).await), [1]);
    let other: ProjectSelector = ProjectKey::new("OPS").unwrap().into();
    assert_eq!(store.claim(owner(0), run, &other, 9, LEASE).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_given_back_and_what_is_withdrawn() {
    let (_home, store) = fresh().await;
    let run = run_of(&store, [1, 2, 3, 4]).await;
    let mine = claim(&store, 0, run, 2).await;
    let theirs = claim(&store, 1, run, 1).await;
    store.release(&mine[..1]).await.unwrap();
    assert_eq!(store.withdraw_waiting(run).await.unwrap(), ["1", "4"]);
    assert_eq!(store.withdraw_elsewhere(run, owner(0)).await.unwrap(), ["3"]);
    assert!(!end(&store, theirs[0]).await, "it was taken away");
    assert!(end(&store, mine[1]).await);
    assert!(!end(&store, mine[1]).await, "it is over");
    store.release(&mine).await.unwrap();
    assert_eq!(claim(&store, 0, run, 9).await, [], "what is over is not given back");
}

#[tokio::test]
async fn two_runs_never_have_one_repository_at_the_same_time() {
    let (_home, store) = fresh().await;
    let (first, second) = (run_of(&store, [1, 2]).await, run_of(&store, [2, 3]).await);
    let one = claim(&store, 0, first, 9).await;
    assert_eq!(numbers(&claim(&store, 0, second, 9).await), [3]);
    assert!(end(&store, one[1]).await);
    assert_eq!(numbers(&claim(&store, 0, second, 9).await), [2]);
}

#[tokio::test]
async fn what_ended_elsewhere_is_gathered_once_with_its_record() {
    let (_home, store) = fresh().await;
    let run = run_of(&store, [1, 2, 3]).await;
    let (mine, theirs) = (claim(&store, 0, run, 1).await, claim(&store, 1, run, 2).await);
    let progress: Vec<_> = theirs.iter().map(|claim| report(*claim, true, "worker")).collect();
    assert!(store.settle(&[], &progress).await.unwrap().is_empty() && end(&store, mine[0]).await);
    assert!(store.look(run, owner(0)).await.unwrap().gatherable);
    let gathered = store.gather(run, owner(0)).await.unwrap();
    let rows: Vec<_> = gathered.iter().map(|one| one.row.clone()).collect();
    assert_eq!(rows, [Some(progress[0].row.clone()), Some(progress[1].row.clone())]);
    assert_eq!(store.gather(run, owner(0)).await.unwrap(), []);
    let look = store.look(run, owner(0)).await.unwrap();
    assert!(look.waiting.is_empty() && look.elsewhere == 0 && !look.gatherable);
}

#[tokio::test]
async fn a_task_that_is_lost_waits_again_and_is_set_aside_after_five_losses() {
    let (_home, store) = fresh().await;
    let run = run_of(&store, [1]).await;
    let held = claim(&store, 1, run, 1).await;
    assert!(store.reap().await.unwrap().is_empty(), "its lease is not over");
    assert_eq!(store.renew(owner(1), LEASE).await.unwrap(), held.iter().copied().collect());
    for losses in 1..=MOST_LOSSES {
        // The wait after a loss is the database's: here it is over.
        sqlx::query("UPDATE queue SET not_before = 0").execute(&store.pool).await.unwrap();
        if losses > 1 {
            assert_eq!(claim(&store, 1, run, 1).await[0].epoch, losses);
        }
        assert_eq!(lose(&store, 1).await, 1);
        let waiting = store.look(run, owner(0)).await.unwrap().waiting.len();
        assert_eq!(waiting, usize::from(losses < MOST_LOSSES));
        assert_eq!(claim(&store, 2, run, 1).await.len(), usize::from(losses == 1), "a wait, or the end");
        store.release(&store.renew(owner(2), LEASE).await.unwrap().into_iter().collect::<Vec<_>>()).await.unwrap();
        if losses == 1 {
            sqlx::query("UPDATE queue SET epoch = 1").execute(&store.pool).await.unwrap();
        }
    }
    let gathered = store.gather(run, owner(0)).await.unwrap();
    assert_eq!((gathered[0].losses, &gathered[0].row), (MOST_LOSSES, &None));
}

#[tokio::test]
async fn whoever_was_taken_for_lost_writes_nothing() {
    let (_home, store) = fresh().await;
    let run = run_of(&store, [1]).await;
    let stale = claim(&store, 1, run, 1).await[0];
    assert!(store.holds(&stale).await.unwrap());
    assert_eq!(lose(&store, 1).await, 1);
    assert!(!store.holds(&stale).await.unwrap());
    let held = claim(&store, 1, run, 1).await[0];
    assert_eq!(held.epoch, stale.epoch + 1, "the same owner again, and not the same claim");
    assert!(end(&store, held).await);

    for ended in [false, true] {
        let lost = store.settle(&[], &[report(stale, ended, "stale")]).await.unwrap();
        assert_eq!(lost, [stale].into());
    }
    assert_eq!(store.tasks_after(run, None, 9).await.unwrap()[0].detail, json!({"by": "end"}));
    let mut transaction = store.begin("test").await.unwrap();
    let refused = store.demand(&mut transaction, &stale).await.unwrap_err();
    // A transaction that is only dropped may outlive the schema of this test.
    transaction.rollback().await.unwrap();
    assert!(matches!(refused, StateError::Fenced { .. }) && refused.hint().is_some(), "{refused}");
}

#[tokio::test]
async fn the_next_coordinator_clears_what_a_dead_one_left_and_lets_living_workers_end() {
    let (_home, store) = fresh().await;
    let run = run_of(&store, [1, 2, 3]).await;
    let (dead, living) = (claim(&store, 0, run, 1).await[0], claim(&store, 1, run, 1).await[0]);
    assert_eq!(store.open_runs().await.unwrap()[0].run, run);
    store.abandon_running(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(store.look(run, owner(1)).await.unwrap().course, Course::Over);
    assert!(store.open_runs().await.unwrap().is_empty());
    assert_eq!((store.holds(&dead).await.unwrap(), store.holds(&living).await.unwrap()), (false, true));
    let next = run_of(&store, [1, 2, 3]).await;
    assert_eq!(numbers(&claim(&store, 3, next, 9).await), [1, 3]);
    assert!(end(&store, living).await);
    assert_eq!(numbers(&claim(&store, 3, next, 9).await), [2]);
}

/// Workers with databases of their own, as other processes have.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_never_run_a_repository_twice_at_once() {
    const REPOSITORIES: u64 = 30;
    let (_home, store) = fresh().await;
    let runs = [run_of(&store, 0..REPOSITORIES).await, run_of(&store, (0..REPOSITORIES).rev()).await];
    let at_work = Arc::new(Mutex::new(BTreeSet::new()));
    let mut workers = Vec::new();
    for number in 1..=6_u128 {
        let at_work = Arc::clone(&at_work);
        let location = store.location().clone();
        workers.push(tokio::spawn(async move {
            let store = StateStore::open(&location, &SystemClock).await?;
            let mut done = Vec::new();
            let mut turn = number;
            loop {
                turn += 1;
                let run = runs[usize::from(turn % 2 == 0)];
                let claimed = store.claim(owner(number), run, &pay(), 1 + usize::from(turn % 3 == 0), LEASE).await?;
                for one in &claimed {
                    assert!(at_work.lock().unwrap().insert(one.claim.repository), "{:?}", one.claim);
                }
                tokio::task::yield_now().await;
                for (index, one) in claimed.iter().enumerate() {
                    at_work.lock().unwrap().remove(&one.claim.repository);
                    if index == 1 {
                        store.release(&[one.claim]).await?;
                    } else {
                        assert!(store.settle(&[], &[report(one.claim, true, "worker")]).await?.is_empty());
                        done.push((one.claim.run, one.claim.repository));
                    }
                }
                let mut left = 0;
                for run in runs {
                    let look = store.look(run, owner(number)).await?;
                    left += look.waiting.len() + usize::from(look.elsewhere > 0);
                }
                if left == 0 {
                    return Ok::<_, StateError>(done);
                }
            }
        }));
    }
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap().unwrap());
    }
    let distinct: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!((all.len(), distinct.len()), (60, 60), "each once in each run");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Claim {
        by: u128,
        run: usize,
        most: usize,
    },
    /// A worker that was claimed something at any time before says that it is done.
    End {
        claim: prop::sample::Index,
    },
    Release {
        claim: prop::sample::Index,
    },
    /// A worker is killed, or stands still for too long.
    Lose {
        by: u128,
    },
    Renew {
        by: u128,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u128, 0..2_usize, 1..4_usize).prop_map(|(by, run, most)| Step::Claim { by, run, most }),
        4 => any::<prop::sample::Index>().prop_map(|claim| Step::End { claim }),
        1 => any::<prop::sample::Index>().prop_map(|claim| Step::Release { claim }),
        2 => (0..3_u128).prop_map(|by| Step::Lose { by }),
        1 => (0..3_u128).prop_map(|by| Step::Renew { by }),
    ]
}

/// One task of the model.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    holder: Option<u128>,
    over: bool,
    epoch: u64,
    losses: u64,
}

/// The queue as it should be: two runs that share repositories.
#[derive(Default)]
struct Model {
    tasks: BTreeMap<(usize, u64), Known>,
    granted: Vec<(usize, Claim)>,
}

impl Model {
    fn claimable(&self, run: usize, most: usize) -> Vec<u64> {
        let held: BTreeSet<u64> =
            self.tasks.iter().filter(|(_, task)| task.holder.is_some()).map(|((_, number), _)| *number).collect();
        let of_run = self.tasks.range((run, 0)..=(run, u64::MAX));
        // After the second loss a task waits for longer than this test takes.
        let free = of_run.filter(|((_, number), task)| {
            !task.over && task.holder.is_none() && task.losses < 2 && !held.contains(number)
        });
        free.map(|((_, number), _)| *number).take(most).collect()
    }

    fn held(&mut self, run: usize, claim: &Claim) -> Option<&mut Known> {
        let task = self.tasks.get_mut(&(run, claim.repository.0))?;
        let is_held = task.holder.is_some_and(|holder| owner(holder) == claim.owner) && task.epoch == claim.epoch;
        is_held.then_some(task)
    }

    async fn follow(&mut self, store: &StateStore, runs: [RunId; 2], step: Step) {
        match step {
            Step::Claim { by, run, most } => {
                let expected = self.claimable(run, most);
                let claims = claim(store, by, runs[run], most).await;
                assert_eq!(numbers(&claims), expected);
                for claim in claims {
                    let task = self.tasks.get_mut(&(run, claim.repository.0)).unwrap();
                    (task.holder, task.epoch) = (Some(by), task.epoch + 1);
                    assert_eq!(task.epoch, claim.epoch);
                    self.granted.push((run, claim));
                }
            }
            Step::End { claim } if !self.granted.is_empty() => {
                let (run, claim) = *claim.get(&self.granted);
                assert_eq!(store.holds(&claim).await.unwrap(), self.held(run, &claim).is_some());
                let held = self.held(run, &claim);
                assert_eq!(end(store, claim).await, held.is_some());
                if let Some(task) = held {
                    (task.holder, task.over) = (None, true);
                }
            }
            Step::Release { claim } if !self.granted.is_empty() => {
                let (run, claim) = *claim.get(&self.granted);
                store.release(&[claim]).await.unwrap();
                if let Some(task) = self.held(run, &claim) {
                    task.holder = None;
                }
            }
            Step::End { .. } | Step::Release { .. } => {}
            Step::Lose { by } => {
                let lost = self.tasks.values_mut().filter(|task| task.holder == Some(by));
                let lost = lost.map(|task| (task.holder, task.losses) = (None, task.losses + 1)).count();
                assert_eq!(lose(store, by).await, lost);
            }
            Step::Renew { by } => {
                let held = self.tasks.values().filter(|task| task.holder == Some(by)).count();
                assert_eq!(store.renew(owner(by), LEASE).await.unwrap().len(), held);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_queue_does_what_its_model_does(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_home, store) = fresh().await;
            let runs = [run_of(&store, 0..4).await, run_of(&store, 2..6).await];
            let of = |run, numbers: std::ops::Range<u64>| numbers.map(move |number| ((run, number), Known::default()));
            let mut model = Model { tasks: of(0, 0..4).chain(of(1, 2..6)).collect(), granted: Vec::new() };
            for step in steps {
                model.follow(&store, runs, step).await;
            }
        });
    }
}
