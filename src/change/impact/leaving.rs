//! The snapshots that rules give up which others kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Leaving;
use crate::change::catalogue::{StoredSnapshot, freed};
use crate::change::{Catalogue, Volume};
use crate::model::{Retention, SnapshotId, Uid};
use crate::retention::{Point, decide};

/// The rules of a plan on both sides, and the zone of its days.
#[derive(Debug, Clone)]
pub(in crate::change) struct Rules<'a> {
    pub(in crate::change) before: (&'a Retention, TimeZone),
    pub(in crate::change) after: (&'a Retention, TimeZone),
}

/// What leaves when the rules of these plans change at `now`. Nothing, if nothing does.
pub(in crate::change) fn leaving(
    plans: &BTreeMap<Uid, Rules<'_>>,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Option<Leaving> {
    let mut volume = Volume::default();
    let mut from: Option<Timestamp> = None;
    for shelf in catalogue.shelves() {
        let mut gone: BTreeSet<SnapshotId> = BTreeSet::new();
        // Of the plans, only those that put something there: a shelf has one or two of them.
        let present: BTreeSet<Uid> = shelf.iter().map(|snapshot| snapshot.plan).collect();
        for (plan, rules) in present.iter().filter_map(|plan| plans.get_key_value(plan)) {
            for (id, when) in given_up(*plan, rules, shelf, now) {
                gone.insert(id);
                from = Some(from.map_or(when, |earlier| earlier.min(when)));
            }
        }
        if !gone.is_empty() {
            volume.add(freed(shelf, |id| gone.contains(id)));
        }
    }
    from.map(|from| Leaving { volume, from })
}

/// Snapshots of one plan that were kept by its rules, and from when on each may go.
fn given_up(plan: Uid, rules: &Rules<'_>, shelf: &[StoredSnapshot], now: Timestamp) -> Vec<(SnapshotId, Timestamp)> {
    let points: Vec<Point> =
        shelf.iter().filter(|snapshot| snapshot.plan == plan).map(|snapshot| snapshot.point).collect();
    let before = decide(&points, rules.before.0, &rules.before.1, now, now);
    let after = decide(&points, rules.after.0, &rules.after.1, now, now);
    let both = points.iter().zip(before.iter().zip(&after));
    let kept = both.filter(|(_, (before, _))| before.stays());
    kept.filter_map(|(point, (_, after))| after.leaves_from().map(|from| (point.id, from))).collect()
}
