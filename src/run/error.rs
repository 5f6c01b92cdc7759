//! What can go wrong with a run, and with one task of it.

use jiff::Timestamp;

use crate::archive::ArchiveError;
use crate::bitbucket::BitbucketError;
use crate::git::{GitError, PackError};
use crate::http::{HttpError, Refusal, RequestPlace, Retry};
use crate::model::{
    AccountName, Address, CredentialKind, CredentialRole, LoginRefusal, PlanName, ProjectSelector, RefusedLogin,
    RepoSlug, RunId, ServerName, add_command, check_command,
};
use crate::secret::SecretError;
use crate::state::StateError;
use crate::store::StoreError;

/// Why a run could not begin or could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan is not in the applied state.
    #[error("no plan \"{plan}\" is applied")]
    UnknownPlan {
        /// What was asked for.
        plan: PlanName,
        /// The plans that are.
        known: Vec<PlanName>,
    },
    /// No project of the plan has such a repository in scope.
    #[error("no repository \"{slug}\" is in scope of plan \"{plan}\"")]
    UnknownRepository {
        /// What was asked for.
        slug: RepoSlug,
        /// The plan.
        plan: PlanName,
    },
    /// The state does not know which destination a name is bound to.
    #[error("destination \"{destination}\" was never prepared")]
    Unbound {
        /// The destination.
        destination: crate::model::DestinationName,
    },
    /// A file that the server's declaration names cannot be read.
    #[error("cannot read the certificates in {path}")]
    CaFile {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A client for a server could not be made.
    #[error("cannot talk to {server}")]
    Client {
        /// The server's base URL.
        server: String,
        /// The cause.
        #[source]
        source: HttpError,
    },
    /// A sealed credential could not be opened.
    #[error("cannot open credential/{project}/{credential}")]
    Credential {
        /// The project that declares it.
        project: ProjectSelector,
        /// Which one.
        credential: CredentialRole,
        /// The cause.
        #[source]
        source: SecretError,
    },
    /// A recipient of a destination is not a usable key.
    #[error("cannot encrypt for destination \"{destination}\"")]
    Recipients {
        /// The destination.
        destination: crate::model::DestinationName,
        /// The cause.
        #[source]
        source: SecretError,
    },
    /// There is no run of the plan to go on with.
    #[error("plan \"{plan}\" has never run: there is nothing to resume")]
    NeverRan {
        /// The plan.
        plan: PlanName,
    },
    /// The run is one of another plan.
    #[error("run {run} is one of plan \"{of}\", not of \"{plan}\"")]
    OtherPlan {
        /// The run.
        run: RunId,
        /// What was asked for.
        plan: PlanName,
        /// What it is of.
        of: PlanName,
    },
    /// The run was about one repository.
    #[error("run {run} was about repository \"{slug}\" alone: it cannot be resumed")]
    OneRepository {
        /// The run.
        run: RunId,
        /// The repository.
        slug: RepoSlug,
        /// The plan.
        plan: PlanName,
    },
    /// What the run did is too long ago.
    #[error("run {run} began more than a day ago, at {started:.0}: what it did says nothing of today")]
    TooOld {
        /// The run.
        run: RunId,
        /// When it began.
        started: Timestamp,
        /// The plan.
        plan: PlanName,
    },
    /// The plan does something else than when the run began.
    #[error("the {what} of plan \"{plan}\" changed since run {run}: what it did is not what is to be done")]
    OtherWork {
        /// The run.
        run: RunId,
        /// The plan.
        plan: PlanName,
        /// What is not the same.
        what: &'static str,
    },
    /// A task in the queue is none that this version knows.
    #[error("cannot read a task of run {run} in the queue: {why}")]
    ForeignTask {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        why: String,
    },
    /// A destination cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

impl RunError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownPlan { known, .. } if known.is_empty() => Some(
                "nothing is applied yet: `xopero plan` shows what the file declares, `xopero apply` applies it".into(),
            ),
            Self::UnknownPlan { known, .. } => {
                let names: Vec<_> = known.iter().map(PlanName::as_str).collect();
                Some(format!("applied plans: {}; a new one takes effect with `xopero apply`", names.join(", ")))
            }
            Self::UnknownRepository { .. } => {
                Some("compare the slug in the repository's address, and include and exclude of the plan".into())
            }
            Self::Unbound { .. } => Some("`xopero apply` prepares it".into()),
            Self::CaFile { .. } => Some("ca-file is relative to xopero.kdl".into()),
            Self::Client { source, .. } => source.hint(),
            Self::Credential { source, .. } | Self::Recipients { source, .. } => source.hint(),
            Self::OtherPlan { of, .. } => Some(format!("go on with it by `xopero run {of} --resume`")),
            Self::OneRepository { slug, plan, .. } => {
                Some(format!("run it again: `xopero run {plan} --repository {slug}`"))
            }
            Self::NeverRan { plan } | Self::TooOld { plan, .. } | Self::OtherWork { plan, .. } => {
                Some(format!("begin anew with `xopero run {plan}`: what is stored stays, and is not taken twice"))
            }
            Self::ForeignTask { .. } => Some("all processes that work on one state must be of the same version".into()),
            Self::Store(error) => error.hint(),
            Self::State(error) => error.hint(),
        }
    }
}

