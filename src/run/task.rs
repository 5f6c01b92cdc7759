//! One repository: list, decide, stream, publish.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chain::Chain;
use super::credentials::{Caller, Credentials};
use super::decide::{Need, Negotiation, needed, suspicion};
use super::dispatch::{Context, DestinationContext};
use super::server::{ServerContext, protocol_note, retry_wait};
use super::stream::{Received, Target, receive};
use super::{DestinationResult, Event, TaskError, TaskName, TaskReport, TaskResult};
use crate::archive::{
    FORMAT, GitPart, Manifest, NotRead, PackEntry, PlanEntry, ProjectEntry, RepositoryEntry, ServerEntry, ToolEntry,
    content, pack_document, write_document,
};
use crate::bitbucket::Repository;
use crate::git::{FetchRequest, GitError, Protocol, Remote, ServerFacts};
use crate::http::Retry;
use crate::model::{Head, ObjectFormat, PackId, ProjectKey, References, SnapshotId, SnapshotRecord};
use crate::store::keys;

/// How often a task, or a page of a listing, is begun anew after a failure that can pass.
pub(super) const ATTEMPTS: u32 = 3;

/// Bytes between two reports of progress.
const PROGRESS_STEP: u64 = 256 * 1024;

/// A repository that is in scope.
#[derive(Clone)]
pub(super) struct Task {
    /// For people.
    pub(super) name: TaskName,
    /// The project's key and number.
    pub(super) project: ProjectKey,
    /// What Bitbucket says of it.
    pub(super) repository: Repository,
    /// The server it is on.
    pub(super) server: Arc<ServerContext>,
}

/// What a listing says.
struct Listed {
    facts: ServerFacts,
    format: ObjectFormat,
    references: References,
}

/// A report on which nothing has happened yet.
fn blank_report(task: &Task) -> TaskReport {
    TaskReport {
        name: task.name.clone(),
        repository: task.repository.id,
        result: TaskResult::Failed,
        error: Vec::new(),
        hint: None,
        destinations: Vec::new(),
        references: 0,
        objects: 0,
        received: 0,
        stored: 0,
        protocol: None,
        suspect: None,
        notes: Vec::new(),
        ledger: super::Ledger::default(),
    }
}

/// The report of a task that ended by a defect of this program.
pub(super) fn back_up_failed(task: &Task) -> TaskReport {
    TaskReport {
        error: vec!["the task ended by a defect of xopero; what it said is on stderr".into()],
        hint: Some("please report it with what stands on stderr".into()),
        ..blank_report(task)
    }
}

