//! What a watch tells while it goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, Zoned};

use super::{Activation, AutoApply};
use crate::config::Sources;
use crate::model::{Generation, PlanName};
use crate::run::{Event, EventSink, Summary};
use crate::schedule::PassedOver;
use crate::source::Tip;

/// Something that happened.
#[derive(Debug)]
pub enum WatchEvent<'a> {
    /// Health and figures can be asked for.
    Listening {
        /// Where: `unix:/run/xopero/xopero.sock`, `http://127.0.0.1:9477`.
        address: String,
    },
    /// The watch begins.
    Started {
        /// What is followed.
        source: String,
        /// What is in force.
        generation: Option<Generation>,
        /// How much is applied without a person.
        level: AutoApply,
    },
    /// What was read was activated.
    Activated {
        /// The files.
        sources: &'a Sources,
        /// What came of it.
        activation: &'a Activation,
        /// What is in force after it.
        in_force: Option<Generation>,
        /// The branch's last commit, if it was read from one.
        tip: Option<&'a Tip>,
    },
    /// A file is missing, empty or cannot be read; what is in force stays so.
    SourceMissing {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The source can be read again, and says what it said.
    SourceBack,
    /// The source has not been whole for so long that somebody should look.
    SourceStale {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
        /// Since when.
        since: Timestamp,
    },
    /// The branch does not come from the commit that is in force: it is not followed.
    SourceRewound {
        /// The commit in force.
        applied: String,
        /// The branch's last commit.
        tip: String,
    },
    /// A commit lacks the signature that is demanded: the branch is not followed.
    SourceUnsigned {
        /// The commit.
        commit: String,
        /// What is wrong.
        why: String,
    },
    /// Changes are found by looking, not by being told.
    Polling {
        /// Why.
        reason: String,
    },
    /// A scheduled run begins.
    RunBegins {
        /// The plan.
        plan: &'a PlanName,
        /// The time that it is for; absent if it goes on with a run that was killed.
        scheduled: Option<&'a Zoned>,
        /// Earlier times that it makes up for.
        missed: usize,
    },
    /// A time is passed over.
    PassedOver {
        /// The plan.
        plan: &'a PlanName,
        /// The time.
        scheduled: &'a Zoned,
        /// Why.
        why: PassedOver,
    },
    /// A run is due and cannot begin yet.
    RunWaits {
        /// The plan.
        plan: &'a PlanName,
        /// Why.
        why: String,
    },
    /// A run is over.
    RunEnded {
        /// The plan.
        plan: &'a PlanName,
        /// How it went.
        summary: &'a Summary,
    },
    /// A run could not be begun, or its end not be recorded.
    RunFailed {
        /// The plan.
        plan: &'a PlanName,
        /// Why, one line each.
        error: &'a [String],
        /// What to do about it.
        hint: Option<String>,
    },
    /// Something that the watch needs failed; it goes on, and tries again.
    Trouble {
        /// Why, one line each.
        error: &'a [String],
    },
    /// Everything is read again, because somebody asked for it.
    Reloading,
    /// Nothing new is begun, and what is under way comes to an end.
    Draining {
        /// Runs under way.
        runs: usize,
        /// How long they may go on until they are interrupted.
        patience: Duration,
    },
    /// The watch is over.
    Stopped,
}

/// Whoever wants to know.
pub trait WatchSink: Send + Sync {
    /// Takes one event. Must not block for long.
    fn tell(&self, event: &WatchEvent<'_>);

    /// Takes an event of a run of this plan.
    fn tell_of_run(&self, plan: &PlanName, event: &Event);

    /// The loop turned: it read what there is to know, and waits for the next reason.
    fn turned(&self) {}

    /// The run of this plan is alive, although it has nothing to tell.
    fn is_alive(&self, _plan: &PlanName) {}
}

/// The events of one run, on their way to whoever watches.
pub(super) struct OfRun {
    pub(super) plan: PlanName,
    pub(super) sink: Arc<dyn WatchSink>,
}

impl EventSink for OfRun {
    fn emit(&self, event: &Event) {
        self.sink.tell_of_run(&self.plan, event);
    }

    fn is_alive(&self) {
        self.sink.is_alive(&self.plan);
    }
}
