//! A whole estate on a virtual clock, made up from a seed: what must hold whatever happens.
//!
//! - No request goes to an account that rests, or with a credential that was rejected, also if it was granted before.
//! - An account whose limit is known and that nobody else uses is never refused, unless more was tried.
//! - An account that nobody else uses begins at most `13 + s/20` rests in `s` seconds, whatever was told; one that others
//!   use as well twice that.
//! - Nobody waits for a token that is there.
//! - Runs take turns at an account, and in a run the oldest task comes first.
//! - Every task ends.
//!
//! `XOPERO_SIMULATION_SEEDS=1000000 cargo test --release --lib a_million_worlds -- --ignored` runs as many worlds as
//! named; `XOPERO_SIMULATION_FIRST=4711` begins at that seed. A failure names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use super::super::{Answer, Arrival, Ask, Budgets, Grant, Outcome, RotationId, Served, Steadiness, Ticket};
use super::world::{Dice, Reply, Truth};
use super::{account, holder, millis, role, start, told, unlimited};
use crate::model::{CredentialRole, Limit, LimitSource};

/// Requests under way at a server at a time.
const CONCURRENCY: usize = 12;

/// Runs in a world, at most.
const RUNS: usize = 3;

/// A world that is not over by then does not end.
const DOOMSDAY: Duration = Duration::from_hours(48);

struct Task {
    run: usize,
    project: usize,
    arrival: Arrival,
    keep: Option<CredentialRole>,
    left: u64,
    steadiness: Steadiness,
    busy: u32,
}

struct Project {
    server: usize,
    rotation: RotationId,
    /// Roles, with the account and whether the server takes the secret.
    members: Vec<(CredentialRole, usize, bool)>,
    rejected: BTreeSet<CredentialRole>,
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

struct World {
    began: Instant,
    now: Instant,
    dice: Dice,
    budgets: Budgets,
    accounts: Vec<Truth>,
    projects: Vec<Project>,
    tasks: Vec<Task>,
    /// Tasks that did not begin, by run and server.
    queues: BTreeMap<(usize, usize), Vec<usize>>,
    unfinished: usize,
    agenda: BTreeMap<(Instant, u64), Event>,
    number: u64,
    waiting: BTreeMap<Ticket, usize>,
    rests: BTreeMap<usize, Instant>,
    /// How often others were served at an account since a run was that waits for it, by account and run.
    passed: BTreeMap<(usize, usize), usize>,
    sent: Vec<u128>,
    done: Vec<u128>,
    refused: Vec<u128>,
    stale: Vec<u128>,
    /// Grants that were withdrawn before their requests were sent.
    withdrawn: u64,
    /// Whether a credential was rejected between two who were served.
    recalled: bool,
}

impl World {
    fn new(seed: u64) -> Self {
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
        let mut world = Self::empty(seed, dice, accounts, began);
        for run in 0..=world.dice.below(RUNS) {
            world.run(run, &of_server);
        }
        for index in 0..count {
            if let Some(step) = world.accounts[index].thief {
                world.later(step, Event::Steal(index));
            }
        }
        world
    }

    fn empty(seed: u64, dice: Dice, accounts: Vec<Truth>, began: Instant) -> Self {
        let mut budgets = Budgets::new(seed);
        for truth in &accounts {
            budgets.tell(holder(&format!("s{}", truth.server), &truth.name), truth.told, began);
        }
        let count = accounts.len();
        Self {
            began,
            now: began,
            dice,
            budgets,
            accounts,
            projects: Vec::new(),
            tasks: Vec::new(),
            queues: BTreeMap::new(),
            unfinished: 0,
            agenda: BTreeMap::new(),
            number: 0,
            waiting: BTreeMap::new(),
            rests: BTreeMap::new(),
            passed: BTreeMap::new(),
            sent: vec![0; count],
            done: vec![0; count],
            refused: vec![0; count],
            stale: vec![0; count],
            withdrawn: 0,
            recalled: false,
        }
    }

