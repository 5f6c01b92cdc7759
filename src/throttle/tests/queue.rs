//! Rotation, exchange, and who is served when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::super::Lack;
use super::super::{
    Answer, Arrival, Ask, Budgets, Departure, Grant, Outcome, Party, RotationId, Served, Steadiness, Ticket,
};
use super::{account, holder, millis, role, start, told, unlimited};
use crate::model::Limit;

struct Scene {
    budgets: Budgets,
    now: Instant,
}

impl Scene {
    fn new(accounts: &[(&str, Limit)]) -> Self {
        let now = start();
        let mut budgets = Budgets::new(1);
        for (name, limit) in accounts {
            budgets.tell(holder("bb", name), *limit, now);
        }
        Self { budgets, now }
    }

    fn rotation(&mut self, party: Party, members: &[(&str, &str)]) -> RotationId {
        let members = members.iter().map(|(name, of)| (role(name), account(of), holder("bb", of)));
        self.budgets.add_rotation(party, "PAY".parse().unwrap(), members)
    }

    fn pool(&mut self, members: &[(&str, &str)]) -> RotationId {
        let party = self.budgets.open();
        self.rotation(party, members)
    }

    fn ask(&mut self, rotation: RotationId, keep: Option<&str>) -> Answer {
        let arrival = self.budgets.arrive();
        self.ask_as(rotation, arrival, keep, Steadiness::Any)
    }

    fn ask_as(&mut self, rotation: RotationId, arrival: Arrival, keep: Option<&str>, steadiness: Steadiness) -> Answer {
        let (keep, except) = (keep.map(role), BTreeSet::new());
        self.budgets.ask(Ask { rotation, arrival, keep: keep.as_ref(), steadiness, except: &except }, self.now)
    }

