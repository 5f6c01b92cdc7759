//! The queue against one that looks at everything and everybody at every step.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::bucket::{Bucket, Token};
use super::super::{
    Answer, Arrival, Ask, Budgets, Departure, Grant, Outcome, Party, RotationId, Served, Steadiness, Ticket,
};
use super::{account, holder, millis, role, start, told, unlimited};
use crate::model::{CredentialRole, Limit};

const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];

/// Two runs with two projects each; members are accounts by number, and a role for each.
const ROTATIONS: [(usize, &[usize]); 4] = [(0, &[0, 1]), (0, &[0, 2, 2]), (1, &[1, 0]), (1, &[3])];

const ROLES: [&str; 3] = ["main", "extra-1", "extra-2"];

fn limits() -> [Limit; 4] {
    [told(2, 3), told(1, 1), told(3, 7), unlimited()]
}

/// The model: no lanes, no timers, no maps.
struct Naive {
    buckets: Vec<Bucket>,
    turns: Vec<Option<usize>>,
    rejected: BTreeSet<(usize, usize)>,
    next: [usize; 4],
    queue: Vec<Waits>,
    served: Vec<(Waits, Option<(usize, Token)>)>,
    now: Instant,
}

/// What the model answers to one who asks.
#[derive(Debug)]
enum Expected {
    /// The member, and its token.
    Granted(usize, Token),
    Queued,
    Exhausted,
}

#[derive(Clone)]
struct Waits {
    ticket: Option<Ticket>,
    rotation: usize,
    arrival: Arrival,
    keep: Option<usize>,
    steady: bool,
    except: Option<usize>,
    /// Accounts that it can be served with.
    accounts: Vec<usize>,
}

impl Naive {
    /// Members in order of preference.
    fn usable(&self, waits: &Waits) -> Vec<usize> {
        let members = ROTATIONS[waits.rotation].1;
        let mut found = Vec::new();
        for step in 0..members.len() {
            let member = (self.next[waits.rotation] + step) % members.len();
            if self.rejected.contains(&(waits.rotation, member)) || waits.except == Some(member) {
                continue;
            }
            if waits.keep == Some(member) { found.insert(0, member) } else { found.push(member) }
        }
        found
    }

    fn asked(&self, waits: &Waits) -> Vec<usize> {
        let mut usable = self.usable(waits);
        if let (true, Some(first)) = (waits.steady, usable.first())
            && waits.keep == Some(*first)
            && !self.buckets[ROTATIONS[waits.rotation].1[*first]].is_resting(self.now)
        {
            usable.truncate(1);
        }
        usable
    }

    fn take(&mut self, rotation: usize, member: usize, choice: bool) -> Option<Token> {
        let members = ROTATIONS[rotation].1;
        let token = self.buckets[members[member]].take(self.now)?;
        if choice {
            self.next[rotation] = (member + 1) % members.len();
        }
        Some(token)
    }

    fn place(&mut self, mut waits: Waits) {
        let members = self.asked(&waits);
        waits.accounts = members.iter().map(|member| ROTATIONS[waits.rotation].1[*member]).collect();
        if waits.accounts.is_empty() {
            self.served.push((waits, None));
        } else {
            self.queue.push(waits);
        }
    }

    fn ask(&mut self, waits: &Waits) -> Expected {
        let members = self.asked(waits);
        if members.is_empty() {
            return Expected::Exhausted;
        }
        let choice = self.usable(waits).len() > 1;
        for member in members {
            if let Some(token) = self.take(waits.rotation, member, choice) {
                return Expected::Granted(member, token);
            }
        }
        Expected::Queued
    }

