//! Asking for a pack, and taking it out of the answer.

use std::io::Write;
use std::num::NonZeroU32;

use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::capabilities::{Capability, Protocol, ServerFacts};
use super::error::{ProtocolError, shorten};
use super::ls_refs::AGENT;
use super::pkt_line::{Decoder, Packet, line, write_delim, write_flush, write_line};
use crate::model::{ObjectFormat, ObjectId};

/// Bodies above this size are compressed.
const WORTH_COMPRESSING: usize = 1024;

const READING: &str = "the answer to fetch";

/// The most commits at which a history may be cut off.
const MOST_CUTS: usize = 100_000;

/// What to ask for. Without any want there is nothing to ask: do not send it.
#[derive(Debug, Clone, Copy)]
pub struct FetchRequest<'a> {
    /// What the server speaks.
    pub facts: &'a ServerFacts,
    /// The repository's object format.
    pub format: ObjectFormat,
    /// Objects to get, with everything behind them that is not behind a have.
    pub wants: &'a [ObjectId],
    /// Objects that are stored, with everything behind them. Those that the server does not know are ignored by it.
    pub haves: &'a [ObjectId],
}

/// How much of the history to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// All of it. A server that does not have all of it is an error.
    All,
    /// So many commits on each line. A server that cannot cut the history off sends all of it.
    Commits(NonZeroU32),
}

impl FetchRequest<'_> {
    /// The body in the server's protocol. Equal requests have equal bodies, so that a server can cache its answer.
    pub fn body(&self, depth: Depth) -> Result<Vec<u8>, ProtocolError> {
        let (wants, haves) = (sorted(self.wants), sorted(self.haves));
        let mut body = Vec::with_capacity(256 + (wants.len() + haves.len()) * 76);
        match self.facts.protocol {
            Protocol::V2 => {
                write_line(&mut body, "command=fetch");
                write_line(&mut body, AGENT);
                if self.facts.offers(Capability::ObjectFormat) {
                    write_line(&mut body, format!("object-format={}", self.format));
                }
                write_delim(&mut body);
                write_line(&mut body, "ofs-delta");
                write_line(&mut body, "no-progress");
                write_each(&mut body, "want", &wants, "");
                write_each(&mut body, "have", &haves, "");
                if let Depth::Commits(count) = depth
                    && self.facts.offers(Capability::Shallow)
                {
                    write_line(&mut body, format!("deepen {count}"));
                }
                write_line(&mut body, "done");
                write_flush(&mut body);
            }
            Protocol::V0 | Protocol::V1 => {
                let first = wants.len().min(1);
                write_each(&mut body, "want", &wants[..first], &self.v0_capabilities()?);
                write_each(&mut body, "want", &wants[first..], "");
                write_flush(&mut body);
                write_each(&mut body, "have", &haves, "");
                write_line(&mut body, "done");
            }
        }
        Ok(body)
    }

    fn v0_capabilities(&self) -> Result<String, ProtocolError> {
        if !self.facts.offers(Capability::SideBand64k) {
            return Err(ProtocolError::MissingCapability("side-band-64k"));
        }
        let mut words = String::from(" side-band-64k");
        for (capability, word) in [(Capability::OfsDelta, " ofs-delta"), (Capability::NoProgress, " no-progress")] {
            if self.facts.offers(capability) {
                words.push_str(word);
            }
        }
        if self.facts.offers(Capability::ObjectFormat) {
            words.push_str(" object-format=");
            words.push_str(self.format.as_str());
        }
        words.push(' ');
        words.push_str(AGENT);
        Ok(words)
    }
}

fn sorted(oids: &[ObjectId]) -> Vec<ObjectId> {
    let mut oids = oids.to_vec();
    oids.sort_unstable();
    oids.dedup();
    oids
}

fn write_each(body: &mut Vec<u8>, word: &str, oids: &[ObjectId], suffix: &str) {
    for oid in oids {
        write_line(body, format!("{word} {oid}{suffix}"));
    }
}

