//! What is news: from what was told, to what is so.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::letter::{Event, Phase};
use super::trouble::{Facts, Trouble};
use crate::model::{Alerts, Occasion, PlanName, hex};

/// The same trouble is told again after this, at the earliest: what comes and goes is told once.
pub const REST: Duration = Duration::from_mins(30);

/// Messages of one hour that are sent as they come.
pub const BURST: usize = 6;

/// How far messages are apart after that; what happens in between is in one.
pub const SPACING: Duration = Duration::from_mins(10);

/// What was told of a trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What, as it was told.
    pub trouble: Event,
    /// When.
    pub at: Timestamp,
    /// Whether its end was told, or nobody wants to hear of it.
    pub over: bool,
}

/// What follows for one `alerts` node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// What is told.
    pub events: Vec<Event>,
    /// What counts as told from here on.
    pub told: BTreeMap<String, Told>,
    /// What is forgotten.
    pub forgotten: Vec<String>,
    /// The identity of the message: two that decide the same have the same.
    pub id: String,
}

/// What is news for one `alerts` node. `queued` is when its messages of the last hour were queued.
pub fn decide(
    alerts: &Alerts,
    facts: &Facts,
    troubles: &BTreeMap<String, Trouble>,
    told: &BTreeMap<String, Told>,
    queued: &[Timestamp],
    now: Timestamp,
) -> Decision {
    let mut decision = Decision::default();
    let recent = queued.iter().max();
    if queued.len() >= BURST && recent.is_some_and(|last| is_within(*last, now, SPACING)) {
        return decision;
    }
    let mut digest = Sha256::new();
    let mut tell = |decision: &mut Decision, key: &str, event: Event, over: bool| {
        let before = told.get(key).map(|before| before.at.as_millisecond());
        let identity = format!("{key}\n{}\n{}\n{}\n{before:?}\n", event.phase.as_str(), event.reason, event.since);
        digest.update(identity.as_bytes());
        // The end of a trouble does not count: whoever comes and goes is not told twice in short.
        let at = match told.get(key) {
            Some(before) if over => before.at,
            Some(_) | None => now,
        };
        decision.told.insert(key.to_owned(), Told { trouble: event.clone(), at, over });
        decision.events.push(event);
    };
    for (key, trouble) in troubles.iter().filter(|(_, trouble)| wants(alerts, trouble)) {
        match told.get(key) {
            None => tell(&mut decision, key, event(Phase::Begins, trouble), false),
            Some(before) if is_within(before.at, now, REST) => {}
            Some(before) if before.over => tell(&mut decision, key, event(Phase::Begins, trouble), false),
            Some(before) if before.trouble.reason != trouble.reason => {
                let changed = Event { since: before.trouble.since, ..event(Phase::Changed, trouble) };
                tell(&mut decision, key, changed, false);
            }
            Some(_) => {}
        }
    }
    for (key, before) in told {
        let lasts = troubles.get(key).is_some_and(|trouble| wants(alerts, trouble));
        if lasts || !facts.is_known(key) {
            continue;
        }
        let in_scope = alerts.occasions.contains(&before.trouble.occasion) && covers(alerts, facts, &before.trouble);
        if before.over || !in_scope {
            // Remembered for as long as it must not be told again.
            if !is_within(before.at, now, REST) || !in_scope {
                decision.forgotten.push(key.clone());
            }
        } else if alerts.occasions.contains(&Occasion::Recovered) {
            tell(&mut decision, key, Event { phase: Phase::Over, ..before.trouble.clone() }, true);
        } else {
            decision.told.insert(key.clone(), Told { over: true, ..before.clone() });
        }
    }
    hex::encode(&digest.finalize())[..32].clone_into(&mut decision.id);
    decision
}

fn is_within(then: Timestamp, now: Timestamp, span: Duration) -> bool {
    // A clock that was set back must not silence anybody.
    Duration::try_from(now.duration_since(then)).is_ok_and(|passed| passed < span)
}

fn wants(alerts: &Alerts, trouble: &Trouble) -> bool {
    let concerned = trouble.plans.is_empty() || trouble.plans.iter().any(|plan| alerts.covers(plan));
    alerts.occasions.contains(&trouble.occasion) && concerned
}

/// Whether somebody is still to hear of what was told: of plans that have left, nobody is.
fn covers(alerts: &Alerts, facts: &Facts, told: &Event) -> bool {
    let there = |plan: &&PlanName| facts.declaration.plans.contains_key(*plan) && alerts.covers(plan);
    told.plans.is_empty() || told.plans.iter().any(|plan| there(&plan))
}