    fn admitted(&mut self, rotation: RotationId, keep: Option<&str>) -> Grant {
        match self.ask(rotation, keep) {
            Answer::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn admitted_after(&mut self, rotation: RotationId, time: Duration) -> Grant {
        self.now += time;
        self.admitted(rotation, None)
    }

    fn queued(&mut self, rotation: RotationId) -> Ticket {
        match self.ask(rotation, None) {
            Answer::Queued(ticket) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request and says with which account.
    fn send(&mut self, rotation: RotationId, keep: Option<&str>) -> String {
        let grant = self.admitted(rotation, keep);
        let name = grant.lease.account.to_string();
        self.budgets.settle(grant, Outcome::Answered, self.now);
        name
    }

    fn refuse(&mut self, grant: Grant, seconds: u64) -> Instant {
        let retry_after = Some(Duration::from_secs(seconds));
        self.budgets.settle(grant, Outcome::RateLimited { retry_after }, self.now).unwrap()
    }

    /// Lets the time pass, and says who was served with which account.
    fn pass(&mut self, time: Duration) -> Vec<(Ticket, String)> {
        self.now += time;
        self.budgets.advance(self.now);
        let served: Vec<_> = self.budgets.served().collect();
        let settled = served.into_iter().map(|(ticket, served)| match served {
            Served::Granted(grant) => {
                let name = grant.lease.account.to_string();
                self.budgets.settle(grant, Outcome::Answered, self.now);
                (ticket, name)
            }
            Served::Exhausted => (ticket, "nobody".to_owned()),
        });
        settled.collect()
    }
}

#[test]
fn leases_rotate() {
    let mut scene = Scene::new(&[("a", unlimited()), ("b", unlimited()), ("c", unlimited())]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b"), ("extra-2", "c")]);
    assert_eq!([(); 4].map(|()| scene.send(pool, None)), ["a", "b", "c", "a"]);
}

#[test]
fn a_task_keeps_its_credential_and_is_exchanged_before_a_429() {
    let mut scene = Scene::new(&[("a", told(3, 1)), ("b", told(2, 1))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    let accounts = [(); 4].map(|()| scene.send(pool, Some("main")));
    assert_eq!(accounts, ["a", "a", "a", "b"]);
    assert_eq!(scene.send(pool, Some("extra-1")), "b");
    let ticket = scene.queued(pool);
    assert_eq!(scene.pass(millis(999)), []);
    assert_eq!(scene.pass(millis(1)), [(ticket, "a".to_owned())]);
}

#[test]
fn an_account_that_rests_is_passed_over_until_its_time() {
    let mut scene = Scene::new(&[("a", unlimited()), ("b", unlimited())]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    let refused = scene.admitted(pool, None);
    let until = scene.refuse(refused, 5);
    for _ in 0..3 {
        assert_eq!(scene.send(pool, Some("main")), "b");
    }
    scene.now = until;
    assert_eq!(scene.send(pool, Some("main")), "a");
}

#[test]
fn quirk_07_two_credentials_of_one_account_are_one_bucket() {
    let mut scene = Scene::new(&[("svc", told(2, 1))]);
    let pool = scene.pool(&[("main", "svc"), ("extra-1", "SVC")]);
    assert_eq!([(); 2].map(|()| scene.send(pool, None)), ["svc", "SVC"]);
    assert!(matches!(scene.ask(pool, None), Answer::Queued(_)));
}

#[test]
fn rejected_credentials_leave_and_ruled_out_ones_stay_for_others() {
    let mut scene = Scene::new(&[("a", told(1, 1)), ("b", told(1, 1))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    scene.budgets.reject(pool, &role("main"), scene.now);
    assert_eq!(scene.send(pool, Some("main")), "b");
    let (arrival, except) = (scene.budgets.arrive(), BTreeSet::from([role("extra-1")]));
    let ask = Ask { rotation: pool, arrival, keep: None, steadiness: Steadiness::Any, except: &except };
    assert_eq!(scene.budgets.ask(ask, scene.now), Answer::Exhausted);
    let ticket = scene.queued(pool);
    scene.budgets.reject(pool, &role("extra-1"), scene.now);
    assert_eq!(scene.pass(Duration::ZERO), [(ticket, "nobody".to_owned())], "nobody waits for what cannot come");
}

#[test]
fn runs_take_turns_and_within_a_run_the_oldest_task_comes_first() {
    let mut scene = Scene::new(&[("a", told(1, 1))]);
    let (one, other) = (scene.pool(&[("main", "a")]), scene.pool(&[("main", "a")]));
    let early = scene.budgets.arrive();
    scene.send(one, None);
    let many: Vec<_> = (0..3).map(|_| scene.queued(one)).collect();
    let few: Vec<_> = (0..2).map(|_| scene.queued(other)).collect();
    let Answer::Queued(oldest) = scene.ask_as(one, early, None, Steadiness::Any) else { panic!("no token is left") };
    let expected = [oldest, few[0], many[0], few[1], many[1], many[2]];
    let served: Vec<_> = (0..6).flat_map(|_| scene.pass(Duration::from_secs(1))).map(|(ticket, _)| ticket).collect();
    assert_eq!(served, expected);
}

#[test]
fn who_can_use_few_accounts_is_not_passed_for_ever() {
    let mut scene = Scene::new(&[("a", told(1, 1)), ("b", told(1, 1))]);
    let party = scene.budgets.open();
    let (rich, poor) =
        (scene.rotation(party, &[("main", "a"), ("extra-1", "b")]), scene.rotation(party, &[("main", "a")]));
    scene.send(rich, None);
    scene.send(rich, None);
    let before = [(); 2].map(|()| scene.queued(rich));
    let waits = scene.queued(poor);
    let after = [(); 4].map(|()| scene.queued(rich));
    let served: Vec<_> = (0..4).flat_map(|_| scene.pass(Duration::from_secs(1))).collect();
    let place = served.iter().position(|(ticket, _)| *ticket == waits).unwrap();
    assert!(place <= 2 && served[place].1 == "a", "{served:?}");
    assert_eq!(served.len(), before.len() + 1 + after.len());
}

#[test]
fn who_is_steady_waits_for_its_account_unless_that_rests() {
    let mut scene = Scene::new(&[("a", told(2, 1)), ("b", told(9, 1))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    let first = scene.admitted(pool, Some("main"));
    scene.send(pool, Some("main"));
    let arrival = scene.budgets.arrive();
    let Answer::Queued(ticket) = scene.ask_as(pool, arrival, Some("main"), Steadiness::Steady) else {
        panic!("it does not go to b")
    };
    assert_eq!(scene.pass(millis(100)), []);
    scene.refuse(first, 9);
    assert_eq!(scene.pass(Duration::ZERO), [(ticket, "b".to_owned())]);
}

#[test]
fn who_leaves_the_queue_leaves_the_token_to_others() {
    let mut scene = Scene::new(&[("a", told(1, 1))]);
    let pool = scene.pool(&[("main", "a")]);
    scene.send(pool, None);
    let (first, second) = (scene.queued(pool), scene.queued(pool));
    scene.budgets.withdraw(first);
    assert_eq!(scene.pass(Duration::from_secs(1)), [(second, "a".to_owned())]);
    assert_eq!(scene.budgets.wake_at(), None, "nobody waits");
}

#[test]
fn who_waits_for_answers_is_not_told_that_there_is_no_budget() {
    let mut scene = Scene::new(&[("a", told(60, 5)), ("b", told(60, 5))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    for _ in 0..8 {
        let mut grant = scene.admitted(pool, None);
        assert_eq!(scene.budgets.depart(&mut grant, scene.now), Departure::Goes);
    }
    let ticket = scene.queued(pool);
    for wait in [0, 1, 3000] {
        scene.now += millis(wait);
        assert_eq!(scene.budgets.prospect(ticket, scene.now), Some(scene.now), "52 tokens are left of each");
    }
}

#[test]
fn who_waits_for_the_answer_to_the_only_token_is_told_of_no_budget_when_it_comes() {
    let mut scene = Scene::new(&[("a", told(1, 1))]);
    let pool = scene.pool(&[("main", "a")]);
    let mut grant = scene.admitted(pool, None);
    assert_eq!(scene.budgets.depart(&mut grant, scene.now), Departure::Goes);
    let ticket = scene.queued(pool);
    scene.now += millis(700);
    assert_eq!(scene.budgets.prospect(ticket, scene.now), Some(scene.now));
    scene.budgets.settle(grant, Outcome::Answered, scene.now);
    assert_eq!(scene.budgets.prospect(ticket, scene.now), Some(scene.now + millis(1000)));
}

#[test]
fn who_goes_on_with_another_account_hears_why() {
    let mut scene = Scene::new(&[("a", told(5, 1)), ("b", told(9, 1))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    let mut sent: Vec<_> = (0..4).map(|_| scene.admitted(pool, Some("main"))).collect();
    for grant in &mut sent {
        assert_eq!(grant.lack, None);
        assert_eq!(scene.budgets.depart(grant, scene.now), Departure::Goes);
    }
    let other = scene.admitted(pool, Some("main"));
    assert_eq!((other.lease.account.as_str(), other.lack), ("b", Some(Lack::Room)), "one token is left at a");
    scene.budgets.settle(sent.remove(0), Outcome::Answered, scene.now);
    assert_eq!(scene.send(pool, Some("main")), "a");
    let other = scene.admitted(pool, Some("main"));
    assert_eq!((other.lease.account.as_str(), other.lack), ("b", Some(Lack::Budget)));
    assert_eq!(scene.admitted(pool, None).lack, None, "it would not have gone on with any");
}

#[test]
fn who_waits_for_a_busy_server_is_not_under_way() {
    let mut scene = Scene::new(&[("a", told(60, 5))]);
    let pool = scene.pool(&[("main", "a")]);
    let mut busy: Vec<_> = (0..4).map(|_| scene.admitted(pool, None)).collect();
    for grant in &mut busy {
        assert_eq!(scene.budgets.depart(grant, scene.now), Departure::Goes);
    }
    let ticket = scene.queued(pool);
    scene.budgets.again(&mut busy[0], scene.now);
    assert_eq!(scene.pass(Duration::ZERO), [(ticket, "a".to_owned())]);
    for grant in &mut busy {
        scene.budgets.again(grant, scene.now);
    }
    let others: Vec<_> = (0..20).map(|_| scene.admitted(pool, None)).collect();
    assert!(others.iter().all(|grant| scene.budgets.is_current(grant)));
}

#[test]
fn what_a_busy_server_is_asked_again_costs_a_token() {
    let mut scene = Scene::new(&[("a", told(2, 1))]);
    let pool = scene.pool(&[("main", "a")]);
    let mut first = scene.admitted(pool, None);
    assert_eq!(scene.budgets.depart(&mut first, scene.now), Departure::Goes);
    let mut last = scene.admitted(pool, None);
    scene.budgets.again(&mut first, scene.now);
    scene.budgets.again(&mut first, scene.now);
    let paid = scene.now + millis(1000);
    assert_eq!(scene.budgets.depart(&mut first, scene.now), Departure::Waits { until: paid });
    assert_eq!(scene.budgets.depart(&mut last, scene.now), Departure::Goes, "it has the last one");
    scene.budgets.settle(last, Outcome::Answered, scene.now);
    let ticket = scene.queued(pool);
    assert_eq!(scene.budgets.prospect(ticket, scene.now), Some(paid + millis(1000)), "the one after that");
    assert_eq!(scene.pass(millis(1000)), []);
    assert_eq!(scene.budgets.depart(&mut first, scene.now), Departure::Goes);
    assert_eq!(scene.pass(millis(1000)), [(ticket, "a".to_owned())]);
}

#[test]
fn a_run_that_ends_takes_its_tickets_along() {
    let mut scene = Scene::new(&[("a", told(1, 1))]);
    let party = scene.budgets.open();
    let pool = scene.rotation(party, &[("main", "a")]);
    scene.send(pool, None);
    scene.queued(pool);
    scene.budgets.close(party);
    assert_eq!(scene.budgets.wake_at(), None);
    assert_eq!(scene.ask(pool, None), Answer::Exhausted);
}

#[test]
fn an_admission_before_a_429_is_not_used_after_it() {
    let mut scene = Scene::new(&[("a", unlimited())]);
    let pool = scene.pool(&[("main", "a")]);
    let (one, other) = (scene.admitted(pool, None), scene.admitted(pool, None));
    scene.refuse(one, 1);
    assert!(!scene.budgets.is_current(&other));
    assert_eq!(scene.budgets.settle(other, Outcome::Unsent, scene.now), None);
    let ticket = scene.queued(pool);
    assert!(scene.budgets.prospect(ticket, scene.now).unwrap() >= scene.now + millis(1000));
}

#[test]
fn who_was_served_with_what_is_rejected_is_served_by_another() {
    let mut scene = Scene::new(&[("a", told(1, 1)), ("b", told(1, 1))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    let held = scene.admitted(pool, None);
    scene.send(pool, Some("extra-1"));
    scene.now += millis(500);
    let ticket = scene.queued(pool);
    scene.now += millis(500);
    // It is given what comes at b, and is not told yet.
    scene.budgets.advance(scene.now);
    scene.budgets.reject(pool, &role("extra-1"), scene.now);
    assert!(scene.budgets.is_current(&held), "another credential is not concerned");
    scene.budgets.settle(held, Outcome::Unsent, scene.now);
    assert_eq!(scene.pass(Duration::ZERO), [(ticket, "a".to_owned())]);
    let held = scene.admitted_after(pool, Duration::from_secs(2));
    scene.budgets.reject(pool, &role("main"), scene.now);
    assert!(!scene.budgets.is_current(&held), "a request that waits must not be sent");
    assert_eq!(scene.budgets.settle(held, Outcome::Unsent, scene.now), None);
    assert_eq!(scene.ask(pool, None), Answer::Exhausted);
}

#[test]
fn a_queue_of_thousands_is_no_burden() {
    let mut scene = Scene::new(&[("a", told(1, 1000)), ("b", told(1, 1000))]);
    let pool = scene.pool(&[("main", "a"), ("extra-1", "b")]);
    let mut waits: BTreeSet<Ticket> = BTreeSet::new();
    for _ in 0..5000 {
        if let Answer::Queued(ticket) = scene.ask(pool, None) {
            waits.insert(ticket);
        }
    }
    let mut served = Vec::new();
    while let Some(at) = scene.budgets.wake_at() {
        let step = at.saturating_duration_since(scene.now);
        served.extend(scene.pass(step).into_iter().map(|(ticket, _)| ticket));
    }
    assert!(served.is_sorted() && served.len() == waits.len());
}
