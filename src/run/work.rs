//! The tasks of a run: as many under way as their servers are worth, each recorded as it ends.
//!
//! They are claimed from the queue in the state, by the run's coordinator and by workers of other processes
//! ([`Role`]). The coordinator gathers what the others have done, and its work is over when every task has a report.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;

use super::attempt::chains_of;
use super::dispatch::{Context, Servers};
use super::journal::Entry;
use super::queue::{Held, Queue, Ready};
use super::server::ServerContext;
use super::task::{End, Task, back_up, defect_report, interrupted, not_reached, set_aside};
use super::{Event, Ledger, RunError, TaskReport};
use crate::clock::random_bits;
use crate::model::{RepoId, Uid};
use crate::state::queue::lease::{LEASE, MOST_LOSSES};
use crate::state::queue::{Course, Group, Progress, QueuedTask};

/// The wall clock may be set while a run waits for hours that are open.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// How often the queue is looked at for what others do. A bit more, so that they do not all look at once.
const LOOK: Duration = Duration::from_secs(1);

/// Milliseconds of the bit.
const JITTER: u128 = 250;

/// Whose work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Whoever began the run, and tells how it ended.
    Coordinator,
    /// Somebody who helps, with so many tasks under way on a server at most.
    Worker {
        /// If that is limited.
        most: Option<usize>,
    },
}

/// How long nothing may be begun, if it may not now.
fn closed(context: &Context) -> Option<Duration> {
    let until = context.hours.closed()?;
    Some(Duration::try_from(until.duration_since(context.clock.now())).unwrap_or_default())
}

/// Enqueues the tasks of a run and works on them, until each has a report.
pub(super) async fn coordinate(
    context: &Arc<Context>,
    servers: &Servers,
    tasks: Vec<Task>,
) -> Result<Vec<TaskReport>, RunError> {
    let queued: Vec<QueuedTask> = tasks.iter().map(Task::queued).collect();
    let accompanied = context.state.enqueue(context.run, context.keeper.owner(), &queued).await?;
    let mut groups: Vec<Group> = Vec::new();
    for task in &queued {
        let known = groups.iter_mut().find(|group| group.project == task.project && group.server == task.server);
        match known {
            Some(group) => group.tasks += 1,
            None => groups.push(Group { server: task.server, project: task.project.clone(), tasks: 1 }),
        }
    }
    let mut shift = Shift::new(context, servers, Role::Coordinator);
    (shift.expected, shift.accompanied) = (tasks.len(), accompanied);
    shift.learn(groups);
    drop((queued, tasks));
    shift.work_in_company().await?;
    context.journal.close().await?;
    Ok(shift.reports.into_values().collect())
}

/// Works on a run that somebody else coordinates, until it is over. Gives how many tasks were done.
pub(super) async fn help(context: &Arc<Context>, servers: &Servers, role: Role) -> Result<usize, RunError> {
    let mut shift = Shift::new(context, servers, role);
    let worked = shift.work_in_company().await;
    context.journal.close().await?;
    worked.map(|()| shift.reports.len())
}

/// The work of one process on one run.
struct Shift<'a> {
    context: &'a Arc<Context>,
    servers: BTreeMap<Uid, Arc<ServerContext>>,
    role: Role,
    queue: Queue,
    under_way: JoinSet<End>,
    started: BTreeMap<Id, Held>,
    reports: BTreeMap<(Uid, RepoId), TaskReport>,
    /// What those have waited for already that closed hours kept from beginning.
    waited: BTreeMap<(Uid, RepoId), Ledger>,
    /// How many reports make a whole.
    expected: usize,
    /// Whether other processes work on runs.
    accompanied: bool,
    /// Whether the queue was looked at since something was begun or has ended.
    looked: bool,
    /// Whether the run goes on.
    open: bool,
    /// What was taken out of the queue because the run ends.
    withdrawn: Withdrawn,
    /// Until when what is left waits for hours that are open, as it was told.
    told: Option<Timestamp>,
}

/// How much of a run that ends is taken out of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Withdrawn {
    Nothing,
    Waiting,
    All,
}

impl<'a> Shift<'a> {
    fn new(context: &'a Arc<Context>, servers: &Servers, role: Role) -> Self {
        Self {
            context,
            servers: servers.values().map(|server| (server.uid, Arc::clone(server))).collect(),
            role,
            queue: Queue::default(),
            under_way: JoinSet::new(),
            started: BTreeMap::new(),
            reports: BTreeMap::new(),
            waited: BTreeMap::new(),
            expected: 0,
            accompanied: role != Role::Coordinator,
            looked: false,
            open: true,
            withdrawn: Withdrawn::Nothing,
            told: None,
        }
    }

