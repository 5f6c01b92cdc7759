//! Listing references: the `ls-refs` command of protocol v2, and what both protocols collect.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::capabilities::{Capability, ServerFacts};
use super::error::{ProtocolError, shorten};
use super::pkt_line::{Decoder, Packet, line, write_delim, write_flush, write_line};
use crate::model::{Head, ObjectFormat, ObjectId, RefName, RefTip, References};

/// The most references of one repository.
pub const MOST_REFERENCES: usize = 1_000_000;

/// The most bytes of one listing.
pub const MOST_BYTES: u64 = 512 << 20;

/// What this program calls itself to the server's git.
pub(super) const AGENT: &str = concat!("agent=xopero/", env!("CARGO_PKG_VERSION"));

const READING: &str = "the list of references";

/// The body of an `ls-refs` request for all references.
pub fn request(facts: &ServerFacts, format: ObjectFormat) -> Vec<u8> {
    request_below(facts, format, &[])
}

/// The body of an `ls-refs` request for those that begin with one of the prefixes; without any prefix, for all. A server
/// may send others, too.
pub fn request_below(facts: &ServerFacts, format: ObjectFormat, prefixes: &[&RefName]) -> Vec<u8> {
    let mut body = Vec::with_capacity(128);
    write_line(&mut body, "command=ls-refs");
    write_line(&mut body, AGENT);
    if facts.offers(Capability::ObjectFormat) {
        write_line(&mut body, format!("object-format={format}"));
    }
    write_delim(&mut body);
    write_line(&mut body, "peel");
    write_line(&mut body, "symrefs");
    if facts.offers(Capability::LsRefsUnborn) {
        write_line(&mut body, "unborn");
    }
    for prefix in prefixes {
        write_line(&mut body, [b"ref-prefix ", prefix.as_bytes()].concat());
    }
    write_flush(&mut body);
    body
}

/// Reads the answer to `ls-refs` as it arrives.
#[derive(Debug)]
pub struct ListingReader {
    decoder: Decoder,
    collector: Collector,
    head_target: Option<RefName>,
    ended: bool,
}

impl ListingReader {
    /// Expects object ids of `format`.
    pub fn new(format: ObjectFormat) -> Self {
        Self { decoder: Decoder::default(), collector: Collector::new(format), head_target: None, ended: false }
    }

    /// Reads the next piece of the answer.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), ProtocolError> {
        self.collector.count_bytes(chunk.len())?;
        self.decoder.push(chunk);
        while let Some(packet) = self.decoder.next_packet()? {
            if self.ended && packet != Packet::ResponseEnd {
                return Err(unexpected("packet after the end"));
            }
            match packet {
                Packet::Data(data) => self.entry(line(&data))?,
                Packet::Flush => self.ended = true,
                Packet::Delim => return Err(unexpected("delimiter")),
                Packet::ResponseEnd => {}
            }
        }
        Ok(())
    }

    /// The references, if all of them have come.
    pub fn finish(self) -> Result<References, ProtocolError> {
        if !self.ended || !self.decoder.is_empty() {
            return Err(ProtocolError::Truncated { awaited: "the end of the references" });
        }
        self.collector.finish(self.head_target)
    }

    fn entry(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        if let Some(message) = text.strip_prefix(b"ERR ") {
            return Err(ProtocolError::Remote { message: shorten(message) });
        }
        let malformed = || ProtocolError::Malformed { reading: READING, line: shorten(text) };
        let mut words = text.split(|byte| *byte == b' ');
        let (Some(oid), Some(name)) = (words.next(), words.next()) else { return Err(malformed()) };
        let mut peeled = None;
        for word in words {
            if let Some(digits) = word.strip_prefix(b"peeled:") {
                peeled = Some(ObjectId::from_hex(digits).map_err(|_| malformed())?);
            } else if let Some(target) = word.strip_prefix(b"symref-target:")
                && name == b"HEAD"
            {
                self.head_target = Some(RefName::new(target).map_err(ProtocolError::RefName)?);
            }
        }
        if oid == b"unborn" {
            return Ok(());
        }
        let oid = ObjectId::from_hex(oid).map_err(|_| malformed())?;
        self.collector.add(name, oid, peeled)
    }
}

