//! The run as a whole: what it needs is opened first, then tasks are kept under way until none is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::check::check_credentials;
use super::conclude::{Whole, conclude};
use super::credentials::{Credentials, Opened};
use super::deadline::Deadline;
use super::destinations::open_destinations;
use super::hours::Hours;
use super::journal::Journal;
use super::keeper::Keeper;
use super::limits::ask_limits;
use super::memory::Memory;
use super::passwords::Passwords;
use super::remainders::Keeping;
use super::report::store_reports;
use super::resume::carry;
use super::scope::survey;
use super::server::ServerContext;
use super::sweep::sweep;
use super::work::{Role, coordinate};
use super::{Event, EventSink, Outcome, RunError, Summary, Turnstile, lines};
use crate::clock::Clock;
use crate::crash::{self, CrashPoint};
use crate::http::{Authorization, Proxies, Tally};
use crate::model::condition::holding;
use crate::model::{
    Address, Applied, BackupPlan, ConditionKind, Credential, CredentialKind, CredentialRole, DestinationId,
    DestinationName, Generation, PasswordMark, PlanName, ProjectKey, ProjectSelector, RepoSlug, RunId, Server,
    ServerName, Uid,
};
use crate::schedule::Agenda;
use crate::secret::{Expected, Identities, PublicKeys, SecretError, open};
use crate::state::{AgendaRow, RunStart, StateStore};
use crate::store::Store;
use crate::throttle::Holder;

/// What a run needs from outside.
pub struct Execution {
    /// What is in force.
    pub applied: Applied,
    /// The plan to execute.
    pub plan: PlanName,
    /// One repository instead of all that are in scope.
    pub only: Option<RepoSlug>,
    /// The run to go on with: what it has done is not done again.
    pub resumes: Option<RunId>,
    /// The time of the schedule that it is for: dealt with when the run counts as under way, and not before, so that a
    /// kill in between loses no run and repeats none.
    pub scheduled: Option<AgendaRow>,
    /// How long it may take, in place of what the plan says.
    pub max_duration: Option<Duration>,
    /// The hours to keep: nothing is begun in those that are closed. A person who starts a run does not wait for them.
    pub hours: Option<Agenda>,
    /// Projects whose listings are believed, however much is missing.
    pub accepted: BTreeSet<ProjectKey>,
    /// The directory of the file: relative paths begin there.
    pub base: PathBuf,
    /// Through what servers are reached.
    pub proxies: Proxies,
    /// How their answers are counted.
    pub tally: Tally,
    /// The state.
    pub state: Arc<StateStore>,
    /// Who opens the credentials.
    pub identities: Identities,
    /// The accounts' budgets, which all runs of a process share.
    pub turnstile: Turnstile,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub events: Arc<dyn EventSink>,
    /// Cancelled to begin nothing more: what is under way goes on.
    pub closing: CancellationToken,
    /// Cancelled to stop the run.
    pub stop: CancellationToken,
}

/// An opened destination of the plan.
pub(super) struct DestinationContext {
    /// Its name.
    pub(super) name: DestinationName,
    /// Its identity.
    pub(super) id: DestinationId,
    /// The store.
    pub(super) store: Store,
    /// For whom it is encrypted.
    pub(super) keys: PublicKeys,
}

/// What all tasks of a run share.
pub(super) struct Context {
    pub(super) run: RunId,
    pub(super) generation: Generation,
    pub(super) plan_uid: Uid,
    pub(super) plan_name: PlanName,
    pub(super) destinations: Vec<DestinationContext>,
    pub(super) state: Arc<StateStore>,
    pub(super) credentials: Credentials,
    pub(super) journal: Arc<Journal>,
    pub(super) keeper: Keeper,
    /// Repositories that are known to be gone, or elsewhere.
    pub(super) left: BTreeSet<Address>,
    /// Servers of which nobody knows what they allow, or not any more.
    pub(super) unasked: BTreeSet<ServerName>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Arc<dyn EventSink>,
    /// How long the run may take, if that is limited.
    pub(super) max_duration: Option<Duration>,
    pub(super) deadline: Deadline,
    /// The hours to keep.
    pub(super) hours: Arc<Hours>,
    pub(super) stop: CancellationToken,
}

/// Executes a plan once. The caller holds the lock of runs, and no run of a dead process counts as under way.
///
/// What concerns one project or one repository is in the summary; an error means that nothing could be begun, or
/// that the end could not be recorded.
pub async fn execute(execution: Execution) -> Result<Summary, RunError> {
    // Of the highest level, so that every line has its fields, however few lines are wanted.
    let span = tracing::error_span!("run", plan = %execution.plan, run = tracing::field::Empty);
    go(execution).instrument(span).await
}

