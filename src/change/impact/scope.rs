//! Which repositories a plan takes, by the last listings of their projects.

use std::collections::BTreeMap;

use super::{Effect, Names};
use crate::model::{
    BackupPlan, Declaration, Inventory, ListedRepository, Observations, ProjectKey, ProjectSelector, RepoId, ServerName,
};

/// What a plan takes of every project whose listing is known.
#[derive(Debug, Default)]
pub(in crate::change) struct Scope<'a>(BTreeMap<(&'a ServerName, &'a ProjectKey), Listing<'a>>);

/// What a plan takes of one project.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    selector: &'a ProjectSelector,
    /// Repositories that are listed.
    pub(super) total: usize,
    /// Those that the plan takes.
    pub(super) in_scope: BTreeMap<RepoId, &'a ListedRepository>,
}

/// How the scope of a plan changes in one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::change) struct Shift {
    pub(in crate::change) project: ProjectKey,
    pub(in crate::change) entering: Names,
    pub(in crate::change) leaving: Names,
}

impl Shift {
    pub(super) fn effect(self) -> Effect {
        Effect::Scope { project: self.project, entering: self.entering, leaving: self.leaving }
    }
}

impl<'a> Scope<'a> {
    /// The scope of a plan of `declaration`. A project belongs to the declaration of its key, else to the pattern that
    /// it fits.
    pub(in crate::change) fn of(declaration: &Declaration, plan: &'a BackupPlan, observed: &'a Observations) -> Self {
        let mut scope = BTreeMap::new();
        for (selector, planned) in &plan.projects {
            let server = declaration.projects.get(selector).map(|project| &project.server);
            let Some((server, listed)) = server.and_then(|name| observed.inventories.get_key_value(name)) else {
                continue;
            };
            for (key, inventory) in listings_of(selector, declaration, listed) {
                let chosen = inventory.repositories.iter().filter(|(_, repository)| planned.selects(&repository.slug));
                let in_scope = chosen.map(|(id, repository)| (*id, repository)).collect();
                scope.insert((server, key), Listing { selector, total: inventory.repositories.len(), in_scope });
            }
        }
        Self(scope)
    }

    /// The listings of the projects that a selector stands for.
    pub(super) fn listings(&self, selector: &ProjectSelector) -> impl Iterator<Item = &Listing<'a>> {
        self.0.values().filter(move |listing| listing.selector == selector)
    }

    /// Every repository in scope, by its server and its number there.
    pub(in crate::change) fn repositories(
        &self,
    ) -> impl Iterator<Item = ((&'a ServerName, RepoId), &'a ListedRepository)> {
        let of = |((server, _), listing): (&(&'a ServerName, &'a ProjectKey), &Listing<'a>)| {
            let server = *server;
            let all: Vec<_> = listing.in_scope.iter().map(|(id, repository)| ((server, *id), *repository)).collect();
            all
        };
        self.0.iter().flat_map(of)
    }

    /// What enters and what leaves on the way to another scope, by project.
    pub(in crate::change) fn shift(&self, after: &Self) -> Vec<Shift> {
        let mut projects: Vec<(&ServerName, &ProjectKey)> = self.0.keys().chain(after.0.keys()).copied().collect();
        projects.sort();
        projects.dedup();
        let missing = |from: &Self, other: &Self, key: (&ServerName, &ProjectKey)| -> Names {
            let other = other.0.get(&key);
            let listing = from.0.get(&key).into_iter().flat_map(|listing| &listing.in_scope);
            let gone = listing.filter(|(id, _)| other.is_none_or(|other| !other.in_scope.contains_key(id)));
            Names::of(gone.map(|(_, repository)| repository.slug.clone()))
        };
        let shift = |key: (&ServerName, &ProjectKey)| Shift {
            project: key.1.clone(),
            entering: missing(after, self, key),
            leaving: missing(self, after, key),
        };
        let shifts = projects.into_iter().map(shift);
        shifts.filter(|shift| shift.entering.total + shift.leaving.total > 0).collect()
    }
}

fn listings_of<'a>(
    selector: &ProjectSelector,
    declaration: &Declaration,
    listed: &'a BTreeMap<ProjectKey, Inventory>,
) -> Vec<(&'a ProjectKey, &'a Inventory)> {
    match selector {
        ProjectSelector::Key(key) => listed.get_key_value(key).into_iter().collect(),
        ProjectSelector::Pattern(pattern) => {
            let own = |key: &ProjectKey| declaration.projects.contains_key(&ProjectSelector::Key(key.clone()));
            let fits = |key: &ProjectKey| pattern.matches(key.as_str()) && !own(key);
            listed.iter().filter(|(key, _)| fits(key)).collect()
        }
    }
}
