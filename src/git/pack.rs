//! Walking a pack as it streams by: its structure, its count of objects and its checksum, in constant memory.
//!
//! The walk inflates every entry and compares sizes, but hashes no object: that the objects are the right ones is
//! proved from the stored copy by [`index`](super::index) and [`connectivity`](super::connectivity).

use flate2::{Decompress, FlushDecompress, Status};

use super::digest::PackDigest;
use super::error::PackError;
use crate::model::{ObjectFormat, ObjectId};

/// Bytes of `PACK`, the version and the count.
pub(super) const HEADER: usize = 12;

/// Where inflated bytes go to be forgotten. Small enough to stay in the cache.
const SCRATCH: usize = 32 * 1024;

/// What one pack may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackLimits {
    /// The most bytes of the pack.
    pub bytes: u64,
    /// The most objects.
    pub objects: u32,
    /// The most bytes that its entries may inflate to.
    pub inflated: u64,
}

impl Default for PackLimits {
    fn default() -> Self {
        Self { bytes: 1 << 40, objects: 1 << 30, inflated: 1 << 44 }
    }
}

/// What a whole pack was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackSummary {
    /// Its objects.
    pub objects: u32,
    /// Those that are deltas to an object which is named and may lie in another pack. A server that was asked for
    /// `ofs-delta` and for a pack that is complete by itself has no reason to send any.
    pub named_bases: u32,
    /// Its bytes, header and checksum included.
    pub bytes: u64,
    /// The checksum at its end.
    pub checksum: ObjectId,
}

/// Checks a pack piece by piece.
#[derive(Debug)]
pub struct PackWalker {
    format: ObjectFormat,
    limits: PackLimits,
    digest: PackDigest,
    state: State,
    /// Bytes consumed.
    position: u64,
    objects: u32,
    /// Deltas so far whose base is named.
    named_bases: u32,
    /// The number of the entry being read, from 0.
    entry: u32,
    /// Where that entry begins.
    entry_start: u64,
    inflated: u64,
    inflate: Decompress,
    scratch: Box<[u8]>,
    /// The collected header, then the collected checksum.
    fixed: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    /// The type and size of an entry, a varint of which `shift` bits are known.
    EntryHeader {
        kind: u8,
        size: u64,
        shift: u32,
    },
    /// The distance of an ofs-delta to its base; `None` before its first byte.
    Distance {
        size: u64,
        distance: Option<u64>,
    },
    /// The id of a ref-delta's base, of which so many bytes are still to come.
    BaseId {
        size: u64,
        left: usize,
    },
    Body {
        size: u64,
    },
    Trailer,
    End,
}

impl PackWalker {
    /// Expects a pack of a repository with this object format.
    pub fn new(format: ObjectFormat, limits: PackLimits) -> Self {
        Self {
            format,
            limits,
            digest: PackDigest::new(format),
            state: State::Header,
            position: 0,
            objects: 0,
            named_bases: 0,
            entry: 0,
            entry_start: 0,
            inflated: 0,
            inflate: Decompress::new(true),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            fixed: Vec::with_capacity(32),
        }
    }

