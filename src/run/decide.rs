//! What a destination needs, given what it has and what the server says. Pure.

use crate::archive::Manifest;
use crate::git::new_objects;
use crate::model::{ObjectFormat, ObjectId, References, SnapshotId};

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
/// this plan there. The chain is shared by plans, snapshots are not.
pub(super) fn needed(
    last: Option<&Manifest>,
    own: Option<SnapshotId>,
    same_names: bool,
    references: &References,
    format: ObjectFormat,
) -> Need {
    // Tips of another hash cannot be haves: a repository that was made anew in another format starts anew.
    let last = last.filter(|manifest| manifest.git.object_format == format);
    let haves = last.map(|manifest| manifest.git.references.oids()).unwrap_or_default();
    let wants = new_objects(references, &haves);
    if !wants.is_empty() {
        return Need::Objects(Negotiation { wants, haves });
    }
    match last {
        Some(manifest) if manifest.git.references == *references && own == Some(manifest.snapshot) && same_names => {
            Need::Nothing(manifest.snapshot)
        }
        _ => Need::Manifest,
    }
}

/// Why a snapshot must not stand in for the one before it, if so: the source has lost all its references.
pub(super) fn suspicion(last: Option<&Manifest>, references: &References) -> Option<String> {
    let before = last.filter(|manifest| manifest.suspect.is_none())?.git.references.tips.len();
    (before > 0 && references.tips.is_empty())
        .then(|| format!("the server advertises no references; the snapshot before has {before}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::archive::{FORMAT, GitPart, PlanEntry, ProjectEntry, RepositoryEntry, ServerEntry, ToolEntry};
    use crate::model::{Generation, Head, RefName, RefTip, RepoId, RunId, Uid};

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
            not_read: Vec::new(),
            suspect: None,
            tool: ToolEntry::this(),
        }
    }

    fn need(last: Option<&Manifest>, now: &References) -> Need {
        needed(last, last.map(|manifest| manifest.snapshot), true, now, ObjectFormat::Sha1)
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
    fn another_plan_or_a_renamed_repository_needs_a_manifest_of_its_own() {
        let now = references(&[("refs/heads/main", 2)]);
        let last = manifest(now.clone());
        assert_eq!(needed(Some(&last), None, true, &now, ObjectFormat::Sha1), Need::Manifest);
        assert_eq!(needed(Some(&last), Some(last.snapshot), false, &now, ObjectFormat::Sha1), Need::Manifest);
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
        let need = needed(Some(&last), Some(last.snapshot), true, &now, ObjectFormat::Sha256);
        assert_eq!(need, Need::Objects(Negotiation { wants: vec![tip], haves: vec![] }));
    }

    #[test]
    fn losing_every_reference_is_suspect_once() {
        let mut last = manifest(references(&[("refs/heads/main", 2)]));
        let empty = references(&[]);
        assert!(suspicion(Some(&last), &empty).is_some());
        assert!(suspicion(None, &empty).is_none());
        last.git.references = empty.clone();
        assert!(suspicion(Some(&last), &empty).is_none());
    }
}
