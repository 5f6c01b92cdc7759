//! Keys and signatures of SSH.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use sha2::{Digest, Sha256, Sha512};

use super::SignatureError;
use super::wire::{Reader, write_string};

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";

/// What git's signatures are made for.
const NAMESPACE: &[u8] = b"git";

/// A longer signature is none.
const LONGEST: usize = 16 << 10;

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey(Vec<u8>);

/// A signature as a commit carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSignature {
    key: SshKey,
    hash: Hash,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl SshKey {
    /// Takes a key as it stands in files: its type, and the rest in base64.
    pub fn new(kind: &str, encoded: &str) -> Option<Self> {
        let key = Self(STANDARD.decode(encoded).ok()?);
        (key.kind() == Some(kind.as_bytes())).then_some(key)
    }

    fn kind(&self) -> Option<&[u8]> {
        Reader(&self.0).string()
    }

    /// The fingerprint, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.0)))
    }
}

impl SshSignature {
    /// Reads the text that a commit carries as its signature.
    pub fn parse(armored: &[u8]) -> Result<Self, SignatureError> {
        let malformed = |what| SignatureError::Malformed { what };
        if armored.len() > LONGEST {
            return Err(malformed("it is too long"));
        }
        let text = std::str::from_utf8(armored).map_err(|_| malformed("it is not text"))?.trim();
        for (begin, kind) in [("-----BEGIN PGP ", "an OpenPGP one"), ("-----BEGIN SIGNED MESSAGE-----", "an X.509 one")]
        {
            if text.starts_with(begin) {
                return Err(SignatureError::Kind { kind });
            }
        }
        let body = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
        let body: String = body.ok_or(malformed("it is not in armor"))?.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(body).map_err(|_| malformed("it is not base64"))?;
        Self::read(&bytes).ok_or(malformed("its fields are wrong"))?
    }

    fn read(bytes: &[u8]) -> Option<Result<Self, SignatureError>> {
        let mut reader = Reader(bytes);
        if reader.bytes(MAGIC.len())? != MAGIC || reader.number()? != 1 {
            return None;
        }
        let key = SshKey(reader.string()?.to_vec());
        let namespace = reader.string()?;
        let _reserved = reader.string()?;
        let hash = match reader.string()? {
            b"sha256" => Hash::Sha256,
            b"sha512" => Hash::Sha512,
            _ => return None,
        };
        let mut signature = Reader(reader.string()?);
        if !reader.is_empty() {
            return None;
        }
        if namespace != NAMESPACE {
            return Some(Err(SignatureError::Namespace { namespace: shorten(namespace) }));
        }
        let (algorithm, rest) = (signature.string()?.to_vec(), signature.string()?.to_vec());
        // Keys on hardware put more behind it.
        signature.is_empty().then_some(Ok(Self { key, hash, algorithm, signature: rest }))
    }

    /// The key that made it, as it says itself.
    pub const fn key(&self) -> &SshKey {
        &self.key
    }

    /// Whether its key made it for these bytes.
    pub fn verify(&self, payload: &[u8]) -> Result<(), SignatureError> {
        let mut signed = MAGIC.to_vec();
        write_string(&mut signed, NAMESPACE);
        write_string(&mut signed, b"");
        match self.hash {
            Hash::Sha256 => {
                write_string(&mut signed, b"sha256");
                write_string(&mut signed, &Sha256::digest(payload));
            }
            Hash::Sha512 => {
                write_string(&mut signed, b"sha512");
                write_string(&mut signed, &Sha512::digest(payload));
            }
        }
        let mut reader = Reader(&self.key.0);
        let kind = reader.string().unwrap_or_default();
        let fits = match (kind, self.algorithm.as_slice()) {
            (b"ssh-ed25519", b"ssh-ed25519") => reader
                .string()
                .filter(|_| reader.is_empty())
                .is_some_and(|key| UnparsedPublicKey::new(&ED25519, key).verify(&signed, &self.signature).is_ok()),
            (b"ssh-rsa", b"rsa-sha2-256") => self.rsa(reader, &RSA_PKCS1_2048_8192_SHA256, &signed),
            (b"ssh-rsa", b"rsa-sha2-512") => self.rsa(reader, &RSA_PKCS1_2048_8192_SHA512, &signed),
            (b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256") => {
                let (point, fixed) = (point(reader, b"nistp256"), self.fixed(32));
                let key = point.map(|point| UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point));
                key.zip(fixed).is_some_and(|(key, fixed)| key.verify(&signed, &fixed).is_ok())
            }
            (b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384") => {
                let (point, fixed) = (point(reader, b"nistp384"), self.fixed(48));
                let key = point.map(|point| UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point));
                key.zip(fixed).is_some_and(|(key, fixed)| key.verify(&signed, &fixed).is_ok())
            }
            (b"ssh-ed25519" | b"ssh-rsa" | b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384", other) => {
                return Err(SignatureError::KeyType { name: shorten(other) });
            }
            (other, _) => return Err(SignatureError::KeyType { name: shorten(other) }),
        };
        if fits { Ok(()) } else { Err(SignatureError::Forged) }
    }

    fn rsa(&self, mut key: Reader<'_>, with: &'static ring::signature::RsaParameters, signed: &[u8]) -> bool {
        let (Some(e), Some(n)) = (key.magnitude(), key.magnitude()) else { return false };
        // The number may be written without its leading zeros.
        let mut signature = vec![0; n.len().saturating_sub(self.signature.len())];
        signature.extend_from_slice(&self.signature);
        key.is_empty() && RsaPublicKeyComponents { n, e }.verify(with, signed, &signature).is_ok()
    }

    /// The two numbers of an ECDSA signature, each in so many bytes.
    fn fixed(&self, width: usize) -> Option<Vec<u8>> {
        let mut reader = Reader(&self.signature);
        let mut fixed = Vec::with_capacity(2 * width);
        for _ in 0..2 {
            let number = reader.magnitude()?;
            fixed.resize(fixed.len() + width.checked_sub(number.len())?, 0);
            fixed.extend_from_slice(number);
        }
        reader.is_empty().then_some(fixed)
    }
}

fn point<'a>(mut key: Reader<'a>, curve: &[u8]) -> Option<&'a [u8]> {
    let named = key.string()?;
    let point = key.string()?;
    (named == curve && key.is_empty()).then_some(point)
}

/// What a signature says about itself, short enough for a message.
fn shorten(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(60).collect()
}