/// Gathers references under the limits.
#[derive(Debug)]
pub(super) struct Collector {
    format: ObjectFormat,
    bytes: u64,
    head: Option<ObjectId>,
    tips: Vec<RefTip>,
}

impl Collector {
    pub(super) fn new(format: ObjectFormat) -> Self {
        Self { format, bytes: 0, head: None, tips: Vec::new() }
    }

    pub(super) fn set_format(&mut self, format: ObjectFormat) {
        self.format = format;
    }

    pub(super) fn count_bytes(&mut self, count: usize) -> Result<(), ProtocolError> {
        self.bytes = self.bytes.saturating_add(count as u64);
        if self.bytes > MOST_BYTES { Err(ProtocolError::ListingTooLarge { limit: MOST_BYTES }) } else { Ok(()) }
    }

    pub(super) fn add(&mut self, name: &[u8], oid: ObjectId, peeled: Option<ObjectId>) -> Result<(), ProtocolError> {
        for id in [Some(oid), peeled].into_iter().flatten() {
            self.require_format(id)?;
        }
        if name == b"HEAD" {
            if self.head.replace(oid).is_some() {
                return Err(unexpected("second HEAD"));
            }
            return Ok(());
        }
        if self.tips.len() >= MOST_REFERENCES {
            return Err(ProtocolError::TooManyReferences { limit: MOST_REFERENCES });
        }
        let name = RefName::new(name).map_err(ProtocolError::RefName)?;
        self.tips.push(RefTip { name, oid, peeled });
        Ok(())
    }

    /// v0 and v1 tell the object behind a tag in a line of its own, after the tag's.
    pub(super) fn peel_last(&mut self, name: &[u8], oid: ObjectId) -> Result<(), ProtocolError> {
        self.require_format(oid)?;
        if name == b"HEAD" && self.head.is_some() {
            return Ok(());
        }
        match self.tips.last_mut() {
            Some(tip) if tip.name.as_bytes() == name && tip.peeled.is_none() => tip.peeled = Some(oid),
            Some(_) | None => return Err(unexpected("peeled object without its tag")),
        }
        Ok(())
    }

    /// Sorts, refuses duplicates and decides what `HEAD` is.
    pub(super) fn finish(mut self, head_target: Option<RefName>) -> Result<References, ProtocolError> {
        self.tips.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = self.tips.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(ProtocolError::DuplicateRef(pair[0].name.clone()));
        }
        let listed = |name: &RefName| self.tips.binary_search_by(|tip| tip.name.cmp(name)).is_ok();
        let head = match (head_target, self.head) {
            (Some(target), _) if listed(&target) => Head::Symbolic { target },
            (Some(target), None) => Head::Unborn { target },
            // `HEAD` may name a reference that the server hides: its object must not be lost.
            (Some(_) | None, Some(oid)) => Head::Detached { oid },
            (None, None) => Head::Unknown,
        };
        Ok(References { head, tips: self.tips })
    }

    fn require_format(&self, oid: ObjectId) -> Result<(), ProtocolError> {
        if oid.format() != self.format {
            return Err(ProtocolError::ForeignFormat { expected: self.format });
        }
        if oid.is_null() {
            return Err(unexpected("null object id"));
        }
        Ok(())
    }
}

/// The wants of a fetch: objects of `listed` that `known` does not hold. Sorted, each once.
pub fn new_objects(listed: &References, known: &[ObjectId]) -> Vec<ObjectId> {
    let known: BTreeSet<&ObjectId> = known.iter().collect();
    listed.oids().into_iter().filter(|oid| !known.contains(oid)).collect()
}