    /// Works, and gives back what was reserved of accounts.
    async fn work_in_company(&mut self) -> Result<(), RunError> {
        self.keep_company().await?;
        let worked = self.work().await;
        let Context { run, credentials, .. } = &**self.context;
        let parted = credentials.turnstile.part(*run).await;
        worked?;
        Ok(parted?)
    }

    /// Shares accounts with other processes while there are any.
    async fn keep_company(&self) -> Result<(), RunError> {
        let Context { run, credentials, state, .. } = &**self.context;
        if self.accompanied {
            credentials.turnstile.accompany(*run, state, self.role).await?;
        } else {
            credentials.turnstile.part(*run).await?;
        }
        Ok(())
    }

    async fn work(&mut self) -> Result<(), RunError> {
        let context = self.context;
        let parking = Arc::clone(&context.credentials.parking);
        loop {
            let closed = closed(context);
            // It waits for hours that are open, or for what others do.
            if closed.is_some() || self.under_way.is_empty() {
                context.events.is_alive();
            }
            if closed.is_none() && !self.is_ending() && !context.deadline.is_reached() {
                let begun = self.begin_all().await;
                self.bear(begun)?;
            }
            // Others come after those who are here.
            self.keep_hours(closed.is_some()).await?;
            let idle = self.under_way.is_empty();
            if self.is_over() {
                return Ok(());
            }
            if idle && !self.looked && !self.is_ending() {
                let looked = self.look().await;
                self.bear(looked)?;
                continue;
            }
            let waits = closed.is_some() && self.queue.has_more();
            self.tell_hours(closed.filter(|_| waits));
            let look = LOOK + Duration::from_millis(u64::try_from(random_bits() % JITTER).unwrap_or_default());
            let look = if waits { closed.unwrap_or_default().min(LOOK_AGAIN).max(look) } else { look };
            let ended = tokio::select! {
                biased;
                Some(ended) = self.under_way.join_next_with_id() => Some(ended),
                () = context.stop.cancelled(), if self.withdrawn < Withdrawn::All => {
                    self.withdraw(Withdrawn::All).await?;
                    None
                }
                () = context.deadline.closing().cancelled(), if self.withdrawn < Withdrawn::Waiting => {
                    self.withdraw(Withdrawn::Waiting).await?;
                    None
                }
                () = parking.changed(), if !idle => None,
                () = tokio::time::sleep(look) => {
                    let looked = self.look().await;
                    self.bear(looked)?;
                    None
                }
            };
            if let Some(ended) = ended
                && !self.ended(ended).await?
            {
                // Nothing can be recorded any more: whoever closes the journal says why.
                return Ok(());
            }
        }
    }

    /// A worker bears that the state does not answer for a while: it finishes what it has, as long as that is its own. The
    /// coordinator needs the state, and the lock in it.
    fn bear(&self, result: Result<(), RunError>) -> Result<(), RunError> {
        match result {
            Err(RunError::State(error)) if self.role != Role::Coordinator && self.context.keeper.is_trusted() => {
                tracing::warn!(run = %self.context.run, %error, "the state does not answer");
                Ok(())
            }
            result => result,
        }
    }

    /// Whether there is nothing left to do, or to wait for.
    fn is_over(&self) -> bool {
        let idle = self.under_way.is_empty() && self.queue.is_empty_handed();
        match self.role {
            Role::Coordinator => idle && self.reports.len() >= self.expected,
            Role::Worker { .. } => idle && (!self.open || self.is_ending()),
        }
    }

    fn is_ending(&self) -> bool {
        self.withdrawn > Withdrawn::Nothing
    }

    /// Tells once that what is left waits for so long.
    fn tell_hours(&mut self, wait: Option<Duration>) {
        if self.role != Role::Coordinator {
            return;
        }
        let now = self.context.clock.now();
        let told = self.told.take();
        self.told = wait.map(|wait| told.unwrap_or_else(|| now.saturating_add(wait).unwrap_or(now)));
        if let (None, Some(until)) = (told, self.told) {
            self.context.events.emit(&Event::HoursClosed { until });
        }
    }

    /// In hours that are closed nobody begins anything, and what was claimed is free for other runs.
    async fn keep_hours(&mut self, closed: bool) -> Result<(), RunError> {
        if self.role == Role::Coordinator {
            self.context.keeper.open(!closed && !self.is_ending()).await?;
        }
        if closed && !self.queue.is_empty_handed() {
            let unbegun = self.queue.drain();
            self.give_back(&unbegun).await?;
            self.looked = false;
        }
        Ok(())
    }

