//! The plans: are they in force as declared, and do their backups come?

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{File, Health, Known, Place, PlanStatus, Sync};
use crate::change::{Action, ChangeSet};
use crate::model::{
    Address, Applied, BackupPlan, Condition, ConditionKind, CredentialRole, Declaration, DestinationName, Pause,
    PlanName, PlanRetention, Uid, Waiting,
};
use crate::schedule::{Agenda, Overdue, overdue, paused_until};
use crate::state::{DONE, RUNNING, RunRow};

/// Every plan, in force or declared.
pub(super) fn plans(known: &Known, now: Timestamp) -> Vec<PlanStatus> {
    let declared = match &known.file {
        File::Valid(both) => Some(&both.0),
        File::Invalid(_) | File::Unreadable(_) => None,
    };
    let in_force = known.applied.as_ref().map(|applied| &applied.declaration);
    let names: BTreeSet<&PlanName> =
        [in_force, declared].into_iter().flatten().flat_map(|declaration| declaration.plans.keys()).collect();
    names
        .into_iter()
        .map(|name| {
            match known.applied.as_ref().and_then(|applied| Some((applied, applied.declaration.plans.get(name)?))) {
                Some((applied, plan)) => in_force_plan(known, applied, name, plan, now),
                None => PlanStatus {
                    plan: name.clone(),
                    in_force: false,
                    sync: sync(known, &BTreeSet::from([Address::plan(name)])),
                    health: Health::NeverRan,
                    running_since: None,
                    last_success: None,
                    last_run: None,
                    last_outcome: None,
                    throttled: None,
                    next_due: None,
                    reasons: vec!["declared, and not in force yet".to_owned()],
                },
            }
        })
        .collect()
}

fn in_force_plan(known: &Known, applied: &Applied, name: &PlanName, plan: &BackupPlan, now: Timestamp) -> PlanStatus {
    let uid = applied.uids.get(&Address::plan(name)).copied();
    let runs: Vec<&RunRow> = known.runs.iter().filter(|run| Some(run.plan) == uid).collect();
    let whole = |run: &&&RunRow| run.summary.as_ref().is_none_or(|summary| summary["only"].is_null());
    let last_success = runs.iter().filter(whole).find(|run| run.state == DONE).map(|run| run.started);
    let last = runs.iter().filter(|run| run.state != RUNNING).max_by_key(|run| run.started);
    let running = runs.iter().find(|run| run.state == RUNNING);
    let running_since = running.map(|run| run.started);
    let waiting = running.or(last).and_then(|run| known.waiting.get(&run.id).copied());
    let late = overdue(plan, last_success, uid.and_then(minted), now);

    let uses = uses(&applied.declaration, name, plan);
    let mut reasons = Vec::new();
    let is_paused = paused_until(plan).is_some_and(|end| now < end);
    let paused = plan.paused.as_ref().filter(|_| is_paused);
    if let Some(pause) = paused {
        reasons.push(pause_words(pause, known.paused_since.get(name)));
    }
    if let Some(late) = late
        && running_since.is_none()
    {
        reasons.push(overdue_words(&late));
    }
    let out_of_budget = throttled(known, &applied.declaration, plan);
    if out_of_budget {
        reasons.push("every account that it may use had used up its budget when it was last asked".to_owned());
    }
    reasons.extend(waiting.map(|waiting| waiting_words(&waiting, running.is_some())));
    let throttled = out_of_budget || (waiting.is_some() && running.is_some());
    let fault = last.and_then(|run| fault(run));
    let holding = conditions(known, &uses);
    let unusable = unusable(known, plan);
    let degraded = fault.is_some() || !unusable.is_empty() || holding.iter().any(|(harmful, _)| *harmful);
    reasons.extend(fault.into_iter().chain(unusable));
    reasons.extend(holding.into_iter().map(|(_, words)| words));
    let health = if paused.is_some() {
        Health::Paused
    } else if late.is_some() && running_since.is_none() {
        Health::Overdue
    } else if throttled {
        Health::Throttled
    } else if degraded {
        Health::Degraded
    } else if last_success.is_none() {
        Health::NeverRan
    } else {
        Health::Healthy
    };
    PlanStatus {
        plan: name.clone(),
        in_force: true,
        sync: sync(known, &uses),
        health,
        running_since,
        last_success,
        last_run: last.map(|run| run.id),
        last_outcome: last.map(|run| run.state.clone()),
        throttled: waiting,
        next_due: plan
            .schedule
            .as_ref()
            .filter(|_| paused.is_none())
            .and_then(|timetable| Agenda::new(timetable, uid?).ok())
            .and_then(|agenda| agenda.upcoming(now, 1).first().map(|due| due.begins)),
        reasons,
    }
}

