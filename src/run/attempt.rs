//! One attempt at one repository: look up what is stored, list, decide, stream, publish.

use super::caller::Caller;
use super::chain::Chain;
use super::decide::{Need, needed};
use super::dispatch::Context;
use super::listing::Listed;
use super::task::Task;
use super::{TaskError, TaskReport, TaskResult};
use crate::archive::{ChainMark, PackEntry, RepositoryEntry, content};
use crate::git::{Protocol, Remote};
use crate::state::queue::Claim;

/// What the steps of an attempt share.
pub(super) struct Attempt<'a> {
    pub(super) context: &'a Context,
    pub(super) task: &'a Task,
    pub(super) claim: &'a Claim,
    pub(super) remote: Remote,
}

/// Per destination, in order, the pack that was stored for it or why there is none.
pub(super) type StoredPacks = Vec<Option<Result<PackEntry, String>>>;

impl<'a> Attempt<'a> {
    /// The address is the one that the server gives, or the usual one if it gives none that leads to a repository.
    pub(super) fn new(context: &'a Context, task: &'a Task, claim: &'a Claim) -> Self {
        let http = || task.server.http.clone();
        let link = task.repository.clone_link.as_deref();
        let remote = link
            .and_then(|link| Remote::from_clone_link(http(), link).ok())
            .unwrap_or_else(|| Remote::new(http(), &task.name.project, &task.repository.slug));
        Self { context, task, claim, remote }
    }

    /// Takes the backup. What is learned on the way goes into the report. `chains` are what the destinations have, in
    /// order, if they were looked up already.
    pub(super) async fn run(
        &self,
        chains: Option<Vec<Chain>>,
        caller: &mut Caller<'_>,
        report: &mut TaskReport,
    ) -> Result<TaskResult, TaskError> {
        report.notes.clear();
        report.hint = None;
        (report.objects, report.received, report.stored) = (0, 0, 0);
        let chains = match chains {
            Some(chains) => chains,
            None => chains_of(self.context, std::iter::once(self.task)).await?.pop().unwrap_or_default(),
        };
        self.note_chains(&chains, report);
        let expected = chains.iter().find_map(Chain::before).map(|last| last.git.object_format);
        let listed = self.list(expected, caller).await?;
        report.references = listed.references.tips.len() as u64;
        report.protocol = Some(listed.facts.protocol.as_str().to_owned());
        report.notes.extend(protocol_note(listed.facts.protocol).map(str::to_owned));
        let needs = self.needs(&chains, &listed);
        let packs = self.fetch_all(&listed, &needs, caller, report).await?;
        self.publish_all(&listed, &chains, needs, packs, report).await
    }

    fn note_chains(&self, chains: &[Chain], report: &mut TaskReport) {
        for (destination, chain) in self.context.destinations.iter().zip(chains) {
            if let Some(why) = &chain.broken {
                report.notes.push(format!("{}: the chain begins anew: {why}", destination.name));
            }
            if let Some(why) = &chain.lost {
                report.notes.push(format!("{}: the manifest is written anew: {why}", destination.name));
            }
        }
    }

    fn needs(&self, chains: &[Chain], listed: &Listed) -> Vec<Need> {
        let need = |(chain, destination): (&Chain, &super::dispatch::DestinationContext)| {
            let encrypted_to = destination.keys.names();
            let mark = ChainMark {
                first: chain.last().and_then(|last| last.git.packs.first()).map(|pack| pack.id),
                encrypted_to: &encrypted_to,
            };
            let repository = self.repository_entry();
            let now = content(&self.task.name.project, &repository, listed.format, &listed.references, mark);
            let own = chain.own.as_ref().filter(|own| own.content == now).map(|own| own.id);
            needed(chain.last(), own, &listed.references, listed.format)
        };
        chains.iter().zip(&self.context.destinations).map(need).collect()
    }

    /// The repository as the manifest names it.
    pub(super) fn repository_entry(&self) -> RepositoryEntry {
        let repository = &self.task.repository;
        RepositoryEntry {
            id: repository.id,
            slug: repository.slug.clone(),
            name: repository.name.clone(),
            archived: repository.archived,
        }
    }
}

/// For each task, what the destinations have of its repository, in order.
pub(super) async fn chains_of<'a>(
    context: &Context,
    tasks: impl Iterator<Item = &'a Task>,
) -> Result<Vec<Vec<Chain>>, TaskError> {
    let repositories: Vec<_> = tasks.map(Task::key).collect();
    let mut chains: Vec<Vec<Chain>> =
        repositories.iter().map(|_| Vec::with_capacity(context.destinations.len())).collect();
    for destination in &context.destinations {
        let found = Chain::load(&context.state, destination, context.plan_uid, &repositories).await?;
        chains.iter_mut().zip(found).for_each(|(chains, chain)| chains.push(chain));
    }
    Ok(chains)
}

/// Why a backup over this protocol deserves a word, if it does.
fn protocol_note(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::V2 => None,
        Protocol::V0 | Protocol::V1 => Some(
            "the server (or a proxy before it) does not answer in git protocol v2: every listing carries all references",
        ),
    }
}