/// A body ready to be sent, and whether it is compressed with gzip.
pub(super) fn compressed(body: Vec<u8>) -> (Bytes, bool) {
    if body.len() <= WORTH_COMPRESSING {
        return (body.into(), false);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(&body).expect("a vector takes all bytes");
    (encoder.finish().expect("a vector takes all bytes").into(), true)
}

/// Takes the pack out of the answer to a fetch.
#[derive(Debug)]
pub struct Demux {
    decoder: Decoder,
    state: State,
    depth: Depth,
    cuts: Vec<ObjectId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// v2: the name of a section comes next.
    Section,
    /// v2: lines of a section that carries nothing for us.
    Skipping,
    /// v2: where the history is cut off.
    Cuts,
    /// v0 and v1: acknowledgments, until the first packet of a band.
    Acknowledgments,
    /// The bands.
    Bands,
    /// After the flush.
    End,
}

impl Demux {
    /// Expects an answer in `protocol` to a request for so much of the history.
    pub fn new(protocol: Protocol, depth: Depth) -> Self {
        let state = match protocol {
            Protocol::V0 | Protocol::V1 => State::Acknowledgments,
            Protocol::V2 => State::Section,
        };
        Self { decoder: Decoder::default(), state, depth, cuts: Vec::new() }
    }

    /// The commits whose parents the server left out, as was asked for. Known once the pack begins.
    pub fn cuts(&self) -> &[ObjectId] {
        &self.cuts
    }

    /// Appends the next piece of the answer.
    pub fn push(&mut self, chunk: Bytes) {
        self.decoder.push(chunk);
    }

    /// The next bytes of the pack; `None` if more of the answer is needed, or it has ended.
    pub fn next_bytes(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        while let Some(packet) = self.decoder.next_packet()? {
            match packet {
                Packet::Data(data) => {
                    if let Some(pack) = self.data(data)? {
                        return Ok(Some(pack));
                    }
                }
                Packet::Flush => match self.state {
                    State::Bands => self.state = State::End,
                    State::Section | State::Skipping | State::Cuts | State::Acknowledgments => {
                        return Err(unexpected("flush"));
                    }
                    State::End => return Err(unexpected("packet after the end")),
                },
                Packet::Delim => match self.state {
                    State::Skipping | State::Cuts => self.state = State::Section,
                    State::Section | State::Acknowledgments | State::Bands | State::End => {
                        return Err(unexpected("delimiter"));
                    }
                },
                Packet::ResponseEnd => {
                    if self.state != State::End {
                        return Err(unexpected("end of response"));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Succeeds if the answer ended as it must: with a flush after the pack.
    pub fn finish(&self) -> Result<(), ProtocolError> {
        if self.state == State::End && self.decoder.is_empty() {
            Ok(())
        } else {
            Err(ProtocolError::Truncated { awaited: "the flush after the pack" })
        }
    }

    fn data(&mut self, data: Bytes) -> Result<Option<Bytes>, ProtocolError> {
        if self.state == State::Acknowledgments && matches!(data.first(), Some(1..=3)) {
            self.state = State::Bands;
        }
        if self.state == State::Bands {
            return Self::band(data);
        }
        let text = line(&data);
        if let Some(message) = text.strip_prefix(b"ERR ") {
            return Err(ProtocolError::Remote { message: shorten(message) });
        }
        match self.state {
            State::Section => match text {
                b"packfile" => self.state = State::Bands,
                b"acknowledgments" | b"wanted-refs" => self.state = State::Skipping,
                b"shallow-info" => match self.depth {
                    Depth::All => return Err(ProtocolError::Shallow),
                    Depth::Commits(_) => self.state = State::Cuts,
                },
                other => return Err(unexpected(&format!("section {:?}", shorten(other)))),
            },
            State::Skipping => {}
            State::Cuts => {
                let malformed = || ProtocolError::Malformed { reading: READING, line: shorten(text) };
                let oid = text.strip_prefix(b"shallow ").ok_or_else(malformed)?;
                if self.cuts.len() == MOST_CUTS {
                    return Err(unexpected("history that is cut off so often"));
                }
                self.cuts.push(ObjectId::from_hex(oid).map_err(|_| malformed())?);
            }
            State::Acknowledgments => {
                if text.starts_with(b"shallow ") || text.starts_with(b"unshallow ") {
                    return Err(ProtocolError::Shallow);
                }
                if text != b"NAK" && !text.starts_with(b"ACK ") {
                    return Err(ProtocolError::Malformed { reading: READING, line: shorten(text) });
                }
            }
            State::Bands | State::End => return Err(unexpected("packet after the end")),
        }
        Ok(None)
    }

    fn band(mut data: Bytes) -> Result<Option<Bytes>, ProtocolError> {
        let Some(band) = data.first().copied() else { return Err(unexpected("empty packet")) };
        data.advance(1);
        match band {
            // An empty one keeps the connection alive while the server counts.
            1 => Ok(Some(data).filter(|pack| !pack.is_empty())),
            // Progress for people: it was not asked for.
            2 => Ok(None),
            3 => Err(ProtocolError::Remote { message: shorten(&data) }),
            other => Err(unexpected(&format!("band {other}"))),
        }
    }
}

fn unexpected(what: &str) -> ProtocolError {
    ProtocolError::Unexpected { what: what.to_owned(), reading: READING }
}

#[cfg(test)]
mod tests {
    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;
    use crate::git::pack::{PackLimits, PackWalker};
    use crate::git::pkt_line::tests::{chunks, packet};
    use crate::git::stock::Stock;

    pub(super) fn demux(protocol: Protocol, bytes: &[u8], cuts: &[usize]) -> Result<Vec<u8>, ProtocolError> {
        let mut demux = Demux::new(protocol, Depth::All);
        let mut pack = Vec::new();
        for chunk in chunks(bytes, cuts) {
            demux.push(chunk);
            while let Some(bytes) = demux.next_bytes()? {
                assert!(!bytes.is_empty());
                pack.extend_from_slice(&bytes);
            }
        }
        demux.finish().map(|()| pack)
    }

    fn facts(protocol: Protocol) -> ServerFacts {
        let capabilities =
            [Capability::ObjectFormat, Capability::SideBand64k, Capability::OfsDelta, Capability::NoProgress];
        ServerFacts { protocol, agent: None, capabilities: capabilities.into() }
    }

    #[test]
    fn stock_git_sends_a_whole_pack_in_every_version() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            let wants = stock.references().oids();
            let older = [stock.rev("main~2"), wants[0]];
            for (version, protocol) in [(0, Protocol::V0), (1, Protocol::V1), (2, Protocol::V2)] {
                let facts = facts(protocol);
                let mut objects = Vec::new();
                for haves in [&[][..], &older] {
                    let request = FetchRequest { facts: &facts, format, wants: &wants, haves };
                    let answer = stock.upload_pack(version, &request.body(Depth::All).unwrap());
                    let pack = demux(protocol, &answer, &[5, 900]).unwrap();
                    let mut walker = PackWalker::new(format, PackLimits::default());
                    walker.push(&pack).unwrap();
                    objects.push(walker.finish().unwrap().objects);
                }
                assert!(objects[1] < objects[0], "{objects:?}");
            }
        }
    }

    #[test]
    fn a_history_is_cut_off_where_it_was_asked_for() {
        let stock = Stock::with_history(ObjectFormat::Sha1);
        let tip = stock.rev("main");
        let mut facts = facts(Protocol::V2);
        facts.capabilities.insert(Capability::Shallow);
        let request = FetchRequest { facts: &facts, format: ObjectFormat::Sha1, wants: &[tip], haves: &[] };
        let depth = Depth::Commits(NonZeroU32::new(1).unwrap());
        let answer = stock.upload_pack(2, &request.body(depth).unwrap());
        let mut cut = Demux::new(Protocol::V2, depth);
        cut.push(answer.clone().into());
        let mut walker = PackWalker::new(ObjectFormat::Sha1, PackLimits::default());
        while let Some(bytes) = cut.next_bytes().unwrap() {
            walker.push(&bytes).unwrap();
        }
        cut.finish().unwrap();
        assert_eq!(cut.cuts(), [tip]);
        assert!(usize::try_from(walker.finish().unwrap().objects).unwrap() < stock.count_objects());
        assert_eq!(demux(Protocol::V2, &answer, &[]), Err(ProtocolError::Shallow), "nobody asked for it");
        let unable = ServerFacts { capabilities: [Capability::ObjectFormat].into(), ..facts.clone() };
        let request = FetchRequest { facts: &unable, ..request };
        assert_eq!(request.body(depth), request.body(Depth::All));
    }

    #[test]
    fn equal_requests_have_equal_bodies() {
        let id = |digit: &str| digit.repeat(40).parse::<ObjectId>().unwrap();
        let facts = facts(Protocol::V2);
        let body = |wants: &[ObjectId]| {
            FetchRequest { facts: &facts, format: ObjectFormat::Sha1, wants, haves: &[id("3")] }
                .body(Depth::All)
                .unwrap()
        };
        assert_eq!(body(&[id("1"), id("2")]), body(&[id("2"), id("1"), id("2")]));
        assert!(!String::from_utf8(body(&[id("1")])).unwrap().contains("thin-pack"));
    }

    #[test]
    fn large_bodies_are_compressed() {
        let body = b"0032have 1111111111111111111111111111111111111111\n".repeat(100);
        let (sent, gzip) = compressed(body.clone());
        assert!(gzip && sent.len() < body.len());
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut GzDecoder::new(&sent[..]), &mut back).unwrap();
        assert_eq!(back, body);
        assert_eq!(compressed(b"0000".to_vec()), (Bytes::from_static(b"0000"), false));
    }

    fn v2(sections: &[&[u8]]) -> Vec<u8> {
        sections.iter().flat_map(|data| if data.is_empty() { b"0000".to_vec() } else { packet(data) }).collect()
    }

    #[test]
    fn every_way_to_fail_has_its_name() {
        let failed = |sections: &[&[u8]]| demux(Protocol::V2, &v2(sections), &[]).unwrap_err();
        let remote = |message: &str| ProtocolError::Remote { message: message.into() };
        assert_eq!(failed(&[b"packfile\n", b"\x01PA", b"\x03out of memory\n"]), remote("out of memory"));
        assert_eq!(failed(&[b"ERR upload-pack: not our ref\n"]), remote("upload-pack: not our ref"));
        assert_eq!(failed(&[b"shallow-info\n"]), ProtocolError::Shallow);
        assert!(matches!(failed(&[b"packfile-uris\n"]), ProtocolError::Unexpected { .. }));
        assert!(matches!(failed(&[b"packfile\n", b"\x01PA"]), ProtocolError::Truncated { .. }));
        assert!(matches!(failed(&[b"packfile\n", b"\x04PA"]), ProtocolError::Unexpected { .. }));
        assert!(matches!(failed(&[b"packfile\n", b"\x01PA", b"", b"\x01x"]), ProtocolError::Unexpected { .. }));
        assert!(matches!(failed(&[b""]), ProtocolError::Unexpected { .. }));
        assert!(matches!(failed(&[]), ProtocolError::Truncated { .. }));
        let shallow = demux(Protocol::V0, &v2(&[b"shallow 11\n"]), &[]);
        assert_eq!(shallow, Err(ProtocolError::Shallow));
    }

    #[test]
    fn progress_and_keep_alives_are_not_pack() {
        let answer = v2(&[b"packfile\n", b"\x01", b"\x02Counting\rCounting: 2\n", b"\x01PACK", b""]);
        let mut demux = Demux::new(Protocol::V2, Depth::All);
        demux.push(answer.into());
        assert_eq!(demux.next_bytes().unwrap().unwrap(), &b"PACK"[..]);
        assert_eq!(demux.next_bytes().unwrap(), None);
        demux.finish().unwrap();
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_pack(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            cuts in prop::collection::vec(any::<usize>(), 0..30),
        ) {
            let mut answer = packet(b"acknowledgments\n");
            answer.extend(packet(b"NAK\n"));
            answer.extend_from_slice(b"0001");
            answer.extend(packet(b"packfile\n"));
            for piece in &pieces {
                answer.extend(packet(&[&[1], &piece[..]].concat()));
                answer.extend(packet(b"\x02progress\n"));
            }
            answer.extend_from_slice(b"0000");
            prop_assert_eq!(demux(Protocol::V2, &answer, &cuts).unwrap(), pieces.concat());
        }
    }
}
