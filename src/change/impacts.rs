//! What the changes of a set mean, one by one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::findings::effective;
use super::impact::{Effect, Impact, Rules, full, leaving, of_plan};
use super::{Action, Change, Known, Rail, RailKind};
use crate::model::{Address, BackupPlan, Declaration, DestinationName, PlanName, PlanRetention, RetentionName, Uid};
use crate::schedule::zone_of;

/// What a change is judged by. Both declarations are under the names of the file.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) before: &'a Declaration,
    pub(super) after: &'a Declaration,
    pub(super) known: &'a Known,
    /// The identity of what is declared at an address.
    pub(super) uid: &'a dyn Fn(&Address) -> Option<Uid>,
    pub(super) now: Timestamp,
}

/// What the changes mean, in their order.
pub(super) fn impacts(changes: &[Change], ground: Ground<'_>) -> Vec<Impact> {
    let mut all = Vec::new();
    for change in changes.iter().filter(|change| change.action != Action::Keep) {
        let effects = match change.address.kind() {
            "plan" => plan(change, ground),
            "retention" => retention(change, ground),
            "destination" => destination(change, ground),
            _ => Vec::new(),
        };
        let address = &change.address;
        all.extend(effects.into_iter().map(|effect| Impact { address: address.clone(), effect }));
    }
    all
}

/// The plan at an address, with its name.
fn plan_at<'a>(declaration: &'a Declaration, address: &Address) -> Option<(&'a PlanName, &'a BackupPlan)> {
    let name: PlanName = address.as_str().split_once('/')?.1.parse().ok()?;
    declaration.plans.get_key_value(&name)
}

fn plan(change: &Change, ground: Ground<'_>) -> Vec<Effect> {
    let Ground { before, after, known, uid, now } = ground;
    let old = plan_at(before, &change.address).map(|(_, plan)| plan);
    let Some((name, new)) = plan_at(after, &change.address) else {
        let volumes = known.catalogue.as_ref().zip(uid(&change.address)).map(|(catalogue, uid)| catalogue.of_plan(uid));
        let kept = volumes.into_iter().flatten();
        return kept.map(|(name, volume)| Effect::Kept { destination: name.clone(), volume }).collect();
    };
    let mut effects = of_plan((before, old), (after, new), (&known.observations, &known.glimpses), now);
    // Rules that are shared are looked at where they are declared.
    if old.is_some_and(|old| old.retention != new.retention) {
        effects.extend(left_by(&[name], ground));
    }
    effects
}

fn retention(change: &Change, ground: Ground<'_>) -> Vec<Effect> {
    let Ground { before, after, .. } = ground;
    let name = change.address.as_str().split_once('/').and_then(|(_, name)| name.parse::<RetentionName>().ok());
    let Some(named) = name.map(PlanRetention::Named) else { return Vec::new() };
    let plans = after.plans.iter().filter(|(name, plan)| {
        plan.retention == named && before.plans.get(*name).is_some_and(|old| old.retention == named)
    });
    left_by(&plans.map(|(name, _)| name).collect::<Vec<_>>(), ground)
}

fn left_by(plans: &[&PlanName], ground: Ground<'_>) -> Vec<Effect> {
    let Ground { before, after, known, uid, now } = ground;
    let Some(catalogue) = &known.catalogue else { return Vec::new() };
    let mut rules = BTreeMap::new();
    for name in plans {
        let sides = before.plans.get(*name).zip(after.plans.get(*name));
        let Some((uid, (old, new))) = uid(&Address::plan(name)).zip(sides) else { continue };
        let zone = |plan: &BackupPlan| zone_of(plan.schedule.as_ref().map(|timetable| &timetable.cron));
        if let Some((was, is)) = effective(before, old).zip(effective(after, new)) {
            rules.insert(uid, Rules { before: (was, zone(old)), after: (is, zone(new)) });
        }
    }
    leaving(&rules, catalogue, now).map(Effect::Leaving).into_iter().collect()
}

fn destination(change: &Change, ground: Ground<'_>) -> Vec<Effect> {
    let Ground { before, after, known, .. } = ground;
    let name = change.address.as_str().split_once('/').and_then(|(_, name)| name.parse::<DestinationName>().ok());
    let both = name.as_ref().and_then(|name| before.destinations.get(name).zip(after.destinations.get(name)));
    let (Some(name), Some((old, new))) = (&name, both) else { return Vec::new() };
    let keys = |keys: &[crate::model::PublicKey]| keys.iter().cloned().collect::<BTreeSet<_>>();
    let anew = old.place.identity() != new.place.identity() || keys(&old.encrypt_to) != keys(&new.encrypt_to);
    if anew { full(after, name, &known.observations).into_iter().collect() } else { Vec::new() }
}

/// Rails with the numbers that the impacts have.
pub(super) fn with_numbers(mut rails: Vec<Rail>, impacts: &[Impact]) -> Vec<Rail> {
    for rail in &mut rails {
        for impact in impacts.iter().filter(|impact| rail.addresses.contains(&impact.address)) {
            let numbers = match (rail.kind, &impact.effect) {
                (RailKind::TightenedRetention, Effect::Leaving(leaving)) => {
                    format!("{} leave, from {} on", leaving.volume, leaving.from.strftime("%Y-%m-%d"))
                }
                (RailKind::PlanLeaves, Effect::Kept { destination, volume }) => {
                    format!("{} has {volume} in {destination}", impact.address)
                }
                _ => continue,
            };
            rail.message = format!("{}; {numbers}", rail.message);
        }
    }
    rails
}
