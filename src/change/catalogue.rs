//! The snapshots that are stored, as far as a change set looks at them.

use std::collections::BTreeMap;
use std::fmt;

use crate::model::{DestinationId, DestinationName, RepoId, SnapshotId, SnapshotRecord, Uid};
use crate::retention::{Point, Standing};

/// One stored snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// The plan that it belongs to.
    pub plan: Uid,
    /// The name of the destination that holds it, at that time.
    pub destination_name: DestinationName,
    /// What retention looks at.
    pub point: Point,
    /// The packs that it names.
    pub packs: u64,
    /// The stored bytes of these packs.
    pub bytes: u64,
}

/// What shares packs: the snapshots of one repository in one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shelf {
    destination: DestinationId,
    server: Uid,
    repository: RepoId,
}

/// Stored snapshots, by what shares packs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    shelves: BTreeMap<Shelf, Vec<StoredSnapshot>>,
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Volume {
    /// Snapshots.
    pub snapshots: u64,
    /// Stored bytes that belong to them, each counted once.
    pub bytes: u64,
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.snapshots == 1 { "snapshot" } else { "snapshots" };
        write!(f, "{} {noun} ({})", self.snapshots, Bytes(self.bytes))
    }
}

/// Bytes, for people: three digits and a binary unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let Self(bytes) = *self;
        if bytes < 1024 {
            return write!(f, "{bytes} B");
        }
        // Hundredths of the unit, so that nothing is lost to the size of the number.
        let (mut hundredths, mut unit) = (u128::from(bytes) * 100 / 1024, 0);
        while hundredths >= 102_400 {
            (hundredths, unit) = (hundredths / 1024, unit + 1);
        }
        let (whole, part) = (hundredths / 100, hundredths % 100);
        match whole {
            0..10 => write!(f, "{whole}.{part:02} {}", UNITS[unit]),
            10..100 => write!(f, "{whole}.{} {}", part / 10, UNITS[unit]),
            _ => write!(f, "{whole} {}", UNITS[unit]),
        }
    }
}

