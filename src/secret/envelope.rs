//! Secrets of the file: an envelope inside age that names the one server and account it is for.
//!
//! The plain text is `{"v":1,"kind":"token","for":"https://…","account":"…","secret":"…"}`.

use std::borrow::Cow;
use std::io::{Read, Write};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret, SecretString};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::error::SecretError;
use super::identity::Identities;
use super::stream::PublicKeys;
use crate::model::{AccountName, PublicKey, Sealed, SecretKind};

const VERSION: u32 = 1;

/// Longer plain text is not an envelope.
const LONGEST_PLAIN: usize = 64 * 1024;

/// Longer text is not a sealed envelope.
const LONGEST_SEALED: usize = 1024 * 1024;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// A secret with the only use that may be made of it.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// What it is.
    pub kind: SecretKind,
    /// The server it may be sent to, as [`crate::model::BaseUrl::origin`] writes it.
    pub origin: String,
    /// The account it belongs to.
    pub account: AccountName,
    /// The token or password.
    pub secret: SecretString,
}

/// The use that is about to be made of a sealed value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// What it is needed as.
    pub kind: SecretKind,
    /// The server it would be sent to, as [`crate::model::BaseUrl::origin`] writes it.
    pub origin: String,
    /// The account it would be used for.
    pub account: AccountName,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    v: u32,
    kind: SecretKind,
    #[serde(rename = "for", borrow)]
    origin: Cow<'a, str>,
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(borrow)]
    secret: Cow<'a, str>,
}

impl Drop for Wire<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(secret) = &mut self.secret {
            secret.zeroize();
        }
    }
}

/// Seals an envelope to `keys`, as ASCII armor without a final line break.
pub fn seal(envelope: &Envelope, keys: &[PublicKey]) -> Result<Sealed, SecretError> {
    let failed = |source: super::error::Cause| SecretError::Seal { source };
    let keys = PublicKeys::parse(keys)?;
    let secret = envelope.secret.expose_secret();
    check(secret)?;
    let wire = Wire {
        v: VERSION,
        kind: envelope.kind,
        origin: Cow::Borrowed(&envelope.origin),
        account: Cow::Borrowed(envelope.account.as_str()),
        secret: Cow::Borrowed(secret),
    };
    // Room for all of it at once: a buffer that grows leaves copies of the secret behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(2 * LONGEST_PLAIN));
    serde_json::to_writer(&mut *plain, &wire).map_err(|error| failed(error.into()))?;
    if plain.len() > LONGEST_PLAIN {
        return Err(SecretError::UnusableSecret { reason: "is longer than 64 KiB" });
    }
    armored(&plain, &keys).map_err(failed)
}

fn armored(plain: &[u8], keys: &PublicKeys) -> Result<Sealed, super::error::Cause> {
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut writer = keys.encryptor()?.wrap_output(armor)?;
    writer.write_all(plain)?;
    let armor = String::from_utf8(writer.finish()?.finish()?).expect("armor is ASCII");
    Ok(Sealed::new(armor.trim_end()))
}

/// Seals what is in a sealed value to other keys. The envelope stays as it is, with the one use that it allows, and
/// the secret does not leave this function.
pub fn reseal(sealed: &Sealed, identities: &Identities, keys: &[PublicKey]) -> Result<Sealed, SecretError> {
    let keys = PublicKeys::parse(keys)?;
    let plain = opened(sealed, identities)?;
    let _envelope = envelope(&plain)?;
    armored(&plain, &keys).map_err(|source| SecretError::Seal { source })
}

/// Opens a sealed value for the use that is expected, and for no other.
///
/// Takes ASCII armor, with any indentation and line endings, and base64 of the binary form.
pub fn open(sealed: &Sealed, identities: &Identities, expected: &Expected) -> Result<SecretString, SecretError> {
    let plain = opened(sealed, identities)?;
    let wire = envelope(&plain)?;
    if wire.kind != expected.kind || wire.origin != expected.origin || wire.account != expected.account.as_str() {
        return Err(SecretError::Context {
            sealed_kind: wire.kind,
            sealed_origin: wire.origin.to_string(),
            sealed_account: wire.account.to_string(),
            kind: expected.kind,
            origin: expected.origin.clone(),
            account: expected.account.to_string(),
        });
    }
    check(&wire.secret)?;
    Ok(SecretString::from(&*wire.secret))
}

