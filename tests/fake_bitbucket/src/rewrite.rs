//! Spoils the body of an answer while it flows.

use bytes::Bytes;

use crate::fault::Action;
use crate::gate::Gate;
use crate::packet::{Packets, band_packet, packet};

/// What to do after the bytes a step gave.
#[derive(Debug)]
pub(crate) enum Then {
    /// Go on.
    Go,
    /// Wait at the gate, then send these bytes and go on.
    Hold(Gate, Bytes),
    /// End the body properly.
    End,
    /// Break the connection.
    Break,
}

/// Changes a body chunk by chunk; keeps no more than one packet.
#[derive(Debug)]
pub(crate) struct Rewrite {
    action: Action,
    passed: u64,
    packets: Packets,
    held: Option<Vec<u8>>,
}

impl Rewrite {
    /// A rewrite for the actions that change a body; nothing for the others.
    pub(crate) fn new(action: Action) -> Option<Self> {
        match action {
            Action::Hold { .. }
            | Action::CloseAfter(_)
            | Action::ResetAfter(_)
            | Action::TruncateAfter(_)
            | Action::FlipByte(_)
            | Action::SidebandError { .. }
            | Action::CorruptPackTrailer
            | Action::ShallowInfo(_) => Some(Self { action, passed: 0, packets: Packets::default(), held: None }),
            Action::Answer { .. }
            | Action::LoginPage
            | Action::Redirect { .. }
            | Action::Hang(_)
            | Action::Run(_)
            | Action::ReplaceBody(_)
            | Action::ErrPacket(_) => None,
        }
    }

    /// Whether breaking means a reset.
    pub(crate) fn resets(&self) -> bool {
        matches!(self.action, Action::ResetAfter(_))
    }

    /// Takes a chunk and gives what to send instead.
    pub(crate) fn step(&mut self, chunk: Bytes) -> (Bytes, Then) {
        match self.action.clone() {
            Action::Hold { after, gate } => match self.split(after, chunk) {
                (chunk, None) => (chunk, Then::Go),
                (before, Some(rest)) => {
                    self.action = Action::Hold { after: u64::MAX, gate: gate.clone() };
                    (before, Then::Hold(gate, rest))
                }
            },
            Action::CloseAfter(after) | Action::ResetAfter(after) => {
                let (before, rest) = self.split(after, chunk);
                (before, rest.map_or(Then::Go, |_| Then::Break))
            }
            Action::TruncateAfter(after) => {
                let (before, rest) = self.split(after, chunk);
                (before, rest.map_or(Then::Go, |_| Then::End))
            }
            Action::FlipByte(place) => (self.flip(place, chunk), Then::Go),
            _ => self.step_packets(&chunk),
        }
    }

    /// Called at the end of the body.
    pub(crate) fn finish(&mut self) -> (Bytes, Then) {
        let mut rest = self.held.take().unwrap_or_default();
        rest.extend(self.packets.rest());
        let then = match self.action {
            Action::CloseAfter(_) | Action::ResetAfter(_) => Then::Break,
            _ => Then::End,
        };
        (rest.into(), then)
    }

    /// Splits a chunk where the limit is; there is a second part from the limit on, possibly empty.
    fn split(&mut self, limit: u64, mut chunk: Bytes) -> (Bytes, Option<Bytes>) {
        let room = limit.saturating_sub(self.passed);
        self.passed += chunk.len() as u64;
        match usize::try_from(room) {
            Ok(room) if room <= chunk.len() => {
                let rest = chunk.split_off(room);
                (chunk, Some(rest))
            }
            _ => (chunk, None),
        }
    }

    fn flip(&mut self, place: u64, chunk: Bytes) -> Bytes {
        let start = self.passed;
        self.passed += chunk.len() as u64;
        if !(start..self.passed).contains(&place) {
            return chunk;
        }
        let mut bytes = chunk.to_vec();
        let inside = usize::try_from(place - start).expect("the place is inside the chunk");
        bytes[inside] ^= 0xff;
        bytes.into()
    }

