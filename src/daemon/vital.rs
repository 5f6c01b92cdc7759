//! What those who supervise a process hear of it, whichever command it is: far less than what users are told.

use super::event::WatchEvent;
use super::pulse::NotReady;
use crate::model::{Generation, PlanName};

/// A sign of life, or a reason to doubt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vital<'a> {
    /// It is there, and found this to go by.
    Found(Basis),
    /// It looked at everything, and goes by this.
    Looked(Basis),
    /// It goes on, but with less than it needs.
    Flaw(NotReady),
    /// It has what it needs again.
    Whole,
    /// The loop turned.
    Turned,
    /// A run of this plan goes on here.
    RunBegins(&'a PlanName),
    /// That is over.
    RunEnds(&'a PlanName),
    /// The run of this plan is alive, although it has nothing to tell.
    RunLives(&'a PlanName),
    /// Everything is read again, because somebody asked for it.
    Reloading,
    /// Nothing new is begun.
    Draining,
}

/// What a process goes by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Nothing is in force.
    #[default]
    Nothing,
    /// A generation is in force.
    Generation(Generation),
    /// Whatever others have begun, as the state says.
    State,
}

impl From<Option<Generation>> for Basis {
    fn from(in_force: Option<Generation>) -> Self {
        in_force.map_or(Self::Nothing, Self::Generation)
    }
}

impl WatchEvent<'_> {
    /// What it says of life.
    pub(super) fn vital(&self) -> Option<Vital<'_>> {
        match self {
            Self::Started { generation, .. } => Some(Vital::Found((*generation).into())),
            Self::Activated { in_force, .. } => Some(Vital::Looked((*in_force).into())),
            Self::SourceBack => Some(Vital::Whole),
            Self::SourceMissing { .. } => Some(Vital::Flaw(NotReady::SourceMissing)),
            Self::SourceStale { .. } => Some(Vital::Flaw(NotReady::SourceStale)),
            Self::SourceRewound { .. } => Some(Vital::Flaw(NotReady::SourceRewound)),
            Self::SourceUnsigned { .. } => Some(Vital::Flaw(NotReady::SourceUnsigned)),
            Self::RunBegins { plan, .. } => Some(Vital::RunBegins(plan)),
            Self::RunEnded { plan, .. } | Self::RunFailed { plan, .. } => Some(Vital::RunEnds(plan)),
            Self::Reloading => Some(Vital::Reloading),
            Self::Draining { .. } => Some(Vital::Draining),
            Self::Listening { .. }
            | Self::Polling { .. }
            | Self::PassedOver { .. }
            | Self::RunWaits { .. }
            | Self::Trouble { .. }
            | Self::Stopped => None,
        }
    }
}
