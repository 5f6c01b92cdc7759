//! A whole estate on a virtual clock, made up from a seed: accounts, runs, tasks, and what happens to their requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::super::{
    Answer, Arrival, Ask, Budgets, Departure, Grant, Holder, Outcome, RotationId, Served, Steadiness, Ticket,
};
use super::laws::Count;
use super::world::{Dice, Reply, Truth};
use super::{account, holder, millis, role, start};
use crate::model::CredentialRole;

/// Tasks of a run that are under way at a server at a time.
pub(super) const CONCURRENCY: usize = 12;

/// Runs in a world, at most.
pub(super) const RUNS: usize = 3;

/// The longest that a request or its answer is on its way, in milliseconds.
pub(super) const WAY: u64 = 150;

/// A world that is not over by then does not end.
const DOOMSDAY: Duration = Duration::from_hours(48);

pub(super) struct Task {
    pub(super) run: usize,
    pub(super) project: usize,
    pub(super) arrival: Arrival,
    keep: Option<CredentialRole>,
    left: u64,
    pub(super) steadiness: Steadiness,
    busy: u32,
}

pub(super) struct Project {
    server: usize,
    rotation: RotationId,
    /// Roles, with the account and whether the server takes the secret.
    members: Vec<(CredentialRole, usize, bool)>,
    rejected: BTreeSet<CredentialRole>,
    /// Accounts of those that were not rejected.
    pub(super) usable: Vec<usize>,
}

enum Event {
    /// A task asks for its next request.
    Ask(usize),
    /// A request that was granted has found its place.
    Send(usize, Grant),
    /// A request comes to the server.
    Come(usize, Grant),
    /// Its answer comes back.
    Answer(usize, Grant, Reply),
    /// Somebody else uses an account.
    Steal(usize),
}

/// Servers, budgets, and tasks.
pub(super) struct Estate {
    pub(super) began: Instant,
    pub(super) now: Instant,
    dice: Dice,
    pub(super) budgets: Budgets,
    pub(super) accounts: Vec<Truth>,
    pub(super) holders: Vec<Holder>,
    pub(super) counts: Vec<Count>,
    pub(super) projects: Vec<Project>,
    pub(super) tasks: Vec<Task>,
    /// Tasks that did not begin, by run and server.
    queues: BTreeMap<(usize, usize), VecDeque<usize>>,
    unfinished: usize,
    agenda: BTreeMap<(Instant, u64), Event>,
    number: u64,
    pub(super) waiting: BTreeMap<Ticket, usize>,
    /// How often others were served at an account since a run was that waits for it.
    pub(super) passed: Vec<[usize; RUNS]>,
    /// Requests may wait for something else before they are sent.
    holds: bool,
    /// Whether a credential was rejected between two who were served.
    recalled: bool,
}

