//! How things stand: does what is in force say what the file says, and do the backups come?
//!
//! Two questions that are answered apart, for each plan: [`Sync`] is about the file, [`Health`] about the runs.
//! [`status`] is a function of what is known and of `now`; [`gather()`] finds out what is known.

mod gather;
mod plans;
#[cfg(test)]
pub(crate) mod sample;
mod surroundings;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::change::{ChangeSet, PlanId};
use crate::config::FirstError;
use crate::model::{
    AccountName, Address, AlertsName, Applied, Channel, Conditions, Declaration, DestinationId, DestinationName,
    FilePlace, Followed, FollowedBranch, FollowedCommit, Generation, PlanName, RunId, Waiting, command_with,
};
use crate::state::{ChannelRow, Holding, RunRow};

pub use gather::{Place, gather, newest_runs, waiting};
pub use plans::{minted, overdue_words, shortfall};

/// What is known at one time.
#[derive(Debug, Clone)]
pub struct Known {
    /// What is in force.
    pub applied: Option<Applied>,
    /// What the file says.
    pub file: File,
    /// The newest runs, newest first: at least the last one of each plan, and the last one that was done.
    pub runs: Vec<RunRow>,
    /// What waits for budget in those of them that did not end.
    pub waiting: BTreeMap<RunId, Waiting>,
    /// Since when plans are paused that are.
    pub paused_since: BTreeMap<PlanName, Timestamp>,
    /// What was observed, and lasts.
    pub conditions: Conditions,
    /// What plans have in destinations.
    pub holdings: Vec<Holding>,
    /// The destinations in force.
    pub destinations: BTreeMap<DestinationName, (Option<DestinationId>, Place)>,
    /// The branch that is followed.
    pub followed: Option<Followed>,
    /// How the ways of telling stand that were ever used.
    pub channels: Vec<ChannelRow>,
    /// Options that commands take which are told, to be about the same file and state.
    pub options: String,
}

impl Known {
    /// Where there is no state, only the file is known.
    pub fn nothing(file: File) -> Self {
        Self {
            applied: None,
            file,
            runs: Vec::new(),
            waiting: BTreeMap::new(),
            paused_since: BTreeMap::new(),
            conditions: Conditions::new(),
            holdings: Vec::new(),
            destinations: BTreeMap::new(),
            followed: None,
            channels: Vec::new(),
            options: String::new(),
        }
    }
}

/// What the file says.
#[derive(Debug, Clone)]
pub enum File {
    /// It can be read and makes sense.
    Valid(Box<(Declaration, ChangeSet)>),
    /// It has errors.
    Invalid(FirstError),
    /// It cannot be read.
    Unreadable(String),
}

/// Whether what is in force is what the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Sync {
    /// It is.
    InSync,
    /// The file says something else, which can be applied.
    Pending,
    /// The file says something else, which waits for an approval.
    PendingApproval,
    /// The file says something else, which no approval lets through.
    Refused,
    /// The file has errors.
    Invalid,
    /// The file cannot be read.
    SourceStale,
}

/// Whether backups come as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Health {
    /// They do.
    Healthy,
    /// Some do not.
    Degraded,
    /// A run was due, and has not succeeded since.
    Overdue,
    /// All accounts have used up their budgets.
    Throttled,
    /// The schedule is not followed, because the file says so.
    Paused,
    /// No run was due so far.
    NeverRan,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// At this time.
    pub at: Timestamp,
    /// What is in force.
    pub in_force: Option<InForce>,
    /// The file.
    pub file: FileStatus,
    /// The branch that is followed; nothing if it is a file.
    pub source: Option<SourceStatus>,
    /// Every plan, in force or declared, by name.
    pub plans: Vec<PlanStatus>,
    /// Every credential in force.
    pub credentials: Vec<CredentialStatus>,
    /// Every destination in force.
    pub destinations: Vec<DestinationStatus>,
    /// Every way of telling in force.
    pub alerts: Vec<AlertStatus>,
    /// Plans that have left, whose backups are kept.
    pub retired: Vec<RetiredPlan>,
}

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// The generation.
    pub generation: Generation,
    /// Since when.
    pub applied_at: Timestamp,
    /// By whom.
    pub applied_by: String,
    /// The beginning of its source's digest.
    pub source: String,
    /// The commit that its source was of.
    pub commit: Option<String>,
}

/// The file, against what is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// Whether it says the same.
    pub sync: Sync,
    /// The change set that would be applied.
    pub plan_id: Option<PlanId>,
    /// Where it is broken.
    pub place: Option<FilePlace>,
    /// What there is to know, as a phrase that follows "the file".
    pub message: String,
}

