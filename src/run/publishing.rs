//! The manifests of one repository: written last, recorded with the chain that they end.

use super::attempt::{Attempt, StoredPacks};
use super::chain::Chain;
use super::decide::{Need, suspicion};
use super::dispatch::DestinationContext;
use super::listing::Listed;
use super::{DestinationResult, TaskError, TaskReport, TaskResult};
use crate::archive::{
    FORMAT, GitPart, Manifest, NotRead, PackEntry, PlanEntry, ProjectEntry, ServerEntry, ToolEntry, pack_document,
    write_document,
};
use crate::crash::{self, CrashPoint};
use crate::model::{Head, SnapshotId, SnapshotRecord};
use crate::state::{Begins, StateError};
use crate::store::keys;

impl Attempt<'_> {
    /// Writes a manifest for every destination that needs one, and moves its chain. What fails for one destination is
    /// in the report, and leaves the others alone. An error means that the task is another worker's by now.
    pub(super) async fn publish_all(
        &self,
        listed: &Listed,
        chains: &[Chain],
        needs: Vec<Need>,
        packs: StoredPacks,
        report: &mut TaskReport,
    ) -> Result<TaskResult, TaskError> {
        let mut result = TaskResult::Unchanged;
        let mut reasons = Vec::new();
        report.destinations.clear();
        for (((destination, chain), need), pack) in self.context.destinations.iter().zip(chains).zip(needs).zip(packs) {
            let name = destination.name.clone();
            let mut outcome = DestinationResult { destination: name, snapshot: None, written: false, error: None };
            let published = match (need, pack) {
                (Need::Nothing(snapshot), _) => {
                    outcome.snapshot = Some(snapshot);
                    let own = chain.own.as_ref().and_then(|own| own.suspect.clone());
                    report.suspect = report.suspect.take().or(own);
                    report.destinations.push(outcome);
                    continue;
                }
                (Need::Manifest | Need::Objects(_), Some(Err(why))) => Err(why),
                (Need::Manifest | Need::Objects(_), Some(Ok(pack))) => Ok(Some(pack)),
                (Need::Manifest | Need::Objects(_), None) => Ok(None),
            };
            let published = match published {
                Ok(pack) => match self.publish(listed, destination, chain, pack).await {
                    Err(error @ TaskError::State(StateError::Fenced { .. })) => return Err(error),
                    published => published.map_err(|error| {
                        report.hint = report.hint.take().or_else(|| error.hint());
                        error.lines().join(": ")
                    }),
                },
                Err(why) => Err(why),
            };
            match published {
                Ok(manifest) => {
                    outcome.snapshot = Some(manifest.snapshot);
                    outcome.written = true;
                    report.suspect = report.suspect.take().or(manifest.suspect.map(|suspect| suspect.why));
                    let first = chain.before().is_none();
                    result = result.min(if first { TaskResult::New } else { TaskResult::Changed });
                }
                Err(why) => {
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

    /// Stores a manifest, and only then lets the state know. A worker that was taken for lost writes none, if it can
    /// know; one that learns of it afterwards has stored a snapshot that is whole and that the state does not name:
    /// the tips stay where the other worker has them.
    async fn publish(
        &self,
        listed: &Listed,
        destination: &DestinationContext,
        chain: &Chain,
        pack: Option<PackEntry>,
    ) -> Result<Manifest, TaskError> {
        // Whoever took the lock from this run may have swept the pack, which nothing listed.
        self.context.state.hold_lock().await?;
        self.context.state.refuse_stale(self.claim).await?;
        let last = chain.last().filter(|last| last.git.object_format == listed.format);
        let mut packs = last.map(|last| last.git.packs.clone()).unwrap_or_default();
        packs.extend(pack);
        let manifest = self.manifest(listed, destination, chain, packs);
        let key = keys::manifest(self.task.server.uid, self.task.repository.id, manifest.snapshot);
        crash::point(CrashPoint::ManifestDue);
        let stored = write_document(&destination.store, &key, &manifest, &destination.keys).await?;
        crash::point(CrashPoint::ManifestStored);
        let record = self.record(&manifest, destination, key, stored);
        let begins = if last.is_some() { Begins::Continues } else { Begins::Anew };
        self.context.state.publish(&record, &pack_document(&manifest), begins, self.claim).await?;
        Ok(manifest)
    }

    fn manifest(
        &self,
        listed: &Listed,
        destination: &DestinationContext,
        chain: &Chain,
        packs: Vec<PackEntry>,
    ) -> Manifest {
        let (context, task) = (self.context, self.task);
        let not_read = match &listed.references.head {
            Head::Unknown => {
                vec![NotRead { what: "HEAD".into(), why: "the server does not tell where it points".into() }]
            }
            Head::Symbolic { .. } | Head::Unborn { .. } | Head::Detached { .. } => Vec::new(),
        };
        Manifest {
            format: FORMAT,
            snapshot: SnapshotId::mint(&*context.clock),
            created: listed.read,
            run: context.run,
            epoch: self.claim.epoch,
            generation: context.generation,
            plan: PlanEntry { uid: context.plan_uid, name: context.plan_name.clone() },
            server: ServerEntry {
                uid: task.server.uid,
                name: task.server.name.clone(),
                url: task.server.url.origin(),
                version: task.server.version.get().cloned(),
            },
            project: ProjectEntry { id: task.repository.project_id.0, key: task.name.project.clone() },
            repository: self.repository_entry(),
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
        }
    }

    fn record(
        &self,
        manifest: &Manifest,
        destination: &DestinationContext,
        key: String,
        manifest_bytes: u64,
    ) -> SnapshotRecord {
        let (context, task) = (self.context, self.task);
        SnapshotRecord {
            id: manifest.snapshot,
            run: context.run,
            plan: context.plan_uid,
            plan_name: context.plan_name.clone(),
            destination: destination.id,
            destination_name: destination.name.clone(),
            server: task.server.uid,
            repository: task.repository.id,
            project: task.name.project.clone(),
            slug: task.repository.slug.clone(),
            created: manifest.created,
            references: manifest.git.references.tips.len() as u64,
            packs: manifest.git.packs.len() as u64,
            bytes: manifest.stored_bytes(),
            suspect: manifest.suspect.as_ref().map(|suspect| suspect.why.clone()),
            content: manifest.content(),
            key,
            manifest_bytes,
        }
    }
}
