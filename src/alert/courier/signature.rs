//! How receivers tell that a message is ours: HMAC-SHA256 over the bytes of its body.

use ring::hmac;

use crate::model::hex;

/// The value of the header: `sha256=` and hexadecimal digits.
pub(super) fn of(key: &[u8], body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    format!("sha256={}", hex::encode(hmac::sign(&key, body).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        assert_eq!(
            of(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