/// Whether two sealed values have the same inside: the secret, and what it is for. `None` if not both can be opened.
pub fn same_content(one: &Sealed, other: &Sealed, identities: &Identities) -> Option<bool> {
    let (one, other) = (opened(one, identities).ok()?, opened(other, identities).ok()?);
    Some(*one == *other)
}

/// The plain text in a sealed value.
fn opened(sealed: &Sealed, identities: &Identities) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mut plain = Zeroizing::new(Vec::with_capacity(LONGEST_PLAIN + 1));
    let bytes = binary(sealed)?;
    identities
        .opening(&bytes[..])?
        .take(LONGEST_PLAIN as u64 + 1)
        .read_to_end(&mut plain)
        .map_err(|error| SecretError::Damaged { source: error.into() })?;
    if plain.len() > LONGEST_PLAIN {
        return Err(SecretError::NotAnEnvelope { reason: "its plain text is longer than 64 KiB" });
    }
    Ok(plain)
}

fn envelope(plain: &[u8]) -> Result<Wire<'_>, SecretError> {
    // The parser's own message is left out: it can repeat what it read.
    let wire: Wire<'_> = serde_json::from_slice(plain)
        .map_err(|_| SecretError::NotAnEnvelope { reason: "its plain text is not an envelope of xopero" })?;
    if wire.v != VERSION {
        return Err(SecretError::NotAnEnvelope { reason: "its version is not 1; it may need a newer xopero" });
    }
    Ok(wire)
}

/// A secret travels in an HTTP header, which has one line.
fn check(secret: &str) -> Result<(), SecretError> {
    if secret.is_empty() {
        return Err(SecretError::UnusableSecret { reason: "is empty" });
    }
    if secret.len() > LONGEST_PLAIN {
        return Err(SecretError::UnusableSecret { reason: "is longer than 64 KiB" });
    }
    if secret.chars().any(char::is_control) {
        return Err(SecretError::UnusableSecret { reason: "contains a line break or another control character" });
    }
    Ok(())
}

