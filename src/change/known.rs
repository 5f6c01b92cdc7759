//! What is known besides what is in force and what is declared.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Allowed, Catalogue, Glimpses};
use crate::model::{Observations, Sealed};

/// What is known besides what is in force and what is declared. By default nothing is: what follows from it is left out
/// rather than made up.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What was seen of servers, projects and destinations.
    pub observations: Observations,
    /// What a look saw of projects that no run has listed. What it tells is said, and decides nothing.
    pub glimpses: Glimpses,
    /// The snapshots of the plans that are touched, if they could be read.
    pub catalogue: Option<Catalogue>,
    /// What is inside of sealed values that change.
    pub contents: Contents,
    /// How the file came to where it is.
    pub source: SourceStep,
    /// What the commits allow that led there.
    pub allowed: Allowed,
}

/// How a source came from what is in force to what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SourceStep {
    /// It moved on, or it has no history.
    #[default]
    Forward,
    /// What it says does not descend from what is in force.
    Rewound {
        /// The commit that is in force.
        applied: String,
        /// The commit that it is at.
        found: String,
    },
}

/// Whether two sealed values have the same inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// They have: one was only sealed anew.
    Same,
    /// They have not.
    Other,
    /// It takes an identity to tell, and there was none that opens both.
    Unknown,
}

/// What is known of the insides of pairs of sealed values.
#[derive(Debug, Clone, Default)]
pub struct Contents(BTreeMap<(String, String), Content>);

impl Contents {
    /// Remembers what was found out about two values.
    pub fn learn(&mut self, before: &Sealed, after: &Sealed, content: Content) {
        self.0.insert((before.full_digest(), after.full_digest()), content);
    }

    pub(super) fn of(&self, before: &str, after: &str) -> Content {
        self.0.get(&(before.to_owned(), after.to_owned())).copied().unwrap_or(Content::Unknown)
    }
}
