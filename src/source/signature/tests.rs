//! What `ssh-keygen` signed, and what somebody made of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha512};

use super::wire::write_string;
use super::{AllowedSigners, SignatureError, SignersError};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/signatures/", $name))
    };
}

const PAYLOAD: &str = fixture!("payload");

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn signers(text: &str) -> AllowedSigners {
    AllowedSigners::parse(text, &TimeZone::UTC).unwrap()
}

fn check<'a>(list: &'a AllowedSigners, signature: &str) -> Result<&'a str, SignatureError> {
    list.check(PAYLOAD.as_bytes(), signature.as_bytes(), at("2026-11-22T12:00:00Z"))
}

/// A key that tests sign with.
pub(in crate::source) struct TestKey(Ed25519KeyPair);

impl TestKey {
    pub(in crate::source) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        write_string(&mut blob, b"ssh-ed25519");
        write_string(&mut blob, self.0.public_key().as_ref());
        blob
    }

    /// Its line in a list of allowed signers.
    pub(in crate::source) fn line(&self, before: &str) -> String {
        format!("{before} ssh-ed25519 {}\n", STANDARD.encode(self.blob()))
    }

    /// What git would put into a commit.
    pub(in crate::source) fn sign(&self, payload: &[u8]) -> String {
        let fields = |last: &[u8]| {
            let mut fields = Vec::new();
            for field in [&b"git"[..], b"", b"sha512", last] {
                write_string(&mut fields, field);
            }
            fields
        };
        let signed = [&b"SSHSIG"[..], &fields(&Sha512::digest(payload))].concat();
        let mut signature = Vec::new();
        write_string(&mut signature, b"ssh-ed25519");
        write_string(&mut signature, self.0.sign(&signed).as_ref());
        let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
        write_string(&mut blob, &self.blob());
        blob.extend_from_slice(&fields(&signature));
        let lines = STANDARD.encode(blob);
        let lines: Vec<&str> = lines.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----", lines.join("\n"))
    }
}

#[test]
fn what_ssh_keygen_signed_is_signed() {
    let list = signers(fixture!("allowed_signers"));
    for (signature, principals) in [
        (fixture!("ed25519.sig"), "ed25519@example.com"),
        (fixture!("sha256.sig"), "ed25519@example.com"),
        (fixture!("rsa.sig"), "rsa@example.com"),
        (fixture!("p256.sig"), "p256@example.com"),
        (fixture!("p384.sig"), "p384@example.com"),
    ] {
        assert_eq!(check(&list, signature), Ok(principals));
        let other = list.check(b"something else", signature.as_bytes(), at("2026-11-22T12:00:00Z"));
        assert_eq!(other, Err(SignatureError::Forged), "{principals}");
    }
}

#[test]
fn every_way_not_to_be_signed_has_its_name() {
    let list = signers(fixture!("allowed_signers"));
    let refused = |signature: &str| check(&list, signature).unwrap_err();
    assert_eq!(refused(fixture!("file.sig")), SignatureError::Namespace { namespace: "file".into() });
    assert_eq!(refused(fixture!("p521.sig")), SignatureError::KeyType { name: "ecdsa-sha2-nistp521".into() });
    assert!(matches!(refused("-----BEGIN PGP SIGNATURE-----\n\nx"), SignatureError::Kind { .. }));
    assert!(matches!(refused(""), SignatureError::Malformed { .. }));
    assert!(matches!(refused(&"x".repeat(20_000)), SignatureError::Malformed { .. }));
    let stranger = TestKey::new(9).sign(PAYLOAD.as_bytes());
    let SignatureError::UnknownKey { fingerprint } = refused(&stranger) else { panic!() };
    assert!(fingerprint.starts_with("SHA256:") && fingerprint.len() == 50, "{fingerprint}");
    // Somebody else's signature under an allowed key.
    let forged = TestKey::new(9).sign(b"another payload");
    let list = signers(&TestKey::new(9).line("me"));
    assert_eq!(check(&list, &forged), Err(SignatureError::Forged));
}

#[test]
fn keys_count_for_git_and_in_their_time() {
    let key = TestKey::new(1);
    let signature = key.sign(PAYLOAD.as_bytes());
    let refused = |options: &str| match check(&signers(&key.line(options)), &signature) {
        Ok(principals) => panic!("{principals}"),
        Err(SignatureError::NotValid { why, .. }) => why,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(refused("me namespaces=\"file,e*\""), "may not sign for git");
    assert_eq!(refused("me namespaces=\"*,!git\""), "may not sign for git");
    assert_eq!(refused("me valid-after=\"20261122120001Z\""), "was not valid yet when the commit was made");
    assert_eq!(refused("me valid-before=\"20261122Z\""), "was not valid any more when the commit was made");
    for options in [
        "me",
        "\"me, you\" namespaces=\"file,g?t\"",
        "me Namespaces=\"git\",valid-after=\"202611221200Z\",valid-before=\"20261122120001Z\"",
        "me valid-after=\"20261122\"",
    ] {
        check(&signers(&key.line(options)), &signature).unwrap();
    }
    // Of several lines with the key, one that counts is enough.
    let both = key.line("old valid-before=20200101") + &key.line("new");
    assert_eq!(check(&signers(&both), &signature), Ok("new"));
    let zone = TimeZone::get("Europe/Warsaw").unwrap();
    let list = AllowedSigners::parse(&key.line("me valid-after=202611221300"), &zone).unwrap();
    check(&list, &signature).unwrap();
}

#[test]
fn a_list_that_cannot_be_read_is_none() {
    let key = TestKey::new(1);
    let refused = |text: &str| AllowedSigners::parse(text, &TimeZone::UTC).unwrap_err();
    assert_eq!(refused("# nobody\n\n").line, 1);
    assert_eq!(refused(&key.line("me cert-authority")).reason, "there is no key in the file");
    for wrong in ["me", "me ssh-ed25519", "me ssh-ed25519 !!", "me ssh-rsa AAAAC3NzaC1lZDI1NTE5", "\"me ssh-ed25519 x"]
    {
        assert_eq!(refused(&format!("# one\n{}{wrong}\n", key.line("me"))).line, 3, "{wrong}");
    }
    for wrong in ["no-such-option", "valid-after=2026", "valid-after=20261301", "valid-before=2026112a"] {
        assert!(matches!(refused(&key.line(&format!("me {wrong}"))), SignersError { line: 1, .. }), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_byte_of_a_signature_can_be_changed(position: usize, bit in 0u8..8) {
        let key = TestKey::new(3);
        let list = signers(&key.line("me"));
        let armored = key.sign(PAYLOAD.as_bytes());
        let body: String = armored.lines().filter(|line| !line.starts_with('-')).collect();
        let mut bytes = STANDARD.decode(body).unwrap();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        let changed = STANDARD.encode(bytes);
        let changed = format!("-----BEGIN SSH SIGNATURE-----\n{changed}\n-----END SSH SIGNATURE-----");
        prop_assert!(check(&list, &changed).is_err());
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a-z\" =,#\\n*!]{0,100}") {
        let list = signers(fixture!("allowed_signers"));
        let begin = b"SSHSIG\0\0\0\x01";
        for blob in [bytes.clone(), [&begin[..], &bytes].concat()] {
            let armored = format!("-----BEGIN SSH SIGNATURE-----{}-----END SSH SIGNATURE-----", STANDARD.encode(blob));
            prop_assert!(check(&list, &armored).is_err());
        }
        let _whatever = AllowedSigners::parse(&text, &TimeZone::UTC);
    }
}
