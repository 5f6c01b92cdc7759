//! Processes that come one after the other: each begins with what the last one left.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{Answer, Ask, Budgets, Departure, Holder, Outcome, RotationId, SharedBudget, Steadiness};
use super::world::{Dice, Reply, Truth};
use super::{account, holder, role, start, told};
use crate::model::Limit;

/// A process, and the place where it keeps what it leaves.
struct Process {
    budgets: Budgets,
    rotation: RotationId,
    holder: Holder,
}

impl Process {
    /// Begins with what is left.
    fn begin(limit: Limit, left: &mut SharedBudget, (now, at): (Instant, Timestamp)) -> Self {
        let mut budgets = Budgets::new(7);
        let holder = holder("bb", "svc");
        budgets.tell(holder.clone(), limit, now);
        let (available, rests) = left.left(at);
        budgets.lower(&holder, available, now);
        if let Some(until) = rests {
            budgets.dry(&holder, now + Duration::try_from(until.duration_since(at)).unwrap(), now);
        }
        let party = budgets.open();
        let members = [(role("main"), account("svc"), holder.clone())];
        let rotation = budgets.add_rotation(party, "PAY".parse().unwrap(), members);
        Self { budgets, rotation, holder }
    }

    /// Sends what it may, `most` at most. Each is answered at once. Tells how many were refused.
    fn send(&mut self, most: u32, truth: &mut Truth, now: Instant) -> usize {
        let mut refused = 0;
        for _ in 0..most {
            let (arrival, except) = (self.budgets.arrive(), BTreeSet::new());
            let ask =
                Ask { rotation: self.rotation, arrival, keep: None, steadiness: Steadiness::Any, except: &except };
            match self.budgets.ask(ask, now) {
                Answer::Granted(mut grant) => {
                    assert_eq!(self.budgets.depart(&mut grant, now), Departure::Goes);
                    let outcome = match truth.come(&mut Dice::new(1), now) {
                        Reply::Done => Outcome::Answered,
                        Reply::Limited(retry_after) => {
                            refused += 1;
                            Outcome::RateLimited { retry_after }
                        }
                        Reply::Rejected | Reply::Busy => unreachable!("it knows buckets alone"),
                    };
                    self.budgets.settle(grant, outcome, now);
                }
                Answer::Queued(ticket) => {
                    self.budgets.withdraw(ticket);
                    break;
                }
                Answer::Exhausted => unreachable!("nothing is rejected"),
            }
        }
        refused
    }

    fn leave(&mut self, left: &mut SharedBudget, (now, at): (Instant, Timestamp)) {
        for stake in self.budgets.stakes(now).into_iter().filter(|stake| !stake.is_full()) {
            assert_eq!(stake.holder, self.holder);
            let rest = stake.rests_until.map(|until| at.saturating_add(until - now).unwrap());
            left.leave(at, stake.available, rest);
        }
    }
}

proptest! {
    #[test]
    fn what_is_told_truly_is_never_refused_however_many_processes_there_are(
        (burst, rate) in (1..40_u32, 1..12_u32),
        steps in proptest::collection::vec((0..4000_u64, 0..60_u32, any::<bool>()), 1..60),
    ) {
        let (limit, began) = (told(burst, rate), start());
        let epoch = Timestamp::from_second(1_800_000_000).unwrap();
        let mut truth = Truth::alone(limit, burst.into(), u64::from(rate) * 1000, 1, began);
        let mut left = SharedBudget::full(limit, epoch).unwrap();
        let mut time = Duration::ZERO;
        let mut process = Process::begin(limit, &mut left, (began, epoch));
        for (wait, most, ends) in steps {
            time += Duration::from_millis(wait);
            let here = (began + time, epoch.saturating_add(time).unwrap());
            prop_assert_eq!(process.send(most, &mut truth, here.0), 0);
            if ends {
                process.leave(&mut left, here);
                process = Process::begin(limit, &mut left, here);
            }
        }
    }
}

#[test]
fn what_is_used_up_is_told_again_although_it_stays_so() {
    let (limit, began) = (told(60, 5), start());
    let epoch = Timestamp::from_second(1_800_000_000).unwrap();
    let at = |seconds| (began + Duration::from_secs(seconds), epoch + Duration::from_secs(seconds));
    let mut truth = Truth::alone(limit, 60, 5000, 1, began);
    let mut left = SharedBudget::full(limit, epoch).unwrap();
    let mut first = Process::begin(limit, &mut left, at(0));
    first.leave(&mut left, at(0));
    // All that comes is used, and after each time it is as empty as before.
    for seconds in [0, 5, 10] {
        assert_eq!(first.send(60, &mut truth, at(seconds).0), 0);
        first.leave(&mut left, at(seconds));
    }
    let mut second = Process::begin(limit, &mut left, at(11));
    assert_eq!(second.send(60, &mut truth, at(11).0), 0);
    assert_eq!(second.budgets.levels(at(11).0)[0].available, 0, "five have come since, and are used");
}

#[test]
fn a_rest_lasts_beyond_the_process_that_was_told_so() {
    let (limit, began) = (told(40, 10), start());
    let epoch = Timestamp::from_second(1_800_000_000).unwrap();
    // Another one has used it: less is there than is believed.
    let mut truth = Truth::alone(limit, 5, 10_000, 1, began);
    let mut left = SharedBudget::full(limit, epoch).unwrap();
    let mut first = Process::begin(limit, &mut left, (began, epoch));
    assert_eq!(first.send(10, &mut truth, began), 1);
    first.leave(&mut left, (began, epoch));
    let mut second = Process::begin(limit, &mut left, (began, epoch));
    let log = |process: &mut Process, truth: &mut Truth, millis: u64| {
        process.send(1, truth, began + Duration::from_millis(millis));
        process.budgets.levels(began + Duration::from_millis(millis))[0].available
    };
    let before = log(&mut second, &mut truth, 500);
    assert_eq!(before, 5, "nothing was sent: it rests for a second at least");
    assert!(log(&mut second, &mut truth, 1500) < 15, "one was sent");
}