/// Takes the backup of one repository. Every failure ends in the report.
pub(super) async fn back_up(context: &Context, task: &Task) -> TaskReport {
    let mut caller = Caller::new(&task.project, task.name.to_string());
    let mut report = blank_report(task);
    let mut attempt = 1;
    let mut broke = String::new();
    loop {
        match try_back_up(context, task, &mut caller, &mut report).await {
            Ok(result) => report.result = result,
            Err(error) => {
                let again = error.retry() != Retry::Never && attempt < ATTEMPTS;
                if again && context.credentials.wait(retry_wait(attempt)).await.is_ok() {
                    tracing::debug!(task = %task.name, attempt, error = error.lines().join(": "), "begun anew");
                    attempt += 1;
                    broke = error.to_string();
                    continue;
                }
                let stopped = matches!(error, TaskError::Stopped) || context.stop.is_cancelled();
                report.result = if stopped { TaskResult::Interrupted } else { TaskResult::Failed };
                report.hint = error.hint();
                report.error = error.lines();
            }
        }
        break;
    }
    if report.result == TaskResult::Failed
        && let Some(state) = task.repository.state.unfit()
    {
        report.notes.push(format!("the server lists it as {state}"));
    }
    if attempt > 1 {
        report.notes.push(format!("begun anew {}: {broke}", times(attempt - 1)));
    }
    report.ledger = std::mem::take(&mut caller.ledger);
    report
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

async fn try_back_up(
    context: &Context,
    task: &Task,
    caller: &mut Caller<'_>,
    report: &mut TaskReport,
) -> Result<TaskResult, TaskError> {
    report.notes.clear();
    report.hint = None;
    let mut chains = Vec::with_capacity(context.destinations.len());
    for destination in &context.destinations {
        let place = (destination.id, &destination.store, &destination.keys);
        let chain = Chain::load(&context.state, place, task.server.uid, task.repository.id, context.plan_uid).await?;
        if let Some(why) = &chain.broken {
            report.notes.push(format!("{}: the chain begins anew: {why}", destination.name));
        }
        chains.push(chain);
    }
    let expected = chains.iter().find_map(Chain::before).map(|last| last.git.object_format);
    let remote = remote(task);
    let listed = list(context, task, &remote, expected, caller).await?;
    report.references = listed.references.tips.len() as u64;
    report.protocol = Some(listed.facts.protocol.as_str().to_owned());
    report.notes.extend(protocol_note(listed.facts.protocol).map(str::to_owned));

    let needs: Vec<Need> = chains
        .iter()
        .zip(&context.destinations)
        .map(|(chain, destination)| {
            let encrypted_to = destination.keys.names();
            let first = chain.last().and_then(|last| last.git.packs.first());
            let repository = repository_entry(&task.repository);
            let now = (first, encrypted_to.as_slice());
            let now = content(&task.project, &repository, listed.format, &listed.references, now);
            let own = chain.own.as_ref().filter(|own| own.content == now).map(|own| own.id);
            needed(chain.last(), own, &listed.references, listed.format)
        })
        .collect();

    let packs = fetch_all(context, task, &remote, &listed, &needs, caller, report).await?;
    publish_all(context, task, &listed, &chains, needs, packs, report).await
}

/// The references of the repository, in whatever protocol and object format it answers.
async fn list(
    context: &Context,
    task: &Task,
    remote: &Remote,
    expected: Option<ObjectFormat>,
    caller: &mut Caller<'_>,
) -> Result<Listed, TaskError> {
    let server = &task.server;
    let (state, credentials) = (&context.state, &context.credentials);
    let mut facts = server.facts(remote, credentials, caller, state, &context.events).await?;
    let mut format = expected.unwrap_or(ObjectFormat::Sha1);
    match list_once(server, credentials, remote, &facts, format, caller).await {
        Err(TaskError::Git(GitError::NotV2 { .. })) => {}
        Err(error) => return Err(error),
        Ok((references, format)) => return Ok(Listed { facts, format, references }),
    }
    let advertisement = server.discover(remote, credentials, caller).await?;
    facts = server.relearn(advertisement.facts, state, &context.events).await?;
    format = advertisement.object_format;
    if let Some(references) = advertisement.references {
        return Ok(Listed { facts, format, references });
    }
    let (references, format) = list_once(server, credentials, remote, &facts, format, caller).await?;
    Ok(Listed { facts, format, references })
}

async fn list_once(
    server: &ServerContext,
    credentials: &Credentials,
    remote: &Remote,
    facts: &ServerFacts,
    format: ObjectFormat,
    caller: &mut Caller<'_>,
) -> Result<(References, ObjectFormat), TaskError> {
    caller.ledger.git_requests += 1;
    let listing = credentials
        .send(caller, move |authorization| async move {
            let _permit = server.listing.acquire().await.expect("never closed");
            remote.list(&authorization, facts, format).await
        })
        .await?;
    Ok((listing.references, listing.object_format))
}

/// Per destination, in order, the pack that was stored for it or why there is none.
type StoredPacks = Vec<Option<Result<PackEntry, String>>>;

/// Streams one pack for each distinct negotiation, to all destinations that need it.
async fn fetch_all(
    context: &Context,
    task: &Task,
    remote: &Remote,
    listed: &Listed,
    needs: &[Need],
    caller: &mut Caller<'_>,
    report: &mut TaskReport,
) -> Result<StoredPacks, TaskError> {
    let mut groups: BTreeMap<&Negotiation, Vec<usize>> = BTreeMap::new();
    for (index, need) in needs.iter().enumerate() {
        if let Need::Objects(negotiation) = need {
            groups.entry(negotiation).or_default().push(index);
        }
    }
    let mut packs: StoredPacks = needs.iter().map(|_| None).collect();
    for (negotiation, members) in groups {
        let ids: Vec<PackId> = members.iter().map(|_| PackId::mint(&*context.clock)).collect();
        let target = |(index, id): (&usize, &PackId)| {
            let DestinationContext { store, keys, .. } = &context.destinations[*index];
            Target { store, keys, key: keys::pack(task.server.uid, task.repository.id, *id) }
        };
        let targets: Vec<_> = members.iter().zip(&ids).map(target).collect();
        let received = match fetch(context, task, remote, listed, negotiation, &targets, caller).await {
            Err(TaskError::NotSelfContained) => {
                report.notes.push("the server sent an incomplete increment; everything was taken instead".into());
                let whole = Negotiation { wants: listed.references.oids(), haves: Vec::new() };
                fetch(context, task, remote, listed, &whole, &targets, caller).await?
            }
            received => received?,
        };
        if received.summary.objects == 0 && negotiation.haves.is_empty() {
            return Err(TaskError::NothingSent { wanted: negotiation.wants.len() });
        }
        report.objects += u64::from(received.summary.objects);
        report.received += received.summary.bytes;
        for ((index, id), stored) in members.iter().zip(ids).zip(received.stored) {
            packs[*index] = match stored {
                Ok(None) => None,
                Ok(Some(stored)) => {
                    report.stored += stored.stored_bytes;
                    Some(Ok(PackEntry {
                        id,
                        key: stored.key,
                        stored_bytes: stored.stored_bytes,
                        stored_sha256: stored.stored_sha256,
                        pack_bytes: received.summary.bytes,
                        pack_checksum: received.summary.checksum.to_string(),
                        objects: u64::from(received.summary.objects),
                    }))
                }
                Err(error) => {
                    let error = TaskError::from(error);
                    report.hint = report.hint.take().or_else(|| error.hint());
                    Some(Err(error.lines().join(": ")))
                }
            };
        }
    }
    Ok(packs)
}

async fn fetch(
    context: &Context,
    task: &Task,
    remote: &Remote,
    listed: &Listed,
    negotiation: &Negotiation,
    targets: &[Target<'_>],
    caller: &mut Caller<'_>,
) -> Result<Received, TaskError> {
    let request = FetchRequest {
        facts: &listed.facts,
        format: listed.format,
        wants: &negotiation.wants,
        haves: &negotiation.haves,
    };
    caller.ledger.git_requests += 1;
    let server = &task.server;
    let request = &request;
    let opened = context.credentials.send(caller, move |authorization| async move {
        let permit = server.packs.acquire().await.expect("never closed");
        Ok::<_, GitError>((remote.fetch(&authorization, request).await?, permit))
    });
    let (stream, _permit) = opened.await?;
    if let Some(account) = caller.account() {
        context.events.emit(&Event::TaskFetching { task: task.name.clone(), account: account.clone() });
    }
    let mut told = 0;
    let progress = |bytes: u64| {
        if bytes - told >= PROGRESS_STEP {
            told = bytes;
            context.events.emit(&Event::TaskProgress { task: task.name.clone(), bytes });
        }
    };
    tokio::select! {
        biased;
        () = context.stop.cancelled() => Err(TaskError::Stopped),
        received = receive(stream, listed.format, !negotiation.haves.is_empty(), targets, progress) => received,
    }
}

/// Writes a manifest for every destination that needs one, and moves its chain.
async fn publish_all(
    context: &Context,
    task: &Task,
    listed: &Listed,
    chains: &[Chain],
    needs: Vec<Need>,
    packs: StoredPacks,
    report: &mut TaskReport,
) -> Result<TaskResult, TaskError> {
    let mut result = TaskResult::Unchanged;
    let mut reasons = Vec::new();
    report.destinations.clear();
    for (((destination, chain), need), pack) in context.destinations.iter().zip(chains).zip(needs).zip(packs) {
        let mut outcome =
            DestinationResult { destination: destination.name.clone(), snapshot: None, written: false, error: None };
        let pack = match (need, pack) {
            (Need::Nothing(snapshot), _) => {
                outcome.snapshot = Some(snapshot);
                report.suspect = report.suspect.take().or_else(|| chain.last().and_then(|last| last.suspect.clone()));
                report.destinations.push(outcome);
                continue;
            }
            (Need::Manifest | Need::Objects(_), Some(Err(why))) => {
                reasons.push(format!("{}: {why}", destination.name));
                outcome.error = Some(why);
                report.destinations.push(outcome);
                continue;
            }
            (Need::Manifest | Need::Objects(_), Some(Ok(pack))) => Some(pack),
            (Need::Manifest | Need::Objects(_), None) => None,
        };
        match publish(context, task, listed, destination, chain, pack).await {
            Ok(manifest) => {
                outcome.snapshot = Some(manifest.snapshot);
                outcome.written = true;
                report.suspect = report.suspect.take().or(manifest.suspect);
                let first = chain.before().is_none();
                result = result.min(if first { TaskResult::New } else { TaskResult::Changed });
            }
            Err(error) => {
                let why = error.lines().join(": ");
                report.hint = report.hint.take().or_else(|| error.hint());
                reasons.push(format!("{}: {why}", destination.name));
                outcome.error = Some(why);
            }
        }
        report.destinations.push(outcome);
    }
    if reasons.is_empty() {
        report.hint = None;
        Ok(result)
    } else {
        report.error = reasons;
        Ok(TaskResult::Failed)
    }
}

async fn publish(
    context: &Context,
    task: &Task,
    listed: &Listed,
    destination: &DestinationContext,
    chain: &Chain,
    pack: Option<PackEntry>,
) -> Result<Manifest, TaskError> {
    let last = chain.last().filter(|last| last.git.object_format == listed.format);
    let mut packs = last.map(|last| last.git.packs.clone()).unwrap_or_default();
    packs.extend(pack);
    let snapshot = SnapshotId::mint(&*context.clock);
    let not_read = match (&listed.references.head, listed.facts.protocol) {
        (Head::Unknown, Protocol::V0 | Protocol::V1) => vec![NotRead {
            what: "HEAD".into(),
            why: format!("git protocol {} does not tell an unborn HEAD", listed.facts.protocol.as_str()),
        }],
        _ => Vec::new(),
    };
    let manifest = Manifest {
        format: FORMAT,
        snapshot,
        created: context.clock.now(),
        run: context.run,
        generation: context.generation,
        plan: PlanEntry { uid: context.plan_uid, name: context.plan_name.clone() },
        server: ServerEntry {
            uid: task.server.uid,
            name: task.server.name.clone(),
            url: task.server.url.origin(),
            version: task.server.version.get().cloned(),
        },
        project: ProjectEntry { id: task.repository.project_id, key: task.project.clone() },
        repository: repository_entry(&task.repository),
        git: GitPart {
            object_format: listed.format,
            protocol: listed.facts.protocol.as_str().to_owned(),
            references: listed.references.clone(),
            packs,
        },
        encrypted_to: destination.keys.names(),
        not_read,
        suspect: suspicion(chain.before(), &listed.references),
        tool: ToolEntry::this(),
    };
    let key = keys::manifest(task.server.uid, task.repository.id, snapshot);
    write_document(&destination.store, &key, &manifest, &destination.keys).await?;
    let record = SnapshotRecord {
        id: snapshot,
        run: context.run,
        plan: context.plan_uid,
        plan_name: context.plan_name.clone(),
        destination: destination.id,
        destination_name: destination.name.clone(),
        server: task.server.uid,
        repository: task.repository.id,
        project: task.project.clone(),
        slug: task.repository.slug.clone(),
        created: manifest.created,
        references: manifest.git.references.tips.len() as u64,
        packs: manifest.git.packs.len() as u64,
        bytes: manifest.stored_bytes(),
        suspect: manifest.suspect.clone(),
        content: manifest.content(),
        key,
    };
    context.state.publish(&record, &pack_document(&manifest)).await?;
    Ok(manifest)
}

/// The address that the server gives, or the usual one if it gives none that leads to a repository.
fn remote(task: &Task) -> Remote {
    let http = || task.server.http.clone();
    let link = task.repository.clone_link.as_deref();
    link.and_then(|link| Remote::from_clone_link(http(), link).ok())
        .unwrap_or_else(|| Remote::new(http(), &task.project, &task.repository.slug))
}

fn repository_entry(repository: &Repository) -> RepositoryEntry {
    RepositoryEntry {
        id: repository.id,
        slug: repository.slug.clone(),
        name: repository.name.clone(),
        archived: repository.archived,
    }
}
