//! Packets of git's wire protocol, as far as faults need them.

/// The longest payload of one packet.
const LONGEST: usize = 65_516;

/// A packet with these bytes in it.
pub(crate) fn packet(payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(LONGEST)];
    let mut packet = format!("{:04x}", payload.len() + 4).into_bytes();
    packet.extend_from_slice(payload);
    packet
}

/// A packet on a side band.
pub(crate) fn band_packet(band: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(LONGEST - 1)];
    packet(&[&[band], payload].concat())
}

/// Cuts a flow of bytes into packets.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    buffer: Vec<u8>,
}

impl Packets {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole packet with its length in front; the special packets have four bytes.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        let digits = self.buffer.get(..4)?;
        let digits = std::str::from_utf8(digits).unwrap_or("0000");
        let length = usize::from_str_radix(digits, 16).unwrap_or(0).max(4);
        if self.buffer.len() < length {
            return None;
        }
        let rest = self.buffer.split_off(length);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// What is left without being a whole packet.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_across_chunks() {
        let mut packets = Packets::default();
        packets.push(b"0008ab");
        assert_eq!(packets.next(), None);
        packets.push(b"cd00000006xy00");
        assert_eq!(packets.next().as_deref(), Some(b"0008abcd".as_slice()));
        assert_eq!(packets.next().as_deref(), Some(b"0000".as_slice()));
        assert_eq!(packets.next().as_deref(), Some(b"0006xy".as_slice()));
        assert_eq!(packets.next(), None);
        assert_eq!(packets.rest(), b"00");
    }

    #[test]
    fn a_band_packet_counts_its_band() {
        assert_eq!(band_packet(3, b"no"), b"0007\x03no");
    }
}
