//! What has to be found out before a change set can say what it means.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::effective;
use super::moves::Moves;
use super::resources;
use crate::model::{Address, Applied, CredentialRole, Declaration, Place, Project, Sealed};

/// What has to be found out.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Whether the snapshots that are stored matter: a plan leaves, or its rules change.
    pub catalogue: bool,
    /// Whether the repositories of the projects matter: a plan may take others, or store them elsewhere.
    pub listings: bool,
    /// Sealed values that are exchanged: the one in force, and the declared one.
    pub secrets: Vec<(Sealed, Sealed)>,
}

impl Wanted {
    /// What matters on the way from `applied` to `declared`.
    pub fn between(applied: Option<&Applied>, declared: &Declaration) -> Self {
        let Some(applied) = applied else { return Self::default() };
        let in_force = &applied.declaration;
        let (own, after): (BTreeSet<Address>, BTreeSet<Address>) =
            (resources(in_force).into_keys().collect(), resources(declared).into_keys().collect());
        let before = Moves::resolve(&own.iter().collect(), &after.iter().collect(), declared).rename(in_force);
        let catalogue = before.plans.iter().any(|(name, old)| {
            declared.plans.get(name).is_none_or(|new| {
                let zone = |plan: &crate::model::BackupPlan| {
                    plan.schedule.as_ref().map(|timetable| timetable.cron.time_zone.clone())
                };
                effective(&before, old) != effective(declared, new) || zone(old) != zone(new)
            })
        });
        let takes_others = declared.plans.iter().any(|(name, new)| {
            let old = before.plans.get(name);
            old.is_none_or(|old| (&old.projects, &old.destinations) != (&new.projects, &new.destinations))
        });
        let listings = takes_others
            || before.servers != declared.servers
            || before.projects != declared.projects
            || before.destinations != declared.destinations;
        let after = sealed(declared);
        let both = sealed(&before).into_iter().filter_map(|(address, old)| Some((old, *after.get(&address)?)));
        let exchanged = both.filter(|(old, new)| old.full_digest() != new.full_digest());
        Self { catalogue, listings, secrets: exchanged.map(|(old, new)| (old.clone(), new.clone())).collect() }
    }
}

/// Every sealed value, by where it stands.
fn sealed(declaration: &Declaration) -> BTreeMap<(Address, String), &Sealed> {
    let mut all = BTreeMap::new();
    for (key, project) in &declaration.projects {
        let Project { server: _, main, additional } = project;
        let additional =
            additional.iter().map(|(name, credential)| (CredentialRole::Additional(name.clone()), credential));
        for (role, credential) in [(CredentialRole::Main, main)].into_iter().chain(additional) {
            if credential.same_as.is_none() {
                all.insert((Address::credential(key, &role), credential.kind.as_str().to_owned()), &credential.sealed);
            }
        }
    }
    for (name, destination) in &declaration.destinations {
        if let Place::S3(place) = &destination.place {
            all.insert((Address::destination(name), "access-key".to_owned()), &place.access_key);
            all.insert((Address::destination(name), "secret-key".to_owned()), &place.secret_key);
        }
    }
    for (name, alerts) in &declaration.alerts {
        let secrets = alerts.sealed().into_iter();
        all.extend(secrets.map(|(channel, key, sealed)| ((Address::alerts(name), channel.secret(key)), sealed)));
    }
    all
}