/// The addresses that a plan depends on, its own among them.
fn uses(declaration: &Declaration, name: &PlanName, plan: &BackupPlan) -> BTreeSet<Address> {
    let mut all = BTreeSet::from([Address::plan(name)]);
    all.extend(plan.destinations.iter().map(Address::destination));
    if let PlanRetention::Named(name) = &plan.retention {
        all.insert(Address::retention(name));
    }
    for (key, planned) in &plan.projects {
        all.insert(Address::project(key));
        all.insert(Address::credential(key, &CredentialRole::Main));
        let enabled = planned.enabled_credentials.iter().cloned().map(CredentialRole::Additional);
        all.extend(enabled.map(|role| Address::credential(key, &role)));
        all.extend(declaration.projects.get(key).map(|project| Address::server(&project.server)));
    }
    all
}

/// A file is applied as a whole: if anything in it waits for an approval, so does all of it.
fn sync(known: &Known, uses: &BTreeSet<Address>) -> Sync {
    let changes: &ChangeSet = match &known.file {
        File::Valid(both) => &both.1,
        File::Invalid(_) => return Sync::Invalid,
        File::Unreadable(_) => return Sync::SourceStale,
    };
    let mut touched = changes.changes.iter().filter(|change| change.action != Action::Keep);
    match touched.any(|change| uses.contains(&change.address)) {
        false => Sync::InSync,
        true if changes.is_refused() => Sync::Refused,
        true if changes.needs_approval() => Sync::PendingApproval,
        true => Sync::Pending,
    }
}

/// When a plan was applied for the first time: before its first run, it is there since then.
pub fn minted(uid: Uid) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(uid.millis()).ok()?).ok()
}

/// Why a plan is overdue, as a phrase that follows its name.
pub fn overdue_words(overdue: &Overdue) -> String {
    match overdue.within {
        None => format!("was due {} and has not succeeded since", minute(overdue.due)),
        Some(_) => format!("should have succeeded by {}, by its `overdue-after`", minute(overdue.due)),
    }
}

fn pause_words(pause: &Pause, since: Option<&Timestamp>) -> String {
    let since = since.map(|since| format!(" since {}", minute(*since))).unwrap_or_default();
    match pause.until {
        Some(until) => format!("paused{since} until {until}: {}", pause.reason),
        None => format!("paused{since} without an end: {}; give it `until=`, or take the pause out", pause.reason),
    }
}

/// What waits for budget: in a run under way, or in one that was killed.
fn waiting_words(waiting: &Waiting, running: bool) -> String {
    let Waiting { tasks, since, until } = waiting;
    let noun = if *tasks == 1 { "repository" } else { "repositories" };
    let (since, until) = (since.strftime("%H:%M:%S"), until.strftime("%H:%M:%S"));
    if running {
        format!("{tasks} {noun} throttled since {since}, until {until} UTC at least")
    } else {
        format!("its last run was killed while {tasks} {noun} waited for budget, since {since} UTC")
    }
}

/// Why a run is no success, and the command that tells more.
fn fault(run: &RunRow) -> Option<String> {
    shortfall(run).map(|shortfall| format!("{shortfall} (`xopero runs show {}`)", run.id))
}