    /// One account, and as many tasks as are under way at a time.
    fn alone(seed: u64, truth: Truth, requests: u64) -> Self {
        let began = start();
        let (name, members) = (truth.name.clone(), vec![(role("main"), 0, true)]);
        let mut world = Self::empty(seed, Dice::new(seed), vec![truth], began);
        let party = world.budgets.open();
        let of_project = [(role("main"), account(&name), holder("s0", &name))];
        let rotation = world.budgets.add_rotation(party, "PAY".parse().unwrap(), of_project);
        world.projects.push(Project { server: 0, rotation, members, rejected: BTreeSet::new() });
        for task in 0..CONCURRENCY {
            let (arrival, left) = (world.budgets.arrive(), requests.div_ceil(CONCURRENCY as u64));
            let (keep, steadiness) = (None, Steadiness::Any);
            world.tasks.push(Task { run: 0, project: 0, arrival, keep, left, steadiness, busy: 0 });
            world.queues.entry((0, 0)).or_default().push(task);
            world.unfinished += 1;
            world.begin(0, 0);
        }
        world
    }

    /// Requests that were answered per thousand seconds.
    fn throughput(&self) -> u128 {
        self.done.iter().sum::<u128>() * 1_000_000 / (self.now - self.began).as_millis()
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
                let name = &self.accounts[*index].name;
                (role.clone(), account(name), holder(&format!("s{server}"), name))
            });
            let of_project: Vec<_> = of_project.collect();
            let rotation = self.budgets.add_rotation(party, "PAY".parse().unwrap(), of_project);
            let project = self.projects.len();
            self.projects.push(Project { server, rotation, members, rejected: BTreeSet::new() });
            for _ in 0..self.dice.between(1, 40) {
                let task = self.tasks.len();
                let steadiness = if self.dice.chance(10) { Steadiness::Steady } else { Steadiness::Any };
                let (arrival, left) = (self.budgets.arrive(), self.dice.between(1, 4));
                self.tasks.push(Task { run, project, arrival, keep: None, left, steadiness, busy: 0 });
                self.queues.entry((run, server)).or_default().push(task);
                self.unfinished += 1;
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
        let queue = self.queues.get_mut(&(run, server));
        if let Some(task) = queue.filter(|queue| !queue.is_empty()).map(|queue| queue.remove(0)) {
            let delay = millis(self.dice.between(0, 50));
            self.later(delay, Event::Ask(task));
        }
    }

    fn later(&mut self, delay: Duration, event: Event) {
        self.number += 1;
        self.agenda.insert((self.now + delay, self.number), event);
    }