fn binary(sealed: &Sealed) -> Result<Vec<u8>, SecretError> {
    let text = sealed.as_str();
    if text.len() > LONGEST_SEALED {
        return Err(SecretError::NotSealed);
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.first() == Some(&BEGIN) {
        let armor = lines.join("\n") + "\n";
        let mut bytes = Vec::new();
        ArmoredReader::new(armor.as_bytes())
            .read_to_end(&mut bytes)
            .map_err(|error| SecretError::Damaged { source: error.into() })?;
        return Ok(bytes);
    }
    let bytes = BASE64_STANDARD.decode(lines.concat()).map_err(|_| SecretError::NotSealed)?;
    if bytes.starts_with(b"age-encryption.org/") { Ok(bytes) } else { Err(SecretError::NotSealed) }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::{identities, pair};
    use super::*;

    const SECRET: &str = "BBDC-\"quoted\\secret\"-ü";

    fn account(name: &str) -> AccountName {
        AccountName::new(name).unwrap()
    }

    fn envelope() -> Envelope {
        Envelope {
            kind: SecretKind::Token,
            origin: "https://bb.example.com/bitbucket".into(),
            account: account("svc-backup"),
            secret: SecretString::from(SECRET),
        }
    }

    fn expected() -> Expected {
        let Envelope { kind, origin, account, secret: _ } = envelope();
        Expected { kind, origin, account }
    }

    #[test]
    fn every_written_form_opens() {
        let (text, key) = pair();
        let identities = identities(&text);
        let sealed = seal(&envelope(), &[pair().1, key]).unwrap();
        let armor = sealed.as_str().to_owned();
        let one_line = BASE64_STANDARD.encode(binary(&sealed).unwrap());
        let indented = format!("\n  \t{}\n\n", armor.replace('\n', "\n    "));
        for form in [armor.clone(), armor.replace('\n', "\r\n"), indented, one_line] {
            let opened = open(&Sealed::new(form), &identities, &expected()).unwrap();
            assert_eq!(opened.expose_secret(), SECRET);
        }
    }

    #[test]
    fn what_is_sealed_again_opens_for_the_new_keys_and_for_the_same_use_only() {
        let ((old_text, old), (new_text, new)) = (pair(), pair());
        let sealed = seal(&envelope(), &[old]).unwrap();
        let again = reseal(&sealed, &identities(&old_text), std::slice::from_ref(&new)).unwrap();
        assert_eq!(open(&again, &identities(&new_text), &expected()).unwrap().expose_secret(), SECRET);
        assert!(matches!(open(&again, &identities(&old_text), &expected()), Err(SecretError::NoMatchingKey)));
        let elsewhere = Expected { origin: "https://evil.example.com".into(), ..expected() };
        assert!(matches!(open(&again, &identities(&new_text), &elsewhere), Err(SecretError::Context { .. })));
        assert!(matches!(reseal(&sealed, &identities(&new_text), &[new]), Err(SecretError::NoMatchingKey)));
        assert!(matches!(reseal(&sealed, &identities(&old_text), &[]), Err(SecretError::NoRecipients)));
        let (text, key) = pair();
        let foreign = reseal(&seal_text("BBDC-naked", key.clone()), &identities(&text), &[key]);
        assert!(matches!(foreign, Err(SecretError::NotAnEnvelope { .. })));
    }

    #[test]
    fn the_plain_text_is_canonical() {
        let (text, key) = pair();
        let sealed = seal(&Envelope { secret: SecretString::from("t"), ..envelope() }, &[key]).unwrap();
        let mut plain = String::new();
        identities(&text).opening(&binary(&sealed).unwrap()[..]).unwrap().read_to_string(&mut plain).unwrap();
        assert_eq!(
            plain,
            r#"{"v":1,"kind":"token","for":"https://bb.example.com/bitbucket","account":"svc-backup","secret":"t"}"#
        );
    }

    #[test]
    fn another_use_is_refused_without_telling_the_secret() {
        let (text, key) = pair();
        let sealed = seal(&envelope(), &[key]).unwrap();
        let uses = [
            Expected { origin: "https://evil.example.com".into(), ..expected() },
            Expected { origin: "https://bb.example.com".into(), ..expected() },
            Expected { account: account("admin"), ..expected() },
            Expected { kind: SecretKind::Password, ..expected() },
        ];
        for other in uses {
            let error = open(&sealed, &identities(&text), &other).unwrap_err();
            assert!(matches!(error, SecretError::Context { .. }));
            let shown = format!("{error} {error:?} {:?}", error.hint());
            assert!(shown.contains("https://bb.example.com/bitbucket") && shown.contains(&other.origin), "{shown}");
            assert!(!shown.contains("BBDC"), "{shown}");
        }
    }

    fn seal_text(plain: &str, key: PublicKey) -> Sealed {
        let mut writer = PublicKeys::parse(&[key]).unwrap().sealing(Vec::new()).unwrap();
        writer.write_all(plain.as_bytes()).unwrap();
        Sealed::new(BASE64_STANDARD.encode(writer.finish().unwrap()))
    }

    #[test]
    fn what_is_not_an_envelope_is_refused_without_telling_its_text() {
        let (text, key) = pair();
        let long = "x".repeat(LONGEST_PLAIN + 1);
        let plains = [
            "BBDC-naked",
            r#"{"v":2,"kind":"token","for":"a","account":"BBDC","secret":"BBDC"}"#,
            r#"{"v":1,"kind":"BBDC","for":"a","account":"b","secret":"c"}"#,
            r#"{"v":1,"kind":"token","for":"a","account":"b","secret":"c","BBDC":1}"#,
            &long,
        ];
        for plain in plains {
            let error = open(&seal_text(plain, key.clone()), &identities(&text), &expected()).unwrap_err();
            assert!(matches!(error, SecretError::NotAnEnvelope { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("BBDC"));
        }
    }

    #[test]
    fn unusable_values_are_named() {
        let (text, key) = pair();
        let identities = identities(&text);
        for form in ["", "hello", "aGVsbG8=", &"A".repeat(LONGEST_SEALED + 1)] {
            assert!(matches!(open(&Sealed::new(form), &identities, &expected()), Err(SecretError::NotSealed)));
        }
        let armor = seal(&envelope(), std::slice::from_ref(&key)).unwrap();
        let cut = armor.as_str().lines().take(4).collect::<Vec<_>>().join("\n");
        assert!(matches!(open(&Sealed::new(cut), &identities, &expected()), Err(SecretError::Damaged { .. })));
        assert!(matches!(
            open(&armor, &super::super::identity::tests::identities(&pair().0), &expected()),
            Err(SecretError::NoMatchingKey)
        ));
        for secret in ["", "two\nlines"] {
            let envelope = Envelope { secret: SecretString::from(secret), ..envelope() };
            let result = seal(&envelope, std::slice::from_ref(&key));
            assert!(matches!(result, Err(SecretError::UnusableSecret { .. })));
        }
        assert!(matches!(seal(&envelope(), &[]), Err(SecretError::NoRecipients)));
    }
}