async fn go(execution: Execution) -> Result<Summary, RunError> {
    let started = execution.clock.now();
    let mut whole = Whole::default();
    let run = RunId::mint(&*execution.clock);
    let (context, servers, plan) = prepare(&execution, run, Role::Coordinator, &mut whole).await?;
    let context = Arc::new(context);
    let Context { run, generation, state, clock, events, .. } = &*context;
    tracing::Span::current().record("run", tracing::field::display(run));
    let mut in_order: Vec<DestinationId> = context.destinations.iter().map(|destination| destination.id).collect();
    let name = &context.plan_name;
    let (plan_uid, generation) = (context.plan_uid, *generation);
    let (only, resumes) = (execution.only.as_ref(), execution.resumes);
    let scheduled = execution.scheduled.as_ref();
    let start =
        RunStart { id: *run, plan: plan_uid, plan_name: name, generation, only, resumes, scheduled, at: started };
    let disorderly = state.start_run(start, &in_order).await?;
    sweep(&context, &disorderly, &mut whole).await?;
    crash::point(CrashPoint::DestinationSwept);
    tracing::info!(generation = generation.0, "the run begins");
    events.emit(&Event::RunStarted { run: *run, plan: context.plan_name.clone(), generation, resumes });

    let budgets = Keeping::begin(&execution.turnstile, state).await?;
    // Earlier listings are recalled while the server answers.
    let (memories, checked) = tokio::join!(
        Memory::load(state, &servers),
        check_credentials(&context, &servers, &execution.applied, &mut whole),
    );
    checked?;
    ask_limits(&context, &servers, &execution.applied, &mut whole).await;
    let tasks = survey(&context, &servers, &execution, &plan, memories, &mut whole).await;
    if let Some(slug) = &execution.only
        && tasks.is_empty()
        && whole.projects_failed.is_empty()
        && !context.stop.is_cancelled()
    {
        state.finish_run(*run, Outcome::Failed.as_str(), clock.now(), &json!({}), &in_order).await?;
        return Err(RunError::UnknownRepository { slug: slug.clone(), plan: context.plan_name.clone() });
    }
    let (carried, tasks) = carry(&context, resumes, tasks).await?;
    let mut reports = coordinate(&context, &servers, tasks).await?;
    if let Err(error) = budgets.keep().await {
        let why = lines(&error).join(": ");
        whole.warnings.push(format!("what is left of the accounts' budgets is not remembered: {why}"));
    }
    whole.warnings.extend(context.credentials.lost_on_the_way());
    reports.extend(carried);
    reports.sort_by(|one, other| one.name.cmp(&other.name));
    for server in servers.values() {
        let busy = server.gate.told();
        if let Some(busy) = &busy {
            whole.ledger.wait(Duration::from_millis(busy.waited_millis));
        }
        whole.servers_busy.extend(busy);
    }
    whole.add_up(&context, &reports);
    conclude(&context, &mut whole).await;
    let mut summary = whole.sum_up(&context, started, (execution.only, resumes), reports);
    let failed = store_reports(&context, &summary).await;
    summary.add_failures(failed);
    let record = serde_json::to_value(&summary).expect("a summary is plain data");
    if summary.outcome != Outcome::Done {
        // What failed or was given up may have left something that is not finished.
        in_order.clear();
    }
    state.finish_run(*run, summary.outcome.as_str(), summary.finished, &record, &in_order).await?;
    tracing::info!(outcome = summary.outcome.as_str(), failed = summary.totals.failed, "the run is over");
    events.emit(&Event::RunFinished { summary: summary.clone() });
    Ok(summary)
}

pub(super) type Servers = BTreeMap<ServerName, Arc<ServerContext>>;

