//! What a `plan` node says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::names::{CredentialName, DestinationName, RepoSlug, RetentionName};
use super::{Pattern, Percent, ProjectSelector, Retention, Timetable};

/// What is backed up, when, to where, for how long, and with which credentials: the `plan` node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPlan {
    /// The projects it covers. Never empty.
    pub projects: BTreeMap<ProjectSelector, PlannedProject>,
    /// What is backed up of each repository. Never empty.
    pub parts: BTreeSet<Part>,
    /// Where to. Never empty.
    pub destinations: BTreeSet<DestinationName>,
    /// For how long.
    pub retention: PlanRetention,
    /// When. Without one the plan runs only when asked to.
    pub schedule: Option<Timetable>,
    /// How often stored backups are read again and checked, and how many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verification>,
    /// What may disappear at the source before somebody must look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
    /// How long a run may take, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// How long ago the last success may be, if the file says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_after: Option<Duration>,
    /// Why the schedule is not followed, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

/// One project inside a backup plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedProject {
    /// Repositories to take: those that fit at least one.
    pub include: Vec<Pattern>,
    /// Repositories to leave out: those that fit at least one.
    pub exclude: Vec<Pattern>,
    /// The additional credentials that are switched on for this plan, in the order of the file.
    pub enabled_credentials: Vec<CredentialName>,
}

impl PlannedProject {
    /// Whether a repository is in scope.
    pub fn selects(&self, slug: &RepoSlug) -> bool {
        let fits = |pattern: &Pattern| pattern.matches(slug.as_str());
        self.include.iter().any(fits) && !self.exclude.iter().any(fits)
    }
}

/// A part of a repository that can be backed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Every reference and object.
    Git,
}

impl Part {
    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
        }
    }
}

/// The retention of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanRetention {
    /// A shared one.
    Named(RetentionName),
    /// One of its own.
    Own(Retention),
}

/// How many of the stored backups are read again, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// How often.
    pub every: Interval,
    /// The share of the stored bytes that is read each time. At least 1 %.
    pub sample: Percent,
}

/// How often something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month.
    Monthly,
}

impl Interval {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Monthly];

    /// The word that the language uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

/// What may disappear at the source before somebody must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The share of a project's repositories that one run may find removed.
    pub max_repositories_removed: Percent,
}

/// A pause stops the schedule. It does not stop a person who starts the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Why, for people.
    pub reason: String,
    /// The day on which the schedule is followed again; without one, when the pause leaves the file.
    pub until: Option<Date>,
}