    fn live(&mut self) {
        while self.unfinished > 0 {
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let wake = self.budgets.wake_at();
            let at = next.into_iter().chain(wake).min().expect("somebody has something to do");
            self.now = self.now.max(at);
            assert!(self.now - self.began < DOOMSDAY, "{} tasks do not end", self.unfinished);
            if wake.is_some_and(|wake| wake <= self.now) {
                self.budgets.advance(self.now);
            } else if let Some((_, event)) = self.agenda.pop_first() {
                self.happen(event);
            }
            let served: Vec<_> = self.budgets.served().collect();
            // Whoever got back into the queue was not there when others were served.
            let recalled = std::mem::take(&mut self.recalled);
            if recalled {
                self.passed.clear();
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
                let prospect = self.budgets.prospect(*ticket, now).expect("it waits");
                assert!(prospect > now, "a token is there, and somebody waits for it");
            }
        }
        self.judge();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask(task) => self.ask(task),
            Event::Send(task, grant) => self.send(task, grant),
            Event::Come(task, grant) => {
                let index = self.account_of(task, &grant);
                let secret_works = self.projects[self.tasks[task].project]
                    .members
                    .iter()
                    .any(|(role, _, works)| *role == grant.lease.role && *works);
                let reply = if !secret_works {
                    Reply::Rejected
                } else if self.dice.chance(2) {
                    Reply::Busy
                } else {
                    self.accounts[index].come(&mut self.dice, self.now)
                };
                let back = millis(self.dice.between(0, 150));
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

    /// Whether it was this task's turn at the account.
    fn was_fair(&mut self, task: usize, index: usize) {
        let Task { run, arrival, .. } = self.tasks[task];
        let mut waiting = BTreeSet::new();
        for other in self.waiting.values().map(|other| &self.tasks[*other]) {
            let Project { members, rejected, .. } = &self.projects[other.project];
            let can = members.iter().any(|(role, account, _)| *account == index && !rejected.contains(role));
            // Who is steady waits for one account only.
            if can && other.steadiness == Steadiness::Any {
                assert!(other.run != run || other.arrival > arrival, "a younger task was served");
                waiting.insert(other.run);
            }
        }
        self.passed.retain(|(at, other), _| *at != index || (*other != run && waiting.contains(other)));
        for other in waiting.into_iter().filter(|other| *other != run) {
            let passed = self.passed.entry((index, other)).or_default();
            *passed += 1;
            assert!(*passed < RUNS, "a run was passed {passed} times");
        }
    }

    /// A task has a token. It may have to wait for something else before it sends.
    fn granted(&mut self, task: usize, grant: Grant) {
        assert!(self.budgets.is_current(&grant), "a grant was withdrawn when it was given");
        if self.dice.chance(15) {
            let held = millis(self.dice.between(0, 2000));
            self.later(held, Event::Send(task, grant));
        } else {
            self.send(task, grant);
        }
    }

    fn send(&mut self, task: usize, grant: Grant) {
        let index = self.account_of(task, &grant);
        let project = &self.projects[self.tasks[task].project];
        let rejected = project.rejected.contains(&grant.lease.role);
        if !self.budgets.is_current(&grant) {
            self.withdrawn += 1;
            self.budgets.settle(grant, Outcome::Unsent, self.now);
            return self.later(Duration::ZERO, Event::Ask(task));
        }
        assert!(!rejected, "a rejected credential was leased");
        let rests = self.rests.get(&index).is_some_and(|until| *until > self.now);
        assert!(!rests, "{} rests", self.accounts[index].name);
        self.tasks[task].keep = Some(grant.lease.role.clone());
        self.sent[index] += 1;
        let way = millis(self.dice.between(0, 150));
        self.later(way, Event::Come(task, grant));
    }

    fn answer(&mut self, task: usize, grant: Grant, reply: Reply) {
        let (index, now) = (self.account_of(task, &grant), self.now);
        let pause = millis(self.dice.between(0, 40));
        match reply {
            Reply::Done => {
                self.done[index] += 1;
                self.budgets.settle(grant, Outcome::Answered, now);
                self.tasks[task].left -= 1;
                if self.tasks[task].left == 0 {
                    self.end(task);
                } else {
                    self.later(pause, Event::Ask(task));
                }
            }
            Reply::Limited(retry_after) => {
                self.refused[index] += 1;
                let current = self.budgets.is_current(&grant);
                let rests = self.budgets.settle(grant, Outcome::RateLimited { retry_after }, now);
                assert_eq!(rests.is_some(), current);
                self.stale[index] += u128::from(!current);
                self.was_bounded(index);
                let asked = retry_after.map(|asked| now + asked.min(Duration::from_mins(10)));
                let until = rests.into_iter().chain(asked).max();
                assert!(rests.is_none_or(|rests| asked.is_none_or(|asked| rests >= asked)), "shorter than it asked");
                if let Some(until) = until {
                    let rest = self.rests.entry(index).or_insert(until);
                    *rest = (*rest).max(until);
                }
                self.later(Duration::ZERO, Event::Ask(task));
            }
            Reply::Rejected => {
                let (role, Task { project, .. }) = (grant.lease.role.clone(), &self.tasks[task]);
                let project = &mut self.projects[*project];
                project.rejected.insert(role.clone());
                let rotation = project.rotation;
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
                self.budgets.settle(grant, Outcome::Answered, now);
                self.tasks[task].busy += 1;
                let wait = Duration::from_secs(1 << self.tasks[task].busy.min(4));
                self.later(wait, Event::Ask(task));
            }
        }
    }

    /// Whether an account was refused no more than it may be by now: what `bucket.rs` promises.
    fn was_bounded(&self, index: usize) {
        let (truth, time) = (&self.accounts[index], self.now - self.began);
        let (name, stale) = (&truth.name, self.stale[index]);
        let rests = self.refused[index] - stale;
        let most = if truth.plain { steps(truth.told, time) } else { 13 + u128::from(time.as_secs() / 20) };
        // Whoever takes tokens away makes the belief wrong again and again.
        let most = if truth.thief.is_some() { 2 * most } else { most };
        assert!(rests <= most, "{name}: {rests} refusals in {time:?} were news, told {:?}", truth.told);
        // Whatever is under way when a rest begins is refused with it, and nothing else.
        let under_way = (CONCURRENCY * RUNS) as u128;
        assert!(stale <= under_way * rests, "{name}: {stale} requests under way were refused, in {rests} rests");
    }

    fn end(&mut self, task: usize) {
        let Task { run, project, left, .. } = self.tasks[task];
        let Project { server, members, rejected, .. } = &self.projects[project];
        assert!(left == 0 || rejected.len() == members.len(), "a task was given up for nothing");
        let server = *server;
        self.unfinished -= 1;
        self.begin(run, server);
    }

    /// What the servers saw.
    fn judge(&self) {
        let time = self.now - self.began;
        for (index, truth) in self.accounts.iter().enumerate() {
            let name = &truth.name;
            if let Some(most) = truth.most(time) {
                assert!(self.done[index] <= most, "{name}: a world gives {most} and not {}", self.done[index]);
            }
        }
    }
}

/// How often more can have been tried than is told, each time after twice the time.
fn steps(told: Limit, time: Duration) -> u128 {
    let (mut count, mut after, mut at) = (0, Duration::from_mins(5), Duration::ZERO);
    while told.source != LimitSource::File && at + after <= time {
        (count, at, after) = (count + 1, at + after, (after * 2).min(Duration::from_hours(1)));
    }
    count
}

fn worlds(first: u64, count: u64) {
    for seed in first..first + count {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| World::new(seed).live())) {
            println!("the world of seed {seed} failed (XOPERO_SIMULATION_FIRST={seed})");
            resume_unwind(panic);
        }
    }
}

