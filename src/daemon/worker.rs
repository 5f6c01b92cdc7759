//! A worker: it takes a share in the runs that others begin, and begins none.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::drain::Drain;
use super::pulse::NotReady;
use super::vital::{Basis, Vital};
use crate::clock::{Clock, random_bits};
use crate::http::{Proxies, Tally};
use crate::model::{PlanName, RunId, Uid};
use crate::run::{Event, EventSink, RunError, Share, Shared, Turnstile, lines, plan_of, share};
use crate::secret::{IdentitySources, find_identities};
use crate::state::queue::{OpenRun, lease};
use crate::state::{StateError, StateStore};

/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds on top, so that workers do not all look at once.
const JITTER: u128 = 250;

/// How soon a run is tried again that this process could not work on.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// Takes a share in the runs of a state.
pub struct Worker {
    /// The state.
    pub state: Arc<StateStore>,
    /// Where relative paths begin.
    pub base: PathBuf,
    /// `user@host`.
    pub who: String,
    /// Where identities are looked for.
    pub identities: IdentitySources,
    /// Through what servers are reached.
    pub proxies: Proxies,
    /// How servers answer this process.
    pub tally: Tally,
    /// The accounts' budgets, which all runs share.
    pub turnstile: Turnstile,
    /// How many tasks may be under way on one server, if that is less than it is worth.
    pub most: Option<NonZeroUsize>,
    /// Who is told.
    pub sink: Arc<dyn WorkerSink>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Asks to try at once again what this process could not work on.
    pub reload: tokio::sync::mpsc::Receiver<()>,
    /// Cancelled to stop: nothing is begun then.
    pub stop: CancellationToken,
    /// How long what is under way may go on after that; then it is interrupted, and given back.
    pub drain: Duration,
}

/// What a worker tells while it goes on.
#[derive(Debug)]
pub enum WorkerEvent<'a> {
    /// Health and figures can be asked for.
    Listening {
        /// Where: `unix:/run/xopero-worker/xopero-worker.sock`, `http://127.0.0.1:9478`.
        address: String,
    },
    /// It is there.
    Started,
    /// It takes a share in a run.
    Joined {
        /// The plan.
        plan: &'a PlanName,
        /// The run.
        run: RunId,
    },
    /// It cannot work on a run, which is left to others.
    Unfit {
        /// The plan.
        plan: &'a PlanName,
        /// The run.
        run: RunId,
        /// Why, one line each.
        why: &'a [String],
        /// What to do about it.
        hint: Option<&'a str>,
    },
    /// Its share in a run is over.
    Left {
        /// The plan.
        plan: &'a PlanName,
        /// The run.
        run: RunId,
        /// Repositories that it backed up.
        tasks: usize,
    },
    /// Something that it needs failed; it goes on, and tries again.
    Trouble {
        /// Why, one line each.
        error: &'a [String],
    },
    /// What it could not work on is tried again at once, because somebody asked for it.
    Reloading,
    /// Nothing new is begun, and what is under way comes to an end.
    Draining {
        /// Runs that it works on.
        runs: usize,
        /// How long they may go on until they are interrupted.
        patience: Duration,
    },
    /// It is over.
    Stopped,
}