fn event(phase: Phase, trouble: &Trouble) -> Event {
    let Trouble { occasion, about, plans, place, since, reason, what, next } = trouble;
    Event {
        phase,
        occasion: *occasion,
        about: about.clone(),
        plans: plans.iter().cloned().collect(),
        place: place.clone(),
        since: *since,
        reason: reason.clone(),
        what: what.clone(),
        next: next.clone(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::trouble::tests::{at, facts, nightly, run};
    use super::super::trouble::troubles;
    use super::*;
    use crate::model::{AlertAddress, AlertUrl, Webhook};

    pub(in crate::alert) fn alerts() -> Alerts {
        let address = AlertAddress::Clear(AlertUrl::new("https://hooks.example.com/x").unwrap());
        Alerts {
            occasions: Occasion::ALL.into_iter().collect(),
            plans: BTreeSet::new(),
            ca_file: None,
            webhook: Some(Webhook { address, signing_key: None }),
            healthchecks: None,
            ntfy: None,
            slack: None,
            email: None,
            exec: None,
        }
    }

    /// Goes from look to look, and remembers what was told.
    struct Teller {
        alerts: Alerts,
        told: BTreeMap<String, Told>,
        queued: Vec<Timestamp>,
    }

    impl Teller {
        fn new(alerts: Alerts) -> Self {
            Self { alerts, told: BTreeMap::new(), queued: Vec::new() }
        }

        fn look(&mut self, facts: &Facts, now: &str) -> Vec<String> {
            let now = at(now);
            let queued: Vec<Timestamp> =
                self.queued.iter().copied().filter(|then| is_within(*then, now, Duration::from_hours(1))).collect();
            let decision = decide(&self.alerts, facts, &troubles(facts, now), &self.told, &queued, now);
            self.told.extend(decision.told);
            for key in decision.forgotten {
                self.told.remove(&key);
            }
            if !decision.events.is_empty() {
                self.queued.push(now);
            }
            decision
                .events
                .iter()
                .map(|event| format!("{} {} {}", event.phase.as_str(), event.occasion, event.reason))
                .collect()
        }
    }

    #[test]
    fn a_failure_is_told_once_and_its_end_once() {
        let mut teller = Teller::new(alerts());
        let bad = |number, started: &str| run(number, "partial", started);
        let good = |number, started: &str| run(number, "done", started);
        assert_eq!(teller.look(&facts(vec![good(1, "2026-11-22T00:30:00Z")]), "2026-11-22T00:31:00Z"), [""; 0]);
        assert_eq!(
            teller.look(&facts(vec![bad(2, "2026-11-22T01:30:00Z")]), "2026-11-22T01:31:00Z"),
            ["begins failed partial"]
        );
        assert_eq!(teller.look(&facts(vec![bad(3, "2026-11-22T02:30:00Z")]), "2026-11-22T02:31:00Z"), [""; 0]);
        let running = vec![run(4, "running", "2026-11-22T03:30:00Z"), bad(3, "2026-11-22T02:30:00Z")];
        assert_eq!(teller.look(&facts(running), "2026-11-22T03:31:00Z"), [""; 0], "what is under way will tell");
        let again = vec![good(4, "2026-11-22T03:30:00Z"), bad(3, "2026-11-22T02:30:00Z")];
        assert_eq!(teller.look(&facts(again.clone()), "2026-11-22T03:32:00Z"), ["over failed partial"]);
        assert_eq!(teller.look(&facts(again), "2026-11-22T03:33:00Z"), [""; 0]);
    }

    #[test]
    fn another_reason_is_told_after_a_rest() {
        let mut teller = Teller::new(alerts());
        assert_eq!(
            teller.look(&facts(vec![run(1, "partial", "2026-11-22T01:00:00Z")]), "2026-11-22T01:01:00Z"),
            ["begins failed partial"]
        );
        let worse = facts(vec![run(2, "failed", "2026-11-22T01:10:00Z")]);
        assert_eq!(teller.look(&worse, "2026-11-22T01:30:59Z"), [""; 0]);
        assert_eq!(teller.look(&worse, "2026-11-22T01:31:00Z"), ["changed failed failed"]);
        assert_eq!(teller.told["failed plan/nightly"].trouble.since, at("2026-11-22T01:00:00Z"), "it lasts since then");
    }

    #[test]
    fn what_comes_and_goes_is_told_once_in_a_while() {
        let mut teller = Teller::new(alerts());
        let mut events = 0;
        for minute in 0..60 {
            let state = if minute % 2 == 0 { "failed" } else { "done" };
            let started = format!("2026-11-22T01:{minute:02}:00Z");
            events += teller.look(&facts(vec![run(minute + 1, state, &started)]), &started).len();
        }
        assert_eq!(events, 4, "it began and was over twice in an hour");
    }

    #[test]
    fn who_does_not_listen_is_not_told() {
        let only = |words: &[Occasion]| Alerts { occasions: words.iter().copied().collect(), ..alerts() };
        let bad = facts(vec![run(1, "failed", "2026-11-22T01:30:00Z")]);
        let good = facts(vec![run(2, "done", "2026-11-22T01:50:00Z")]);
        let mut deaf = Teller::new(only(&[Occasion::Overdue, Occasion::Recovered]));
        assert_eq!(deaf.look(&bad, "2026-11-22T01:31:00Z"), [""; 0]);
        assert_eq!(deaf.look(&good, "2026-11-22T01:51:00Z"), [""; 0], "nobody hears of the end of what was not told");
        let mut no_ends = Teller::new(only(&[Occasion::Failed]));
        assert_eq!(no_ends.look(&bad, "2026-11-22T01:31:00Z").len(), 1);
        assert_eq!(no_ends.look(&good, "2026-11-22T01:51:00Z"), [""; 0]);
        let other = Alerts { plans: BTreeSet::from(["hot".parse().unwrap()]), ..alerts() };
        assert_eq!(Teller::new(other).look(&bad, "2026-11-22T01:31:00Z"), [""; 0]);
    }

    #[test]
    fn a_plan_that_has_left_is_not_well_again() {
        let mut teller = Teller::new(alerts());
        teller.look(&facts(vec![run(1, "failed", "2026-11-22T01:30:00Z")]), "2026-11-22T01:31:00Z");
        let mut gone = facts(Vec::new());
        gone.plans.clear();
        gone.declaration.plans.clear();
        assert_eq!(teller.look(&gone, "2026-11-22T01:40:00Z"), [""; 0]);
        assert!(teller.told.is_empty());
    }

    #[test]
    fn what_is_not_known_is_not_over() {
        let mut teller = Teller::new(alerts());
        let heard = |trouble: Option<Option<Trouble>>| Facts {
            heard: trouble.map(|trouble| ("heard approval".to_owned(), trouble)).into_iter().collect(),
            ..facts(Vec::new())
        };
        let trouble = Trouble {
            occasion: Occasion::Approval,
            about: "the declaration".into(),
            plans: BTreeSet::new(),
            place: None,
            since: at("2026-11-22T01:00:00Z"),
            reason: "7f31c09ad2e4".into(),
            what: "a change waits".into(),
            next: "xopero apply --approve 7f31c09ad2e4".into(),
        };
        assert_eq!(
            teller.look(&heard(Some(Some(trouble.clone()))), "2026-11-22T01:00:59Z").len(),
            0,
            "it may be edited"
        );
        assert_eq!(teller.look(&heard(Some(Some(trouble.clone()))), "2026-11-22T01:01:00Z").len(), 1);
        assert_eq!(teller.look(&heard(None), "2026-11-22T02:00:00Z"), [""; 0], "another process looks");
        let anew = Trouble { since: at("2026-11-22T02:10:00Z"), ..trouble };
        let restarted = teller.look(&heard(Some(Some(anew))), "2026-11-22T02:10:01Z");
        assert_eq!(restarted, [""; 0], "the next process hears of the same thing");
        assert_eq!(teller.look(&heard(Some(None)), "2026-11-22T03:00:00Z"), ["over approval 7f31c09ad2e4"]);
    }

    #[test]
    fn many_troubles_are_few_messages() {
        let mut teller = Teller::new(alerts());
        let plan = facts(Vec::new()).declaration.plans[&nightly()].clone();
        let mut all = facts(Vec::new());
        for number in 0..60_u64 {
            // One more plan fails each minute.
            let name: PlanName = format!("plan-{number}").parse().unwrap();
            all.declaration.plans.insert(name.clone(), plan.clone());
            let failed = run(number + 1, "failed", &format!("2026-11-22T01:{number:02}:00Z"));
            all.plans.insert(name, super::super::PlanFacts { runs: vec![failed], ..Default::default() });
            teller.look(&all, &format!("2026-11-22T01:{number:02}:30Z"));
        }
        assert!(teller.queued.len() <= BURST + 6, "{}", teller.queued.len());
        teller.look(&all, "2026-11-22T02:30:00Z");
        assert_eq!(teller.told.len(), 60, "none is lost");
    }

    proptest! {
        /// Beginnings and ends alternate, whatever happens; what is decided twice has one identity; and nothing is told
        /// when nothing changed.
        #[test]
        fn told_and_so_agree(states in proptest::collection::vec(prop_oneof![Just("failed"), Just("partial"), Just("done"), Just("running"), Just("interrupted")], 1..40)) {
            let mut teller = Teller::new(alerts());
            let mut open = false;
            for (number, state) in states.iter().enumerate() {
                let hour = number / 2;
                let now = format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + hour / 24, hour % 24, 30 * (number % 2) + 5);
                let now = now.as_str();
                let facts = facts(vec![run(number as u64 + 1, state, now)]);
                let decided = || decide(&teller.alerts, &facts, &troubles(&facts, at(now)), &teller.told, &[], at(now));
                prop_assert_eq!(decided(), decided());
                for told in teller.look(&facts, now) {
                    if told.starts_with("begins") {
                        prop_assert!(!open);
                        open = true;
                    } else if told.starts_with("over") {
                        prop_assert!(open);
                        open = false;
                    } else {
                        prop_assert!(open);
                    }
                }
                prop_assert_eq!(teller.look(&facts, now), Vec::<String>::new());
            }
        }
    }
}
