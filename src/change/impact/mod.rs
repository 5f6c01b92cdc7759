//! What a change means for runs and for existing backups.
//!
//! Everything follows from values that were observed or recorded. Where one is missing, nothing is said.

mod leaving;
mod names;
mod rotation;
mod runs;
mod scope;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeSet;

use jiff::{Timestamp, Zoned};
use serde::Serialize;

pub(super) use leaving::{Rules, leaving};
pub use names::Names;
pub(super) use scope::Scope;

use super::{Glimpses, Seen, Volume};
use crate::model::{
    Address, BackupPlan, Declaration, DestinationName, LimitSource, Observations, ProjectKey, ProjectSelector, RepoId,
    ServerName,
};

/// What a change of one address means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// The address.
    pub address: Address,
    /// What it means.
    #[serde(flatten)]
    pub effect: Effect,
}

/// One thing that a change means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// It runs at other times.
    Runs {
        /// The next runs as it is in force.
        before: Vec<Zoned>,
        /// The next runs as it is declared.
        after: Vec<Zoned>,
    },
    /// It takes other repositories of a project, by the last listing.
    Scope {
        /// The project.
        project: ProjectKey,
        /// Those that it takes from then on.
        entering: Names,
        /// Those that it does not take any more.
        leaving: Names,
        /// How much of the project was seen, if no run has listed it.
        seen: Option<Seen>,
    },
    /// Another number of accounts takes turns.
    Rotation {
        /// The project.
        project: ProjectSelector,
        /// Distinct accounts as it is in force; nothing for a plan or project that is new.
        before: Option<usize>,
        /// Distinct accounts as it is declared.
        accounts: usize,
        /// Credentials behind them. A second one of an account adds nothing.
        credentials: usize,
    },
    /// What the next run asks of a server.
    Work {
        /// The server.
        server: ServerName,
        /// Requests, at least.
        requests: u64,
        /// Whether repositories are known to be left out: some projects were not seen, or not to their end.
        more_repositories: bool,
        /// Accounts that take turns.
        accounts: usize,
        /// What comes back to them each second, together; nothing if one of them has no limit.
        refill_per_second: Option<u64>,
        /// How long the limits make it wait; nothing if they do not.
        seconds: Option<u64>,
        /// With how many accounts, those that are declared and idle included, it would wait how long.
        more: Option<(usize, u64)>,
        /// Who says what the limits are.
        source: LimitSource,
    },
    /// What the plan's newest snapshots take in each of its destinations, by their last sizes. Without a repository of
    /// known size there is none to tell.
    Storage {
        /// The destinations.
        destinations: Vec<DestinationName>,
        /// Bytes in each of them.
        bytes: u64,
        /// Repositories with a known size.
        repositories: usize,
        /// Repositories without one.
        unknown: usize,
    },
    /// Every repository is stored anew at the next run, by the last sizes.
    Full {
        /// Bytes.
        bytes: u64,
        /// Repositories with a known size.
        repositories: usize,
    },
    /// Snapshots that no rule keeps any more.
    Leaving(Leaving),
    /// Snapshots that stay, and that nothing prunes.
    Kept {
        /// Where they are.
        destination: DestinationName,
        /// How much there is.
        volume: Volume,
    },
}

/// Snapshots that leave retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Leaving {
    /// How many, and the bytes that nothing else needs.
    pub volume: Volume,
    /// From when on the first of them may be pruned.
    pub from: Timestamp,
}

impl Effect {
    /// Whether it is about backups that exist.
    pub const fn is_about_backups(&self) -> bool {
        match self {
            Self::Leaving(_) | Self::Kept { .. } | Self::Full { .. } => true,
            Self::Runs { .. }
            | Self::Scope { .. }
            | Self::Rotation { .. }
            | Self::Work { .. }
            | Self::Storage { .. } => false,
        }
    }
}

/// What it means for its runs that a plan is new or changes. Both declarations are under the names of the file.
pub(super) fn of_plan(
    (before, old): (&Declaration, Option<&BackupPlan>),
    (after, new): (&Declaration, &BackupPlan),
    (observed, glimpses): (&Observations, &Glimpses),
    now: Timestamp,
) -> Vec<Effect> {
    let mut all: Vec<Effect> = runs::runs(old, Some(new), now).into_iter().collect();
    let was = old.map(|old| Scope::of(before, old, observed).with(glimpses, before, old)).unwrap_or_default();
    let scope = Scope::of(after, new, observed).with(glimpses, after, new);
    let shifts = was.shift(&scope);
    let moved_scope = !shifts.is_empty();
    all.extend(shifts.into_iter().map(scope::Shift::effect));
    let rotation = rotation::rotation((before, old), (after, new));
    let news = old.is_none() || moved_scope || !rotation.is_empty();
    all.extend(rotation);
    // A destination that some plan uses has the packs already: plans share them.
    let is_used = |name: &DestinationName| before.plans.values().any(|plan| plan.destinations.contains(name));
    let empty_destination = new.destinations.iter().any(|name| !is_used(name));
    if news || empty_destination {
        all.extend(work::work(after, new, &scope, empty_destination, observed));
    }
    let destinations_changed = old.is_some_and(|old| old.destinations != new.destinations);
    if old.is_none() || moved_scope || destinations_changed {
        let size = Size::of(&scope);
        if size.repositories + size.unknown > 0 {
            all.push(Effect::Storage {
                destinations: new.destinations.iter().cloned().collect(),
                bytes: size.bytes,
                repositories: size.repositories,
                unknown: size.unknown,
            });
        }
    }
    all
}

/// The next run of every plan into a destination is full: how much that is.
pub(super) fn full(declared: &Declaration, name: &DestinationName, observed: &Observations) -> Option<Effect> {
    let plans = declared.plans.values().filter(|plan| plan.destinations.contains(name));
    let mut size = Size::default();
    let mut seen = BTreeSet::new();
    for plan in plans {
        let scope = Scope::of(declared, plan, observed);
        size.add_new(&scope, &mut seen);
    }
    (size.repositories > 0).then_some(Effect::Full { bytes: size.bytes, repositories: size.repositories })
}

/// The last sizes of repositories.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    bytes: u64,
    repositories: usize,
    unknown: usize,
}

impl Size {
    fn of(scope: &Scope<'_>) -> Self {
        let mut size = Self::default();
        size.add_new(scope, &mut BTreeSet::new());
        size
    }

    /// Adds the repositories that were not seen yet.
    fn add_new<'a>(&mut self, scope: &Scope<'a>, seen: &mut BTreeSet<(&'a ServerName, RepoId)>) {
        for (identity, repository) in scope.repositories() {
            if !seen.insert(identity) {
                continue;
            }
            match repository.stored {
                Some(bytes) => {
                    self.bytes = self.bytes.saturating_add(bytes);
                    self.repositories += 1;
                }
                None => self.unknown += 1,
            }
        }
    }
}