/// A credential that was of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which one.
    pub credential: CredentialRole,
    /// Its account.
    pub account: AccountName,
    /// What the server said.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refused {
    /// Understands why a request of a credential was refused.
    pub(super) fn new(
        project: &ProjectSelector,
        credential: CredentialRole,
        account: AccountName,
        error: &TaskError,
    ) -> Self {
        let hint = match error.http() {
            Some(HttpError::Unauthorized { meaning, .. }) => {
                let reseal = || {
                    let command = add_command(project, &credential, &account, CredentialKind::Token);
                    Some(format!("make a new token and seal it: {command}"))
                };
                match meaning {
                    Refusal::Rejected | Refusal::Anonymous => reseal(),
                    Refusal::NoPermission
                    | Refusal::Unlicensed
                    | Refusal::Captcha
                    | Refusal::BasicBlocked
                    | Refusal::Forged
                    | Refusal::Unknown => error.hint(),
                }
            }
            _ => error.hint(),
        };
        let why = lines(error).join(": ");
        Self { credential, account, why, hint }
    }

    /// A password that was refused before, and is left alone for some time.
    pub(super) fn set_aside(
        project: &ProjectSelector,
        credential: &CredentialRole,
        account: &AccountName,
        login: &RefusedLogin,
    ) -> Self {
        let address = Address::credential(project, credential);
        Self {
            credential: credential.clone(),
            account: account.clone(),
            why: format!("{}; {}", login.why, login.consequence(&address)),
            hint: Some(match login.reason {
                LoginRefusal::Captcha => {
                    format!("sign in as {account} in a browser, solve the CAPTCHA, then: {}", check_command(&address))
                }
                LoginRefusal::WrongSecret
                | LoginRefusal::NotAccepted
                | LoginRefusal::Unlicensed
                | LoginRefusal::BasicBlocked => format!(
                    "seal the right password: {}",
                    add_command(project, credential, account, CredentialKind::Password)
                ),
            }),
        }
    }
}

/// Why a task, or the listing of a project, failed.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The server's git side.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The server's REST side.
    #[error(transparent)]
    Bitbucket(#[from] BitbucketError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Every credential of the project was refused.
    #[error("no credential of project {project} can be used ({})", refusals(tried))]
    NoCredential {
        /// The project.
        project: ProjectSelector,
        /// Each credential with what the server said.
        tried: Vec<Refused>,
    },
    /// The server logs the credential in as somebody else.
    #[error("credential/{project}/{credential} logs in as {}, not as {declared}", seen(actual.as_ref()))]
    OtherAccount {
        /// The project that declares it.
        project: ProjectSelector,
        /// Which one.
        credential: CredentialRole,
        /// The account in the file.
        declared: AccountName,
        /// The account that the server sees; `None` for nobody.
        actual: Option<AccountName>,
    },
    /// The server's git cannot be reached; other tasks have tried.
    #[error("the git side of {server} cannot be reached ({})", causes.join("; "))]
    NoContact {
        /// The server's base URL.
        server: String,
        /// What the attempts ended with.
        causes: Vec<String>,
    },
    /// The server was busy or in maintenance for as long as a run waits.
    #[error("server {server} served nobody for {minutes} minutes ({why})")]
    NotServing {
        /// The server.
        server: ServerName,
        /// How long it was waited for.
        minutes: u64,
        /// What it said last.
        why: String,
    },
    /// The server sends deltas whose base may not be in the pack, though only whole packs were asked for.
    #[error("the server's pack may not be complete by itself")]
    NotSelfContained,
    /// A listing that no account can read from its first page to its last.
    #[error("the listing of {what} was begun {restarts} times, and no account had the budget to end it")]
    EndlessListing {
        /// What is listed, for people.
        what: String,
        /// How often it was begun.
        restarts: u32,
    },
    /// What the server sent is not a whole pack.
    #[error("{place}: the server's pack is not sound")]
    UnsoundPack {
        /// The request.
        place: RequestPlace,
        /// What is wrong with it.
        #[source]
        cause: PackError,
    },
    /// A pack arrived, and a reference that it was to bring is still not there.
    #[error("the server sent an empty pack for {wanted} wanted objects")]
    NothingSent {
        /// How many objects were asked for.
        wanted: usize,
    },
    /// Nothing could be stored in any destination.
    #[error("no destination took the backup: {}", reasons.join("; "))]
    NoDestination {
        /// One reason for each.
        reasons: Vec<String>,
        /// What to do about the first of them.
        hint: Option<String>,
    },
    /// No account had budget when the run had to end.
    #[error("no account has budget until {until:.0}, and the run had to end before")]
    OutOfTime {
        /// Until when at least.
        until: Timestamp,
    },
    /// The hours of `not-between` came before the task's first request was sent: it begins after them.
    #[error("the hours of `not-between` came before it began")]
    HoursClosed,
    /// The request waited at the gate while its account was refused: it goes on with another token.
    #[error("the account has been refused since")]
    Overtaken,
    /// The run was stopped.
    #[error("the run was stopped")]
    Stopped,
}