/// Why a run is no success.
pub fn shortfall(run: &RunRow) -> Option<String> {
    if run.state == DONE {
        return None;
    }
    let mut words = vec![run.state.clone()];
    if let Some(summary) = &run.summary {
        let failed = summary["totals"]["failed"].as_u64().unwrap_or(0);
        let unlisted = summary["projects_failed"].as_array().map_or(0, Vec::len);
        let unused = summary["destinations_failed"].as_array().map_or(0, Vec::len);
        words.extend((failed > 0).then(|| many(failed, "repository", "repositories", "not backed up")));
        let left = |what: &str| summary["totals"][what].as_u64().unwrap_or(0);
        let (throttled, not_reached) = (left("throttled"), left("not_reached"));
        words.extend((throttled > 0).then(|| many(throttled, "repository", "repositories", "throttled")));
        words.extend((not_reached > 0).then(|| many(not_reached, "repository", "repositories", "not reached")));
        words.extend((unlisted > 0).then(|| many(unlisted as u64, "project", "projects", "not fully listed")));
        words.extend((unused > 0).then(|| many(unused as u64, "destination", "destinations", "not written")));
    }
    Some(format!("run of {}: {}", minute(run.started), words.join(", ")))
}

fn many(count: u64, one: &str, several: &str, what: &str) -> String {
    format!("{count} {} {what}", if count == 1 { one } else { several })
}

/// The destinations of a plan that cannot be used. Why is told once, with the destination.
fn unusable(known: &Known, plan: &BackupPlan) -> Vec<String> {
    let problem = |name: &&DestinationName| {
        matches!(known.destinations.get(*name), Some((_, Place::Problem(_) | Place::Foreign(_))))
    };
    plan.destinations.iter().filter(problem).map(|name| format!("destination/{name} is out of use")).collect()
}

/// What holds of the things that a plan uses, and whether its backups suffer from it. An additional credential that is
/// out of use makes it slower.
fn conditions(known: &Known, uses: &BTreeSet<Address>) -> Vec<(bool, String)> {
    let told = |(address, kind, condition): (&Address, ConditionKind, &Condition)| {
        let harmful = match kind {
            ConditionKind::CredentialRejected | ConditionKind::AccountMismatch | ConditionKind::PermissionLost => {
                address.as_str().ends_with("/main")
            }
            ConditionKind::RepoGone
            | ConditionKind::ProjectRenamed
            | ConditionKind::ListingSuspect
            | ConditionKind::DestinationForeign
            | ConditionKind::ServerUnreachable => true,
            // The first is told of the credential, the second is a health of its own, the source and the alerts have
            // lines of their own, and the others change nothing.
            ConditionKind::CredentialExpiring
            | ConditionKind::Throttled
            | ConditionKind::RepoRenamed
            | ConditionKind::RepoMoved
            | ConditionKind::SourceStale
            | ConditionKind::SourceRewound
            | ConditionKind::SourceUnsigned
            | ConditionKind::ExecNotAllowed => return None,
        };
        // What there is to know of a credential is told once, with the credential.
        let words = match address.kind() {
            "credential" => format!("{address} is out of use"),
            _ => format!("{address}: {} since {}", condition.message, minute(condition.since)),
        };
        uses.contains(address).then_some((harmful, words))
    };
    crate::model::condition::holding(&known.conditions).filter_map(told).collect()
}

/// Whether a project of the plan has no account left that has budget.
fn throttled(known: &Known, declaration: &Declaration, plan: &BackupPlan) -> bool {
    let holds = |address: &Address| {
        let kinds = known.conditions.get(address);
        let condition = kinds.and_then(|kinds| kinds.get(&ConditionKind::Throttled));
        condition.is_some_and(|condition| condition.status == crate::model::ConditionStatus::True)
    };
    plan.projects.iter().any(|(key, planned)| {
        let Some(project) = declaration.projects.get(key) else { return false };
        let enabled = planned.enabled_credentials.iter().cloned().map(CredentialRole::Additional);
        let mut all = std::iter::once(CredentialRole::Main).chain(enabled);
        all.all(|role| {
            let credential = project.credential(&role);
            credential.is_some_and(|credential| holds(&Address::account(&project.server, &credential.account)))
        })
    })
}