    /// Checks the next piece. After an error the walker is of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        if self.position.saturating_add(bytes.len() as u64) > self.limits.bytes {
            return Err(PackError::Limit { limit: self.limits.bytes, what: "bytes" });
        }
        let mut rest = bytes;
        let mut hashed = 0;
        while !rest.is_empty() {
            if matches!(self.state, State::Trailer | State::End) {
                break;
            }
            let before = rest.len();
            rest = self.step(rest)?;
            self.position += (before - rest.len()) as u64;
            self.after_step()?;
            hashed = bytes.len() - rest.len();
        }
        self.digest.update(&bytes[..hashed]);
        if rest.is_empty() { Ok(()) } else { self.trailer(rest) }
    }

    /// The summary, if the whole pack has come and its checksum fits.
    pub fn finish(self) -> Result<PackSummary, PackError> {
        if !matches!(self.state, State::End) {
            return Err(PackError::Truncated { bytes: self.position });
        }
        let checksum = self.digest.finish()?;
        if checksum.as_bytes() != self.fixed {
            return Err(PackError::Checksum);
        }
        Ok(PackSummary { objects: self.objects, named_bases: self.named_bases, bytes: self.position, checksum })
    }

    /// Consumes some bytes of anything before the trailer; returns the others.
    fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], PackError> {
        match self.state {
            State::Header => {
                let (head, rest) = bytes.split_at(bytes.len().min(HEADER - self.fixed.len()));
                self.fixed.extend_from_slice(head);
                if self.fixed.len() == HEADER {
                    self.objects = count(&self.fixed)?;
                    if self.objects > self.limits.objects {
                        return Err(PackError::Limit { limit: self.limits.objects.into(), what: "objects" });
                    }
                    self.fixed.clear();
                    self.state = ENTRY;
                }
                Ok(rest)
            }
            State::EntryHeader { kind, size, shift } => {
                self.entry_header(bytes[0], kind, size, shift)?;
                Ok(&bytes[1..])
            }
            State::Distance { size, distance } => {
                self.distance(bytes[0], size, distance)?;
                Ok(&bytes[1..])
            }
            State::BaseId { size, left } => {
                let taken = left.min(bytes.len());
                self.state =
                    if taken == left { State::Body { size } } else { State::BaseId { size, left: left - taken } };
                Ok(&bytes[taken..])
            }
            State::Body { size } => self.body(bytes, size),
            State::Trailer | State::End => Ok(bytes),
        }
    }

    /// Goes on to the trailer when the last entry is done.
    fn after_step(&mut self) -> Result<(), PackError> {
        if self.inflated > self.limits.inflated {
            return Err(PackError::Limit { limit: self.limits.inflated, what: "inflated bytes" });
        }
        if let State::EntryHeader { shift: 0, .. } = self.state {
            self.entry_start = self.position;
            if self.entry == self.objects {
                self.state = State::Trailer;
            }
        }
        Ok(())
    }

    fn entry_header(&mut self, byte: u8, kind: u8, size: u64, shift: u32) -> Result<(), PackError> {
        let (kind, size, shift) = if shift == 0 {
            ((byte >> 4) & 7, u64::from(byte & 15), 4)
        } else {
            let bits = u64::from(byte & 0x7f);
            if shift > 60 || (bits << shift) >> shift != bits {
                return Err(PackError::Overflow { entry: self.entry, offset: self.entry_start });
            }
            (kind, size | bits << shift, shift + 7)
        };
        if byte & 0x80 != 0 {
            self.state = State::EntryHeader { kind, size, shift };
            return Ok(());
        }
        self.state = match kind {
            1..=4 => State::Body { size },
            6 => State::Distance { size, distance: None },
            7 => {
                self.named_bases += 1;
                State::BaseId { size, left: self.format.width() }
            }
            _ => return Err(PackError::EntryType { entry: self.entry, offset: self.entry_start }),
        };
        Ok(())
    }

    fn distance(&mut self, byte: u8, size: u64, distance: Option<u64>) -> Result<(), PackError> {
        let (entry, offset) = (self.entry, self.entry_start);
        let bits = u64::from(byte & 0x7f);
        let distance = match distance {
            None => bits,
            Some(high) if high >= u64::MAX >> 8 => return Err(PackError::Overflow { entry, offset }),
            Some(high) => (high + 1) << 7 | bits,
        };
        if byte & 0x80 != 0 {
            self.state = State::Distance { size, distance: Some(distance) };
            return Ok(());
        }
        let base = self.entry_start.checked_sub(distance).filter(|base| *base >= HEADER as u64);
        if distance == 0 || base.is_none() {
            return Err(PackError::DeltaBase { entry, offset });
        }
        self.state = State::Body { size };
        Ok(())
    }

    /// Inflates what it can of one entry.
    fn body<'a>(&mut self, mut bytes: &'a [u8], size: u64) -> Result<&'a [u8], PackError> {
        let (entry, offset) = (self.entry, self.entry_start);
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(bytes, &mut self.scratch, FlushDecompress::None)
                .map_err(|_| PackError::Inflate { entry, offset })?;
            let read = usize::try_from(self.inflate.total_in() - read).unwrap_or(bytes.len());
            let written = self.inflate.total_out() - written;
            bytes = &bytes[read..];
            self.inflated = self.inflated.saturating_add(written);
            if self.inflate.total_out() > size {
                return Err(PackError::EntrySize { entry, offset });
            }
            if status == Status::StreamEnd {
                if self.inflate.total_out() != size {
                    return Err(PackError::EntrySize { entry, offset });
                }
                self.inflate.reset(true);
                self.entry += 1;
                self.state = ENTRY;
                return Ok(bytes);
            }
            // With room left in the scratch, inflating stopped for want of input.
            if written < SCRATCH as u64 {
                if bytes.is_empty() {
                    return Ok(bytes);
                }
                if read == 0 && written == 0 {
                    return Err(PackError::Inflate { entry, offset });
                }
            }
        }
    }

    fn trailer(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        let width = self.format.width();
        let taken = bytes.len().min(width - self.fixed.len());
        if taken < bytes.len() {
            return Err(PackError::Trailing);
        }
        self.fixed.extend_from_slice(bytes);
        self.position += taken as u64;
        if self.fixed.len() == width {
            self.state = State::End;
        }
        Ok(())
    }
}

/// The state between entries.
const ENTRY: State = State::EntryHeader { kind: 0, size: 0, shift: 0 };

