//! A cache of decoded objects, from which deltas are resolved, with a bound on its bytes.

use gix_object::Kind;
use gix_pack::cache::DecodeEntry;

/// The most bytes of all objects together.
const CAPACITY: usize = 32 << 20;

/// The most bytes of one object.
const LARGEST: usize = 1 << 20;

/// A power of two.
const SLOTS: usize = 1 << 13;

struct Slot {
    pack: u32,
    offset: u64,
    kind: Kind,
    compressed: usize,
    object: Box<[u8]>,
}

/// Each place in a pack has one slot that it can be in; what is over the capacity is dropped in the order of slots.
pub(super) struct DeltaBases {
    slots: Vec<Option<Slot>>,
    bytes: usize,
    hand: usize,
}

impl Default for DeltaBases {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| None).collect(), bytes: 0, hand: 0 }
    }
}

impl DeltaBases {
    fn empty(&mut self, slot: usize) {
        if let Some(old) = self.slots[slot].take() {
            self.bytes -= old.object.len();
        }
    }
}

fn slot_of(pack: u32, offset: u64) -> usize {
    let mixed = (offset ^ u64::from(pack) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 51).expect("thirteen bits remain")
}

impl DecodeEntry for DeltaBases {
    fn put(&mut self, pack: u32, offset: u64, object: &[u8], kind: Kind, compressed: usize) {
        if object.len() > LARGEST {
            return;
        }
        let slot = slot_of(pack, offset);
        self.empty(slot);
        while self.bytes + object.len() > CAPACITY {
            self.empty(self.hand);
            self.hand = (self.hand + 1) % SLOTS;
        }
        self.bytes += object.len();
        self.slots[slot] = Some(Slot { pack, offset, kind, compressed, object: object.into() });
    }

    fn get(&mut self, pack: u32, offset: u64, out: &mut Vec<u8>) -> Option<(Kind, usize)> {
        let slot = self.slots[slot_of(pack, offset)].as_ref()?;
        if (slot.pack, slot.offset) != (pack, offset) {
            return None;
        }
        out.clear();
        out.extend_from_slice(&slot.object);
        Some((slot.kind, slot.compressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_back_what_was_put_and_stays_bounded() {
        let mut bases = DeltaBases::default();
        let mut out = Vec::new();
        for offset in 0..200_u64 {
            bases.put(1, offset, &vec![7; LARGEST - 1], Kind::Tree, 5);
            assert_eq!(bases.get(1, offset, &mut out), Some((Kind::Tree, 5)));
            assert_eq!(out.len(), LARGEST - 1);
            assert!(bases.bytes <= CAPACITY);
        }
        assert_eq!(bases.get(2, 199, &mut out), None);
        bases.put(1, 999, &vec![7; LARGEST + 1], Kind::Blob, 5);
        assert_eq!(bases.get(1, 999, &mut out), None);
    }
}
