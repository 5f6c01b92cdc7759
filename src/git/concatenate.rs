//! One pack out of several self-contained ones, as a stream.
//!
//! Deltas name their base by distance, so entries can be moved as a block: headers and checksums are cut off, and the
//! whole gets new ones. Objects that are in several packs stay in the result as often; `git index-pack` accepts that,
//! `git index-pack --strict` does not.

use super::digest::PackDigest;
use super::error::PackError;
use super::pack::{HEADER, count};
use crate::model::ObjectFormat;

/// Joins packs: for each one [`push`](Self::push) its bytes, then [`end_pack`](Self::end_pack).
#[derive(Debug)]
pub struct Concatenator {
    format: ObjectFormat,
    total: u32,
    found: u64,
    /// Over what comes out.
    joined: PackDigest,
    /// Over the pack that goes in.
    single: PackDigest,
    header: Vec<u8>,
    /// The last bytes, which may be the checksum.
    tail: Vec<u8>,
    started: bool,
}

impl Concatenator {
    /// Expects packs that hold `total` objects together.
    pub fn new(format: ObjectFormat, total: u32) -> Self {
        Self {
            format,
            total,
            found: 0,
            joined: PackDigest::new(format),
            single: PackDigest::new(format),
            header: Vec::with_capacity(HEADER),
            tail: Vec::with_capacity(2 * format.width()),
            started: false,
        }
    }

    /// Takes the next piece of the current pack and appends to `out` what can be written.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), PackError> {
        self.start(out);
        let missing = HEADER - self.header.len();
        let (head, bytes) = bytes.split_at(bytes.len().min(missing));
        self.header.extend_from_slice(head);
        if !head.is_empty() && self.header.len() == HEADER {
            self.found += u64::from(count(&self.header)?);
            self.single.update(&self.header);
        }
        let width = self.format.width();
        let surplus = (self.tail.len() + bytes.len()).saturating_sub(width);
        let old = surplus.min(self.tail.len());
        let new = surplus - old;
        let begin = out.len();
        out.extend(self.tail.drain(..old));
        out.extend_from_slice(&bytes[..new]);
        self.tail.extend_from_slice(&bytes[new..]);
        self.joined.update(&out[begin..]);
        self.single.update(&out[begin..]);
        Ok(())
    }

    /// Ends the current pack: its checksum must fit what was pushed.
    pub fn end_pack(&mut self) -> Result<(), PackError> {
        if self.tail.len() < self.format.width() {
            return Err(PackError::Truncated { bytes: (self.header.len() + self.tail.len()) as u64 });
        }
        let single = std::mem::replace(&mut self.single, PackDigest::new(self.format));
        if single.finish()?.as_bytes() != self.tail {
            return Err(PackError::Checksum);
        }
        self.header.clear();
        self.tail.clear();
        Ok(())
    }

    /// Appends the checksum of the whole.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), PackError> {
        self.start(out);
        if !self.header.is_empty() {
            return Err(PackError::Truncated { bytes: self.header.len() as u64 });
        }
        if self.found != u64::from(self.total) {
            return Err(PackError::Count { expected: self.total, found: self.found });
        }
        out.extend_from_slice(self.joined.finish()?.as_bytes());
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            let begin = out.len();
            out.extend_from_slice(b"PACK\0\0\0\x02");
            out.extend_from_slice(&self.total.to_be_bytes());
            self.joined.update(&out[begin..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git::pack::{PackLimits, PackWalker};
    use crate::git::pkt_line::tests::chunks;
    use crate::git::stock::Stock;

    fn concatenate(format: ObjectFormat, total: u32, packs: &[Vec<u8>], cuts: &[usize]) -> Result<Vec<u8>, PackError> {
        let mut concatenator = Concatenator::new(format, total);
        let mut out = Vec::new();
        for pack in packs {
            for chunk in chunks(pack, cuts) {
                concatenator.push(&chunk, &mut out)?;
            }
            concatenator.end_pack()?;
        }
        concatenator.finish(&mut out)?;
        Ok(out)
    }

    fn total(packs: &[Vec<u8>]) -> u32 {
        packs.iter().map(|pack| u32::from_be_bytes(pack[8..12].try_into().unwrap())).sum()
    }

    #[test]
    fn a_chain_becomes_one_pack_that_stock_git_indexes() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            let packs = [stock.pack(&["main~2"]), stock.pack(&["--all", "^main~2"]), stock.pack(&[])];
            let whole = concatenate(format, total(&packs), &packs, &[7, 40]).unwrap();
            let mut walker = PackWalker::new(format, PackLimits::default());
            walker.push(&whole).unwrap();
            assert_eq!(walker.finish().unwrap().objects, total(&packs));
            let copy = Stock::empty(format);
            copy.index_pack(&whole);
            assert_eq!(copy.count_objects(), stock.count_objects());
        }
    }

    #[test]
    fn damage_and_wrong_totals_are_found() {
        let stock = Stock::with_history(ObjectFormat::Sha1);
        let packs = [stock.pack(&["main~2"])];
        let right = total(&packs);
        let result = concatenate(ObjectFormat::Sha1, right + 1, &packs, &[]);
        assert_eq!(result, Err(PackError::Count { expected: right + 1, found: right.into() }));
        for at in [0, 8, 20, packs[0].len() - 1] {
            let mut flipped = packs[0].clone();
            flipped[at] ^= 1;
            assert!(concatenate(ObjectFormat::Sha1, right, &[flipped], &[]).is_err(), "byte {at}");
        }
        let cut = packs[0][..packs[0].len() - 1].to_vec();
        assert!(concatenate(ObjectFormat::Sha1, right, &[cut], &[]).is_err());
        assert!(concatenate(ObjectFormat::Sha1, right, &[packs[0][..9].to_vec()], &[]).is_err());
    }

    #[test]
    fn any_chunking_gives_the_same_pack() {
        let stock = Stock::with_history(ObjectFormat::Sha1);
        let packs = [stock.pack(&["main~2"]), stock.pack(&["main", "^main~2"])];
        let whole = concatenate(ObjectFormat::Sha1, total(&packs), &packs, &[]).unwrap();
        proptest!(ProptestConfig::with_cases(64), |(cuts in prop::collection::vec(any::<usize>(), 0..200))| {
            prop_assert_eq!(&concatenate(ObjectFormat::Sha1, total(&packs), &packs, &cuts).unwrap(), &whole);
        });
    }
}