    /// Serves until `end`, one token at a time.
    fn pass(&mut self, end: Instant) {
        loop {
            let now = self.now;
            let wanted = |account: &usize| self.queue.iter().any(|waits| waits.accounts.contains(account));
            let wanted: Vec<usize> = (0..ACCOUNTS.len()).filter(wanted).collect();
            let due = wanted.into_iter().map(|account| (self.buckets[account].ready_at(now), account)).min();
            let Some((at, account)) = due.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            let party = |waits: &Waits| ROTATIONS[waits.rotation].0;
            let waiting: Vec<usize> =
                (0..self.queue.len()).filter(|index| self.queue[*index].accounts.contains(&account)).collect();
            let parties: BTreeSet<usize> = waiting.iter().map(|index| party(&self.queue[*index])).collect();
            let after = parties.iter().find(|party| self.turns[account].is_none_or(|last| **party > last));
            let turn = *after.unwrap_or(parties.first().unwrap());
            let of_turn = waiting.into_iter().filter(|index| party(&self.queue[*index]) == turn);
            let first = of_turn.min_by_key(|index| (self.queue[*index].arrival, self.queue[*index].ticket)).unwrap();
            self.turns[account] = Some(turn);
            let waits = self.queue.remove(first);
            let members = ROTATIONS[waits.rotation].1;
            let member = self.usable(&waits).into_iter().find(|member| members[*member] == account).unwrap();
            let choice = self.usable(&waits).len() > 1;
            let token = self.take(waits.rotation, member, choice).unwrap();
            self.served.push((waits, Some((member, token))));
        }
        self.now = end;
    }

    fn requeue(&mut self, which: impl Fn(&Waits) -> bool) {
        let (again, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.queue).into_iter().partition(which);
        self.queue = rest;
        let mut again = again;
        again.sort_by_key(|waits| waits.ticket);
        for waits in again {
            self.place(waits);
        }
    }
}

impl Naive {
    fn is_current(&self, rotation: usize, member: usize, token: Token) -> bool {
        let bucket = &self.buckets[ROTATIONS[rotation].1[member]];
        !self.rejected.contains(&(rotation, member)) && bucket.is_good(token)
    }

