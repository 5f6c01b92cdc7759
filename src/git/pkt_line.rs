//! The framing of git's protocol: packets with a length in four hexadecimal digits.
//!
//! The decoder takes chunks as the network cuts them and gives packets without copying, except for a packet that
//! lies across two chunks.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::error::{ProtocolError, shorten};

/// The longest packet, with its length.
const LONGEST: usize = 65_520;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A line or a piece of a stream.
    Data(Bytes),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delim,
    /// `0002`: the end of a response.
    ResponseEnd,
}

/// What the four digits say.
enum Length {
    Special(Packet),
    /// Bytes of the packet, its length included.
    Data(usize),
}

/// Cuts a stream of bytes into packets.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a packet that is not there as a whole. Never longer than a packet.
    partial: BytesMut,
    chunks: VecDeque<Bytes>,
}

impl Decoder {
    /// Appends the next piece of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// The next packet; `None` if the rest of it has not come yet.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, ProtocolError> {
        loop {
            if self.partial.is_empty() {
                if let Some(packet) = self.whole_packet()? {
                    return Ok(Some(packet));
                }
            } else if let Some(packet) = self.completed_packet()? {
                return Ok(Some(packet));
            }
            let Some(chunk) = self.chunks.front_mut() else { return Ok(None) };
            let wanted = match self.partial.get(..4) {
                Some(digits) => length(digits)?.bytes(),
                None => 4,
            };
            let taken = chunk.split_to(chunk.len().min(wanted - self.partial.len()));
            self.partial.extend_from_slice(&taken);
            self.drop_empty_chunk();
        }
    }

    /// Whether every byte that was pushed has become part of a packet.
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.chunks.is_empty()
    }

    /// A packet that lies in the first chunk as a whole.
    fn whole_packet(&mut self) -> Result<Option<Packet>, ProtocolError> {
        let Some(chunk) = self.chunks.front_mut() else { return Ok(None) };
        let Some(digits) = chunk.get(..4) else { return Ok(None) };
        let packet = match length(digits)? {
            Length::Special(packet) => {
                chunk.advance(4);
                packet
            }
            Length::Data(bytes) if bytes <= chunk.len() => {
                let mut packet = chunk.split_to(bytes);
                packet.advance(4);
                Packet::Data(packet)
            }
            Length::Data(_) => return Ok(None),
        };
        self.drop_empty_chunk();
        Ok(Some(packet))
    }

    fn completed_packet(&mut self) -> Result<Option<Packet>, ProtocolError> {
        let Some(digits) = self.partial.get(..4) else { return Ok(None) };
        match length(digits)? {
            Length::Special(packet) => {
                self.partial.clear();
                Ok(Some(packet))
            }
            Length::Data(bytes) if bytes == self.partial.len() => {
                let mut packet = self.partial.split().freeze();
                packet.advance(4);
                Ok(Some(Packet::Data(packet)))
            }
            Length::Data(_) => Ok(None),
        }
    }

    fn drop_empty_chunk(&mut self) {
        if self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
    }
}

impl Length {
    const fn bytes(&self) -> usize {
        match self {
            Self::Special(_) => 4,
            Self::Data(bytes) => *bytes,
        }
    }
}

fn length(digits: &[u8]) -> Result<Length, ProtocolError> {
    let broken = || ProtocolError::PacketLength(shorten(digits));
    let value = digits.iter().try_fold(0, |value, digit| {
        let nibble = char::from(*digit).to_digit(16).ok_or_else(broken)? as usize;
        Ok(value << 4 | nibble)
    })?;
    match value {
        0 => Ok(Length::Special(Packet::Flush)),
        1 => Ok(Length::Special(Packet::Delim)),
        2 => Ok(Length::Special(Packet::ResponseEnd)),
        4..=LONGEST => Ok(Length::Data(value)),
        _ => Err(broken()),
    }
}

/// Appends a line; the line feed is added. Lines that this program writes are far below the longest packet.
pub fn write_line(out: &mut Vec<u8>, line: impl AsRef<[u8]>) {
    let line = line.as_ref();
    debug_assert!(line.len() + 5 <= LONGEST, "requests have short lines");
    out.extend_from_slice(format!("{:04x}", line.len() + 5).as_bytes());
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Appends `0000`.
pub fn write_flush(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0000");
}

/// Appends `0001`.
pub fn write_delim(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0001");
}

/// A line without its line feed.
pub(super) fn line(data: &[u8]) -> &[u8] {
    data.strip_suffix(b"\n").unwrap_or(data)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One packet with arbitrary bytes.
    pub(in crate::git) fn packet(data: &[u8]) -> Vec<u8> {
        let mut out = format!("{:04x}", data.len() + 4).into_bytes();
        out.extend_from_slice(data);
        out
    }

    /// `bytes` cut at the given places.
    pub(in crate::git) fn chunks(bytes: &[u8], cuts: &[usize]) -> Vec<Bytes> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut from = 0;
        let mut chunks = Vec::new();
        for cut in cuts.into_iter().chain([bytes.len()]) {
            chunks.push(Bytes::copy_from_slice(&bytes[from..cut]));
            from = cut;
        }
        chunks
    }

    fn decode(chunks: Vec<Bytes>) -> Result<Vec<Packet>, ProtocolError> {
        let mut decoder = Decoder::default();
        let mut packets = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(packet) = decoder.next_packet()? {
                packets.push(packet);
            }
        }
        assert!(decoder.is_empty());
        Ok(packets)
    }

    fn any_packet() -> impl Strategy<Value = Packet> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..200).prop_map(|data| Packet::Data(data.into())),
            1 => Just(Packet::Flush),
            1 => Just(Packet::Delim),
            1 => Just(Packet::ResponseEnd),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_same_packets(
            packets in prop::collection::vec(any_packet(), 0..20),
            cuts in prop::collection::vec(any::<usize>(), 0..40),
        ) {
            let mut stream = Vec::new();
            for one in &packets {
                match one {
                    Packet::Data(data) => stream.extend(packet(data)),
                    Packet::Flush => write_flush(&mut stream),
                    Packet::Delim => write_delim(&mut stream),
                    Packet::ResponseEnd => stream.extend_from_slice(b"0002"),
                }
            }
            prop_assert_eq!(decode(chunks(&stream, &cuts)).unwrap(), packets);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, cuts: Vec<usize>) {
            let mut decoder = Decoder::default();
            for chunk in chunks(&bytes, &cuts) {
                decoder.push(chunk);
                while let Ok(Some(_)) = decoder.next_packet() {}
            }
        }
    }

    #[test]
    fn lengths_that_git_does_not_use_are_refused() {
        for stream in ["0003", "fff1", "zzzz", "+004", "<htm"] {
            let mut decoder = Decoder::default();
            decoder.push(Bytes::from_static(stream.as_bytes()));
            assert!(matches!(decoder.next_packet(), Err(ProtocolError::PacketLength(_))), "{stream}");
        }
    }

    #[test]
    fn a_packet_in_one_chunk_is_not_copied() {
        let chunk = Bytes::from(packet(b"hello"));
        let mut decoder = Decoder::default();
        decoder.push(chunk.clone());
        let Ok(Some(Packet::Data(data))) = decoder.next_packet() else { panic!() };
        assert_eq!(data.as_ptr(), chunk[4..].as_ptr());
    }
}
