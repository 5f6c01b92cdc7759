//! Numbers and texts that look random and are the same on every run.

/// A stream of numbers that depends on the seed only (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    state: u64,
}

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream that belongs to a combination of numbers.
    pub(super) fn of(parts: &[u64]) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for part in parts {
            state = Self::new(state ^ part).next();
        }
        Self { state }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Bytes that do not compress.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// One line of about forty bytes of text.
    pub(super) fn line(&mut self) -> String {
        let (first, second) = (self.next(), self.next());
        format!("let value_{first:016x} = {second:016x};\n")
    }
}