/// Opens destinations, servers and credentials. Nothing is sent yet. A destination that cannot be used does not keep
/// the backups from the others.
pub(super) async fn prepare(
    execution: &Execution,
    run: RunId,
    role: Role,
    whole: &mut Whole,
) -> Result<(Context, Servers, BackupPlan), RunError> {
    let Execution { applied, plan, base, proxies, tally, state, turnstile, clock, events, closing, stop, .. } =
        execution;
    let declaration = &applied.declaration;
    let unknown = || RunError::UnknownPlan { plan: plan.clone(), known: declaration.plans.keys().cloned().collect() };
    let backup_plan = declaration.plans.get(plan).ok_or_else(unknown)?.clone();
    let plan_uid = *applied.uids.get(&Address::plan(plan)).ok_or_else(unknown)?;

    let destinations = open_destinations(execution, role, &backup_plan, whole).await?;
    let (max_duration, deadline) = match role {
        Role::Coordinator => {
            let limit = execution.max_duration.or(backup_plan.max_duration);
            (limit, Deadline::start(limit, (closing, stop), clock, events))
        }
        // How long the run may take is for its coordinator to know.
        Role::Worker { .. } => (None, Deadline::start(None, (closing, stop), clock, events)),
    };
    let mut servers = Servers::new();
    let seen = state.observations(None).await?.servers;
    let is_known = |name: &ServerName, server: &Server| {
        let told = seen.get(name).is_some_and(|seen| seen.has_answered_about_limits(clock.now()));
        server.rate_limit.is_some() || told
    };
    let mut unasked = BTreeSet::new();
    let mut rotations = BTreeMap::new();
    let mut authorizations = BTreeMap::new();
    let mut marks = BTreeMap::new();
    for (key, planned) in &backup_plan.projects {
        let project = &declaration.projects[key];
        let server = &declaration.servers[&project.server];
        if !servers.contains_key(&project.server) {
            let uid = *applied.uids.get(&Address::server(&project.server)).ok_or_else(unknown)?;
            let context = ServerContext::open(
                project.server.clone(),
                uid,
                server,
                base,
                (proxies, tally),
                state,
                (clock, events, &deadline, turnstile.roads()),
            )
            .await?;
            servers.insert(project.server.clone(), Arc::new(context));
            unasked.extend((!is_known(&project.server, server)).then(|| project.server.clone()));
        }
        let enabled = planned.enabled_credentials.iter().cloned().map(CredentialRole::Additional);
        let mut members = Vec::new();
        for role in std::iter::once(CredentialRole::Main).chain(enabled) {
            let Some(credential) = project.credential(&role) else { continue };
            let opened = authorization(server, (key, &role), credential, &execution.identities)?;
            authorizations.insert((key.clone(), role.clone()), opened);
            let mark = PasswordMark::of(&server.url, credential);
            marks.extend(mark.map(|mark| ((key.clone(), role.clone()), mark)));
            let account = credential.account.clone();
            let holder = Holder::new(&server.url, &account);
            turnstile.tell(holder.clone(), server.limit_of(&account, seen.get(&project.server)));
            members.push((role, account, holder));
        }
        rotations.insert(key.clone(), members);
    }
    let journal = Arc::new(Journal::open(Arc::clone(state), Arc::clone(events)));
    let of_projects = backup_plan.projects.keys().map(|key| (key.clone(), declaration.projects[key].server.clone()));
    let hours = Arc::new(Hours::of(execution.hours.clone(), Arc::clone(clock)));
    let credentials = Credentials::new(
        turnstile.clone(),
        Opened {
            rotations,
            authorizations,
            servers: of_projects.collect(),
            contexts: servers.clone(),
            passwords: Passwords::new(Arc::clone(state), marks),
        },
        Arc::clone(&journal),
        Arc::clone(clock),
        Arc::clone(events),
        (&deadline, &hours),
    );
    match role {
        // It asks, when it is time for that.
        Role::Coordinator => {}
        Role::Worker { .. } => credentials.set_aside_refused().await?,
    }
    let context = Context {
        run,
        keeper: Keeper::start(Arc::clone(state), run, Uid::mint(&**clock), Arc::clone(clock)),
        generation: applied.generation,
        plan_uid,
        plan_name: plan.clone(),
        left: left(state).await?,
        unasked,
        destinations,
        state: Arc::clone(state),
        credentials,
        journal,
        clock: Arc::clone(clock),
        events: Arc::clone(events),
        max_duration,
        stop: deadline.stop().clone(),
        deadline,
        hours,
    };
    Ok((context, servers, backup_plan))
}

/// Opens a credential for its server.
fn authorization(
    server: &Server,
    (project, role): (&ProjectSelector, &CredentialRole),
    credential: &Credential,
    identities: &Identities,
) -> Result<Authorization, RunError> {
    let failed =
        |source: SecretError| RunError::Credential { project: project.clone(), credential: role.clone(), source };
    let (account, origin) = (credential.account.clone(), server.url.origin());
    let expected = Expected { kind: credential.kind.into(), origin, account: account.clone() };
    let secret = open(&credential.sealed, identities, &expected).map_err(failed)?;
    let authorization = match credential.kind {
        CredentialKind::Token => Authorization::bearer(account, &secret),
        CredentialKind::Password => Authorization::basic(account, &secret),
    };
    authorization.map_err(|source| RunError::Client { server: server.url.origin(), source })
}

/// The repositories that are known to be gone, or elsewhere: nobody asks for them again.
async fn left(state: &StateStore) -> Result<BTreeSet<Address>, RunError> {
    let conditions = state.conditions().await?;
    let is_left = |kind| matches!(kind, ConditionKind::RepoGone | ConditionKind::RepoMoved);
    let left = holding(&conditions).filter(|(_, kind, _)| is_left(*kind));
    Ok(left.map(|(address, _, _)| address.clone()).collect())
}
