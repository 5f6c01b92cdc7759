//! The loop: woken by a reason and never by data, it reads the whole truth again and does what is due.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::activation::{Activation, Activator};
use super::calendar::{ScheduledPlan, scheduled};
use super::drain::Drain;
use super::event::{OfRun, WatchEvent, WatchSink};
use super::following::Following;
use super::source_memory::SourceMemory;
use crate::crash::{self, CrashPoint};
use crate::http::{Proxies, Tally};
use crate::model::{Applied, Generation, PlanName, RunId, Uid};
use crate::run::resume::{Found, find};
use crate::run::{Execution, Outcome, RunError, Summary, Turnstile, execute, lines};
use crate::schedule::{PassedOver, Standing, Step};
use crate::secret::find_identities;
use crate::source::{Snapshot, SourceEvent};
use crate::state::{ABANDONED, AgendaRow, Exclusive, LockBody, StateError, StateLock};

/// The longest sleep: a wall clock that is set, or a machine that was suspended, is noticed after it.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// When something failed that may work again.
const TRY_AGAIN: Duration = Duration::from_secs(15);

/// Follows a declaration, and runs what is due.
pub struct Watch {
    /// Puts what was read in force.
    pub activator: Activator,
    /// Where the declaration comes from.
    pub source: Following,
    /// What is followed, for people.
    pub source_name: String,
    /// Through what servers are reached.
    pub proxies: Proxies,
    /// How servers answer all runs.
    pub tally: Tally,
    /// The accounts' budgets, which all runs share.
    pub turnstile: Turnstile,
    /// How many runs go on side by side at most, each of another plan.
    pub max_runs: NonZeroUsize,
    /// Who is told.
    pub sink: Arc<dyn WatchSink>,
    /// Asks for everything to be read again, and for what came of it.
    pub reload: tokio::sync::mpsc::Receiver<()>,
    /// Says that the source may have changed.
    pub hints: tokio::sync::mpsc::Receiver<()>,
    /// Cancelled to stop: nothing is begun then.
    pub stop: CancellationToken,
    /// How long what is under way may go on after that.
    pub drain: Duration,
}

/// What the loop remembers from one round to the next. Whatever must outlive the process is in the state.
struct Progress {
    /// Since when somebody is there to begin runs.
    awake_since: Timestamp,
    runs: JoinSet<Result<Summary, RunError>>,
    under_way: BTreeMap<Id, UnderWay>,
    /// Plans whose next run waits for the end of others.
    held: BTreeSet<Uid>,
    /// Held while a run is under way, so that a run by hand does not meddle.
    lock: Option<StateLock>,
    /// Whether runs that were cut off before are still to be looked for: nobody can while others hold the lock.
    looks_back: bool,
    /// Cancelled to interrupt the runs: with everything else, and when the lock is lost.
    work: CancellationToken,
    /// Cancelled to interrupt everything that is under way.
    interrupt: CancellationToken,
    /// What was read last, while it may fare better without being changed.
    again: Option<Box<Snapshot>>,
    /// What was read last, while it waits for a person, with what was in force then.
    waiting: Option<(Option<Generation>, Box<Snapshot>)>,
    trouble: Option<Vec<String>>,
}

/// A run that was begun.
struct UnderWay {
    plan: Uid,
    name: PlanName,
    /// The time that it is for. The state says so as soon as the run has begun in earnest.
    scheduled: Option<AgendaRow>,
}

/// A run that is to begin.
struct Beginning<'a> {
    plan: &'a ScheduledPlan<'a>,
    /// The time that it is for.
    scheduled: Option<&'a Zoned>,
    missed: usize,
    resumes: Option<RunId>,
}

/// How a run ended, or that it ended by a defect.
type RunEnd = Result<(Id, Result<Summary, RunError>), tokio::task::JoinError>;

