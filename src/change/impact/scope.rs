//! Which repositories a plan takes, by the last listings of their projects; where there is none, by what a look saw.

use std::collections::BTreeMap;

use super::{Effect, Names};
use crate::change::{Glimpses, Seen};
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
    /// How much was seen, if no run has listed the project.
    pub(super) seen: Option<Seen>,
}

impl Listing<'_> {
    /// Whether there may be more than what is here.
    pub(super) fn is_partial(&self) -> bool {
        self.seen.is_some_and(|seen| !seen.complete)
    }
}

/// How the scope of a plan changes in one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::change) struct Shift {
    pub(in crate::change) project: ProjectKey,
    pub(in crate::change) entering: Names,
    pub(in crate::change) leaving: Names,
    /// How much was seen of the project, if no run has listed it.
    seen: Option<Seen>,
}

impl Shift {
    pub(super) fn effect(self) -> Effect {
        let Self { project, entering, leaving, seen } = self;
        Effect::Scope { project, entering, leaving, seen }
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
                let listing = Listing { selector, total: inventory.repositories.len(), in_scope, seen: None };
                scope.insert((server, key), listing);
            }
        }
        Self(scope)
    }

    /// The same with what a look saw of the projects that have a key of their own and no listing.
    pub(super) fn with(mut self, glimpses: &'a Glimpses, declaration: &Declaration, plan: &'a BackupPlan) -> Self {
        for (selector, planned) in &plan.projects {
            let ProjectSelector::Key(key) = selector else { continue };
            let server = declaration.projects.get(selector).map(|project| &project.server);
            let Some((place, glimpse)) = server.and_then(|server| glimpses.of(server, key)) else { continue };
            let chosen = glimpse.repositories.iter().filter(|(_, repository)| planned.selects(&repository.slug));
            let in_scope = chosen.map(|(id, repository)| (*id, repository)).collect();
            let total = glimpse.repositories.len();
            let seen = Some(Seen { repositories: total, complete: glimpse.complete });
            self.0.entry(place).or_insert(Listing { selector, total, in_scope, seen });
        }
        self
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
            seen: after.0.get(&key).or_else(|| self.0.get(&key)).and_then(|listing| listing.seen),
        };
        // That a project which is new to the plan gives it nothing is news, once somebody has looked.
        let is_new = |key: &(&ServerName, &ProjectKey)| after.0.contains_key(key) && !self.0.contains_key(key);
        let shifts = projects.into_iter().map(|key| (is_new(&key), shift(key)));
        let is_news = |(is_new, shift): &(bool, Shift)| {
            shift.entering.total + shift.leaving.total > 0 || (*is_new && shift.seen.is_some())
        };
        shifts.filter(is_news).map(|(_, shift)| shift).collect()
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