/// The number of objects that a pack's first twelve bytes announce.
pub(super) fn count(header: &[u8]) -> Result<u32, PackError> {
    match header {
        [b'P', b'A', b'C', b'K', 0, 0, 0, 2, count @ ..] => {
            Ok(u32::from_be_bytes(count.try_into().map_err(|_| PackError::Header)?))
        }
        _ => Err(PackError::Header),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::git::pkt_line::tests::chunks;
    use crate::git::stock::Stock;

    fn walk(format: ObjectFormat, pack: &[u8], cuts: &[usize]) -> Result<PackSummary, PackError> {
        let mut walker = PackWalker::new(format, PackLimits::default());
        for chunk in chunks(pack, cuts) {
            walker.push(&chunk)?;
        }
        walker.finish()
    }

    /// A pack with these raw entries and a right checksum.
    fn pack(count: u32, entries: &[u8]) -> Vec<u8> {
        let mut pack = b"PACK\0\0\0\x02".to_vec();
        pack.extend_from_slice(&count.to_be_bytes());
        pack.extend_from_slice(entries);
        let mut digest = PackDigest::new(ObjectFormat::Sha1);
        digest.update(&pack);
        pack.extend_from_slice(digest.finish().unwrap().as_bytes());
        pack
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packs_of_stock_git_are_whole() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            for pack in [stock.pack(&["--all"]), stock.ref_delta_pack(), stock.pack(&[])] {
                let summary = walk(format, &pack, &[]).unwrap();
                assert_eq!(summary.bytes, pack.len() as u64);
                assert_eq!(summary.checksum.as_bytes(), &pack[pack.len() - format.width()..]);
                assert_eq!(summary.objects.to_be_bytes(), pack[8..12]);
            }
        }
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_found() {
        let stock = Stock::with_history(ObjectFormat::Sha1);
        let pack = stock.pack(&["main", "^main~2"]);
        assert!(walk(ObjectFormat::Sha1, &pack, &[]).is_ok());
        for at in 0..pack.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut flipped = pack.clone();
                flipped[at] ^= mask;
                assert!(walk(ObjectFormat::Sha1, &flipped, &[]).is_err(), "byte {at}, mask {mask:x}");
            }
            assert!(walk(ObjectFormat::Sha1, &pack[..at], &[]).is_err(), "cut at {at}");
        }
        let longer = [&pack[..], b"x"].concat();
        assert_eq!(walk(ObjectFormat::Sha1, &longer, &[]), Err(PackError::Trailing));
    }

    #[test]
    fn hostile_entries_with_a_right_checksum_are_refused() {
        let failed = |count, entries: &[u8]| walk(ObjectFormat::Sha1, &pack(count, entries), &[]).unwrap_err();
        let (entry, offset) = (0, 12);
        let blob = |declared: u8, content: &[u8]| [&[0x30 | declared], &deflated(content)[..]].concat();
        assert!(walk(ObjectFormat::Sha1, &pack(1, &blob(3, b"abc")), &[]).is_ok());
        assert_eq!(failed(1, &blob(2, b"abc")), PackError::EntrySize { entry, offset });
        assert_eq!(failed(1, &blob(4, b"abc")), PackError::EntrySize { entry, offset });
        assert_eq!(failed(1, b"\x33not zlib"), PackError::Inflate { entry, offset });
        assert_eq!(failed(1, b"\x53"), PackError::EntryType { entry, offset });
        assert_eq!(failed(1, b"\x03"), PackError::EntryType { entry, offset });
        assert_eq!(failed(1, &[[0xb3].as_slice(), &[0xff; 12]].concat()), PackError::Overflow { entry, offset });
        assert_eq!(failed(1, &[[0x63].as_slice(), &[0xff; 12]].concat()), PackError::Overflow { entry, offset });
        assert_eq!(failed(1, b"\x63\x00"), PackError::DeltaBase { entry, offset });
        assert_eq!(failed(1, b"\x63\x01"), PackError::DeltaBase { entry, offset });
        let bomb = walk_limited(&pack(1, &blob(3, b"abc")), PackLimits { inflated: 2, ..PackLimits::default() });
        assert!(matches!(bomb, Err(PackError::Limit { .. })), "{bomb:?}");
        let many = walk_limited(&pack(1, &blob(3, b"abc")), PackLimits { objects: 0, ..PackLimits::default() });
        assert!(matches!(many, Err(PackError::Limit { .. })), "{many:?}");
    }

    fn walk_limited(pack: &[u8], limits: PackLimits) -> Result<PackSummary, PackError> {
        let mut walker = PackWalker::new(ObjectFormat::Sha1, limits);
        walker.push(pack)?;
        walker.finish()
    }

    #[test]
    fn any_chunking_gives_the_same_summary() {
        let pack = Stock::with_history(ObjectFormat::Sha1).pack(&["--all"]);
        let whole = walk(ObjectFormat::Sha1, &pack, &[]).unwrap();
        let every: Vec<usize> = (0..pack.len()).collect();
        assert_eq!(walk(ObjectFormat::Sha1, &pack, &every).unwrap(), whole);
        proptest!(ProptestConfig::with_cases(64), |(cuts in prop::collection::vec(any::<usize>(), 0..50))| {
            prop_assert_eq!(walk(ObjectFormat::Sha1, &pack, &cuts).unwrap(), whole);
        });
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(count in 0u32..4, entries: Vec<u8>, cuts in prop::collection::vec(any::<usize>(), 0..5)) {
            let _ = walk(ObjectFormat::Sha1, &pack(count, &entries), &cuts);
        }
    }
}