    /// What was served, was not fetched, and cannot be used goes back.
    fn recall(&mut self) {
        for (waits, served) in std::mem::take(&mut self.served) {
            match served {
                Some((member, token)) if !self.is_current(waits.rotation, member, token) => {
                    self.buckets[ROTATIONS[waits.rotation].1[member]].put_back(token, self.now);
                    self.place(waits);
                }
                served => self.served.push((waits, served)),
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask { rotation: usize, task: usize, keep: Option<usize>, steady: bool, except: Option<usize> },
    Depart { which: usize },
    Again { which: usize },
    Settle { which: usize, how: How },
    Reject { rotation: usize, member: usize },
    Withdraw { which: usize },
    Pass { millis: u64 },
    Fetch,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Answered,
    Refused(Option<u64>),
    Unsent,
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    let member = || prop_oneof![2 => Just(None), 3 => (0usize..3).prop_map(Some)];
    let how = prop_oneof![
        6 => Just(How::Answered),
        1 => Just(How::Refused(None)),
        1 => (0u64..20).prop_map(|seconds| How::Refused(Some(seconds))),
        1 => Just(How::Unsent),
        1 => Just(How::Lost),
    ];
    prop_oneof![
        6 => (0usize..4, 0usize..6, member(), any::<bool>(), member())
            .prop_map(|(rotation, task, keep, steady, except)| Step::Ask { rotation, task, keep, steady, except }),
        6 => (0usize..64).prop_map(|which| Step::Depart { which }),
        2 => (0usize..64).prop_map(|which| Step::Again { which }),
        6 => (0usize..64, how).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => (0usize..4, 0usize..3).prop_map(|(rotation, member)| Step::Reject { rotation, member }),
        1 => (0usize..64).prop_map(|which| Step::Withdraw { which }),
        4 => (0u64..3000).prop_map(|millis| Step::Pass { millis }),
        8 => Just(Step::Fetch),
    ]
}

/// A grant, and the model's.
struct Out {
    grant: Grant,
    rotation: usize,
    member: usize,
    token: Token,
}

struct Both {
    budgets: Budgets,
    rotations: Vec<RotationId>,
    tasks: Vec<Arrival>,
    naive: Naive,
    out: Vec<Out>,
    tickets: Vec<Ticket>,
}

impl Both {
    fn new() -> Self {
        let now = start();
        let mut budgets = Budgets::new(0);
        for (name, limit) in ACCOUNTS.iter().zip(limits()) {
            budgets.tell(holder("bb", name), limit, now);
        }
        let parties: [Party; 2] = [budgets.open(), budgets.open()];
        let rotations = ROTATIONS.iter().map(|(party, members)| {
            let members = members.iter().zip(ROLES).map(|(index, name)| {
                let name_of = ACCOUNTS[*index];
                (role(name), account(name_of), holder("bb", name_of))
            });
            budgets.add_rotation(parties[*party], "PAY".parse().unwrap(), members.collect::<Vec<_>>())
        });
        let rotations = rotations.collect();
        let tasks = (0..6).map(|_| budgets.arrive()).collect();
        // The model's buckets must rest as long as the others.
        let seed = |index: usize| (index as u64).wrapping_mul(0xd134_2543_de82_ef95);
        let naive = Naive {
            buckets: limits().iter().enumerate().map(|(index, limit)| Bucket::new(*limit, seed(index), now)).collect(),
            turns: vec![None; 4],
            rejected: BTreeSet::new(),
            next: [0; 4],
            queue: Vec::new(),
            served: Vec::new(),
            now,
        };
        Self { budgets, rotations, tasks, naive, out: Vec::new(), tickets: Vec::new() }
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        let now = self.naive.now;
        match step {
            Step::Ask { rotation, task, keep, steady, except } => {
                let members = ROTATIONS[rotation].1.len();
                let keep = keep.filter(|member| *member < members);
                let arrival = self.tasks[task];
                let mut waits = Waits { ticket: None, rotation, arrival, keep, steady, except, accounts: Vec::new() };
                let expected = self.naive.ask(&waits);
                let except: BTreeSet<CredentialRole> = except.iter().map(|member| role(ROLES[*member])).collect();
                let keep = keep.map(|member| role(ROLES[member]));
                let ask = Ask {
                    rotation: self.rotations[rotation],
                    arrival,
                    keep: keep.as_ref(),
                    steadiness: if steady { Steadiness::Steady } else { Steadiness::Any },
                    except: &except,
                };
                match (self.budgets.ask(ask, now), expected) {
                    (Answer::Exhausted, Expected::Exhausted) => {}
                    (Answer::Granted(grant), Expected::Granted(member, token)) => {
                        prop_assert_eq!(&grant.lease.role, &role(ROLES[member]));
                        self.out.push(Out { grant, rotation, member, token });
                    }
                    (Answer::Queued(ticket), Expected::Queued) => {
                        waits.ticket = Some(ticket);
                        self.tickets.push(ticket);
                        self.naive.place(waits);
                    }
                    (answer, expected) => prop_assert!(false, "{answer:?} instead of {expected:?}"),
                }
            }
            Step::Depart { which } if !self.out.is_empty() => {
                let which = which % self.out.len();
                let Out { grant, rotation, member, token } = &mut self.out[which];
                let bucket = &mut self.naive.buckets[ROTATIONS[*rotation].1[*member]];
                let rejected = self.naive.rejected.contains(&(*rotation, *member));
                let expected = if rejected { Departure::Overtaken } else { bucket.depart(token, now) };
                prop_assert_eq!(self.budgets.depart(grant, now), expected);
            }
            Step::Again { which } if !self.out.is_empty() => self.again(which),
            Step::Settle { which, how } if !self.out.is_empty() => {
                let Out { grant, rotation, member, token } = self.out.swap_remove(which % self.out.len());
                let account = ROTATIONS[rotation].1[member];
                let bucket = &mut self.naive.buckets[account];
                let (outcome, expected) = match how {
                    How::Answered => (Outcome::Answered, {
                        bucket.answered(token, now);
                        None
                    }),
                    How::Refused(seconds) => {
                        let retry_after = seconds.map(Duration::from_secs);
                        (Outcome::RateLimited { retry_after }, bucket.refused(token, retry_after, now))
                    }
                    How::Unsent => (Outcome::Unsent, {
                        bucket.put_back(token, now);
                        None
                    }),
                    How::Lost => (Outcome::Lost, {
                        bucket.lose(token, now);
                        None
                    }),
                };
                prop_assert_eq!(self.budgets.settle(grant, outcome, now), expected);
                if expected.is_some() {
                    self.naive.requeue(|waits| waits.steady && waits.accounts.iter().all(|one| *one == account));
                }
                if matches!(how, How::Refused(_)) {
                    self.naive.recall();
                }
            }
            Step::Reject { rotation, member } if member < ROTATIONS[rotation].1.len() => {
                self.naive.rejected.insert((rotation, member));
                self.naive.requeue(|waits| waits.rotation == rotation);
                self.naive.recall();
                self.budgets.reject(self.rotations[rotation], &role(ROLES[member]), now);
            }
            Step::Withdraw { which } if !self.tickets.is_empty() => {
                let ticket = self.tickets[which % self.tickets.len()];
                self.naive.queue.retain(|waits| waits.ticket != Some(ticket));
                self.budgets.withdraw(ticket);
            }
            Step::Depart { .. }
            | Step::Again { .. }
            | Step::Settle { .. }
            | Step::Reject { .. }
            | Step::Withdraw { .. } => {}
            Step::Pass { millis: time } => {
                let end = now + millis(time);
                while let Some(at) = self.budgets.wake_at().filter(|at| *at <= end) {
                    self.budgets.advance(at.max(now));
                }
                self.naive.pass(end);
            }
            Step::Fetch => self.fetch()?,
        }
        let now = self.naive.now;
        self.naive.pass(now);
        self.budgets.advance(now);
        self.compare()
    }

    fn again(&mut self, which: usize) {
        let (which, now) = (which % self.out.len(), self.naive.now);
        let Out { grant, rotation, member, token } = &mut self.out[which];
        self.naive.buckets[ROTATIONS[*rotation].1[*member]].again(token, now);
        self.budgets.again(grant, now);
    }

    /// Both served the same tickets with the same credentials, and none that is of no use.
    fn fetch(&mut self) -> Result<(), TestCaseError> {
        let expected = std::mem::take(&mut self.naive.served);
        let served: Vec<_> = self.budgets.served().collect();
        prop_assert_eq!(served.len(), expected.len());
        for ((ticket, served), (waits, expected)) in served.into_iter().zip(expected) {
            prop_assert_eq!(Some(ticket), waits.ticket);
            match (served, expected) {
                (Served::Exhausted, None) => {}
                (Served::Granted(grant), Some((member, token))) => {
                    prop_assert_eq!(&grant.lease.role, &role(ROLES[member]));
                    prop_assert!(self.budgets.is_current(&grant), "it was of no use when it was fetched");
                    self.out.push(Out { grant, rotation: waits.rotation, member, token });
                }
                (served, expected) => prop_assert!(false, "{served:?} instead of {expected:?}"),
            }
        }
        Ok(())
    }

    /// Nobody waits for a token that is there, and both agree on which grants can be used and on who has no budget.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        for Out { grant, rotation, member, token } in &self.out {
            let expected = self.naive.is_current(*rotation, *member, *token);
            prop_assert_eq!(self.budgets.is_current(grant), expected);
        }
        let now = self.naive.now;
        for waits in &self.naive.queue {
            let ticket = waits.ticket.unwrap();
            let served_by = self.budgets.served_by(ticket, now);
            prop_assert!(served_by.is_some_and(|at| at > now), "it waits for {served_by:?} at {now:?}");
            // What it is told to wait for is budget alone.
            let budget = waits.accounts.iter().map(|account| self.naive.buckets[*account].budget_at(now)).min();
            prop_assert_eq!(self.budgets.prospect(ticket, now), budget);
            prop_assert!(budget <= served_by);
        }
        prop_assert_eq!(self.budgets.wake_at().is_some(), !self.naive.queue.is_empty());
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_queue_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..120)) {
        let mut both = Both::new();
        for step in steps {
            both.run(step)?;
        }
    }
}
