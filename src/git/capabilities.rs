//! What a server offers: the answer to `GET info/refs`, in protocol v2 or, with the references, in v0 and v1.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{ProtocolError, shorten};
use super::ls_refs::Collector;
use super::pkt_line::{Decoder, Packet, line};
use crate::model::{ObjectFormat, ObjectId, RefName, References};

const READING: &str = "the advertisement";

/// The version of git's protocol that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The first one: references come with the advertisement.
    V0,
    /// v0 that says its number.
    V1,
    /// Commands; references are listed by request.
    V2,
}

impl Protocol {
    /// `v0`, `v1` or `v2`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0 => "v0",
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// Something that a server may offer and this program makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// v2: `ls-refs` tells what an unborn `HEAD` names.
    LsRefsUnborn,
    /// Requests may, and for SHA-256 must, name the object format.
    ObjectFormat,
    /// v0 and v1: the pack comes in packets of up to 64 KiB.
    #[serde(rename = "side-band-64k")]
    SideBand64k,
    /// v0 and v1: deltas may name their base by distance.
    OfsDelta,
    /// v0 and v1: progress messages can be left out.
    NoProgress,
    /// v2: a fetch can be cut off after so many commits.
    Shallow,
    /// v0 and v1: the tips of hidden references may be wanted.
    #[serde(rename = "allow-tip-sha1-in-want")]
    AllowTipSha1InWant,
    /// v0 and v1: whatever can be reached may be wanted.
    #[serde(rename = "allow-reachable-sha1-in-want")]
    AllowReachableSha1InWant,
}

/// What is remembered of a server's git, so that a listing needs no advertisement before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// Its name and version.
    pub agent: Option<String>,
    /// What it offers.
    pub capabilities: BTreeSet<Capability>,
}

impl ServerFacts {
    /// Whether the server offers `capability`.
    pub fn offers(&self, capability: Capability) -> bool {
        self.capabilities.contains(&capability)
    }
}

/// The answer to `GET info/refs?service=git-upload-pack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// What holds for the whole server.
    pub facts: ServerFacts,
    /// What the repository names its objects by.
    pub object_format: ObjectFormat,
    /// The references: in v0 and v1 they are part of the advertisement.
    pub references: Option<References>,
}

/// Reads an advertisement as it arrives.
#[derive(Debug)]
pub struct AdvertisementReader {
    decoder: Decoder,
    state: State,
    protocol: Protocol,
    offers: Offers,
    collector: Collector,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing yet, or the service line and its flush.
    Start,
    /// Lines of v2.
    V2,
    /// The first reference of v0 and v1, with the capabilities.
    FirstRef,
    /// Further references.
    Refs,
    /// After the last flush.
    End,
}

#[derive(Debug, Default)]
struct Offers {
    agent: Option<String>,
    capabilities: BTreeSet<Capability>,
    object_format: Option<String>,
    commands: BTreeSet<String>,
    head_target: Option<RefName>,
}

impl Default for AdvertisementReader {
    fn default() -> Self {
        Self {
            decoder: Decoder::default(),
            state: State::Start,
            protocol: Protocol::V0,
            offers: Offers::default(),
            collector: Collector::new(ObjectFormat::Sha1),
        }
    }
}

impl AdvertisementReader {
    /// Reads the next piece of the answer.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), ProtocolError> {
        self.collector.count_bytes(chunk.len())?;
        self.decoder.push(chunk);
        while let Some(packet) = self.decoder.next_packet()? {
            match packet {
                Packet::Data(data) => self.data(&data)?,
                Packet::Flush => self.flush()?,
                Packet::Delim => return Err(unexpected("delimiter")),
                Packet::ResponseEnd => return Err(unexpected("end of response")),
            }
        }
        Ok(())
    }

    /// The advertisement, if all of it has come.
    pub fn finish(self) -> Result<Advertisement, ProtocolError> {
        if self.state != State::End || !self.decoder.is_empty() {
            return Err(ProtocolError::Truncated { awaited: "the end of the advertisement" });
        }
        let object_format = self.offers.format()?;
        let references = match self.protocol {
            Protocol::V0 | Protocol::V1 => Some(self.collector.finish(self.offers.head_target)?),
            Protocol::V2 => {
                for command in ["ls-refs", "fetch"] {
                    if !self.offers.commands.contains(command) {
                        return Err(ProtocolError::MissingCapability(command));
                    }
                }
                None
            }
        };
        let Offers { agent, capabilities, .. } = self.offers;
        Ok(Advertisement {
            facts: ServerFacts { protocol: self.protocol, agent, capabilities },
            object_format,
            references,
        })
    }

    fn flush(&mut self) -> Result<(), ProtocolError> {
        match self.state {
            // The flush after `# service=`.
            State::Start => {}
            State::V2 | State::Refs => self.state = State::End,
            State::FirstRef | State::End => return Err(unexpected("flush")),
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        let text = line(data);
        if let Some(message) = text.strip_prefix(b"ERR ") {
            return Err(ProtocolError::Remote { message: shorten(message) });
        }
        match self.state {
            State::Start => match text {
                b"# service=git-upload-pack" => {}
                b"version 2" => (self.protocol, self.state) = (Protocol::V2, State::V2),
                b"version 1" => (self.protocol, self.state) = (Protocol::V1, State::FirstRef),
                _ => self.first_reference(text)?,
            },
            State::V2 => self.offers.v2_line(text),
            State::FirstRef => self.first_reference(text)?,
            State::Refs => self.reference(text)?,
            State::End => return Err(unexpected("packet after the end")),
        }
        Ok(())
    }

    fn first_reference(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        let nul = text.iter().position(|byte| *byte == 0).ok_or_else(|| malformed(text))?;
        let (reference, capabilities) = (&text[..nul], &text[nul + 1..]);
        for word in capabilities.split(|byte| *byte == b' ') {
            self.offers.v0_word(word)?;
        }
        self.collector.set_format(self.offers.format()?);
        self.state = State::Refs;
        if reference.ends_with(b" capabilities^{}") {
            // An empty repository: the line is there for the capabilities alone.
            return Ok(());
        }
        self.reference(reference)
    }

    fn reference(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        if text.starts_with(b"shallow ") {
            return Err(ProtocolError::Shallow);
        }
        let space = text.iter().position(|byte| *byte == b' ').ok_or_else(|| malformed(text))?;
        let oid = ObjectId::from_hex(&text[..space]).map_err(|_| malformed(text))?;
        let name = &text[space + 1..];
        match name.strip_suffix(b"^{}") {
            Some(tag) => self.collector.peel_last(tag, oid),
            None => self.collector.add(name, oid, None),
        }
    }
}