fn seen(account: Option<&AccountName>) -> &str {
    account.map_or("nobody", AccountName::as_str)
}

fn refusals(tried: &[Refused]) -> String {
    let part = |refused: &Refused| format!("{} as {}: {}", refused.credential, refused.account, refused.why);
    tried.iter().map(part).collect::<Vec<_>>().join("; ")
}

impl From<StoreError> for TaskError {
    fn from(error: StoreError) -> Self {
        Self::Archive(ArchiveError::Store(error))
    }
}

impl TaskError {
    /// The request that failed, if one did.
    pub(super) fn http(&self) -> Option<&HttpError> {
        match self {
            Self::Git(GitError::Http(error)) | Self::Bitbucket(BitbucketError::Http(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether the same work can succeed if it is done again at once. A busy server was asked often enough.
    pub(super) fn retry(&self) -> Retry {
        if matches!(self.http(), Some(HttpError::Busy { .. })) {
            return Retry::Never;
        }
        match self {
            Self::Git(error) => error.retry(),
            Self::Bitbucket(error) => error.retry(),
            Self::UnsoundPack { .. } => Retry::Backoff,
            Self::Archive(_)
            | Self::State(_)
            | Self::NoCredential { .. }
            | Self::OtherAccount { .. }
            | Self::NoContact { .. }
            | Self::NotServing { .. }
            | Self::NotSelfContained
            | Self::EndlessListing { .. }
            | Self::NothingSent { .. }
            | Self::NoDestination { .. }
            | Self::OutOfTime { .. }
            | Self::HoursClosed
            | Self::Overtaken
            | Self::Stopped => Retry::Never,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Git(error) => error.hint(),
            Self::Bitbucket(error) => error.hint(),
            Self::Archive(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::NoCredential { tried, .. } => {
                let mut hints: Vec<&str> = Vec::new();
                for hint in tried.iter().filter_map(|refused| refused.hint.as_deref()) {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                (!hints.is_empty()).then(|| hints.join("; "))
            }
            Self::OtherAccount { .. } => {
                Some("correct `account` in the file, or seal the token of that account".into())
            }
            Self::UnsoundPack { .. } => Some(
                "let an administrator run `git fsck` on the repository at the server; a proxy may also alter what passes"
                    .into(),
            ),
            Self::NothingSent { .. } => Some("the next run tries again; check the repository on the server".into()),
            Self::NoContact { .. } => Some("check the server's `scm` address with: git ls-remote".into()),
            Self::NotServing { .. } => {
                Some("run again when it serves; how it is stands at its address with /status at the end".into())
            }
            Self::NoDestination { hint, .. } => hint.clone(),
            Self::OutOfTime { .. } => Some("`xopero run PLAN --resume` goes on with it".into()),
            Self::NotSelfContained
            | Self::EndlessListing { .. }
            | Self::HoursClosed
            | Self::Overtaken
            | Self::Stopped => None,
        }
    }

    /// The error and its causes, one line each.
    pub fn lines(&self) -> Vec<String> {
        lines(self)
    }
}

/// An error and its causes, one line each.
pub fn lines(error: &dyn std::error::Error) -> Vec<String> {
    let mut lines = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        lines.push(error.to_string());
        cause = error.source();
    }
    lines
}
