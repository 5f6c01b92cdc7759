//! What the plans depend on: credentials and destinations; and what they leave behind.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::plans::minute;
use super::{AlertStatus, CredentialStatus, DestinationStatus, Known, Marker, Place, RetiredPlan, SourceStatus};
use crate::model::condition::holding;
use crate::model::{
    AccountName, Address, AlertsName, Channel, ConditionKind, CredentialRole, Declaration, PlanName, ProjectSelector,
    Uid,
};
use crate::state::ChannelRow;

/// The branch that is followed, and why it is not where it should be.
pub(super) fn source(known: &Known) -> Option<SourceStatus> {
    let followed = known.followed.as_ref()?;
    let problems = holding(&known.conditions).filter(|(about, _, _)| **about == Address::source());
    let problems =
        problems.map(|(_, _, condition)| format!("{} (since {})", condition.message, minute(condition.since)));
    Some(SourceStatus { at: followed.at.clone(), tip: followed.tip.clone(), problems: problems.collect() })
}

/// Every credential in force, with the plans that use it.
pub(super) fn credentials(known: &Known, now: Timestamp) -> Vec<CredentialStatus> {
    let Some(applied) = &known.applied else { return Vec::new() };
    let declaration = &applied.declaration;
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut all = Vec::new();
    for (key, project) in &declaration.projects {
        let additional = project.additional.keys().cloned().map(CredentialRole::Additional);
        for role in std::iter::once(CredentialRole::Main).chain(additional) {
            let Some(credential) = project.credential(&role) else { continue };
            let address = Address::credential(key, &role);
            let mut problems: Vec<String> = holding(&known.conditions)
                .filter(|(about, _, _)| **about == address)
                .map(|(_, _, condition)| format!("{} since {}", condition.message, minute(condition.since)))
                .collect();
            if credential.expires.is_some_and(|last| last < today) && problems.is_empty() {
                problems.push("it has expired".to_owned());
            }
            all.push(CredentialStatus {
                used_by: used_by(declaration, key, &role),
                expires: credential.expires,
                last_limited: last_limited(known, &credential.account),
                account: credential.account.clone(),
                address,
                problems,
            });
        }
    }
    all
}

fn used_by(declaration: &Declaration, key: &ProjectSelector, role: &CredentialRole) -> Vec<PlanName> {
    let uses = declaration.plans.iter().filter(|(_, plan)| {
        plan.projects.get(key).is_some_and(|planned| match role {
            CredentialRole::Main => true,
            CredentialRole::Additional(name) => planned.enabled_credentials.contains(name),
        })
    });
    uses.map(|(name, _)| name.clone()).collect()
}

/// When the last run ended in which the server limited an account.
fn last_limited(known: &Known, account: &AccountName) -> Option<Timestamp> {
    let limited = known.runs.iter().filter(|run| {
        let count = run.summary.as_ref().map(|summary| &summary["ledger"]["rate_limited"][account.as_str()]);
        count.and_then(serde_json::Value::as_u64).is_some_and(|count| count > 0)
    });
    limited.filter_map(|run| run.finished).max()
}

/// Every destination in force.
pub(super) fn destinations(known: &Known) -> Vec<DestinationStatus> {
    let one = |(name, (id, place)): (&_, &(Option<_>, Place))| {
        let here = known.holdings.iter().filter(|holding| Some(holding.destination) == *id);
        let (marker, problem) = match place {
            Place::Reached => (Marker::Ours, None),
            Place::Foreign(why) => (Marker::Foreign, Some(why.clone())),
            Place::Problem(why) => (Marker::NotSeen, Some(why.clone())),
        };
        DestinationStatus {
            destination: Clone::clone(name),
            last_written: here.clone().map(|holding| holding.newest).max(),
            snapshots: here.map(|holding| holding.snapshots).sum(),
            marker,
            problem,
        }
    };
    known.destinations.iter().map(one).collect()
}

/// Plans that are not in force and have backups.
pub(super) fn retired(known: &Known) -> Vec<RetiredPlan> {
    let Some(applied) = &known.applied else { return Vec::new() };
    let mut all: BTreeMap<Uid, RetiredPlan> = BTreeMap::new();
    let left = known.holdings.iter().filter(|holding| !applied.uids.values().any(|uid| *uid == holding.plan));
    for holding in left {
        let retired = all.entry(holding.plan).or_insert_with(|| RetiredPlan {
            plan: holding.plan_name.clone(),
            snapshots: 0,
            newest: holding.newest,
        });
        retired.snapshots += holding.snapshots;
        retired.newest = retired.newest.max(holding.newest);
    }
    all.into_values().collect()
}

/// Every way of telling in force.
pub(super) fn alerts(known: &Known) -> Vec<AlertStatus> {
    let Some(applied) = &known.applied else { return Vec::new() };
    let declared = applied.declaration.alerts.iter();
    let ways = declared.flat_map(|(name, alerts)| alerts.channels().into_iter().map(move |channel| (name, channel)));
    ways.map(|(name, channel)| {
        let row = known.channels.iter().find(|row| row.alerts == *name && row.channel == channel);
        AlertStatus {
            alerts: name.clone(),
            channel,
            last_sent: row.and_then(|row| row.last_sent),
            waiting: row.map_or(0, |row| row.waiting),
            given_up: row.map_or(0, |row| row.given_up),
            problem: row.and_then(alert_problem).or_else(|| not_called(known, name, channel)),
        }
    })
    .collect()
}

/// That a program is not called.
fn not_called(known: &Known, name: &AlertsName, channel: Channel) -> Option<String> {
    let address = Address::alerts(name);
    let is_it = |(about, kind, _): &(&Address, ConditionKind, _)| {
        channel == Channel::Exec && *kind == ConditionKind::ExecNotAllowed && **about == address
    };
    let (_, _, condition) = holding(&known.conditions).find(is_it)?;
    Some(format!("{} (since {})", condition.message, minute(condition.since)))
}

fn alert_problem(row: &ChannelRow) -> Option<String> {
    let why = row.last_error.clone().unwrap_or_else(|| "not tried yet".to_owned());
    let messages = |number: u64| if number == 1 { "1 message".to_owned() } else { format!("{number} messages") };
    let try_it = format!("try it: `xopero alert test {}`", row.alerts);
    // What is sent at the next look is no problem.
    if row.waiting > 0 && row.attempts > 0 {
        let since = row.waiting_since.map(|since| format!(" since {}", since.strftime("%Y-%m-%d %H:%M")));
        let tries = if row.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", row.attempts) };
        let wait = if row.waiting == 1 { "waits" } else { "wait" };
        let waiting = messages(row.waiting);
        return Some(format!("{waiting} {wait}{} after {tries}: {why}; {try_it}", since.unwrap_or_default()));
    }
    (row.given_up > 0).then(|| format!("{} given up: {why}; {try_it}", messages(row.given_up)))
}
