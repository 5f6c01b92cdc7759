//! States of affairs to look at.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{File, Known, Place};
use crate::change::{change_set, sample};
use crate::model::condition::settle;
use crate::model::{Address, ConditionKind, Conditions, DestinationId, Generation, Pause, RunId, Seen, Sighting, Uid};
use crate::state::{Holding, RunRow};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn run(plan: Uid, state: &str, started: &str, summary: Value) -> RunRow {
    RunRow {
        id: RunId::from_parts(1, 1),
        plan,
        plan_name: "nightly".parse().unwrap(),
        generation: Generation(41),
        only: None,
        resumes: None,
        state: state.into(),
        started: at(started),
        finished: Some(at(started)),
        summary: Some(summary),
    }
}

/// A plan that failed, one that is paused, one that only the file has, and one that has left.
pub(crate) fn known() -> Known {
    let mut declaration = sample::declaration();
    let plan = declaration.plans.values().next().unwrap().clone();
    let mut weekly = plan.clone();
    weekly.paused = Some(Pause { reason: "migration".into(), until: None });
    declaration.plans.insert("weekly".parse().unwrap(), weekly);
    let mut applied = sample::applied(declaration.clone());
    applied.applied_at = at("2026-11-20T08:13:20Z");
    let (nightly, left) = (Uid::from_parts(1, 1), Uid::from_parts(1, 9));
    applied.uids.insert(Address::plan(&"nightly".parse().unwrap()), nightly);
    applied.uids.insert(Address::plan(&"weekly".parse().unwrap()), Uid::from_parts(1, 2));
    let mut declared = declaration;
    declared.plans.insert("hot".parse().unwrap(), plan);
    let set = change_set(Some(&applied), &declared, &crate::change::Known::default(), at("2026-11-22T00:00:00Z"));
    let rejected = Sighting {
        address: Address::parse("credential/PAY/extra-1").unwrap(),
        kind: ConditionKind::CredentialRejected,
        seen: Seen::Holds { reason: "WrongSecret", message: "the token is wrong".into() },
    };
    let (conditions, _) = settle(&Conditions::new(), &[rejected], None, at("2026-11-21T01:00:00Z"));
    let nas = DestinationId::from_parts(1, 1);
    let holding = |plan, name: &str, snapshots| Holding {
        plan,
        plan_name: name.parse().unwrap(),
        destination: nas,
        snapshots,
        newest: at("2026-11-21T00:31:00Z"),
    };
    Known {
        applied: Some(applied),
        file: File::Valid(Box::new((declared, set))),
        runs: vec![
            run(
                nightly,
                "partial",
                "2026-11-22T00:30:00Z",
                json!({
                    "totals": {"failed": 2}, "ledger": {"rate_limited": {"svc-backup": 3}},
                }),
            ),
            run(nightly, "done", "2026-11-21T00:30:00Z", json!({})),
        ],
        waiting: std::collections::BTreeMap::new(),
        options: String::new(),
        paused_since: [("weekly".parse().unwrap(), at("2026-10-01T09:00:00Z"))].into(),
        conditions,
        holdings: vec![holding(nightly, "nightly", 1234), holding(left, "old-weekly", 37)],
        destinations: [("nas".parse().unwrap(), (Some(nas), Place::Reached))].into(),
        followed: None,
        channels: Vec::new(),
    }
}
