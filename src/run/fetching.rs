//! The packs that the destinations of one repository need: one stream for each distinct negotiation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, StoredPacks};
use super::caller::Caller;
use super::decide::{Need, Negotiation};
use super::dispatch::DestinationContext;
use super::gate::Lane;
use super::listing::Listed;
use super::stream::{Received, Target, receive_apart};
use super::{Event, TaskError, TaskReport};
use crate::archive::PackEntry;
use crate::git::FetchRequest;
use crate::model::PackId;
use crate::store::keys;

/// Time between two reports of progress.
const PROGRESS_STEP: Duration = Duration::from_millis(200);

impl Attempt<'_> {
    /// Streams one pack for each distinct negotiation, to all destinations that need it.
    ///
    /// What is stored for one destination is not lost because another one, or its stream, fails: the failure becomes
    /// that destination's reason. An error means that nothing was stored anywhere.
    pub(super) async fn fetch_all(
        &self,
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
        let mut fetched = false;
        for (negotiation, members) in groups {
            match self.fetch_group(listed, negotiation, &members, caller, report).await {
                Ok(stored) => {
                    fetched = true;
                    members.iter().zip(stored).for_each(|(index, pack)| packs[*index] = pack);
                }
                Err(TaskError::NoDestination { reasons, hint }) => {
                    report.hint = report.hint.take().or(hint);
                    members.iter().zip(reasons).for_each(|(index, why)| packs[*index] = Some(Err(why)));
                }
                Err(error) if fetched && !matches!(error, TaskError::Stopped) => {
                    report.hint = report.hint.take().or_else(|| error.hint());
                    let why = error.lines().join(": ");
                    for index in &members {
                        packs[*index] = Some(Err(why.clone()));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(packs)
    }

    /// Streams the pack of one negotiation to its members: destinations, by number.
    async fn fetch_group(
        &self,
        listed: &Listed,
        negotiation: &Negotiation,
        members: &[usize],
        caller: &mut Caller<'_>,
        report: &mut TaskReport,
    ) -> Result<StoredPacks, TaskError> {
        let ids: Vec<PackId> = members.iter().map(|_| PackId::mint(&*self.context.clock)).collect();
        let target = |(index, id): (&usize, &PackId)| {
            let DestinationContext { store, keys, .. } = &self.context.destinations[*index];
            let key = keys::pack(self.task.server.uid, self.task.repository.id, *id);
            Target { store: store.clone(), keys: keys.clone(), key }
        };
        let targets: Vec<_> = members.iter().zip(&ids).map(target).collect();
        let mut increment = !negotiation.haves.is_empty();
        let received = match self.fetch(listed, negotiation, &targets, caller).await {
            Err(TaskError::NotSelfContained) => {
                report.notes.push("the server sent an incomplete increment; everything was taken instead".into());
                let whole = Negotiation { wants: listed.references.oids(), haves: Vec::new() };
                increment = false;
                self.fetch(listed, &whole, &targets, caller).await?
            }
            received => received?,
        };
        // A branch that went back needs no new objects; a first backup does.
        if received.summary.objects == 0 && !increment {
            return Err(TaskError::NothingSent { wanted: negotiation.wants.len() });
        }
        report.objects += u64::from(received.summary.objects);
        report.received += received.summary.bytes;
        let mut packs = StoredPacks::with_capacity(members.len());
        for (id, stored) in ids.into_iter().zip(received.stored) {
            packs.push(match stored {
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
            });
        }
        Ok(packs)
    }

    async fn fetch(
        &self,
        listed: &Listed,
        negotiation: &Negotiation,
        targets: &[Target],
        caller: &mut Caller<'_>,
    ) -> Result<Received, TaskError> {
        let Negotiation { wants, haves } = negotiation;
        let request = &FetchRequest { facts: &listed.facts, format: listed.format, wants, haves };
        let (server, remote, context) = (&self.task.server, &self.remote, self.context);
        let opened = context.credentials.send(caller, move |voucher| async move {
            let fetch = |authorization| async move { remote.fetch(&authorization, request).await };
            server.gate.send(Lane::Packs, voucher.for_git(), fetch).await
        });
        // The places are kept until the pack has streamed.
        let (stream, _places) = opened.await?;
        let task = &self.task.name;
        if let Some(account) = caller.account() {
            context.events.emit(&Event::TaskFetching { task: task.clone(), account: account.clone() });
        }
        let mut told = context.clock.monotonic();
        let (clock, events, task) = (Arc::clone(&context.clock), Arc::clone(&context.events), task.clone());
        let progress = move |bytes: u64| {
            let now = clock.monotonic();
            if now.duration_since(told) >= PROGRESS_STEP {
                told = now;
                events.emit(&Event::TaskProgress { task: task.clone(), bytes });
            }
        };
        receive_apart(stream, listed.format, !haves.is_empty(), targets.to_vec(), progress, &context.stop).await
    }
}
