//! The budgets of this process, with somebody who wakes those whose turn it is.
//!
//! All runs of a process share one turnstile: an account's bucket does not grow with the number of plans that use it.
//! While somebody waits, one task sleeps until the next token and hands it over: those who wait sleep until they have
//! theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::blocks::Blocks;
use super::hours::Hours;
use super::keyring::Keyring;
use super::lanes::Roads;
use super::ledger::Sent;
use super::passwords::Turns;
use super::remainders::Remainders;
use super::{Ledger, TaskError};
use crate::clock::{Clock, random_bits};
use crate::http::Authorization;
use crate::model::{AccountName, CredentialRole, Limit, ProjectSelector};
use crate::throttle::{
    Answer, Arrival, Ask, Budgets, Departure, Grant, Holder, Lack, Lease, Level, Outcome, Party, RotationId, Served,
    Stake, Ticket,
};

/// What all runs of a process share; a handle that can be cloned.
#[derive(Clone)]
pub struct Turnstile(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The next token comes earlier than the attendant knows.
    earlier: Notify,
    /// There may be room for a request that waits to be sent.
    room: Notify,
    roads: Roads,
    blocks: Blocks,
    password_turns: Turns,
    keyring: Keyring,
    remainders: Remainders,
}

struct State {
    budgets: Budgets,
    waiting: BTreeMap<Ticket, oneshot::Sender<Served>>,
    /// Until when the attendant sleeps, if there is one.
    attended: Option<Instant>,
}

/// The right to send one request. If it is not settled, its token is gone.
pub(super) struct Pass {
    turnstile: Turnstile,
    lease: Lease,
    lack: Option<Lack>,
    grant: Mutex<Option<Box<Grant>>>,
    /// What was sent with it and is in no account book.
    sent: Mutex<Sent>,
}

/// What whoever sends a request shows at the server's gate.
#[derive(Clone)]
pub(super) struct Voucher {
    /// In whose name.
    pub(super) authorization: Authorization,
    pass: Arc<Pass>,
    /// Whether the request is git's.
    is_git: bool,
    /// The hours to look at before it is sent, if a task begins with it.
    hours: Option<Arc<Hours>>,
}

/// A place in the queue. It is given up when it is dropped.
pub(super) struct Place {
    turnstile: Turnstile,
    ticket: Ticket,
    turn: oneshot::Receiver<Served>,
}

/// What the turnstile says.
pub(super) enum Entry {
    Admitted(Pass),
    Queued(Place),
    Exhausted,
}

