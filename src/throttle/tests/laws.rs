//! What must hold in every estate.

use std::time::{Duration, Instant};

use super::super::size::{SLOWEST, Size};
use super::super::trial::{QUIET_ASSUMED, RAISE_AFTER, is_told, quiet};
use super::super::window::room;
use super::super::{Steadiness, Ticket};
use super::estate::{CONCURRENCY, Estate, Project, RUNS, Task, WAY};
use super::millis;
use super::world::Truth;
use crate::model::{Limit, LimitSource, RateLimit};

/// What happened at one account.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    pub(super) under_way: u32,
    pub(super) done: u128,
    /// Refusals that began a rest, and all of them.
    pub(super) rests: u128,
    pub(super) refused: u128,
    /// Requests that were sent again.
    pub(super) owed: u32,
    /// The highest rate that was believed.
    top: u64,
    rests_until: Option<Instant>,
}

impl Estate {
    /// Whether it was this task's turn at the account.
    pub(super) fn was_fair(&mut self, task: usize, index: usize) {
        let Task { run, arrival, .. } = self.tasks[task];
        let mut waiting = [false; RUNS];
        for other in self.waiting.values().map(|other| &self.tasks[*other]) {
            let Project { usable, .. } = &self.projects[other.project];
            // Who is steady waits for one account only.
            if other.steadiness == Steadiness::Any && usable.contains(&index) {
                assert!(other.run != run || other.arrival > arrival, "a younger task was served");
                waiting[other.run] = true;
            }
        }
        for (other, waits) in waiting.into_iter().enumerate() {
            let passed = &mut self.passed[index][other];
            *passed = if waits && other != run { *passed + 1 } else { 0 };
            assert!(*passed < RUNS, "a run was passed {passed} times");
        }
    }

    /// One who waits is told until when no account has budget: of one that was never refused the next token comes at its
    /// rate, after those of requests that are sent again, however much is under way, and however slow the server is.
    pub(super) fn was_told_of_budget_alone(&mut self, ticket: Ticket) {
        let Task { project, steadiness, .. } = &self.tasks[self.waiting[&ticket]];
        // Who is steady may wait for one account only, and it is not known for which.
        if *steadiness == Steadiness::Steady {
            return;
        }
        let never_refused = |index: &&usize| self.counts[**index].refused == 0;
        let unrefused = self.projects[*project].usable.iter().filter(never_refused);
        let next = unrefused.map(|index| {
            let interval = believed(self.accounts[*index].told).interval();
            interval * (1 + self.counts[*index].owed)
        });
        let next = next.min();
        let prospect = self.budgets.prospect(ticket, self.now).expect("it waits");
        assert!(next.is_none_or(|next| prospect <= self.now + next), "told to wait for {:?}", prospect - self.now);
    }

    /// A request is sent: nobody asks while its account rests, and no more are under way than have room.
    pub(super) fn departed(&mut self, index: usize) {
        let believed = self.budgets.believed(&self.holders[index]);
        let (count, name) = (&mut self.counts[index], &self.accounts[index].name);
        assert!(count.rests_until.is_none_or(|until| until <= self.now), "{name} rests");
        if let Some(Size { rate, .. }) = believed {
            assert!(count.under_way < room(rate, millis(2 * WAY)), "{name}: {} are under way", count.under_way);
            count.top = count.top.max(rate);
        }
        count.under_way += 1;
    }

    /// A request was refused: no account is refused more than `belief.rs` promises.
    pub(super) fn was_refused(&mut self, index: usize, rests: Option<Instant>, asked: Option<Duration>) {
        let (now, time) = (self.now, self.now - self.began);
        let (truth, count) = (&self.accounts[index], &mut self.counts[index]);
        let asked = asked.map(|asked| now + asked.min(Duration::from_mins(10)));
        assert!(rests.is_none_or(|rests| asked.is_none_or(|asked| rests >= asked)), "shorter than it asked");
        count.rests_until = [count.rests_until, rests, asked].into_iter().flatten().max();
        count.refused += 1;
        count.rests += u128::from(rests.is_some());
        let most = most_rests(truth, time);
        let told = truth.told;
        assert!(count.rests <= most, "{}: {} rests in {time:?}, told {told:?}", truth.name, count.rests);
        // Without a limit nothing bounds what is under way when the first one is found.
        let first = if told.limit == RateLimit::Unlimited { (CONCURRENCY * RUNS) as u128 } else { 0 };
        let top = count.top.max(believed(told).rate);
        let most = most * u128::from(room(top, millis(2 * WAY))) + first;
        assert!(count.refused <= most, "{}: {} refusals in {time:?}, told {told:?}", truth.name, count.refused);
    }

    /// No server gives more than it has.
    pub(super) fn were_given_what_there_was(&self) {
        let time = self.now - self.began;
        for (truth, Count { done, .. }) in self.accounts.iter().zip(&self.counts) {
            if let Some(most) = truth.most(time) {
                assert!(*done <= most, "{}: a world gives {most} and not {done}", truth.name);
            }
        }
    }
}

/// How many rests may begin at an account in a time.
fn most_rests(truth: &Truth, time: Duration) -> u128 {
    if truth.plain {
        return steps(truth.told, time);
    }
    let quiet = quiet(truth.told);
    let size = believed(truth.told);
    let in_vain = halvings(size, |size| u128::from(size.rate) * quiet.as_millis() < 1_000_000);
    let missing = match truth.limit {
        Some((capacity, rate)) if truth.thief.is_none() => {
            in_vain.min(halvings(size, |size| u64::from(size.capacity) <= capacity && size.rate <= rate))
        }
        _ => in_vain,
    };
    let first = missing > 0 || truth.told.limit == RateLimit::Unlimited;
    u128::from(missing) + u128::from(first) + time.as_millis() / quiet.as_millis()
}

fn believed(told: Limit) -> Size {
    Size::told(told).unwrap_or(Size::ASSUMED)
}

/// How often both must be halved until it is enough.
fn halvings(mut size: Size, enough: impl Fn(Size) -> bool) -> u32 {
    let mut count = 0;
    while !enough(size) && (size.capacity, size.rate) != (1, SLOWEST) {
        (size.capacity, size.rate) = ((size.capacity / 2).max(1), (size.rate / 2).max(SLOWEST));
        count += 1;
    }
    count
}

/// How often more can have been tried than is told, each time after twice the time.
fn steps(told: Limit, time: Duration) -> u128 {
    let raise = if is_told(told) { RAISE_AFTER } else { QUIET_ASSUMED };
    let (mut count, mut after, mut at) = (0, raise, Duration::ZERO);
    while told.source != LimitSource::File && at + after <= time {
        (count, at, after) = (count + 1, at + after, (after * 2).min(Duration::from_hours(1)));
    }
    count
}