impl Volume {
    pub(super) const fn add(&mut self, other: Self) {
        self.snapshots = self.snapshots.saturating_add(other.snapshots);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Catalogue {
    /// Adds a snapshot. `damaged` is whether damage was found in it.
    pub fn add(&mut self, record: &SnapshotRecord, damaged: bool) {
        let standing = match (damaged, &record.suspect) {
            (true, _) => Standing::Damaged,
            (false, Some(_)) => Standing::Suspect,
            (false, None) => Standing::Sound,
        };
        let shelf = Shelf { destination: record.destination, server: record.server, repository: record.repository };
        let snapshot = StoredSnapshot {
            plan: record.plan,
            destination_name: record.destination_name.clone(),
            point: Point { id: record.id, created: record.created, standing },
            packs: record.packs,
            bytes: record.bytes,
        };
        let snapshots = self.shelves.entry(shelf).or_default();
        let place = snapshots.partition_point(|other| other.point.id < snapshot.point.id);
        snapshots.insert(place, snapshot);
    }

    pub(super) fn shelves(&self) -> impl Iterator<Item = &[StoredSnapshot]> {
        self.shelves.values().map(Vec::as_slice)
    }

    /// What a plan has, by destination.
    pub(super) fn of_plan(&self, plan: Uid) -> BTreeMap<&DestinationName, Volume> {
        let mut volumes: BTreeMap<&DestinationName, Volume> = BTreeMap::new();
        for shelf in self.shelves() {
            let own = |snapshot: &StoredSnapshot| snapshot.plan == plan;
            if let Some(last) = shelf.iter().rfind(|snapshot| own(snapshot)) {
                volumes.entry(&last.destination_name).or_default().add(volume(shelf, own));
            }
        }
        volumes
    }
}

/// The snapshots of a shelf that are `chosen`, and the bytes of the packs that they name.
pub(super) fn volume(shelf: &[StoredSnapshot], chosen: impl Fn(&StoredSnapshot) -> bool) -> Volume {
    let mut volume = Volume::default();
    for chain in chains(shelf) {
        let own = chain.iter().filter(|snapshot| chosen(snapshot));
        let own = own.map(|snapshot| snapshot.bytes).collect::<Vec<_>>();
        let bytes = own.iter().copied().max().unwrap_or(0);
        volume.add(Volume { snapshots: own.len() as u64, bytes });
    }
    volume
}

/// The snapshots of a shelf that leave, and the bytes that nothing that stays needs.
pub(super) fn freed(shelf: &[StoredSnapshot], leaves: impl Fn(&SnapshotId) -> bool) -> Volume {
    let mut volume = Volume::default();
    for chain in chains(shelf) {
        let most = |gone: bool| {
            let side = chain.iter().filter(|snapshot| leaves(&snapshot.point.id) == gone);
            side.map(|snapshot| snapshot.bytes).max()
        };
        let snapshots = chain.iter().filter(|snapshot| leaves(&snapshot.point.id)).count() as u64;
        let bytes = most(true).unwrap_or(0).saturating_sub(most(false).unwrap_or(0));
        volume.add(Volume { snapshots, bytes });
    }
    volume
}

/// The runs of snapshots in which each names the packs of the one before it and perhaps more. The next chain begins
/// where the packs become fewer, or others.
fn chains(shelf: &[StoredSnapshot]) -> impl Iterator<Item = &[StoredSnapshot]> {
    shelf.chunk_by(|one, next| {
        let grown = next.packs > one.packs && next.bytes >= one.bytes;
        grown || (next.packs == one.packs && next.bytes == one.bytes)
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn shelf(packs_and_bytes: &[(u64, u64)]) -> Vec<StoredSnapshot> {
        let snapshot = |(number, (packs, bytes)): (u64, &(u64, u64))| StoredSnapshot {
            plan: Uid::from_parts(1, 1),
            destination_name: "nas".parse().unwrap(),
            point: Point {
                id: SnapshotId::from_parts(number, 0),
                created: Timestamp::UNIX_EPOCH,
                standing: Standing::Sound,
            },
            packs: *packs,
            bytes: *bytes,
        };
        (1..).zip(packs_and_bytes).map(snapshot).collect()
    }

    #[test]
    fn packs_that_later_snapshots_name_are_not_freed() {
        let chain = shelf(&[(1, 100), (2, 110), (2, 110), (3, 150)]);
        let freed_before = |first: u64| freed(&chain, |id| id.millis() < first);
        assert_eq!(freed_before(4), Volume { snapshots: 3, bytes: 0 });
        assert_eq!(freed_before(9), Volume { snapshots: 4, bytes: 150 });
        assert_eq!(freed(&chain, |id| id.millis() == 4), Volume { snapshots: 1, bytes: 40 });
        assert_eq!(volume(&chain, |_| true), Volume { snapshots: 4, bytes: 150 });
    }

    #[test]
    fn bytes_have_three_digits() {
        let shown = |bytes: u64| Bytes(bytes).to_string();
        assert_eq!([shown(0), shown(1023), shown(1024)], ["0 B", "1023 B", "1.00 KiB"]);
        assert_eq!([shown(15 << 20), shown(203 << 30), shown(u64::MAX)], ["15.0 MiB", "203 GiB", "15.9 EiB"]);
        assert_eq!(shown((1 << 20) - 1), "1023 KiB");
    }

    #[test]
    fn a_chain_that_began_anew_frees_the_one_before_it() {
        let two = shelf(&[(1, 100), (2, 110), (1, 105), (2, 120)]);
        assert_eq!(freed(&two, |id| id.millis() <= 2), Volume { snapshots: 2, bytes: 110 });
        assert_eq!(volume(&two, |_| true), Volume { snapshots: 4, bytes: 230 });
        let single = shelf(&[(1, 100), (1, 90)]);
        assert_eq!(freed(&single, |id| id.millis() == 1), Volume { snapshots: 1, bytes: 100 });
    }
}