/// A time for people.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::{at, known, run};
    use super::super::{Status, status};
    use super::*;
    use crate::model::condition::settle;
    use crate::model::{Conditions, Seen, Sighting};

    fn of<'a>(status: &'a Status, plan: &str) -> &'a PlanStatus {
        status.plans.iter().find(|one| one.plan.as_str() == plan).unwrap()
    }

    /// The health of `nightly` (every night at 01:30 in Warsaw, 00:30 UTC) at a time, with these runs.
    fn health(now: &str, runs: &[(&str, &str)]) -> (Health, Vec<String>) {
        let mut known = known();
        let uid = known.runs[0].plan;
        known.conditions.clear();
        known.runs = runs.iter().map(|(state, started)| run(uid, state, started, json!({}))).collect();
        let status = status(&known, at(now));
        let nightly = of(&status, "nightly");
        (nightly.health, nightly.reasons.clone())
    }

    #[test]
    fn a_run_that_does_not_come_is_overdue_after_half_the_time_to_the_next() {
        let last = [("done", "2026-11-21T00:30:00Z")];
        assert_eq!(health("2026-11-22T12:30:00Z", &last), (Health::Healthy, vec![]));
        let (late, reasons) = health("2026-11-22T12:30:01Z", &last);
        assert_eq!((late, &*reasons[0]), (Health::Overdue, "was due 2026-11-22 00:30 UTC and has not succeeded since"));
        let tried = [("failed", "2026-11-22T00:30:00Z"), last[0]];
        let (failed, reasons) = health("2026-11-22T06:00:00Z", &tried);
        assert_eq!(
            (failed, &*reasons[0]),
            (Health::Degraded, "run of 2026-11-22 00:30 UTC: failed (`xopero runs show 00000000010000000000000001`)")
        );
        assert_eq!(health("2026-11-22T13:00:00Z", &tried).0, Health::Overdue);
        let running = [("running", "2026-11-22T00:30:00Z"), last[0]];
        assert_eq!(health("2026-11-22T13:00:00Z", &running).0, Health::Healthy, "it is at it");
    }

    #[test]
    fn a_plan_without_a_run_is_new_or_overdue() {
        let mut known = known();
        let applied = known.applied.as_mut().unwrap();
        let minted = u64::try_from(at("2026-11-22T00:00:00Z").as_millisecond()).unwrap();
        applied.uids.insert(Address::plan(&"nightly".parse().unwrap()), Uid::from_parts(minted, 7));
        known.conditions.clear();
        let health = |now: &str| of(&status(&known, at(now)), "nightly").health;
        assert_eq!(health("2026-11-22T12:00:00Z"), Health::NeverRan);
        assert_eq!(health("2026-11-22T13:00:00Z"), Health::Overdue);
    }

    #[test]
    fn what_failed_is_counted() {
        let summary = json!({
            "totals": {"failed": 1}, "projects_failed": [{}, {}], "destinations_failed": [{}],
        });
        let run = run(Uid::from_parts(1, 1), "partial", "2026-11-22T00:30:00Z", summary);
        let expected = "run of 2026-11-22 00:30 UTC: partial, 1 repository not backed up, 2 projects not fully listed, \
                        1 destination not written";
        assert_eq!(shortfall(&run).unwrap(), expected);
        let command = " (`xopero runs show 00000000010000000000000001`)";
        assert_eq!(fault(&run).unwrap(), format!("{expected}{command}"));
    }

    #[test]
    fn a_destination_that_is_not_there_is_told_before_the_night() {
        let mut known = known();
        known.conditions.clear();
        known.runs.remove(0);
        for (_, place) in known.destinations.values_mut() {
            *place = Place::Problem("no marker".into());
        }
        let status = status(&known, at("2026-11-21T06:00:00Z"));
        let nightly = of(&status, "nightly");
        assert_eq!(
            (nightly.health, &*nightly.reasons),
            (Health::Degraded, &["destination/nas is out of use".into()][..])
        );
    }

    #[test]
    fn one_repository_is_not_the_plan() {
        let mut known = known();
        let uid = known.runs[0].plan;
        known.runs = vec![run(uid, "done", "2026-11-22T00:30:00Z", json!({"only": "ledger"}))];
        let status = status(&known, at("2026-11-22T06:00:00Z"));
        assert_eq!(of(&status, "nightly").last_success, None);
    }

    #[test]
    fn a_pause_is_over_on_its_day_where_the_schedule_is_read() {
        let mut known = known();
        let plans = &mut known.applied.as_mut().unwrap().declaration.plans;
        let weekly = plans.get_mut(&"weekly".parse().unwrap()).unwrap();
        weekly.paused.as_mut().unwrap().until = Some("2026-12-01".parse().unwrap());
        let health = |now: &str| of(&status(&known, at(now)), "weekly").health;
        assert_eq!(health("2026-11-30T22:59:59Z"), Health::Paused);
        assert_eq!(health("2026-11-30T23:00:00Z"), Health::Overdue, "midnight in Warsaw");
    }

    #[test]
    fn a_plan_is_throttled_when_every_account_of_a_project_is() {
        let limited = |accounts: &[&str]| {
            let mut known = known();
            let sightings: Vec<Sighting> = accounts
                .iter()
                .map(|account| Sighting {
                    address: Address::account(&"bb".parse().unwrap(), &account.parse().unwrap()),
                    kind: ConditionKind::Throttled,
                    seen: Seen::Holds { reason: "RateLimited", message: "it is limited".into() },
                })
                .collect();
            known.conditions = settle(&Conditions::new(), &sightings, None, at("2026-11-22T01:00:00Z")).0;
            of(&status(&known, at("2026-11-22T06:00:00Z")), "nightly").health
        };
        assert_eq!(limited(&["svc-backup"]), Health::Degraded, "one is left; the last run was partial");
        assert_eq!(limited(&["svc-backup", "svc-extra-1"]), Health::Throttled);
    }

    #[test]
    fn a_run_that_waits_for_budget_is_told_with_its_end_also_after_a_kill() {
        let waits = |state: &str| {
            let mut known = known();
            known.runs[0].state = state.into();
            known.runs[0].id = crate::model::RunId::from_parts(7, 7);
            known.conditions.clear();
            let (since, until) = (at("2026-11-22T00:31:00Z"), at("2026-11-22T00:41:00Z"));
            known.waiting.insert(known.runs[0].id, Waiting { tasks: 2, since, until });
            let status = status(&known, at("2026-11-22T00:35:00Z"));
            let nightly = of(&status, "nightly");
            (nightly.health, nightly.throttled.map(|waiting| waiting.until), nightly.reasons[0].clone())
        };
        let until = Some(at("2026-11-22T00:41:00Z"));
        let told = "2 repositories throttled since 00:31:00, until 00:41:00 UTC at least".to_owned();
        assert_eq!(waits("running"), (Health::Throttled, until, told));
        let told = "its last run was killed while 2 repositories waited for budget, since 00:31:00 UTC".to_owned();
        assert_eq!(waits("abandoned"), (Health::Degraded, until, told));
    }

    #[test]
    fn whatever_a_plan_uses_is_part_of_it() {
        let mut known = known();
        let sync = |known: &Known| {
            let status = status(known, at("2026-11-22T06:00:00Z"));
            [of(&status, "nightly").sync, of(&status, "hot").sync]
        };
        assert_eq!(sync(&known), [Sync::InSync, Sync::Pending]);
        let File::Valid(both) = &known.file else { panic!() };
        let mut declared = both.0.clone();
        declared.retentions.values_mut().next().unwrap().keep.daily = 1;
        let change_set = |known: &Known, declared: &crate::model::Declaration| {
            let seen = crate::change::Known::default();
            crate::reconcile::plan(known.applied.as_ref(), declared, &seen, at("2026-11-22T06:00:00Z"))
        };
        let set = change_set(&known, &declared);
        known.file = File::Valid(Box::new((declared, set)));
        assert_eq!(sync(&known), [Sync::PendingApproval; 2]);
        let declared = crate::model::Declaration::default();
        let set = change_set(&known, &declared);
        known.file = File::Valid(Box::new((declared, set)));
        let refused = status(&known, at("2026-11-22T06:00:00Z"));
        assert_eq!(of(&refused, "nightly").sync, Sync::Refused, "no plan is left, and no approval lets that through");
        let told = refused.file.message;
        assert!(!told.contains("--approve") && told.contains("xopero plan"), "{told}");
        known.file = File::Unreadable("it is gone".into());
        let status = status(&known, at("2026-11-22T06:00:00Z"));
        assert_eq!((of(&status, "nightly").sync, status.plans.len()), (Sync::SourceStale, 2));
    }
}