    /// Begins as many tasks as may be under way.
    async fn begin_all(&mut self) -> Result<(), RunError> {
        let context = self.context;
        let parking = &context.credentials.parking;
        while let Some(group) = self.queue.next(|project| parking.count(project)) {
            if let Some((project, most)) = self.queue.lack(group, self.accompanied) {
                let owner = context.keeper.owner();
                let claimed = context.state.claim(owner, context.run, &project, most, LEASE).await?;
                let mut tasks = Vec::with_capacity(claimed.len());
                for one in claimed {
                    let task = self.read(&one.body)?;
                    tasks.push(Held { task, claim: one.claim, lost: context.keeper.hold(one.claim) });
                }
                self.queue.claimed(group, most, tasks);
            }
            let unprepared = self.queue.unprepared(group);
            if !unprepared.is_empty() {
                let prepared = prepared(context, unprepared).await;
                self.queue.prepared(group, prepared);
            }
            let Some((held, chains)) = self.queue.begin(group) else { continue };
            self.looked = false;
            let (context, begun) = (Arc::clone(context), held.clone());
            let span = tracing::error_span!("task", repository = %held.task.name, account = tracing::field::Empty);
            let work = async move {
                tokio::select! {
                    biased;
                    () = begun.lost.cancelled() => End::Lost,
                    end = back_up(&context, &begun, chains) => end,
                }
            };
            let handle = self.under_way.spawn(work.instrument(span));
            self.started.insert(handle.id(), held);
        }
        Ok(())
    }

    /// Takes note of the end of a task. Tells whether that can be recorded at all.
    async fn ended(&mut self, ended: Result<(Id, End), JoinError>) -> Result<bool, RunError> {
        let (id, end) = match ended {
            Ok((id, end)) => (id, Some(end)),
            // A bug in one task is no reason to lose the record of the others.
            Err(panicked) => (panicked.id(), None),
        };
        let held = self.started.remove(&id).expect("every task was started here");
        self.queue.end(&held.task);
        self.looked = false;
        let report = match end {
            Some(End::Reported(report)) => *report,
            Some(End::Lost) => {
                tracing::warn!(task = %held.task.name, "the claim was lost: the task is left to others");
                self.context.keeper.let_go(&held.claim);
                return Ok(true);
            }
            Some(End::PutOff(waited)) => {
                self.put_off(held, &waited).await?;
                return Ok(true);
            }
            None => defect_report(&held.task),
        };
        if self.role != Role::Coordinator && !report.result.is_final() {
            // It had to stop here, and others need not.
            self.give_back(&[held]).await?;
            return Ok(true);
        }
        Ok(self.enter(held, report).await)
    }

    /// Looks how the queue stands: what others have done, and what is left.
    async fn look(&mut self) -> Result<(), RunError> {
        let Context { state, keeper, run, .. } = &**self.context;
        self.looked = true;
        for claim in state.reap().await? {
            tracing::warn!(owner = %claim.owner, repository = %claim.repository, "a worker was lost; its task waits again");
        }
        let mut look = state.look(*run, keeper.owner()).await?;
        if look.accompanied && !self.accompanied {
            let spare = self.queue.spare();
            self.give_back(&spare).await?;
            look = state.look(*run, keeper.owner()).await?;
        }
        let open = look.course != Course::Over;
        if self.role == Role::Coordinator && !open {
            // Somebody has taken the lock and given the run up in our name: nobody will ever report what is missing.
            return Err(state.taken_over().await.into());
        }
        if self.open && !open {
            // Either it ended without us, or somebody else will go on with it.
            keeper.renew().await?;
        }
        self.context.hours.shut(self.role != Role::Coordinator && look.course != Course::Begins);
        (self.open, self.accompanied) = (open, look.accompanied || self.role != Role::Coordinator);
        self.keep_company().await?;
        if self.role == Role::Coordinator && look.gatherable {
            self.gather().await?;
        }
        // What comes back while the run ends, because a worker was lost, nobody begins again.
        let comes_back = !look.waiting.is_empty() || (self.withdrawn == Withdrawn::All && look.elsewhere > 0);
        if self.role == Role::Coordinator && self.is_ending() && comes_back {
            return self.withdraw(self.withdrawn).await;
        }
        self.learn(look.waiting);
        Ok(())
    }

    fn learn(&mut self, waiting: Vec<Group>) {
        let (servers, role) = (&self.servers, self.role);
        self.queue.learn(waiting, |server| {
            let worth = servers.get(&server)?.tasks;
            Some(match role {
                Role::Coordinator => worth,
                Role::Worker { most } => worth.min(most.unwrap_or(worth)),
            })
        });
    }

