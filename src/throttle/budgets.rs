//! The budgets of all accounts, and who is served with them next.
//!
//! A request that finds no token gets a ticket. Requests that can use the same accounts wait in the same lane. As
//! soon as an account has a token, it goes to somebody who can use it: the runs that wait for the account take turns,
//! and within a run the oldest task comes first, whatever else it could use. So no token that somebody can use lies
//! idle, nobody is passed for ever, and a task that has begun comes to its end before later ones take its place.
//! Whoever is served has the token: nobody wakes up to find that another one was faster.
//!
//! A step costs the logarithm of the accounts and of those who wait, times the lanes of the account that is served:
//! as many as there are different sets of accounts.

mod levels;
mod stake;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::bucket::Bucket;
use super::lease::{
    Answer, Arrival, Ask, Departure, Grant, Holder, Lack, Lease, Outcome, Party, RotationId, Served, Steadiness, Ticket,
};
use crate::model::{AccountName, CredentialRole, Limit, ProjectSelector};

pub use levels::Level;
pub use stake::Stake;

/// The accounts that a request can use, sorted.
type Accounts = Arc<[usize]>;

/// Budgets, rotations and those who wait.
#[derive(Debug, Default)]
pub struct Budgets {
    /// So that rests of several processes do not end together.
    seed: u64,
    names: BTreeMap<Holder, usize>,
    holders: Vec<Account>,
    rotations: BTreeMap<RotationId, Rotation>,
    waiting: BTreeMap<Ticket, Waiting>,
    lanes: BTreeMap<(Party, Accounts), BTreeSet<(Arrival, Ticket)>>,
    /// When accounts that somebody waits for have tokens.
    due: BTreeSet<(Instant, usize)>,
    /// With what they asked for.
    served: VecDeque<(Ticket, Served, Waiting)>,
    last: u64,
}

#[derive(Debug)]
struct Account {
    bucket: Bucket,
    /// Lanes in which somebody waits.
    lanes: BTreeMap<Party, BTreeSet<Accounts>>,
    /// Who was served last.
    turn: Option<Party>,
    due: Option<Instant>,
}

#[derive(Debug)]
struct Rotation {
    party: Party,
    project: ProjectSelector,
    members: Vec<Member>,
    next: usize,
}

#[derive(Debug)]
struct Member {
    role: CredentialRole,
    account: AccountName,
    holder: usize,
    rejected: bool,
}

#[derive(Debug, Clone)]
struct Waiting {
    rotation: RotationId,
    arrival: Arrival,
    keep: Option<CredentialRole>,
    steadiness: Steadiness,
    except: BTreeSet<CredentialRole>,
    /// What the account that it would go on with lacked when it came.
    lack: Option<Lack>,
    /// Its lane.
    accounts: Accounts,
}

impl Budgets {
    /// Nothing is known yet. Rests get their jitter from the seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Says what an account may ask for. What is known of it stays as long as the same is said.
    pub fn tell(&mut self, holder: Holder, limit: Limit, now: Instant) {
        if let Some(index) = self.names.get(&holder) {
            self.holders[*index].bucket.tell(limit, now);
            return self.arrange(*index, now);
        }
        let index = self.holders.len();
        let seed = self.seed.wrapping_add((index as u64).wrapping_mul(0xd134_2543_de82_ef95));
        let bucket = Bucket::new(limit, seed, now);
        self.holders.push(Account { bucket, lanes: BTreeMap::new(), turn: None, due: None });
        self.names.insert(holder, index);
    }

    /// Begins a run.
    pub fn open(&mut self) -> Party {
        Party(self.number())
    }

    /// A task has come.
    pub fn arrive(&mut self) -> Arrival {
        Arrival(self.number())
    }

    /// Adds a project's credentials to a run, in the order of rotation. An account that nobody told of is left out.
    pub fn add_rotation(
        &mut self,
        party: Party,
        project: ProjectSelector,
        credentials: impl IntoIterator<Item = (CredentialRole, AccountName, Holder)>,
    ) -> RotationId {
        let known = credentials.into_iter().filter_map(|(role, account, holder)| {
            let holder = *self.names.get(&holder)?;
            Some(Member { role, account, holder, rejected: false })
        });
        let members = known.collect();
        let id = RotationId(self.number());
        self.rotations.insert(id, Rotation { party, project, members, next: 0 });
        id
    }

