//! Whether a text is an age X25519 public key: the checksum tells a typing error from a key.

const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];

/// `age1`, 52 characters for 32 bytes, 6 of checksum.
const LENGTH: usize = 4 + 52 + 6;

/// What is wrong with a key that begins with `age1`, if something is.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    if text.len() != LENGTH {
        return Err("an age public key (X25519) has 62 characters; other kinds are not supported");
    }
    let data = text.strip_prefix("age1").ok_or("an age public key begins with `age1`")?;
    let mut values = vec![3, 3, 3, 0, 1, 7, 5]; // "age", spread as bech32 does: high bits, 0, low bits
    for byte in data.bytes() {
        let value = ALPHABET.iter().position(|letter| *letter == byte);
        let value = value.and_then(|value| u32::try_from(value).ok());
        values.push(value.ok_or("it contains a character that no age key has")?);
    }
    if polymod(&values) == 1 { Ok(()) } else { Err("its checksum is wrong: a character was changed") }
}

fn polymod(values: &[u32]) -> u32 {
    values.iter().fold(1u32, |sum, value| {
        let top = sum >> 25;
        let mixed = (sum & 0x01ff_ffff) << 5 ^ value;
        GENERATOR.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1).fold(mixed, |sum, (_, term)| sum ^ term)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn every_single_change_is_found() {
        assert_eq!(check(KEY), Ok(()));
        for at in 4..KEY.len() {
            for letter in ALPHABET.iter().map(|byte| char::from(*byte)).filter(|c| KEY[at..=at] != c.to_string()) {
                let mut changed = KEY.to_owned();
                changed.replace_range(at..=at, &letter.to_string());
                assert!(check(&changed).is_err(), "{changed}");
            }
        }
        assert!(check("age1short").is_err());
        assert!(check(&KEY.replace("age1", "agf1")).is_err());
    }
}
