//! How many accounts take turns.
//!
//! Accounts count, not credentials: a server keeps one budget for each account, whatever it logs in with.

use std::collections::BTreeSet;

use super::Effect;
use crate::model::{AccountName, BackupPlan, Declaration, PlannedProject, Project, ProjectSelector};

/// The accounts that take turns for one project of a plan, and those that are declared for it and idle.
pub(super) fn accounts<'a>(
    project: &'a Project,
    planned: &PlannedProject,
) -> (BTreeSet<&'a AccountName>, BTreeSet<&'a AccountName>) {
    let is_enabled = |name: &_| planned.enabled_credentials.contains(name);
    let of = |enabled: bool| {
        let chosen = project.additional.iter().filter(move |(name, _)| is_enabled(name) == enabled);
        chosen.map(|(_, credential)| &credential.account)
    };
    let enabled: BTreeSet<_> = of(true).chain([&project.main.account]).collect();
    let idle = of(false).filter(|account| !enabled.contains(account)).collect();
    (enabled, idle)
}

/// The projects of a plan in which another number of accounts takes turns.
pub(super) fn rotation(
    (before, old): (&Declaration, Option<&BackupPlan>),
    (after, new): (&Declaration, &BackupPlan),
) -> Vec<Effect> {
    let count = |declaration: &Declaration, plan: &BackupPlan, key: &ProjectSelector| {
        let (project, planned) = (declaration.projects.get(key)?, plan.projects.get(key)?);
        Some((accounts(project, planned).0.len(), 1 + planned.enabled_credentials.len()))
    };
    let mut all = Vec::new();
    for key in new.projects.keys() {
        let Some((accounts, credentials)) = count(after, new, key) else { continue };
        let was = old.and_then(|old| count(before, old, key));
        // A new plan with one credential has nothing to rotate, which is no news.
        let news = was.map_or(credentials > 1, |was| was != (accounts, credentials));
        if news {
            all.push(Effect::Rotation {
                project: key.clone(),
                before: was.map(|(accounts, _)| accounts),
                accounts,
                credentials,
            });
        }
    }
    all
}
