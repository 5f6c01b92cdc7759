//! What a destination needs, given what it has and what the server says. Pure.

use crate::archive::{Manifest, Suspect};
use crate::git::new_objects;
use crate::model::{ObjectFormat, ObjectId, RefTip, References, SnapshotId};

/// A repository with fewer references may lose nine in ten of them without suspicion: people clean up.
const SHRINKABLE: u64 = 20;

/// What has to be done for one repository in one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Need {
    /// The plan's last snapshot says what the server says.
    Nothing(SnapshotId),
    /// All objects are there; a new manifest is needed.
    Manifest,
    /// A pack is needed, then a manifest.
    Objects(Negotiation),
}

/// What to ask the server for. Equal negotiations can share one stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Negotiation {
    /// Objects that references point at and the last tips do not. Sorted.
    pub(super) wants: Vec<ObjectId>,
    /// The last tips: everything that can be reached from them is stored. Sorted.
    pub(super) haves: Vec<ObjectId>,
}

/// Decides what is needed.
///
/// `last` is the newest manifest of the chain, known to be whole at the destination; `own` is the newest snapshot of
/// this plan there, if its digest says that it belongs to that chain and says what the server says. The chain is shared
/// by plans, snapshots are not.
pub(super) fn needed(
    last: Option<&Manifest>,
    own: Option<SnapshotId>,
    references: &References,
    format: ObjectFormat,
) -> Need {
    if let Some(snapshot) = own {
        return Need::Nothing(snapshot);
    }
    // Tips of another hash cannot be haves: a repository that was made anew in another format starts anew.
    let last = last.filter(|manifest| manifest.git.object_format == format);
    let haves = last.map(|manifest| manifest.git.references.oids()).unwrap_or_default();
    let wants = new_objects(references, &haves);
    if !wants.is_empty() {
        return Need::Objects(Negotiation { wants, haves });
    }
    Need::Manifest
}