#[test]
fn thousands_of_worlds_hold() {
    worlds(0, 2000);
}

/// Worlds of one account that all tasks want: told, and the truth of each node in tokens and thousandths per second.
fn alone(limit: Limit, capacity: u64, rate: u64, nodes: usize, requests: u64) -> Vec<u128> {
    let seeds = 0..4;
    let throughputs = seeds.map(|seed| {
        let mut world = World::alone(seed, Truth::alone(limit, capacity, rate, nodes, start()), requests);
        world.live();
        world.throughput()
    });
    throughputs.collect()
}

#[test]
fn several_nodes_give_more_than_was_told() {
    for nodes in [2, 3] {
        let throughputs = alone(told(20, 4), 20, 4000, nodes, 20_000);
        assert!(throughputs.iter().all(|found| *found > 4000 * 11 / 10), "{throughputs:?}");
    }
}

#[test]
fn what_is_told_too_high_is_found_out() {
    // A bucket of one token is the hardest: its requests must not overtake each other, so two at a time are too many.
    let worlds = [(told(60, 5), 20, 2000, 75), (told(80, 25), 1, 1000, 25), (unlimited(), 10, 3000, 75)];
    for (limit, capacity, rate, percent) in worlds {
        let throughputs = alone(limit, capacity, rate, 1, 6000);
        assert!(throughputs.iter().all(|found| *found > u128::from(rate) * percent / 100), "{throughputs:?}");
    }
}

#[test]
fn a_limit_far_below_what_is_told_ends() {
    for limit in [told(60, 5), told(60, 25), unlimited()] {
        let throughputs = alone(limit, 5, 20, 1, 300);
        assert!(throughputs.iter().all(|found| *found > 20 * 3 / 4), "{throughputs:?}");
    }
}

#[test]
#[ignore = "takes minutes: run it in release after a change to this module"]
#[expect(clippy::disallowed_methods, reason = "what is measured on demand is said in the environment")]
fn a_million_worlds_hold() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("XOPERO_SIMULATION_FIRST").unwrap_or(0);
    worlds(first, number("XOPERO_SIMULATION_SEEDS").unwrap_or(1_000_000));
}