    /// Enters what others have done.
    async fn gather(&mut self) -> Result<(), RunError> {
        let context = self.context;
        for one in context.state.gather(context.run, context.keeper.owner()).await? {
            let task = self.read(&one.body)?;
            let told = one.row.filter(|_| one.losses < MOST_LOSSES);
            let told = told.and_then(|row| serde_json::from_value::<TaskReport>(row.detail).ok());
            if let Some(report) = told {
                let report = self.with_waits(&task, report);
                let event = Event::TaskFinished { report: report.clone() };
                let _written = context.journal.enter(Entry::told(event)).await;
                self.reports.insert(task.key(), report);
            } else {
                self.enter_free(&task, set_aside(&task, one.losses)).await;
            }
        }
        Ok(())
    }

    /// Gives a task back that has not begun: what it waits for is hours, and not budget.
    async fn put_off(&mut self, held: Held, waited: &Ledger) -> Result<(), RunError> {
        let Context { run, state, clock, .. } = &**self.context;
        if waited.throttled_waits > 0 {
            let row = held.task.running_row(*run, clock.now());
            state.settle(&[], &[Progress { claim: held.claim, row, ended: false }]).await?;
        }
        self.waited.entry(held.task.key()).or_default().add(waited);
        self.give_back(&[held]).await
    }

    /// Takes the rest of a run that ends out of the queue.
    async fn withdraw(&mut self, much: Withdrawn) -> Result<(), RunError> {
        self.withdrawn = much;
        let context = self.context;
        let unbegun = self.queue.drain();
        if self.role != Role::Coordinator {
            return self.give_back(&unbegun).await;
        }
        let report = |task: &Task| match much {
            Withdrawn::All => interrupted(task),
            Withdrawn::Nothing | Withdrawn::Waiting => not_reached(task),
        };
        for held in unbegun {
            let report = report(&held.task);
            self.enter(held, report).await;
        }
        context.keeper.open(false).await?;
        let mut bodies = context.state.withdraw_waiting(context.run).await?;
        if much == Withdrawn::All {
            bodies.extend(context.state.withdraw_elsewhere(context.run, context.keeper.owner()).await?);
        }
        self.gather().await?;
        for body in bodies {
            let task = self.read(&body)?;
            let report = report(&task);
            self.enter_free(&task, report).await;
        }
        self.learn(Vec::new());
        Ok(())
    }

    async fn give_back(&self, unbegun: &[Held]) -> Result<(), RunError> {
        let claims: Vec<_> = unbegun.iter().map(|held| held.claim).collect();
        self.context.state.release(&claims).await?;
        for claim in &claims {
            self.context.keeper.let_go(claim);
        }
        Ok(())
    }

    /// Records and tells how a task ended. Tells whether that is possible at all.
    async fn enter(&mut self, held: Held, report: TaskReport) -> bool {
        let Held { task, claim, .. } = held;
        let report = self.with_waits(&task, report);
        let row = task.end_row(self.context.run, &report, self.context.clock.now());
        self.reports.insert(task.key(), report.clone());
        let written = self.context.journal.enter(Entry::end(claim, row, Event::TaskFinished { report })).await;
        self.context.keeper.let_go(&claim);
        written
    }

    /// The same for a task that nobody has claimed.
    async fn enter_free(&mut self, task: &Task, report: TaskReport) {
        let report = self.with_waits(task, report);
        let row = task.end_row(self.context.run, &report, self.context.clock.now());
        self.reports.insert(task.key(), report.clone());
        let _written = self.context.journal.enter(Entry::free(row, Event::TaskFinished { report })).await;
    }

    /// What a task cost, with what it waited for before closed hours came.
    fn with_waits(&mut self, task: &Task, mut report: TaskReport) -> TaskReport {
        if let Some(mut book) = self.waited.remove(&task.key()) {
            book.add(&report.ledger);
            report.ledger = book;
        }
        report
    }

    fn read(&self, body: &str) -> Result<Task, RunError> {
        let run = self.context.run;
        Task::read(body, &self.servers).map_err(|why| RunError::ForeignTask { run, why })
    }
}

/// Looks up for many tasks at once what the destinations have. Where that fails each task looks for itself, and says
/// what it met.
async fn prepared(context: &Context, tasks: Vec<Held>) -> VecDeque<Ready> {
    let chains = if context.stop.is_cancelled() {
        None
    } else {
        chains_of(context, tasks.iter().map(|held| &held.task)).await.ok()
    };
    match chains {
        Some(chains) => tasks.into_iter().zip(chains.into_iter().map(Some)).collect(),
        None => tasks.into_iter().map(|task| (task, None)).collect(),
    }
}
