//! Signs of life: the start and the end of every run, for services that miss what does not come.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::letter::plain;
use super::trouble::Facts;
use crate::model::{Alerts, PlanName, RunId};
use crate::reconcile::status::shortfall;
use crate::state::{DONE, RUNNING};

/// Which sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PingKind {
    /// A run began.
    Start,
    /// It backed up everything.
    Success,
    /// It did not.
    Fail,
}

impl PingKind {
    /// The last part of the address; a success has none.
    pub const fn segments(self) -> &'static [&'static str] {
        match self {
            Self::Start => &["start"],
            Self::Success => &[],
            Self::Fail => &["fail"],
        }
    }
}

/// A sign of life of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Which.
    pub kind: PingKind,
    /// The plan.
    pub plan: PlanName,
    /// The run.
    pub run: RunId,
    /// Why it is no success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// The command that tells more about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Ping {
    /// The run in the form that such services take.
    pub fn uuid(&self) -> String {
        let number = (u128::from(self.run.millis()) << 80) | self.run.random();
        let digits = format!("{number:032x}");
        let part = |from: usize, to: usize| &digits[from..to];
        [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
    }
}

/// What was told of the runs of a plan last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinged {
    /// The run.
    pub run: RunId,
    /// Whether its end was told.
    pub ended: bool,
}

/// The signs that are due, from what was told of each plan last; and what counts as told after them. What ended before
/// `since` is old: nobody waits for it.
pub fn pings(
    alerts: &Alerts,
    facts: &Facts,
    told: &BTreeMap<PlanName, Pinged>,
    since: Timestamp,
) -> (Vec<Ping>, BTreeMap<PlanName, Pinged>) {
    let (mut due, mut after) = (Vec::new(), BTreeMap::new());
    for (name, plan) in facts.plans.iter().filter(|(name, _)| alerts.covers(name)) {
        let Some(newest) = plan.runs.iter().max_by_key(|run| run.id) else { continue };
        let ended = newest.state != RUNNING;
        let pinged = Pinged { run: newest.id, ended };
        let before = told.get(name);
        if before == Some(&pinged) || before.is_some_and(|before| before.run > newest.id) {
            continue;
        }
        let kind = match (ended, newest.state.as_str()) {
            (false, _) => PingKind::Start,
            (true, DONE) => PingKind::Success,
            (true, _) => PingKind::Fail,
        };
        let what = if ended { shortfall(newest).map(|what| plain(&what)) } else { None };
        let next = what.is_some().then(|| facts.command(&format!("runs show {}", newest.id)));
        if before.is_some() || newest.finished.is_none_or(|finished| finished >= since) {
            due.push(Ping { kind, plan: name.clone(), run: newest.id, what, next });
        }
        after.insert(name.clone(), pinged);
    }
    (due, after)
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::alerts;
    use super::super::letter::Letter;
    use super::super::trouble::tests::{at, facts, nightly, run};
    use super::*;

    fn told(facts: &Facts, told: &mut BTreeMap<PlanName, Pinged>) -> Vec<PingKind> {
        let (due, after) = pings(&alerts(), facts, told, at("2026-11-22T00:00:00Z"));
        told.extend(after);
        due.into_iter().map(|ping| ping.kind).collect()
    }

    #[test]
    fn every_run_is_told_from_its_start_to_its_end() {
        let mut memory = BTreeMap::new();
        let old = run(1, DONE, "2026-11-21T01:30:00Z");
        assert_eq!(told(&facts(vec![old.clone()]), &mut memory), [], "it ended long ago");
        let mut second = run(2, RUNNING, "2026-11-22T01:30:00Z");
        assert_eq!(told(&facts(vec![second.clone(), old.clone()]), &mut memory), [PingKind::Start]);
        assert_eq!(told(&facts(vec![second.clone(), old.clone()]), &mut memory), []);
        second.state = DONE.into();
        assert_eq!(told(&facts(vec![second.clone()]), &mut memory), [PingKind::Success]);
        assert_eq!(told(&facts(vec![second.clone()]), &mut memory), []);
        // One that began and ended between two looks, and another after it.
        let failed = run(4, "partial", "2026-11-22T03:30:00Z");
        assert_eq!(told(&facts(vec![failed, run(3, DONE, "2026-11-22T02:30:00Z")]), &mut memory), [PingKind::Fail]);
        assert_eq!(told(&facts(vec![run(5, "abandoned", "2026-11-22T04:30:00Z")]), &mut memory), [PingKind::Fail]);
    }

    #[test]
    fn what_to_do_about_a_failure_is_said_once() {
        let failed = run(2, "partial", "2026-11-22T01:30:00Z");
        let (due, _) = pings(&alerts(), &facts(vec![failed]), &BTreeMap::new(), at("2026-11-22T00:00:00Z"));
        let [ping] = &due[..] else { panic!("{due:?}") };
        let letter = Letter::Ping { ping: ping.clone(), host: "ada@vault".into(), at: at("2026-11-22T02:00:00Z") };
        assert_eq!(
            letter.text(),
            "Run 00000000020000000000000000 of plan nightly on ada@vault, 2026-11-22 02:00 UTC\n\
             run of 2026-11-22 01:30 UTC: partial, 3 repositories not backed up\n\
             Next:  xopero runs show 00000000020000000000000000\n"
        );
    }

    #[test]
    fn a_run_has_a_number_that_services_take() {
        let ping = Ping {
            kind: PingKind::Start,
            plan: nightly(),
            run: RunId::from_parts(0x0001_0203_0405, 0xf),
            what: None,
            next: None,
        };
        assert_eq!(ping.uuid(), "00010203-0405-0000-0000-00000000000f");
    }
}