fn unexpected(what: &str) -> ProtocolError {
    ProtocolError::Unexpected { what: what.to_owned(), reading: READING }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git::capabilities::Protocol;
    use crate::git::pkt_line::tests::{chunks, packet};
    use crate::git::stock::Stock;

    fn facts() -> ServerFacts {
        let capabilities = [Capability::LsRefsUnborn, Capability::ObjectFormat].into();
        ServerFacts { protocol: Protocol::V2, agent: None, capabilities }
    }

    fn read(bytes: &[u8], cuts: &[usize]) -> Result<References, ProtocolError> {
        let mut reader = ListingReader::new(ObjectFormat::Sha1);
        for chunk in chunks(bytes, cuts) {
            reader.push(chunk)?;
        }
        reader.finish()
    }

    fn lines(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(packet(format!("{line}\n").as_bytes()));
        }
        write_flush(&mut bytes);
        bytes
    }

    #[test]
    fn stock_git_lists_what_is_there() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            let mut reader = ListingReader::new(format);
            reader.push(stock.upload_pack(2, &request(&facts(), format)).into()).unwrap();
            assert_eq!(reader.finish().unwrap(), stock.references());
        }
    }

    #[test]
    fn an_unborn_head_is_told() {
        let stock = Stock::empty(ObjectFormat::Sha1);
        let answer = stock.upload_pack(2, &request(&facts(), ObjectFormat::Sha1));
        let references = read(&answer, &[]).unwrap();
        let target = RefName::new("refs/heads/main").unwrap();
        assert_eq!(references, References { head: Head::Unborn { target }, tips: Vec::new() });
    }

    #[test]
    fn hostile_lists_are_refused() {
        let oid = "1".repeat(40);
        let twice = format!("{oid} refs/heads/a");
        assert!(matches!(read(&lines(&[&twice, &twice]), &[]), Err(ProtocolError::DuplicateRef(_))));
        let climbing = format!("{oid} refs/heads/../a");
        assert!(matches!(read(&lines(&[&climbing]), &[]), Err(ProtocolError::RefName(_))));
        let wide = format!("{} refs/heads/a", "1".repeat(64));
        assert!(matches!(read(&lines(&[&wide]), &[]), Err(ProtocolError::ForeignFormat { .. })));
        let null = format!("{} refs/heads/a", "0".repeat(40));
        assert!(matches!(read(&lines(&[&null]), &[]), Err(ProtocolError::Unexpected { .. })));
        for malformed in ["", "x", "zz refs/heads/a", &format!("{oid} refs/heads/a peeled:1")] {
            assert!(matches!(read(&lines(&[malformed]), &[]), Err(ProtocolError::Malformed { .. })), "{malformed}");
        }
        assert!(matches!(read(b"", &[]), Err(ProtocolError::Truncated { .. })));
    }

    #[test]
    fn a_head_that_names_a_hidden_reference_keeps_its_object() {
        let oid = "1".repeat(40);
        let head = format!("{oid} HEAD symref-target:refs/hidden/x");
        let references = read(&lines(&[&head]), &[]).unwrap();
        assert_eq!(references.head, Head::Detached { oid: oid.parse().unwrap() });
    }

    #[test]
    fn wants_are_what_is_not_known() {
        let id = |digit: &str| digit.repeat(40).parse::<ObjectId>().unwrap();
        let (a, b) = (format!("{} refs/heads/a", "2".repeat(40)), format!("{} refs/heads/b", "1".repeat(40)));
        let references = read(&lines(&[&a, &b]), &[]).unwrap();
        assert_eq!(new_objects(&references, &[id("2")]), [id("1")]);
        assert_eq!(new_objects(&references, &[]), [id("1"), id("2")]);
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_list(cuts in prop::collection::vec(any::<usize>(), 0..20)) {
            let oid = "a1".repeat(20);
            let bytes = lines(&[
                &format!("{oid} HEAD symref-target:refs/heads/main"),
                &format!("{oid} refs/heads/main"),
                &format!("{oid} refs/tags/v1 peeled:{oid}"),
            ]);
            prop_assert_eq!(read(&bytes, &cuts), read(&bytes, &[]));
        }
    }
}