impl Offers {
    fn v2_line(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        match key {
            "agent" => self.agent = Some(shorten(value.as_bytes())),
            "object-format" => {
                self.object_format = Some(shorten(value.as_bytes()));
                self.capabilities.insert(Capability::ObjectFormat);
            }
            "ls-refs" | "fetch" => {
                if key == "ls-refs" && value.split(' ').any(|word| word == "unborn") {
                    self.capabilities.insert(Capability::LsRefsUnborn);
                }
                if key == "fetch" && value.split(' ').any(|word| word == "shallow") {
                    self.capabilities.insert(Capability::Shallow);
                }
                self.commands.insert(key.to_owned());
            }
            // What is not known is not used.
            _ => {}
        }
    }

    fn v0_word(&mut self, word: &[u8]) -> Result<(), ProtocolError> {
        let capability = match word {
            b"side-band-64k" => Capability::SideBand64k,
            b"ofs-delta" => Capability::OfsDelta,
            b"no-progress" => Capability::NoProgress,
            b"allow-tip-sha1-in-want" => Capability::AllowTipSha1InWant,
            b"allow-reachable-sha1-in-want" => Capability::AllowReachableSha1InWant,
            _ => {
                if let Some(agent) = word.strip_prefix(b"agent=") {
                    self.agent = Some(shorten(agent));
                } else if let Some(target) = word.strip_prefix(b"symref=HEAD:") {
                    self.head_target = Some(RefName::new(target).map_err(ProtocolError::RefName)?);
                } else if let Some(format) = word.strip_prefix(b"object-format=") {
                    self.object_format = Some(shorten(format));
                    self.capabilities.insert(Capability::ObjectFormat);
                }
                return Ok(());
            }
        };
        self.capabilities.insert(capability);
        Ok(())
    }

    fn format(&self) -> Result<ObjectFormat, ProtocolError> {
        match self.object_format.as_deref() {
            None | Some("sha1") => Ok(ObjectFormat::Sha1),
            Some("sha256") => Ok(ObjectFormat::Sha256),
            Some(other) => Err(ProtocolError::UnknownFormat(other.to_owned())),
        }
    }
}

fn unexpected(what: &str) -> ProtocolError {
    ProtocolError::Unexpected { what: what.to_owned(), reading: READING }
}

fn malformed(text: &[u8]) -> ProtocolError {
    ProtocolError::Malformed { reading: READING, line: shorten(text) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git::pkt_line::tests::{chunks, packet};
    use crate::git::stock::Stock;
    use crate::model::Head;

    fn read(bytes: &[u8], cuts: &[usize]) -> Result<Advertisement, ProtocolError> {
        let mut reader = AdvertisementReader::default();
        for chunk in chunks(bytes, cuts) {
            reader.push(chunk)?;
        }
        reader.finish()
    }

    #[test]
    fn stock_git_in_every_version_and_format() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            for (version, protocol) in [(0, Protocol::V0), (1, Protocol::V1), (2, Protocol::V2)] {
                let advertisement = read(&stock.advertise(version), &[3, 77]).unwrap();
                assert_eq!(advertisement.facts.protocol, protocol);
                assert_eq!(advertisement.object_format, format);
                assert!(advertisement.facts.offers(Capability::ObjectFormat));
                assert!(advertisement.facts.agent.unwrap().starts_with("git/"));
                match advertisement.references {
                    Some(references) => assert_eq!(references, stock.references()),
                    None => assert_eq!(protocol, Protocol::V2),
                }
            }
        }
    }

    #[test]
    fn an_empty_repository_in_v0() {
        let stock = Stock::empty(ObjectFormat::Sha1);
        let references = read(&stock.advertise(0), &[]).unwrap().references.unwrap();
        assert_eq!(references, References { head: Head::Unknown, tips: Vec::new() });
    }

    #[test]
    fn a_shallow_source_is_named() {
        let stock = Stock::with_history(ObjectFormat::Sha1);
        let shallow = stock.shallow_clone();
        assert_eq!(read(&shallow.advertise(0), &[]), Err(ProtocolError::Shallow));
    }

    #[test]
    fn errors_and_cut_answers_are_no_advertisement() {
        let err = packet(b"ERR access denied\n");
        assert_eq!(read(&err, &[]), Err(ProtocolError::Remote { message: "access denied".into() }));
        let whole = Stock::with_history(ObjectFormat::Sha1).advertise(0);
        for end in 0..whole.len() {
            assert!(read(&whole[..end], &[]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn no_packets_make_it_panic(lines in prop::collection::vec("[ -~\\x00]{0,80}", 0..6)) {
            let mut bytes: Vec<u8> = lines.iter().flat_map(|line| packet(line.as_bytes())).collect();
            bytes.extend_from_slice(b"0000");
            let _ = read(&bytes, &[]);
        }
    }
}