    /// Ends a run: its rotations are forgotten, and nobody waits for them.
    pub fn close(&mut self, party: Party) {
        let of_party = |rotation: &Rotation| rotation.party == party;
        let tickets = self.waiting.iter().filter(|(_, waiting)| of_party(&self.rotations[&waiting.rotation]));
        for ticket in tickets.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            self.withdraw(ticket);
        }
        self.rotations.retain(|_, rotation| !of_party(rotation));
    }

    /// Asks for the right to send a request.
    ///
    /// The credential that the task goes on with comes first, then the others in rotation, as far as they have a
    /// token. A token that somebody waits for is not there for others.
    pub fn ask(&mut self, ask: Ask<'_>, now: Instant) -> Answer {
        self.advance(now);
        let mut waiting = Waiting {
            rotation: ask.rotation,
            arrival: ask.arrival,
            keep: ask.keep.cloned(),
            steadiness: ask.steadiness,
            except: ask.except.clone(),
            lack: None,
            accounts: Arc::from([]),
        };
        let order = self.order(&waiting, now);
        if order.is_empty() {
            return Answer::Exhausted;
        }
        let choice = self.usable(&waiting).len() > 1;
        for member in order {
            if let Some(grant) = self.admit(&waiting, member, choice, now) {
                return Answer::Granted(grant);
            }
        }
        waiting.lack = self.lack(&waiting, now);
        let ticket = Ticket(self.number());
        self.enqueue(ticket, waiting, now);
        Answer::Queued(ticket)
    }

    /// Gives up a place in the queue.
    pub fn withdraw(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            self.leave_lane(ticket, &waiting);
        }
    }

    /// Whether the account began no rest since the grant, and the credential was not rejected.
    pub fn is_current(&self, grant: &Grant) -> bool {
        let Some(rotation) = self.rotations.get(&grant.rotation) else { return false };
        let rejected = |member: &Member| member.role == grant.lease.role && member.rejected;
        !rotation.members.iter().any(rejected) && self.holders[grant.holder].bucket.is_good(grant.token)
    }

    /// The request is about to be sent, after whatever else it waited for. One whose grant is not current must not be:
    /// it settles as unsent, and asks again.
    pub fn depart(&mut self, grant: &mut Grant, now: Instant) -> Departure {
        if !self.is_current(grant) {
            return Departure::Overtaken;
        }
        let departure = self.holders[grant.holder].bucket.depart(&mut grant.token, now);
        self.arrange(grant.holder, now);
        departure
    }

    /// The server was busy, and the request will be sent again with this grant: it departs again, and until then it is
    /// not under way.
    pub fn again(&mut self, grant: &mut Grant, now: Instant) {
        self.holders[grant.holder].bucket.again(&mut grant.token, now);
        self.arrange(grant.holder, now);
        self.advance(now);
    }

    /// What is believed of an account.
    #[cfg(test)]
    pub(super) fn believed(&self, holder: &Holder) -> Option<super::size::Size> {
        self.holders[self.names[holder]].bucket.size()
    }

    /// Records how a request went. Tells, for a 429 that begins a rest, until when it lasts; one to a request that
    /// was under way at that time says nothing new.
    #[expect(clippy::needless_pass_by_value, reason = "a grant is settled once")]
    pub fn settle(&mut self, grant: Grant, outcome: Outcome, now: Instant) -> Option<Instant> {
        let Grant { holder, token, .. } = grant;
        let bucket = &mut self.holders[holder].bucket;
        let mut rests = None;
        let refused = matches!(outcome, Outcome::RateLimited { .. });
        match outcome {
            Outcome::Answered => bucket.answered(token, now),
            Outcome::RateLimited { retry_after } => rests = bucket.refused(token, retry_after, now),
            Outcome::Unsent => bucket.put_back(token, now),
            Outcome::Lost => bucket.lose(token, now),
        }
        if rests.is_some() {
            self.unsteady(holder, now);
        }
        self.arrange(holder, now);
        if refused {
            self.recall(now);
        }
        self.advance(now);
        rests
    }

    /// Takes a credential out of a rotation for good: the server does not accept it. Who waits for it, or was served
    /// with it and did not hear of it, gets another one; who heard of it finds that the grant is not current.
    pub fn reject(&mut self, rotation: RotationId, role: &CredentialRole, now: Instant) {
        let Some(found) = self.rotations.get_mut(&rotation) else { return };
        for member in found.members.iter_mut().filter(|member| member.role == *role) {
            member.rejected = true;
        }
        let of_rotation = self.waiting.iter().filter(|(_, waiting)| waiting.rotation == rotation);
        for ticket in of_rotation.map(|(ticket, _)| *ticket).collect::<Vec<_>>() {
            self.requeue(ticket, now);
        }
        self.recall(now);
        self.advance(now);
    }

    /// Gives the tokens that have come to those whose turn it is.
    pub fn advance(&mut self, now: Instant) {
        while let Some((due, holder)) = self.due.first().copied()
            && due <= now
        {
            self.serve(holder, now);
        }
    }

    /// When [`Budgets::advance`] has something to do, if somebody waits.
    pub fn wake_at(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// What tickets got since the last time, in order.
    pub fn served(&mut self) -> impl Iterator<Item = (Ticket, Served)> + '_ {
        self.served.drain(..).map(|(ticket, served, _)| (ticket, served))
    }

    /// When the first of the accounts that a ticket waits for has budget again, if nobody else takes it: `now`, if one
    /// has and is only waited for because so much is under way. `None` if nobody waits with this ticket.
    pub fn prospect(&mut self, ticket: Ticket, now: Instant) -> Option<Instant> {
        let accounts = Arc::clone(&self.waiting.get(&ticket)?.accounts);
        accounts.iter().map(|holder| self.holders[*holder].bucket.budget_at(now)).min()
    }

    /// When a ticket is served at the latest, if nobody else is.
    #[cfg(test)]
    pub(super) fn served_by(&mut self, ticket: Ticket, now: Instant) -> Option<Instant> {
        let accounts = Arc::clone(&self.waiting.get(&ticket)?.accounts);
        accounts.iter().map(|holder| self.holders[*holder].bucket.ready_at(now)).min()
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The members of a rotation that a request asks with, as numbers, in the order of preference.
    fn order(&self, waiting: &Waiting, now: Instant) -> Vec<usize> {
        let mut order = self.usable(waiting);
        let Some(first) = order.first() else { return order };
        let first = &self.rotations[&waiting.rotation].members[*first];
        let stays = waiting.steadiness == Steadiness::Steady && waiting.keep.as_ref() == Some(&first.role);
        if stays && !self.holders[first.holder].bucket.is_resting(now) {
            order.truncate(1);
        }
        order
    }

    /// The members of a rotation that a request can use: the one that its task goes on with, then the others in turn.
    fn usable(&self, waiting: &Waiting) -> Vec<usize> {
        let Some(rotation) = self.rotations.get(&waiting.rotation) else { return Vec::new() };
        let count = rotation.members.len();
        let kept = |index: &usize| waiting.keep.as_ref() == Some(&rotation.members[*index].role);
        let usable = |index: &usize| {
            let member = &rotation.members[*index];
            !member.rejected && !waiting.except.contains(&member.role)
        };
        let in_turn = (0..count).map(|step| (rotation.next + step) % count).filter(usable);
        let (mut order, others): (Vec<_>, Vec<_>) = in_turn.partition(kept);
        order.extend(others);
        order
    }

    /// Takes a token for a member. Where there was a choice, the rotation moves past it.
    fn admit(&mut self, waiting: &Waiting, member: usize, choice: bool, now: Instant) -> Option<Grant> {
        let id = waiting.rotation;
        let Member { role, account, holder, .. } = &self.rotations.get(&id)?.members[member];
        let (role, account, holder) = (role.clone(), account.clone(), *holder);
        let lack = if waiting.keep.as_ref() == Some(&role) { None } else { self.lack(waiting, now) };
        let token = self.holders[holder].bucket.take(now)?;
        let rotation = self.rotations.get_mut(&id)?;
        let lease = Lease { project: rotation.project.clone(), role, account };
        if choice {
            rotation.next = (member + 1) % rotation.members.len();
        }
        Some(Grant { lease, lack, rotation: id, holder, token })
    }

    /// What the account lacks that a request would go on with, or has lacked since it came.
    fn lack(&mut self, waiting: &Waiting, now: Instant) -> Option<Lack> {
        let members = &self.rotations.get(&waiting.rotation)?.members;
        let kept = members.iter().find(|member| waiting.keep.as_ref() == Some(&member.role))?;
        let has_budget = self.holders[kept.holder].bucket.budget_at(now) <= now;
        Some(if has_budget { waiting.lack.unwrap_or(Lack::Room) } else { Lack::Budget })
    }

    fn enqueue(&mut self, ticket: Ticket, mut waiting: Waiting, now: Instant) {
        let rotation = &self.rotations[&waiting.rotation];
        let party = rotation.party;
        let holders: BTreeSet<usize> =
            self.order(&waiting, now).into_iter().map(|member| rotation.members[member].holder).collect();
        if holders.is_empty() {
            self.served.push_back((ticket, Served::Exhausted, waiting));
            return;
        }
        let accounts: Accounts = holders.into_iter().collect();
        let lane = self.lanes.entry((party, Arc::clone(&accounts))).or_default();
        let opens = lane.is_empty();
        lane.insert((waiting.arrival, ticket));
        if opens {
            for holder in accounts.iter() {
                self.holders[*holder].lanes.entry(party).or_default().insert(Arc::clone(&accounts));
                self.arrange(*holder, now);
            }
        }
        waiting.accounts = accounts;
        self.waiting.insert(ticket, waiting);
    }

    fn requeue(&mut self, ticket: Ticket, now: Instant) {
        let Some(waiting) = self.waiting.remove(&ticket) else { return };
        self.leave_lane(ticket, &waiting);
        self.enqueue(ticket, waiting, now);
    }

    /// Takes back what was served, was not handed over, and is of no use any more.
    fn recall(&mut self, now: Instant) {
        for (ticket, served, waiting) in std::mem::take(&mut self.served) {
            match served {
                Served::Granted(grant) if self.rotations.contains_key(&grant.rotation) && !self.is_current(&grant) => {
                    self.holders[grant.holder].bucket.put_back(grant.token, now);
                    self.arrange(grant.holder, now);
                    self.enqueue(ticket, waiting, now);
                }
                Served::Granted(_) | Served::Exhausted => self.served.push_back((ticket, served, waiting)),
            }
        }
    }

    /// Those who wanted to stay with an account that begins to rest take others as well.
    fn unsteady(&mut self, holder: usize, now: Instant) {
        let own: Accounts = Arc::from([holder]);
        let parties = self.holders[holder].lanes.keys().copied().collect::<Vec<_>>();
        let lanes = parties.into_iter().filter_map(|party| self.lanes.get(&(party, Arc::clone(&own))));
        let steady = |ticket: &Ticket| self.waiting[ticket].steadiness == Steadiness::Steady;
        let tickets: Vec<_> = lanes.flatten().map(|(_, ticket)| *ticket).filter(steady).collect();
        for ticket in tickets {
            self.requeue(ticket, now);
        }
    }

    fn leave_lane(&mut self, ticket: Ticket, waiting: &Waiting) {
        let party = self.rotations[&waiting.rotation].party;
        let key = (party, Arc::clone(&waiting.accounts));
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.remove(&(waiting.arrival, ticket));
        if !lane.is_empty() {
            return;
        }
        self.lanes.remove(&key);
        for holder in waiting.accounts.iter() {
            let account = &mut self.holders[*holder];
            if let Some(lanes) = account.lanes.get_mut(&party) {
                lanes.remove(&waiting.accounts);
                if lanes.is_empty() {
                    account.lanes.remove(&party);
                }
            }
            if account.lanes.is_empty()
                && let Some(due) = account.due.take()
            {
                self.due.remove(&(due, *holder));
            }
        }
    }

    /// Notes when an account that somebody waits for has a token.
    fn arrange(&mut self, holder: usize, now: Instant) {
        let account = &mut self.holders[holder];
        let due = if account.lanes.is_empty() { None } else { Some(account.bucket.ready_at(now)) };
        if account.due == due {
            return;
        }
        if let Some(earlier) = std::mem::replace(&mut account.due, due) {
            self.due.remove(&(earlier, holder));
        }
        self.due.extend(due.map(|due| (due, holder)));
    }

    /// Gives an account's tokens to those whose turn it is, as long as there are both.
    fn serve(&mut self, holder: usize, now: Instant) {
        while self.holders[holder].bucket.ready_at(now) <= now
            && let Some((party, ticket)) = self.head(holder)
            && let Some(waiting) = self.waiting.remove(&ticket)
        {
            self.leave_lane(ticket, &waiting);
            self.holders[holder].turn = Some(party);
            let members = &self.rotations[&waiting.rotation].members;
            let usable = self.usable(&waiting);
            let choice = usable.len() > 1;
            let member = usable.into_iter().find(|member| members[*member].holder == holder);
            let grant = member.and_then(|member| self.admit(&waiting, member, choice, now));
            let grant = grant.expect("who waits for an account can use it, and it has a token");
            self.served.push_back((ticket, Served::Granted(grant), waiting));
        }
        self.arrange(holder, now);
    }

    /// Whose turn it is at an account: the run after the one that was served last, and its oldest task.
    fn head(&self, holder: usize) -> Option<(Party, Ticket)> {
        let Account { lanes, turn, .. } = &self.holders[holder];
        let after = turn.map_or(Bound::Unbounded, Bound::Excluded);
        let (party, lanes) = lanes.range((after, Bound::Unbounded)).next().or_else(|| lanes.first_key_value())?;
        let firsts = lanes.iter().filter_map(|lane| self.lanes.get(&(*party, Arc::clone(lane)))?.first());
        firsts.min().map(|(_, ticket)| (*party, *ticket))
    }
}