impl Turnstile {
    /// No account is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let seed = u64::try_from(random_bits() >> 64).expect("it has 64 bits");
        let state = State { budgets: Budgets::new(seed), waiting: BTreeMap::new(), attended: None };
        Self(Arc::new(Shared {
            clock,
            state: Mutex::new(state),
            earlier: Notify::new(),
            room: Notify::new(),
            roads: Roads::default(),
            blocks: Blocks::default(),
            password_turns: Turns::default(),
            keyring: Keyring::default(),
            remainders: Remainders::default(),
        }))
    }

    /// The ways to servers, which all runs of a process share as well.
    pub(super) fn roads(&self) -> &Roads {
        &self.0.roads
    }

    /// What is reserved of accounts that other processes use, too.
    pub(super) fn blocks(&self) -> &Blocks {
        &self.0.blocks
    }

    /// Who shows a password next.
    pub(super) fn password_turns(&self) -> &Turns {
        &self.0.password_turns
    }

    /// The credentials of all runs of this process.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// What is known of what other processes left.
    pub(super) fn remainders(&self) -> &Remainders {
        &self.0.remainders
    }

    /// Time.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// What is known of each account that has a limit.
    pub(super) fn stakes(&self) -> Vec<Stake> {
        self.with(Budgets::stakes)
    }

    /// Other processes have taken what an account has before this time.
    pub(super) fn dry(&self, holder: &Holder, until: Instant) {
        self.with(|budgets, now| budgets.dry(holder, until, now));
    }

    /// Other processes have used an account: no more than so many tokens are there.
    pub(super) fn lower(&self, holder: &Holder, available: u64) {
        self.with(|budgets, now| budgets.lower(holder, available, now));
    }

    /// How much budget each account has that has a limit.
    pub fn levels(&self) -> Vec<Level> {
        self.with(Budgets::levels)
    }

    /// Says what an account may ask for.
    pub(super) fn tell(&self, holder: Holder, limit: Limit) {
        self.with(|budgets, now| budgets.tell(holder, limit, now));
    }

    /// Begins a run.
    pub(super) fn open(&self) -> Party {
        self.with(|budgets, _| budgets.open())
    }

    /// Ends a run.
    pub(super) fn close(&self, party: Party) {
        self.with(|budgets, _| budgets.close(party));
    }

    /// Adds a project's credentials to a run, in the order of rotation.
    pub(super) fn add_rotation(
        &self,
        party: Party,
        project: ProjectSelector,
        credentials: Vec<(CredentialRole, AccountName, Holder)>,
    ) -> RotationId {
        self.with(|budgets, _| budgets.add_rotation(party, project, credentials))
    }

    /// A task has come.
    pub(super) fn arrive(&self) -> Arrival {
        self.with(|budgets, _| budgets.arrive())
    }

    /// Takes a credential out of a rotation for good.
    pub(super) fn reject(&self, rotation: RotationId, role: &CredentialRole) {
        self.with(|budgets, now| budgets.reject(rotation, role, now));
    }

    /// Asks for the right to send a request.
    pub(super) fn ask(&self, ask: Ask<'_>) -> Entry {
        let mut state = self.lock();
        let answer = state.budgets.ask(ask, self.0.clock.monotonic());
        let entry = match answer {
            Answer::Granted(grant) => Entry::Admitted(self.pass(grant)),
            Answer::Queued(ticket) => {
                let (sender, turn) = oneshot::channel();
                state.waiting.insert(ticket, sender);
                Entry::Queued(Place { turnstile: self.clone(), ticket, turn })
            }
            Answer::Exhausted => Entry::Exhausted,
        };
        self.hand_over(&mut state);
        entry
    }

    fn pass(&self, grant: Grant) -> Pass {
        let (lease, lack) = (grant.lease.clone(), grant.lack);
        let grant = Mutex::new(Some(Box::new(grant)));
        Pass { turnstile: self.clone(), lease, lack, grant, sent: Mutex::default() }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Budgets, Instant) -> T) -> T {
        let mut state = self.lock();
        let value = change(&mut state.budgets, self.0.clock.monotonic());
        self.hand_over(&mut state);
        value
    }

    /// Gives what was served to those who wait for it, and sees to it that the next token is, too.
    fn hand_over(&self, state: &mut State) {
        let State { budgets, waiting, attended } = state;
        for (ticket, served) in budgets.served() {
            let place = waiting.remove(&ticket).expect("a ticket is withdrawn before its place is gone");
            place.send(served).expect("a place is dropped after its ticket is withdrawn");
        }
        let Some(due) = budgets.wake_at() else { return };
        match *attended {
            Some(until) if until <= due => {}
            Some(_) => self.0.earlier.notify_one(),
            None => {
                *attended = Some(due);
                tokio::spawn(self.clone().attend());
            }
        }
    }

    /// Hands tokens over as they come, until nobody waits.
    async fn attend(self) {
        loop {
            let step = {
                let mut state = self.lock();
                let now = self.0.clock.monotonic();
                state.budgets.advance(now);
                state.attended = state.budgets.wake_at();
                self.hand_over(&mut state);
                let Some(due) = state.attended else { return };
                due.saturating_duration_since(now)
            };
            tokio::select! {
                () = tokio::time::sleep(step) => {}
                () = self.0.earlier.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder panics")
    }
}

impl Pass {
    /// With which credential.
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// What the account lacked that the task would have gone on with, if this is another one.
    pub(super) const fn lack(&self) -> Option<Lack> {
        self.lack
    }

    /// Waits until so few requests of the account are under way that this one may be sent. Not if the account was
    /// refused since, or the credential was rejected: it must not be used then.
    pub(super) async fn departs(&self) -> bool {
        let Shared { clock, room, .. } = &*self.turnstile.0;
        loop {
            let more = room.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            let now = clock.monotonic();
            let until = match self.depart(now) {
                Departure::Goes => return true,
                Departure::Overtaken => return false,
                Departure::Waits { until } => until,
            };
            tokio::select! {
                () = more => {}
                () = tokio::time::sleep(until.saturating_duration_since(now)) => {}
            }
        }
    }

    fn depart(&self, now: Instant) -> Departure {
        let mut grant = self.grant();
        let mut state = self.turnstile.lock();
        let departure = grant.as_mut().map_or(Departure::Overtaken, |grant| state.budgets.depart(grant, now));
        self.turnstile.hand_over(&mut state);
        departure
    }

    /// The server was busy, and the request will be sent again: until it departs again it is not under way.
    fn again(&self) {
        if let Some(grant) = self.grant().as_mut() {
            self.turnstile.with(|budgets, now| budgets.again(grant, now));
        }
        self.turnstile.0.room.notify_waiters();
    }

    /// Records how the request went. Tells how long the account rests, if this is news. Whoever comes second has
    /// nothing to settle.
    pub(super) fn settle(&self, outcome: Outcome) -> Option<Duration> {
        let grant = self.grant().take()?;
        let rests = self.turnstile.with(|budgets, now| {
            let until = budgets.settle(*grant, outcome, now);
            until.map(|until| until.saturating_duration_since(now))
        });
        self.turnstile.0.room.notify_waiters();
        rests
    }

    /// Enters what was sent with it since the last time. Tells whether anything was.
    pub(super) fn enter(&self, ledger: &mut Ledger) -> bool {
        let sent = std::mem::take(&mut *self.sent());
        if sent.requests > 0 {
            ledger.sent(&self.lease, sent);
        }
        sent.requests > 0
    }

    fn sent(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().expect("no holder panics")
    }

    /// What is known of the account, if it has a limit and the pass is not settled.
    pub(super) fn stake(&self) -> Option<Stake> {
        let grant = self.grant();
        let mut state = self.turnstile.lock();
        state.budgets.stake_of(grant.as_ref()?, self.turnstile.0.clock.monotonic())
    }

    fn grant(&self) -> MutexGuard<'_, Option<Box<Grant>>> {
        self.grant.lock().expect("no holder panics")
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.settle(Outcome::Lost);
    }
}