/// The branch that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceStatus {
    /// Where it is.
    #[serde(flatten)]
    pub at: FollowedBranch,
    /// The commit that counts as what it says.
    pub tip: Option<FollowedCommit>,
    /// What keeps it from being followed.
    pub problems: Vec<String>,
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanStatus {
    /// Its name.
    pub plan: PlanName,
    /// Whether it is in force at all.
    pub in_force: bool,
    /// Whether it is in force as the file declares it.
    pub sync: Sync,
    /// Whether its backups come.
    pub health: Health,
    /// Since when a run is under way.
    pub running_since: Option<Timestamp>,
    /// When the last run began that backed up everything.
    pub last_success: Option<Timestamp>,
    /// The last run that is not under way.
    pub last_run: Option<RunId>,
    /// How it ended.
    pub last_outcome: Option<String>,
    /// Tasks of the run under way that wait for budget; or of the last one, if it was killed then.
    pub throttled: Option<Waiting>,
    /// When the next run is due by its schedule.
    pub next_due: Option<Timestamp>,
    /// Why its health is what it is, and what else there is to know.
    pub reasons: Vec<String>,
}

/// One credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialStatus {
    /// Its address.
    pub address: Address,
    /// Its account.
    pub account: AccountName,
    /// The plans that use it.
    pub used_by: Vec<PlanName>,
    /// The last day on which it works, by what the file says.
    pub expires: Option<Date>,
    /// When the last run ended in which the server limited its account.
    pub last_limited: Option<Timestamp>,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DestinationStatus {
    /// Its name.
    pub destination: DestinationName,
    /// When the newest snapshot in it was taken.
    pub last_written: Option<Timestamp>,
    /// Snapshots in it.
    pub snapshots: u64,
    /// Whose its marker is.
    pub marker: Marker,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Whose the marker of a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// The one that was applied.
    Ours,
    /// Somebody else's, or that of another destination of ours.
    Foreign,
    /// It could not be looked at.
    NotSeen,
}

/// One way in which somebody is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertStatus {
    /// The alerts.
    pub alerts: AlertsName,
    /// The way.
    pub channel: Channel,
    /// When something was sent last.
    pub last_sent: Option<Timestamp>,
    /// Messages that wait to be sent.
    pub waiting: u64,
    /// Messages of the last days that were given up.
    pub given_up: u64,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// A plan that has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetiredPlan {
    /// A name that it had.
    pub plan: PlanName,
    /// Snapshots that are kept.
    pub snapshots: u64,
    /// When the newest was taken.
    pub newest: Timestamp,
}

/// How things stand by what is known.
pub fn status(known: &Known, now: Timestamp) -> Status {
    let applied = known.applied.as_ref();
    Status {
        at: now,
        in_force: applied.map(|applied| InForce {
            generation: applied.generation,
            applied_at: applied.applied_at,
            applied_by: applied.applied_by.clone(),
            source: applied.source.short().to_owned(),
            commit: applied.source.commit.clone(),
        }),
        file: file_status(&known.file, applied, &known.options),
        source: surroundings::source(known),
        plans: plans::plans(known, now),
        credentials: surroundings::credentials(known, now),
        destinations: surroundings::destinations(known),
        alerts: surroundings::alerts(known),
        retired: surroundings::retired(known),
    }
}

fn file_status(file: &File, applied: Option<&Applied>, options: &str) -> FileStatus {
    let command = |command: &str| format!("`{}`", command_with(command, options));
    let stays = applied.map(|applied| format!(", so generation {} stays in force", applied.generation));
    let stays = stays.unwrap_or_default();
    let (sync, message) = match file {
        File::Valid(both) if both.1.is_empty() => (Sync::InSync, "says what is in force".to_owned()),
        File::Valid(both) if both.1.is_refused() => (
            Sync::Refused,
            format!("says what no approval lets through{stays}: {} shows what to change", command("plan")),
        ),
        File::Valid(both) if both.1.needs_approval() => (
            Sync::PendingApproval,
            format!(
                "says something else, which waits for approval: {} shows it, {} puts it in force",
                command("plan"),
                command(&format!("apply --approve {}", both.1.plan_id))
            ),
        ),
        File::Valid(_) => {
            let (plan, apply) = (command("plan"), command("apply"));
            (Sync::Pending, format!("says something else: {plan} shows it, {apply} puts it in force"))
        }
        File::Invalid(first) => {
            let them = if first.errors == 1 { "it" } else { "them all" };
            (Sync::Invalid, format!("is broken{stays}: {}; {} shows {them}", first.words(), command("validate")))
        }
        File::Unreadable(why) => (Sync::SourceStale, format!("cannot be read{stays}: {why}")),
    };
    let plan_id = match file {
        File::Valid(both) if !both.1.is_empty() => Some(both.1.plan_id.clone()),
        File::Valid(_) | File::Invalid(_) | File::Unreadable(_) => None,
    };
    let place = match file {
        File::Invalid(first) => first.place.clone(),
        File::Valid(_) | File::Unreadable(_) => None,
    };
    FileStatus { sync, plan_id, place, message }
}

impl Marker {
    /// The words that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Foreign => "foreign",
            Self::NotSeen => "not seen",
        }
    }
}

impl Sync {
    /// The words that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Pending => "pending",
            Self::PendingApproval => "pending approval",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::SourceStale => "source stale",
        }
    }
}

impl Health {
    /// The words that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Overdue => "overdue",
            Self::Throttled => "throttled",
            Self::Paused => "paused",
            Self::NeverRan => "never ran",
        }
    }
}