/// Why a snapshot must not stand in for the one before it, if so: the source has lost all or nearly all of its
/// references. `before` is the newest manifest, whether or not its objects can be built upon.
///
/// A suspicion is measured against the last snapshot that was not suspect, and lasts until a tenth of its references
/// are back: neither another plan nor a push to the emptied repository washes it off.
pub(super) fn suspicion(before: Option<&Manifest>, references: &References) -> Option<Suspect> {
    let before = before?;
    let count = |tips: &[RefTip]| tips.len() as u64;
    let has = count(&references.tips);
    let trusted = before.suspect.as_ref().map_or_else(|| count(&before.git.references.tips), |suspect| suspect.trusted);
    let small = before.suspect.is_none() && trusted < SHRINKABLE;
    let shrunken = has < trusted / 10 && !small;
    let emptied = has == 0 && trusted > 0;
    (emptied || shrunken).then(|| Suspect {
        why: format!("the server advertises {has} references; the last snapshot that is not suspect has {trusted}"),
        trusted,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::archive::{FORMAT, GitPart, PlanEntry, ProjectEntry, RepositoryEntry, ServerEntry, ToolEntry};
    use crate::model::{Generation, Head, RefName, RepoId, RunId, Uid};

    fn oid(byte: u8) -> ObjectId {
        ObjectId::Sha1([byte; 20])
    }

    fn references(tips: &[(&str, u8)]) -> References {
        let tip =
            |(name, byte): &(&str, u8)| RefTip { name: RefName::new(*name).unwrap(), oid: oid(*byte), peeled: None };
        let head = Head::Symbolic { target: RefName::new("refs/heads/main").unwrap() };
        References { head, tips: tips.iter().map(tip).collect() }
    }

    fn manifest(references: References) -> Manifest {
        Manifest {
            format: FORMAT,
            snapshot: SnapshotId::from_parts(1, 1),
            created: Timestamp::UNIX_EPOCH,
            epoch: 1,
            run: RunId::from_parts(1, 1),
            generation: Generation(1),
            plan: PlanEntry { uid: Uid::from_parts(1, 1), name: "nightly".parse().unwrap() },
            server: ServerEntry {
                uid: Uid::from_parts(1, 2),
                name: "bb".parse().unwrap(),
                url: "https://bb.example.com".into(),
                version: None,
            },
            project: ProjectEntry { id: 1, key: "PAY".parse().unwrap() },
            repository: RepositoryEntry {
                id: RepoId(1),
                slug: "ledger".parse().unwrap(),
                name: "ledger".into(),
                archived: false,
            },
            git: GitPart { object_format: ObjectFormat::Sha1, protocol: "v2".into(), references, packs: Vec::new() },
            encrypted_to: Vec::new(),
            not_read: Vec::new(),
            suspect: None,
            tool: ToolEntry::this(),
        }
    }

    fn need(last: Option<&Manifest>, now: &References) -> Need {
        let own = last.filter(|manifest| manifest.git.references == *now).map(|manifest| manifest.snapshot);
        needed(last, own, now, ObjectFormat::Sha1)
    }

    #[test]
    fn a_first_backup_wants_every_tip_once() {
        let now = references(&[("refs/heads/main", 2), ("refs/heads/same", 2), ("refs/tags/v1", 1)]);
        let negotiation = Negotiation { wants: vec![oid(1), oid(2)], haves: vec![] };
        assert_eq!(need(None, &now), Need::Objects(negotiation));
    }

    #[test]
    fn equal_references_need_nothing() {
        let now = references(&[("refs/heads/main", 2)]);
        let last = manifest(now.clone());
        assert_eq!(need(Some(&last), &now), Need::Nothing(last.snapshot));
    }

    #[test]
    fn a_plan_without_a_snapshot_that_says_the_same_needs_a_manifest_of_its_own() {
        let now = references(&[("refs/heads/main", 2)]);
        let last = manifest(now.clone());
        assert_eq!(needed(Some(&last), None, &now, ObjectFormat::Sha1), Need::Manifest);
        let own = SnapshotId::from_parts(0, 1);
        assert_eq!(needed(Some(&last), Some(own), &now, ObjectFormat::Sha1), Need::Nothing(own));
    }

    #[test]
    fn only_deletions_need_no_objects() {
        let last = manifest(references(&[("refs/heads/gone", 1), ("refs/heads/main", 2)]));
        assert_eq!(need(Some(&last), &references(&[("refs/heads/main", 2)])), Need::Manifest);
        assert_eq!(need(Some(&last), &references(&[("refs/heads/main", 1)])), Need::Manifest);
        assert_eq!(need(Some(&last), &references(&[])), Need::Manifest);
    }

    #[test]
    fn an_increment_has_all_last_tips_and_wants_only_new_ones() {
        let last = manifest(references(&[("refs/heads/main", 2), ("refs/tags/v1", 1)]));
        let now = references(&[("refs/heads/main", 3), ("refs/tags/v1", 1)]);
        let negotiation = Negotiation { wants: vec![oid(3)], haves: vec![oid(1), oid(2)] };
        assert_eq!(need(Some(&last), &now), Need::Objects(negotiation));
    }

    #[test]
    fn a_moved_head_is_a_change() {
        let last = manifest(references(&[("refs/heads/main", 2)]));
        let mut now = references(&[("refs/heads/main", 2)]);
        now.head = Head::Unborn { target: RefName::new("refs/heads/next").unwrap() };
        assert_eq!(need(Some(&last), &now), Need::Manifest);
        now.head = Head::Detached { oid: oid(9) };
        assert!(matches!(need(Some(&last), &now), Need::Objects(_)));
    }

    #[test]
    fn another_hash_starts_anew() {
        let last = manifest(references(&[("refs/heads/main", 2)]));
        let mut now = references(&[]);
        let tip = ObjectId::Sha256([7; 32]);
        now.tips.push(RefTip { name: RefName::new("refs/heads/main").unwrap(), oid: tip, peeled: None });
        let need = needed(Some(&last), None, &now, ObjectFormat::Sha256);
        assert_eq!(need, Need::Objects(Negotiation { wants: vec![tip], haves: vec![] }));
    }

    #[test]
    fn losing_every_reference_is_suspect_until_they_are_back() {
        let names: Vec<String> = (0..30).map(|number| format!("refs/heads/{number:02}")).collect();
        let tips: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut last = manifest(references(&tips));
        let empty = references(&[]);
        assert!(suspicion(None, &empty).is_none());
        assert!(suspicion(Some(&last), &references(&tips)).is_none());
        last.suspect = suspicion(Some(&last), &empty);
        last.git.references = empty.clone();
        assert_eq!(last.suspect.as_ref().unwrap().trusted, 30);
        assert_eq!(suspicion(Some(&last), &empty).unwrap().trusted, 30, "another plan");
        assert!(suspicion(Some(&last), &references(&tips[..1])).is_some(), "a push to the emptied repository");
        assert!(suspicion(Some(&last), &references(&tips[..3])).is_none());
    }

    #[test]
    fn a_small_repository_that_is_emptied_is_suspect_too() {
        let mut last = manifest(references(&[("refs/heads/main", 2)]));
        last.suspect = suspicion(Some(&last), &references(&[]));
        assert!(last.suspect.is_some());
        last.git.references = references(&[]);
        assert!(suspicion(Some(&last), &references(&[("refs/heads/main", 2)])).is_none());
    }

    #[test]
    fn losing_nearly_every_reference_is_suspect() {
        let names: Vec<String> = (0..40).map(|number| format!("refs/heads/{number:02}")).collect();
        let tips: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let last = manifest(references(&tips));
        assert!(suspicion(Some(&last), &references(&tips[..4])).is_none());
        assert!(suspicion(Some(&last), &references(&tips[..3])).is_some());
        let few = manifest(references(&tips[..19]));
        assert!(suspicion(Some(&few), &references(&tips[..1])).is_none());
    }
}