impl Voucher {
    /// A request of this account, by this pass.
    pub(super) fn new(authorization: Authorization, pass: Arc<Pass>) -> Self {
        Self { authorization, pass, is_git: false, hours: None }
    }

    /// The same for a git request.
    pub(super) fn for_git(self) -> Self {
        Self { is_git: true, ..self }
    }

    /// The same for a request that a task begins with.
    pub(super) fn within(self, hours: &Arc<Hours>) -> Self {
        Self { hours: Some(Arc::clone(hours)), ..self }
    }

    /// Whether the request may still be sent: its account was not refused while it waited at the gate, no hours have come
    /// in which nothing is begun, and other processes have left a token. Waits for those under way, if they are too many.
    /// One that may is sent: this is where requests are counted, each as often as it is.
    pub(super) async fn departs(&self) -> Result<bool, TaskError> {
        let departs = self.may_depart().await?;
        if departs {
            let mut sent = self.pass.sent();
            sent.requests += 1;
            sent.git_requests += u64::from(self.is_git);
        }
        Ok(departs)
    }

    async fn may_depart(&self) -> Result<bool, TaskError> {
        if !self.pass.departs().await || self.hours.as_ref().is_some_and(|hours| hours.closed().is_some()) {
            return Ok(false);
        }
        let Some(stake) = self.pass.stake() else { return Ok(true) };
        Ok(self.pass.turnstile.cover(&stake).await?)
    }

    /// The server was busy: the request waits at the gate until it is sent again, and is in nobody's way.
    pub(super) fn waits_again(&self) {
        self.pass.again();
    }
}

impl Place {
    /// Waits for the turn: the pass, or nothing if the last credential is gone. Nothing is lost if this is dropped.
    pub(super) async fn turn(&mut self) -> Option<Pass> {
        match (&mut self.turn).await {
            Ok(Served::Granted(grant)) => Some(self.turnstile.pass(grant)),
            // The run is closed, or every credential was rejected.
            Ok(Served::Exhausted) | Err(_) => None,
        }
    }

    /// How long until the first of the accounts that it waits for has budget again.
    pub(super) fn prospect(&self) -> Duration {
        self.turnstile.with(|budgets, now| {
            let at = budgets.prospect(self.ticket, now).unwrap_or(now);
            at.saturating_duration_since(now)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.turnstile.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            state.budgets.withdraw(self.ticket);
        } else if let Ok(Served::Granted(grant)) = self.turn.try_recv() {
            state.budgets.settle(grant, Outcome::Unsent, self.turnstile.0.clock.monotonic());
        }
        self.turnstile.hand_over(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::clock::ManualClock;
    use crate::model::{BaseUrl, LimitSource, RateLimit};
    use crate::throttle::Steadiness;

    /// Its time stands still, and no token comes, but while something is [`passing`].
    fn turnstile(burst: u32, refill_per_second: u32) -> (Arc<ManualClock>, Turnstile, RotationId) {
        let clock = Arc::new(ManualClock::at(jiff::Timestamp::UNIX_EPOCH));
        let turnstile = Turnstile::new(Arc::<ManualClock>::clone(&clock));
        let account: AccountName = "svc".parse().unwrap();
        let holder = Holder::new(&BaseUrl::new("https://bb.example.com").unwrap(), &account);
        let limit = RateLimit::Bucket { burst, refill_per_second };
        turnstile.tell(holder.clone(), Limit { limit, source: LimitSource::File });
        let members = vec![(CredentialRole::Main, account, holder)];
        let rotation = turnstile.add_rotation(turnstile.open(), "PAY".parse().unwrap(), members);
        (clock, turnstile, rotation)
    }

    /// Lets time pass until something is done.
    async fn passing<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
            }
        }
    }