impl Estate {
    /// The estate of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let began = start();
        let (mut accounts, mut of_server) = (Vec::new(), Vec::new());
        for server in 0..=dice.below(3) {
            let nodes = if dice.chance(20) { dice.below(3) + 1 } else { 1 };
            let count = dice.below(5) + 1;
            let first = accounts.len();
            accounts.extend((0..count).map(|number| Truth::new(server, number, nodes, &mut dice, began)));
            of_server.push(first..accounts.len());
        }
        let count = accounts.len();
        let mut estate = Self::empty(seed, dice, accounts, began);
        for run in 0..=estate.dice.below(RUNS) {
            estate.run(run, &of_server);
        }
        for index in 0..count {
            if let Some(step) = estate.accounts[index].thief {
                estate.later(step, Event::Steal(index));
            }
        }
        estate
    }

    fn empty(seed: u64, dice: Dice, accounts: Vec<Truth>, began: Instant) -> Self {
        let mut budgets = Budgets::new(seed);
        let holders: Vec<_> = accounts.iter().map(|truth| holder(&format!("s{}", truth.server), &truth.name)).collect();
        for (holder, truth) in holders.iter().zip(&accounts) {
            budgets.tell(holder.clone(), truth.told, began);
        }
        let count = accounts.len();
        Self {
            began,
            now: began,
            dice,
            budgets,
            accounts,
            holders,
            counts: vec![Count::default(); count],
            projects: Vec::new(),
            tasks: Vec::new(),
            queues: BTreeMap::new(),
            unfinished: 0,
            agenda: BTreeMap::new(),
            number: 0,
            waiting: BTreeMap::new(),
            passed: vec![[0; RUNS]; count],
            holds: true,
            recalled: false,
        }
    }

    /// One account, and as many tasks as are under way at a time, that never come to an end.
    pub(super) fn alone(seed: u64, truth: Truth) -> Self {
        let began = start();
        let name = truth.name.clone();
        let mut estate = Self::empty(seed, Dice::new(seed), vec![truth], began);
        estate.holds = false;
        let party = estate.budgets.open();
        let of_project = [(role("main"), account(&name), estate.holders[0].clone())];
        let rotation = estate.budgets.add_rotation(party, "PAY".parse().unwrap(), of_project);
        let members = vec![(role("main"), 0, true)];
        estate.projects.push(Project { server: 0, rotation, members, rejected: BTreeSet::new(), usable: vec![0] });
        for _ in 0..CONCURRENCY {
            estate.task(0, 0, u64::MAX, Steadiness::Any);
            estate.begin(0, 0);
        }
        estate
    }

    fn task(&mut self, run: usize, project: usize, left: u64, steadiness: Steadiness) {
        let server = self.projects[project].server;
        let arrival = self.budgets.arrive();
        self.queues.entry((run, server)).or_default().push_back(self.tasks.len());
        self.tasks.push(Task { run, project, arrival, keep: None, left, steadiness, busy: 0 });
        self.unfinished += 1;
    }

    fn run(&mut self, run: usize, of_server: &[std::ops::Range<usize>]) {
        let party = self.budgets.open();
        for _ in 0..=self.dice.below(3) {
            let server = self.dice.below(of_server.len());
            let mut members = Vec::new();
            for number in 0..=self.dice.below(4) {
                let name = if number == 0 { "main".to_owned() } else { format!("extra-{number}") };
                let index = of_server[server].start + self.dice.below(of_server[server].len());
                members.push((role(&name), index, !self.dice.chance(8)));
            }
            let of_project = members.iter().map(|(role, index, _)| {
                (role.clone(), account(&self.accounts[*index].name), self.holders[*index].clone())
            });
            let of_project: Vec<_> = of_project.collect();
            let rotation = self.budgets.add_rotation(party, "PAY".parse().unwrap(), of_project);
            let project = self.projects.len();
            let usable = members.iter().map(|(_, index, _)| *index).collect();
            self.projects.push(Project { server, rotation, members, rejected: BTreeSet::new(), usable });
            // Crowds show nothing that a few of them do not show.
            let crowd = if self.dice.chance(20) { 40 } else { 10 };
            for _ in 0..self.dice.between(1, crowd) {
                let steadiness = if self.dice.chance(10) { Steadiness::Steady } else { Steadiness::Any };
                let left = self.dice.between(1, 4);
                self.task(run, project, left, steadiness);
            }
        }
        for server in 0..of_server.len() {
            for _ in 0..CONCURRENCY {
                self.begin(run, server);
            }
        }
    }

    /// The next task of a run begins.
    fn begin(&mut self, run: usize, server: usize) {
        if let Some(task) = self.queues.get_mut(&(run, server)).and_then(VecDeque::pop_front) {
            let delay = millis(self.dice.between(0, 50));
            self.later(delay, Event::Ask(task));
        }
    }

    fn later(&mut self, delay: Duration, event: Event) {
        self.number += 1;
        self.agenda.insert((self.now + delay, self.number), event);
    }

    /// Lives until every task has come to its end.
    pub(super) fn live(&mut self) {
        while self.unfinished > 0 {
            self.step();
            assert!(self.now - self.began < DOOMSDAY, "{} tasks do not end", self.unfinished);
        }
        self.were_given_what_there_was();
    }

    /// Lives for some time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    fn step(&mut self) {
        let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let wake = self.budgets.wake_at();
        let at = next.into_iter().chain(wake).min().expect("somebody has something to do");
        self.now = self.now.max(at);
        if wake.is_some_and(|wake| wake <= self.now) {
            self.budgets.advance(self.now);
        } else if let Some((_, event)) = self.agenda.pop_first() {
            self.happen(event);
        }
        let served: Vec<_> = self.budgets.served().collect();
        // Whoever got back into the queue was not there when others were served.
        let recalled = std::mem::take(&mut self.recalled);
        if recalled {
            self.passed.fill([0; RUNS]);
        }
        for (ticket, served) in served {
            let task = self.waiting.remove(&ticket).expect("it waited");
            match served {
                Served::Granted(grant) => {
                    if !recalled {
                        self.was_fair(task, self.account_of(task, &grant));
                    }
                    self.granted(task, grant);
                }
                Served::Exhausted => self.end(task),
            }
        }
        let now = self.now;
        if let Some(ticket) = self.waiting.keys().nth(self.dice.below(self.waiting.len().max(1))) {
            let ticket = *ticket;
            let served_by = self.budgets.served_by(ticket, now).expect("it waits");
            assert!(served_by > now, "a token is there, and somebody waits for it");
            self.was_told_of_budget_alone(ticket);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask(task) => self.ask(task),
            Event::Send(task, grant) => self.send(task, grant),
            Event::Come(task, grant) => {
                let index = self.account_of(task, &grant);
                let members = &self.projects[self.tasks[task].project].members;
                let works = members.iter().any(|(role, _, works)| *role == grant.lease.role && *works);
                let reply = if !works {
                    Reply::Rejected
                } else if self.dice.chance(2) {
                    // It may be a machine before the server that says so.
                    Reply::Busy
                } else {
                    match self.accounts[index].come(&mut self.dice, self.now) {
                        Reply::Done if self.holds && self.dice.chance(1) => Reply::Busy,
                        reply => reply,
                    }
                };
                let back = millis(self.dice.between(0, WAY));
                self.later(back, Event::Answer(task, grant, reply));
            }
            Event::Answer(task, grant, reply) => self.answer(task, grant, reply),
            Event::Steal(index) => {
                self.accounts[index].come(&mut self.dice, self.now);
                let step = self.accounts[index].thief.unwrap();
                // Others go home before we do: what they leave is then enough for every task.
                if self.now - self.began < Duration::from_hours(1) {
                    self.later(step, Event::Steal(index));
                }
            }
        }
    }

    fn ask(&mut self, task: usize) {
        let Task { project, arrival, keep, steadiness, .. } = &self.tasks[task];
        let except = BTreeSet::new();
        let rotation = self.projects[*project].rotation;
        let ask = Ask { rotation, arrival: *arrival, keep: keep.as_ref(), steadiness: *steadiness, except: &except };
        match self.budgets.ask(ask, self.now) {
            Answer::Granted(grant) => self.granted(task, grant),
            Answer::Queued(ticket) => drop(self.waiting.insert(ticket, task)),
            Answer::Exhausted => self.end(task),
        }
    }

    fn account_of(&self, task: usize, grant: &Grant) -> usize {
        let members = &self.projects[self.tasks[task].project].members;
        members.iter().find(|(role, ..)| *role == grant.lease.role).unwrap().1
    }

    /// A task has a token. It may have to wait for something else before it sends.
    fn granted(&mut self, task: usize, grant: Grant) {
        assert!(self.budgets.is_current(&grant), "a grant was withdrawn when it was given");
        if self.holds && self.dice.chance(15) {
            let held = millis(self.dice.between(0, 2000));
            self.later(held, Event::Send(task, grant));
        } else {
            self.send(task, grant);
        }
    }

    fn send(&mut self, task: usize, mut grant: Grant) {
        let index = self.account_of(task, &grant);
        match self.budgets.depart(&mut grant, self.now) {
            Departure::Overtaken => {
                self.budgets.settle(grant, Outcome::Unsent, self.now);
                return self.later(Duration::ZERO, Event::Ask(task));
            }
            Departure::Waits { until } => {
                assert!(until > self.now, "it could go");
                let again = millis(self.dice.between(1, 20));
                return self.later(again, Event::Send(task, grant));
            }
            Departure::Goes => {}
        }
        assert!(
            !self.projects[self.tasks[task].project].rejected.contains(&grant.lease.role),
            "a rejected credential was leased"
        );
        self.departed(index);
        self.tasks[task].keep = Some(grant.lease.role.clone());
        let way = millis(self.dice.between(0, WAY));
        self.later(way, Event::Come(task, grant));
    }

    fn answer(&mut self, task: usize, mut grant: Grant, reply: Reply) {
        let (index, now) = (self.account_of(task, &grant), self.now);
        let pause = millis(self.dice.between(0, 40));
        self.counts[index].under_way -= 1;
        match reply {
            Reply::Done => {
                self.counts[index].done += 1;
                self.budgets.settle(grant, Outcome::Answered, now);
                self.tasks[task].left -= 1;
                if self.tasks[task].left == 0 {
                    self.end(task);
                } else {
                    self.later(pause, Event::Ask(task));
                }
            }
            Reply::Limited(retry_after) => {
                let rests = self.budgets.settle(grant, Outcome::RateLimited { retry_after }, now);
                self.was_refused(index, rests, retry_after);
                self.later(Duration::ZERO, Event::Ask(task));
            }
            Reply::Rejected => {
                let (role, Task { project, .. }) = (grant.lease.role.clone(), &self.tasks[task]);
                let Project { rotation, members, rejected, usable, .. } = &mut self.projects[*project];
                let rotation = *rotation;
                rejected.insert(role.clone());
                let left = members.iter().filter(|(role, ..)| !rejected.contains(role));
                *usable = left.map(|(_, index, _)| *index).collect();
                // Whoever is served in between must not get what is rejected.
                if self.dice.chance(50) {
                    self.budgets.reject(rotation, &role, now);
                    self.budgets.settle(grant, Outcome::Answered, now);
                } else {
                    self.budgets.settle(grant, Outcome::Answered, now);
                    self.budgets.reject(rotation, &role, now);
                    self.recalled = true;
                }
                self.later(Duration::ZERO, Event::Ask(task));
            }
            Reply::Busy => {
                self.tasks[task].busy += 1;
                let wait = Duration::from_secs(1 << self.tasks[task].busy.min(4));
                if !self.holds || self.dice.chance(50) {
                    self.budgets.settle(grant, Outcome::Answered, now);
                    self.later(wait, Event::Ask(task));
                } else {
                    self.counts[index].owed += 1;
                    self.budgets.again(&mut grant, now);
                    let wait = if self.dice.chance(50) { Duration::ZERO } else { wait };
                    self.later(wait, Event::Send(task, grant));
                }
            }
        }
    }

    fn end(&mut self, task: usize) {
        let Task { run, project, left, .. } = self.tasks[task];
        let Project { server, members, rejected, .. } = &self.projects[project];
        assert!(left == 0 || rejected.len() == members.len(), "a task was given up for nothing");
        let server = *server;
        self.unfinished -= 1;
        self.begin(run, server);
    }
}