/// Whoever wants to know.
pub trait WorkerSink: Send + Sync {
    /// Takes one event. Must not block for long.
    fn tell(&self, event: &WorkerEvent<'_>);

    /// Takes an event of a run of this plan.
    fn tell_of_run(&self, plan: &PlanName, event: &Event);

    /// Takes a sign of life.
    fn vital(&self, _vital: Vital<'_>) {}
}

struct OfRun {
    plan: PlanName,
    sink: Arc<dyn WorkerSink>,
}

impl EventSink for OfRun {
    fn emit(&self, event: &Event) {
        self.sink.tell_of_run(&self.plan, event);
    }

    fn is_alive(&self) {
        self.sink.vital(Vital::RunLives(&self.plan));
    }
}

/// What the loop remembers from one round to the next.
struct Progress {
    shares: JoinSet<Result<Shared, RunError>>,
    under_way: BTreeMap<Id, (RunId, PlanName)>,
    /// Runs that this process cannot work on, with when it tries again.
    unfit: BTreeMap<RunId, std::time::Instant>,
    announced: Option<std::time::Instant>,
    trouble: Option<Vec<String>>,
    /// Whether the state answered when it was asked last, unless that is to be told again.
    answers: Option<bool>,
    /// Cancelled to interrupt everything that is under way.
    interrupt: CancellationToken,
}

impl Worker {
    /// Goes on until it is stopped.
    pub async fn run(mut self) -> Result<(), StateError> {
        let id = Uid::mint(&*self.clock);
        let mut progress = Progress {
            shares: JoinSet::new(),
            under_way: BTreeMap::new(),
            unfit: BTreeMap::new(),
            announced: None,
            trouble: None,
            answers: None,
            interrupt: CancellationToken::new(),
        };
        self.state.announce_worker(id, &self.who, lease::LEASE).await?;
        self.sink.tell(&WorkerEvent::Started);
        loop {
            let ended = self.round(id, &mut progress).await;
            self.judge(&mut progress, ended);
            self.sink.vital(Vital::Turned);
            let wait = LOOK + Duration::from_millis(u64::try_from(random_bits() % JITTER).unwrap_or_default());
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = progress.shares.join_next_with_id() => self.ended(&mut progress, ended),
                Some(()) = self.reload.recv() => {
                    self.sink.tell(&WorkerEvent::Reloading);
                    self.sink.vital(Vital::Reloading);
                    progress.unfit.clear();
                    progress.answers = None;
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.sink.tell(&WorkerEvent::Draining { runs: progress.shares.len(), patience: self.drain });
        self.sink.vital(Vital::Draining);
        let mut drain = Drain::begin(self.drain, progress.interrupt.clone());
        while let Some(ended) = drain.next(&mut progress.shares, || self.sink.vital(Vital::Turned)).await {
            self.ended(&mut progress, ended);
        }
        self.state.dismiss_worker(id).await?;
        self.sink.tell(&WorkerEvent::Stopped);
        Ok(())
    }

    /// Tells what a round came to, if that is news.
    fn judge(&self, progress: &mut Progress, ended: Result<(), RunError>) {
        let answers = ended.is_ok();
        match ended {
            Ok(()) => progress.trouble = None,
            Err(error) => self.trouble(progress, &error),
        }
        if progress.answers.replace(answers) != Some(answers) {
            let flaw = Vital::Flaw(NotReady::StateUnreadable);
            self.sink.vital(if answers { Vital::Looked(Basis::State) } else { flaw });
        }
    }

    /// Says that it is there, and takes a share in every run that is open.
    async fn round(&self, id: Uid, progress: &mut Progress) -> Result<(), RunError> {
        let now = self.clock.monotonic();
        if progress.announced.is_none_or(|announced| now.saturating_duration_since(announced) >= lease::RENEW) {
            self.state.announce_worker(id, &self.who, lease::LEASE).await?;
            progress.announced = Some(now);
        }
        let open = self.state.open_runs().await?;
        progress.unfit.retain(|run, _| open.iter().any(|open| open.run == *run));
        for open in open {
            let known = progress.under_way.values().any(|(run, _)| *run == open.run);
            let rests = progress.unfit.get(&open.run).is_some_and(|again| now < *again);
            if known || rests {
                continue;
            }
            if let Some(plan) = plan_of(&self.state, &open).await? {
                self.join(progress, open, plan);
            }
        }
        Ok(())
    }

    fn join(&self, progress: &mut Progress, open: OpenRun, plan: (PlanName, crate::model::Applied)) {
        let name = plan.0.clone();
        let identities = match find_identities(&self.identities) {
            Ok(identities) => identities,
            Err(error) => {
                let hint = error.hint();
                return self.unfit(progress, (open.run, &name), &lines(&error), hint.as_deref());
            }
        };
        let events = OfRun { plan: name.clone(), sink: Arc::clone(&self.sink) };
        // What it cannot do it says once, and says so again only if it changes.
        if !progress.unfit.contains_key(&open.run) {
            self.sink.tell(&WorkerEvent::Joined { plan: &name, run: open.run });
        }
        let handle = progress.shares.spawn(share(Share {
            open,
            plan,
            base: self.base.clone(),
            proxies: self.proxies.clone(),
            tally: self.tally.clone(),
            state: Arc::clone(&self.state),
            identities,
            turnstile: self.turnstile.clone(),
            most: self.most,
            clock: Arc::clone(&self.clock),
            events: Arc::new(events),
            closing: self.stop.child_token(),
            stop: progress.interrupt.child_token(),
        }));
        self.sink.vital(Vital::RunBegins(&name));
        progress.under_way.insert(handle.id(), (open.run, name));
    }

    fn ended(&self, progress: &mut Progress, ended: Result<(Id, Result<Shared, RunError>), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            // A bug in one run is no reason to give up the others.
            Err(panicked) => (panicked.id(), None),
        };
        let (run, plan) = progress.under_way.remove(&id).expect("every share was taken here");
        self.sink.vital(Vital::RunEnds(&plan));
        match ended {
            Some(Ok(Shared::Done { tasks })) => {
                progress.unfit.remove(&run);
                self.sink.tell(&WorkerEvent::Left { plan: &plan, run, tasks });
            }
            Some(Ok(Shared::Unfit { why, hint })) => self.unfit(progress, (run, &plan), &why, hint.as_deref()),
            Some(Err(error)) => {
                let again = self.clock.monotonic() + TRY_AGAIN;
                progress.unfit.insert(run, again);
                self.trouble(progress, &error);
            }
            None => {
                let why = ["the work ended by a defect of this program, whose trace is in the log".to_owned()];
                self.unfit(progress, (run, &plan), &why, None);
            }
        }
    }

    fn unfit(&self, progress: &mut Progress, (run, plan): (RunId, &PlanName), why: &[String], hint: Option<&str>) {
        let again = self.clock.monotonic() + TRY_AGAIN;
        if progress.unfit.insert(run, again).is_none() {
            self.sink.tell(&WorkerEvent::Unfit { plan, run, why, hint });
        }
    }

    fn trouble(&self, progress: &mut Progress, error: &RunError) {
        let error = lines(error);
        if progress.trouble.as_ref() != Some(&error) {
            self.sink.tell(&WorkerEvent::Trouble { error: &error });
        }
        progress.trouble = Some(error);
    }
}