    fn ask(turnstile: &Turnstile, rotation: RotationId) -> Entry {
        let (arrival, except) = (turnstile.arrive(), BTreeSet::new());
        turnstile.ask(Ask { rotation, arrival, keep: None, steadiness: Steadiness::Any, except: &except })
    }

    fn queued(turnstile: &Turnstile, rotation: RotationId) -> Place {
        match ask(turnstile, rotation) {
            Entry::Queued(place) => place,
            Entry::Admitted(_) | Entry::Exhausted => panic!("no token is left"),
        }
    }

    #[tokio::test]
    async fn those_who_wait_are_served_in_order_and_the_attendant_goes_home() {
        let (clock, turnstile, rotation) = turnstile(1, 1000);
        assert!(matches!(ask(&turnstile, rotation), Entry::Admitted(_)));
        let mut places: Vec<_> = (0..50).map(|_| queued(&turnstile, rotation)).collect();
        for place in &mut places {
            passing(&clock, place.turn()).await.unwrap().settle(Outcome::Answered);
        }
        drop(places);
        while turnstile.lock().attended.is_some() {
            tokio::task::yield_now().await;
        }
        let mut again = loop {
            // Time may have passed since the last one was served.
            if let Entry::Queued(place) = ask(&turnstile, rotation) {
                break place;
            }
        };
        assert!(passing(&clock, again.turn()).await.is_some());
    }

    #[tokio::test]
    async fn who_leaves_gives_the_token_to_the_next() {
        let (clock, turnstile, rotation) = turnstile(1, 200);
        let Entry::Admitted(first) = ask(&turnstile, rotation) else { panic!("it is full") };
        first.settle(Outcome::Answered);
        let leaves = queued(&turnstile, rotation);
        let mut stays = queued(&turnstile, rotation);
        let mut gone = queued(&turnstile, rotation);
        drop(leaves);
        passing(&clock, stays.turn()).await.unwrap().settle(Outcome::Answered);
        // The turn of one who does not listen comes, and is passed on.
        let served = passing(&clock, gone.turn()).await.unwrap();
        served.settle(Outcome::Unsent);
        assert!(passing(&clock, queued_or_admitted(&turnstile, rotation)).await);
    }

    async fn queued_or_admitted(turnstile: &Turnstile, rotation: RotationId) -> bool {
        match ask(turnstile, rotation) {
            Entry::Admitted(_) => true,
            Entry::Queued(mut place) => place.turn().await.is_some(),
            Entry::Exhausted => false,
        }
    }

    #[tokio::test]
    async fn a_rejected_credential_ends_the_wait() {
        let (_clock, turnstile, rotation) = turnstile(1, 1);
        let _pass = ask(&turnstile, rotation);
        let mut place = queued(&turnstile, rotation);
        turnstile.reject(rotation, &CredentialRole::Main);
        assert!(place.turn().await.is_none());
        assert!(matches!(ask(&turnstile, rotation), Entry::Exhausted));
    }

    fn admitted(turnstile: &Turnstile, rotation: RotationId) -> Pass {
        match ask(turnstile, rotation) {
            Entry::Admitted(pass) => pass,
            Entry::Queued(_) | Entry::Exhausted => panic!("there are tokens"),
        }
    }

    #[tokio::test]
    async fn a_request_waits_while_too_many_are_under_way() {
        let (_clock, turnstile, rotation) = turnstile(60, 5);
        let passes: Vec<_> = (0..6).map(|_| admitted(&turnstile, rotation)).collect();
        for pass in &passes[..4] {
            assert!(pass.departs().await);
        }
        {
            let waits = passes[4].departs();
            tokio::pin!(waits);
            tokio::select! {
                biased;
                _ = &mut waits => panic!("four are under way"),
                () = tokio::task::yield_now() => {}
            }
            passes[0].settle(Outcome::Answered);
            assert!(waits.await);
        }
        passes[1].settle(Outcome::RateLimited { retry_after: None });
        assert!(!passes[5].departs().await, "the account rests");
    }
}