impl Watch {
    /// Goes on until it is stopped; what is under way then ends in good order.
    pub async fn run(mut self) -> Result<(), StateError> {
        let clock = Arc::clone(&self.activator.clock);
        let applied = self.activator.state.applied().await?;
        self.sink.tell(&WatchEvent::Started {
            source: self.source_name.clone(),
            generation: applied.as_ref().map(|applied| applied.generation),
            level: self.activator.level,
        });
        let mut progress = Progress {
            awake_since: clock.now(),
            runs: JoinSet::new(),
            under_way: BTreeMap::new(),
            held: BTreeSet::new(),
            lock: None,
            looks_back: true,
            work: CancellationToken::new(),
            interrupt: CancellationToken::new(),
            again: None,
            waiting: None,
            trouble: None,
        };
        let memory = SourceMemory {
            state: Arc::clone(&self.activator.state),
            clock: Arc::clone(&clock),
            branch: self.source.branch(),
        };
        memory.begin().await?;
        loop {
            let wait = self.round(&mut progress).await;
            self.look_at_what_waits(&mut progress).await;
            self.tell_source().await;
            self.sink.turned();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = progress.runs.join_next_with_id() => self.ended(&mut progress, ended).await,
                Some(()) = self.reload.recv() => {
                    self.sink.tell(&WatchEvent::Reloading);
                    // What is read is looked at anew, whatever came of it before.
                    (progress.again, progress.waiting) = (None, None);
                    self.source.read_again();
                }
                Some(()) = self.hints.recv() => {
                    self.sink.tell(&WatchEvent::Reloading);
                    self.source.wake();
                }
                event = self.source.next() => {
                    self.remembered(memory.saw(&event).await);
                    self.source_event(&mut progress, event).await;
                }
                () = tokio::time::sleep(wait) => {
                    if let Some(snapshot) = progress.again.take() {
                        self.activate(&mut progress, snapshot).await;
                    }
                }
            }
        }
        self.sink.tell(&WatchEvent::Draining { runs: progress.runs.len(), patience: self.drain });
        // Those that are interrupted leave nothing half done, and the next watch goes on with them.
        let mut drain = Drain::begin(self.drain, progress.interrupt.clone());
        while let Some(ended) = drain.next(&mut progress.runs, || self.sink.turned()).await {
            self.ended(&mut progress, ended).await;
        }
        self.sink.tell(&WatchEvent::Stopped);
        Ok(())
    }

    /// Goes on with the newest run of a plan if its process ended before it did. Only what is scheduled is gone on with
    /// by itself.
    async fn resume_cut_off(&self, progress: &mut Progress, applied: &Applied) -> Result<(), StateError> {
        let state = &self.activator.state;
        // Somebody else's run is alive, and would look the same.
        if progress.lock.is_none() {
            let Ok(lock) = self.lock().await else { return Ok(()) };
            state.abandon_running(self.activator.clock.now()).await?;
            progress.hold(lock);
        }
        progress.looks_back = false;
        let newest = state.newest_runs().await?;
        for plan in scheduled(applied, &state.agenda().await?) {
            let Some(last) = newest.iter().filter(|run| run.plan == plan.uid).max_by_key(|run| run.id) else {
                continue;
            };
            let cut_off = [ABANDONED, Outcome::Interrupted.as_str()].contains(&last.state.as_str());
            if !cut_off || last.only.is_some() || progress.under_way.len() >= self.max_runs.get() {
                continue;
            }
            let now = self.activator.clock.now();
            // What cannot be gone on with runs again when it is due.
            let found = find(state, applied, plan.name, Some(&last.id.to_string()), now).await;
            if let Ok(Found::Run(run)) = found {
                crash::point(CrashPoint::ResumeDue);
                let beginning = Beginning { plan: &plan, scheduled: None, missed: 0, resumes: Some(run) };
                self.begin(progress, applied, &beginning);
            }
        }
        if progress.runs.is_empty() {
            progress.lock = None;
        }
        Ok(())
    }

    async fn source_event(&mut self, progress: &mut Progress, event: SourceEvent) {
        match event {
            SourceEvent::Changed(snapshot) => self.activate(progress, snapshot).await,
            SourceEvent::Back => self.sink.tell(&WatchEvent::SourceBack),
            SourceEvent::Missing { path, reason, since: _ } => {
                self.sink.tell(&WatchEvent::SourceMissing { path, reason });
            }
            SourceEvent::Stale { reason, hint, since } => {
                self.sink.tell(&WatchEvent::SourceStale { reason, hint, since });
            }
            SourceEvent::Rewound { applied, tip } => self.sink.tell(&WatchEvent::SourceRewound { applied, tip }),
            SourceEvent::Unsigned { commit, tip: _, why } => {
                self.sink.tell(&WatchEvent::SourceUnsigned { commit, why: why.to_string() });
            }
            SourceEvent::Polling { reason } => self.sink.tell(&WatchEvent::Polling { reason }),
        }
    }

    /// Tells the source what is in force: somebody may have applied something by hand.
    async fn tell_source(&mut self) {
        let state = &self.activator.state;
        let Ok(Some(applied)) = state.applied().await else { return };
        if let Ok(Some(commit)) = state.source_base(&applied).await {
            self.source.applied(&commit);
        }
    }

    /// Somebody may have applied by hand what waits, or something else: what was read is looked at anew then.
    async fn look_at_what_waits(&self, progress: &mut Progress) {
        let Some((before, _)) = &progress.waiting else { return };
        let Ok(applied) = self.activator.state.applied().await else { return };
        if applied.map(|applied| applied.generation) != *before
            && let Some((_, snapshot)) = progress.waiting.take()
        {
            self.activate(progress, snapshot).await;
        }
    }

    /// What cannot be written down is told, and the next event writes again.
    fn remembered(&self, ended: Result<(), StateError>) {
        if let Err(error) = ended {
            self.sink.tell(&WatchEvent::Trouble { error: &lines(&error) });
        }
    }

    async fn activate(&self, progress: &mut Progress, snapshot: Box<Snapshot>) {
        crash::point(CrashPoint::ActivationDue);
        let activation = self.activator.activate(&snapshot).await;
        crash::point(CrashPoint::Activated);
        let applied = self.activator.state.applied().await.ok().flatten();
        let in_force = applied.as_ref().map(|applied| applied.generation);
        let sources = snapshot.tree.sources();
        let tip = snapshot.tip.as_ref();
        if let (Activation::Applied { .. } | Activation::InSync { .. }, Some(generation), Some(tip)) =
            (&activation, in_force, tip)
        {
            let state = &self.activator.state;
            self.remembered(state.says_what_is_in_force(generation, tip.at.commit()).await);
        }
        self.sink.tell(&WatchEvent::Activated { sources, activation: &activation, in_force, tip });
        (progress.again, progress.waiting) = match activation {
            Activation::Busy { .. } | Activation::Failed { .. } => (Some(snapshot), None),
            Activation::Pending { .. } | Activation::Refused { .. } => (None, Some((in_force, snapshot))),
            Activation::Applied { .. } | Activation::InSync { .. } | Activation::Invalid { .. } => (None, None),
        };
    }

    /// Does what is due, and tells how long nothing is. What fails is told once, and tried again.
    async fn round(&self, progress: &mut Progress) -> Duration {
        let ended = self.follow_schedules(progress).await;
        let again = progress.again.is_some();
        match ended {
            Ok(until) => {
                progress.trouble = None;
                let now = self.activator.clock.now();
                let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                wait.min(if again { TRY_AGAIN } else { LONGEST_SLEEP })
            }
            Err(error) => {
                let error = lines(&error);
                if progress.trouble.as_ref() != Some(&error) {
                    self.sink.tell(&WatchEvent::Trouble { error: &error });
                }
                progress.trouble = Some(error);
                TRY_AGAIN
            }
        }
    }

    /// Begins the runs that are due. Tells when to look again at the latest.
    async fn follow_schedules(&self, progress: &mut Progress) -> Result<Timestamp, StateError> {
        let state = &self.activator.state;
        let Some(applied) = state.applied().await? else { return Ok(Timestamp::MAX) };
        if progress.looks_back {
            self.resume_cut_off(progress, &applied).await?;
        }
        let rows = state.agenda().await?;
        let now = self.activator.clock.now();
        let mut look_again = Timestamp::MAX;
        for plan in scheduled(&applied, &rows) {
            let Ok(agenda) = &plan.agenda else { continue };
            let recorded = plan.standing(now, progress.awake_since);
            let under_way = progress.under_way.values().find(|run| run.plan == plan.uid);
            let begun = under_way.and_then(|run| run.scheduled.as_ref()).map(|row| row.dealt_with);
            let standing = Standing {
                dealt_with: begun.map_or(recorded.dealt_with, |begun| begun.max(recorded.dealt_with)),
                under_way: under_way.is_some(),
                held: progress.held.contains(&plan.uid),
                ..recorded
            };
            let timetable = plan.timetable();
            if plan.row.as_ref().is_none_or(|row| row.timetable != timetable) {
                let row = AgendaRow { timetable, dealt_with: recorded.dealt_with };
                state.deal_with(plan.uid, &row).await?;
            }
            match agenda.step(&standing, now) {
                Step::Wait { until } => look_again = look_again.min(until),
                Step::Hold => {
                    progress.held.insert(plan.uid);
                }
                Step::PassOver { scheduled, why } => {
                    self.deal_with(&plan, &scheduled).await?;
                    // What is paused is paused at every time, which is no news.
                    if why != PassedOver::Paused {
                        self.sink.tell(&WatchEvent::PassedOver { plan: plan.name, scheduled: &scheduled, why });
                    }
                    look_again = now;
                }
                Step::Begin { scheduled, missed, late: _ } => {
                    if self.is_free(progress, &plan).await? {
                        let beginning = Beginning { plan: &plan, scheduled: Some(&scheduled), missed, resumes: None };
                        if !self.begin(progress, &applied, &beginning) {
                            self.deal_with(&plan, &scheduled).await?;
                        }
                        progress.held.remove(&plan.uid);
                        look_again = now;
                    } else {
                        look_again = look_again.min(now.saturating_add(TRY_AGAIN).unwrap_or(Timestamp::MAX));
                    }
                }
            }
        }
        Ok(look_again)
    }

    async fn deal_with(&self, plan: &ScheduledPlan<'_>, scheduled: &Zoned) -> Result<(), StateError> {
        self.activator.state.deal_with(plan.uid, &dealt_with(plan, scheduled)).await
    }

    /// Whether a run can begin: there are not as many under way as may be, and no other process begins runs.
    async fn is_free(&self, progress: &mut Progress, plan: &ScheduledPlan<'_>) -> Result<bool, StateError> {
        let why = if progress.under_way.len() >= self.max_runs.get() {
            let names: Vec<_> = progress.under_way.values().map(|run| run.name.to_string()).collect();
            let are = if names.len() == 1 { "a run is" } else { "runs are" };
            format!("{are} under way already: {}", names.join(", "))
        } else if progress.lock.is_some() {
            return Ok(true);
        } else {
            match self.lock().await {
                Ok(lock) => {
                    progress.hold(lock);
                    self.activator.state.abandon_running(self.activator.clock.now()).await?;
                    return Ok(true);
                }
                Err(error) => lines(&error).join(": "),
            }
        };
        if progress.held.insert(plan.uid) {
            self.sink.tell(&WatchEvent::RunWaits { plan: plan.name, why });
        }
        Ok(false)
    }

    /// Begins a run, if that is possible.
    fn begin(&self, progress: &mut Progress, applied: &Applied, beginning: &Beginning<'_>) -> bool {
        let Beginning { plan, scheduled, missed, resumes } = *beginning;
        let identities = match find_identities(&self.activator.identities) {
            Ok(identities) => identities,
            Err(error) => {
                let hint = error.hint();
                let error = lines(&error);
                self.sink.tell(&WatchEvent::RunFailed { plan: plan.name, error: &error, hint });
                return false;
            }
        };
        self.sink.tell(&WatchEvent::RunBegins { plan: plan.name, scheduled, missed });
        let scheduled = scheduled.map(|scheduled| dealt_with(plan, scheduled));
        let execution = Execution {
            applied: applied.clone(),
            plan: plan.name.clone(),
            only: None,
            accepted: BTreeSet::new(),
            resumes,
            scheduled: scheduled.clone(),
            max_duration: None,
            hours: plan.agenda.as_ref().ok().cloned(),
            base: self.activator.base.clone(),
            proxies: self.proxies.clone(),
            tally: self.tally.clone(),
            state: Arc::clone(&self.activator.state),
            identities,
            turnstile: self.turnstile.clone(),
            clock: Arc::clone(&self.activator.clock),
            events: Arc::new(OfRun { plan: plan.name.clone(), sink: Arc::clone(&self.sink) }),
            closing: self.stop.child_token(),
            stop: progress.work.child_token(),
        };
        let handle = progress.runs.spawn(execute(execution));
        progress.under_way.insert(handle.id(), UnderWay { plan: plan.uid, name: plan.name.clone(), scheduled });
        crash::point(CrashPoint::RunHandedOver);
        true
    }

    async fn lock(&self) -> Result<StateLock, StateError> {
        let body = LockBody {
            id: Uid::mint(&*self.activator.clock).to_string(),
            who: self.activator.who.clone(),
            pid: std::process::id(),
            operation: "watch".to_owned(),
            since: self.activator.clock.now(),
        };
        let lock = StateLock::acquire(self.activator.state.location(), Exclusive::Runs, &body).await?;
        self.activator.state.publish_under(&lock);
        Ok(lock)
    }

    async fn ended(&self, progress: &mut Progress, ended: RunEnd) {
        let (id, ended) = match ended {
            Ok((id, ended)) => (id, Some(ended)),
            // A bug in one run is no reason to give up the others.
            Err(panicked) => (panicked.id(), None),
        };
        let UnderWay { plan: uid, name: plan, scheduled } =
            progress.under_way.remove(&id).expect("every run was begun here");
        crash::point(CrashPoint::RunReturned);
        // What could not begin is dealt with, too: it is told, and runs again when its next time comes.
        if let (Some(row), Some(Err(_)) | None) = (&scheduled, &ended)
            && let Err(error) = self.activator.state.deal_with(uid, row).await
        {
            self.sink.tell(&WatchEvent::Trouble { error: &lines(&error) });
        }
        match ended {
            Some(Ok(summary)) => self.sink.tell(&WatchEvent::RunEnded { plan: &plan, summary: &summary }),
            Some(Err(error)) => {
                let (hint, error) = (error.hint(), lines(&error));
                self.sink.tell(&WatchEvent::RunFailed { plan: &plan, error: &error, hint });
            }
            None => {
                let error = ["the run ended by a defect of this program, whose trace is in the log".to_owned()];
                self.sink.tell(&WatchEvent::RunFailed { plan: &plan, error: &error, hint: None });
            }
        }
        if progress.runs.is_empty()
            && let Some(lock) = progress.lock.take()
            && let Some(lost) = lock.loss(&self.activator.state).await
        {
            self.sink.tell(&WatchEvent::Trouble { error: &lines(&lost) });
        }
    }
}

impl Progress {
    /// Goes on under a lock: what is begun ends when it is lost.
    fn hold(&mut self, lock: StateLock) {
        self.work = self.interrupt.child_token();
        lock.cancel_if_lost(self.work.clone());
        self.lock = Some(lock);
    }
}

/// That a time of a plan is dealt with.
fn dealt_with(plan: &ScheduledPlan<'_>, scheduled: &Zoned) -> AgendaRow {
    AgendaRow { timetable: plan.timetable(), dealt_with: scheduled.timestamp() }
}