    fn step_packets(&mut self, chunk: &[u8]) -> (Bytes, Then) {
        self.packets.push(chunk);
        let mut out = Vec::with_capacity(chunk.len());
        while let Some(next) = self.packets.next() {
            if self.take_packet(next, &mut out) {
                return (out.into(), Then::End);
            }
        }
        (out.into(), Then::Go)
    }

    /// Handles one packet; gives true when the body ends with it.
    fn take_packet(&mut self, next: Vec<u8>, out: &mut Vec<u8>) -> bool {
        let is_pack = next.get(4) == Some(&1);
        match &self.action {
            Action::SidebandError { after, text } if is_pack => {
                let data = &next[5..];
                let room = usize::try_from(after.saturating_sub(self.passed)).unwrap_or(usize::MAX);
                self.passed += data.len() as u64;
                if room > data.len() {
                    out.extend(next);
                    return false;
                }
                if room > 0 {
                    out.extend(band_packet(1, &data[..room]));
                }
                out.extend(band_packet(3, text));
                return true;
            }
            Action::CorruptPackTrailer if is_pack => {
                out.extend(self.held.replace(next).unwrap_or_default());
                return false;
            }
            Action::CorruptPackTrailer if next == b"0000" => {
                if let Some(mut last) = self.held.take() {
                    if let Some(byte) = last.last_mut() {
                        *byte ^= 0xff;
                    }
                    out.extend(last);
                }
            }
            Action::ShallowInfo(oids) if next.get(4..) == Some(b"packfile\n") => {
                out.extend(packet(b"shallow-info\n"));
                for oid in oids {
                    out.extend(packet(format!("shallow {oid}").as_bytes()));
                }
                out.extend_from_slice(b"0001");
            }
            _ => {}
        }
        out.extend(next);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(action: Action, chunks: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut rewrite = Rewrite::new(action).expect("the action is for bodies");
        let mut out = Vec::new();
        for chunk in chunks {
            let (bytes, then) = rewrite.step(Bytes::copy_from_slice(chunk));
            out.extend(bytes);
            match then {
                Then::Go => {}
                Then::Hold(_, rest) => out.extend(rest),
                Then::End => return (out, true),
                Then::Break => return (out, false),
            }
        }
        let (bytes, then) = rewrite.finish();
        out.extend(bytes);
        (out, matches!(then, Then::End))
    }

    #[test]
    fn bytes_are_cut_and_flipped_across_chunks() {
        let chunks: [&[u8]; 2] = [b"abc", b"def"];
        assert_eq!(all(Action::TruncateAfter(4), &chunks), (b"abcd".to_vec(), true));
        assert_eq!(all(Action::CloseAfter(3), &chunks), (b"abc".to_vec(), false));
        assert_eq!(all(Action::CloseAfter(9), &chunks), (b"abcdef".to_vec(), false));
        assert_eq!(all(Action::FlipByte(4), &chunks), (b"abcd\x9af".to_vec(), true));
    }

    #[test]
    fn a_held_body_loses_nothing() {
        let gate = Gate::new();
        let hold = Action::Hold { after: 2, gate };
        assert_eq!(all(hold, &[b"abc", b"def"]), (b"abcdef".to_vec(), true));
    }

    #[test]
    fn the_pack_is_spoiled_and_the_rest_is_not() {
        let body: &[u8] = b"000dpackfile\n0009\x01PACK0007\x01xy0000";
        let error = Action::SidebandError { after: 5, text: b"\x1b[2J".to_vec() };
        let spoiled = b"000dpackfile\n0009\x01PACK0006\x01x0009\x03\x1b[2J";
        assert_eq!(all(error, &[body]), (spoiled.to_vec(), true));
        let spoiled = b"000dpackfile\n0009\x01PACK0007\x01x\x860000";
        assert_eq!(all(Action::CorruptPackTrailer, &[body]), (spoiled.to_vec(), true));
        let shallow = Action::ShallowInfo(vec!["ab".into()]);
        let spoiled = b"0011shallow-info\n000eshallow ab0001000dpackfile\n0009\x01PACK0007\x01xy0000";
        assert_eq!(all(shallow, &[body]), (spoiled.to_vec(), true));
    }
}
