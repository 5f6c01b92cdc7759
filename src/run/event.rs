//! What a run tells while it is under way.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Summary, TaskReport};
use crate::model::{
    AccountName, CredentialRole, Generation, PlanName, ProjectKey, ProjectSelector, RepoSlug, RunId, ServerName,
    Transition,
};

/// The name of a task for people: project and repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskName {
    /// The project's key.
    pub project: ProjectKey,
    /// The repository's slug.
    pub slug: RepoSlug,
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.slug)
    }
}

/// Why a request goes on with another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeReason {
    /// The server answered 429.
    RateLimited,
    /// The account had no budget left: the server did not have to refuse.
    NoBudget,
    /// The account had budget, but as many of its requests were under way as may be, and another one had room.
    NoRoom,
}

/// Something that happened in a run.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The run.
        run: RunId,
        /// The plan.
        plan: PlanName,
        /// The applied generation in force.
        generation: Generation,
        /// The run that it goes on with, if it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        resumes: Option<RunId>,
    },
    /// A server was seen for the first time, or speaks another protocol than before.
    ProtocolLearned {
        /// The server's base URL.
        server: String,
        /// `v2`, `v1` or `v0`.
        protocol: String,
    },
    /// The projects that fit a pattern are known.
    ProjectsFound {
        /// The pattern.
        pattern: ProjectSelector,
        /// Those that fit and are not declared by their key.
        projects: Vec<ProjectKey>,
    },
    /// A project's repositories are known.
    ProjectListed {
        /// The project.
        project: ProjectKey,
        /// Repositories in scope.
        in_scope: usize,
        /// Repositories that the plan leaves out.
        out_of_scope: usize,
    },
    /// A credential is of no use and left the pool.
    CredentialRejected {
        /// The project that declares it.
        project: ProjectSelector,
        /// Which one.
        credential: CredentialRole,
        /// Its account.
        account: AccountName,
        /// What the server said.
        why: String,
    },
    /// A credential is good and does not see a project: it left the rotation of that project.
    PermissionLost {
        /// The project.
        project: ProjectKey,
        /// Which credential.
        credential: CredentialRole,
        /// Its account.
        account: AccountName,
        /// What the server said.
        why: String,
    },
    /// Something that lasts began, has another reason, or ended: a repository was renamed, a credential is rejected.
    ConditionChanged {
        /// What is from here on.
        transition: Transition,
    },
    /// A task began to fetch objects.
    TaskFetching {
        /// The task.
        #[serde(flatten)]
        task: TaskName,
        /// The account that asked.
        account: AccountName,
    },
    /// More of a pack has arrived.
    TaskProgress {
        /// The task.
        #[serde(flatten)]
        task: TaskName,
        /// Bytes of the pack so far.
        bytes: u64,
    },
    /// An account's budget is used up.
    RateLimited {
        /// The account.
        account: AccountName,
        /// Until when it rests.
        until: Timestamp,
    },
    /// A request goes on with another account.
    CredentialExchanged {
        /// What it is part of: a task or a project's listing.
        subject: String,
        /// The account that was limited.
        from: AccountName,
        /// The account that goes on.
        to: AccountName,
        /// Why.
        reason: ExchangeReason,
    },
    /// No account has budget within half a second: the task waits. Told again if it turns out to wait longer. Shorter waits
    /// are the pace of the server.
    Throttled {
        /// What waits: a task or a project's listing.
        subject: String,
        /// Until when at least.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// What waited goes on.
    Resumed {
        /// What waited.
        subject: String,
        /// The account it goes on with.
        account: AccountName,
    },
    /// A server is busy or in maintenance: everybody waits, whatever the account.
    ServerBusy {
        /// The server.
        server: ServerName,
        /// Until when nobody asks.
        until: Timestamp,
        /// How many requests at once there will be after that.
        limit: u32,
        /// What it said.
        why: String,
    },
    /// A server that was busy serves.
    ServerServes {
        /// The server.
        server: ServerName,
        /// How many requests at once there are until it grows again.
        limit: u32,
    },
    /// A task is over.
    TaskFinished {
        /// How it went.
        report: TaskReport,
    },
    /// The hours of `not-between` have come while there is more to do: nothing is begun before their end.
    HoursClosed {
        /// Their end.
        until: Timestamp,
    },
    /// The run took as long as it may: nothing is begun any more.
    DeadlineReached {
        /// When what is under way is stopped.
        ends: Timestamp,
    },
    /// The run was asked to stop.
    Stopping,
    /// The run is over.
    RunFinished {
        /// How it went.
        summary: Summary,
    },
}

/// Whoever wants to know.
pub trait EventSink: Send + Sync {
    /// Takes one event. Must not block for long.
    fn emit(&self, event: &Event);

    /// Hears that the run is alive while it has nothing to tell: it waits for hours in which it may go on, or
    /// for other processes.
    fn is_alive(&self) {}
}
