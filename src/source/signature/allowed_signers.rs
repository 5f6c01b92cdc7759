//! The list of keys that may sign.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::openpgp::{BEGIN_KEY, BEGIN_SIGNATURE, END_KEY, OpenPgpKeys};
use super::{SignatureError, SignersError, SshKey, SshSignature};

/// Keys that may sign commits, each with whose it is.
#[derive(Debug, Clone)]
pub struct AllowedSigners {
    ssh: Vec<Signer>,
    openpgp: Option<OpenPgpKeys>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signer {
    principals: String,
    key: SshKey,
    /// Patterns of what the key may sign; everything without any.
    namespaces: Option<String>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

impl AllowedSigners {
    /// Reads a file in the form of `ssh-keygen`'s ALLOWED SIGNERS. Its times are in `zone` unless they say UTC.
    ///
    /// Lines for authorities that certify keys are skipped: certificates are not supported. Public keys of OpenPGP in
    /// armor stand between the lines; `gpg` takes them into a home of its own.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, SignersError> {
        let mut signers = Vec::new();
        let mut armored = String::new();
        let mut block = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if block.is_some() || line == BEGIN_KEY {
                let first = *block.get_or_insert(index + 1);
                armored.push_str(line);
                armored.push('\n');
                block = (line != END_KEY).then_some(first);
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = signer(line, zone).map_err(|reason| SignersError { line: index + 1, reason })?;
            signers.extend(read);
        }
        if let Some(line) = block {
            return Err(SignersError { line, reason: "the OpenPGP key does not end" });
        }
        if signers.is_empty() && armored.is_empty() {
            return Err(SignersError { line: 1, reason: "there is no key in the file" });
        }
        let first = || text.lines().position(|line| line.trim() == BEGIN_KEY).map_or(1, |index| index + 1);
        let openpgp = (!armored.is_empty()).then(|| OpenPgpKeys::import(&armored)).transpose();
        let openpgp = openpgp.map_err(|reason| SignersError { line: first(), reason })?;
        Ok(Self { ssh: signers, openpgp })
    }

    /// Whose key signed these bytes for git at that time.
    pub fn check(&self, payload: &[u8], armored: &[u8], at: Timestamp) -> Result<&str, SignatureError> {
        if let Some(keys) = self.openpgp.as_ref().filter(|_| armored.starts_with(BEGIN_SIGNATURE.as_bytes())) {
            return keys.check(payload, armored);
        }
        let signature = SshSignature::parse(armored)?;
        let mut refused = SignatureError::UnknownKey { fingerprint: signature.key().fingerprint() };
        for signer in self.ssh.iter().filter(|signer| signer.key == *signature.key()) {
            let Some(why) = signer.refusal(at) else {
                signature.verify(payload)?;
                return Ok(&signer.principals);
            };
            refused = SignatureError::NotValid { principals: signer.principals.clone(), why };
        }
        Err(refused)
    }
}

impl Signer {
    fn refusal(&self, at: Timestamp) -> Option<&'static str> {
        if self.namespaces.as_ref().is_some_and(|patterns| !lists(patterns, "git")) {
            return Some("may not sign for git");
        }
        if self.valid_after.is_some_and(|after| at < after) {
            return Some("was not valid yet when the commit was made");
        }
        if self.valid_before.is_some_and(|before| at >= before) {
            return Some("was not valid any more when the commit was made");
        }
        None
    }
}

/// What a line says about its key besides the key.
#[derive(Default)]
struct Terms {
    authority: bool,
    namespaces: Option<String>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

/// One line: principals, options, type, key, comment. `None` for the key of an authority.
fn signer(line: &str, zone: &TimeZone) -> Result<Option<Signer>, &'static str> {
    const QUOTE: &str = "a quote is not closed";
    let (principals, rest) = word(line).ok_or(QUOTE)?;
    let (mut kind, mut rest) = word(rest).ok_or(QUOTE)?;
    let mut terms = Terms::default();
    if !is_key_type(kind) {
        terms = read_terms(kind, zone)?;
        (kind, rest) = word(rest).ok_or(QUOTE)?;
    }
    let (encoded, _comment) = word(rest).ok_or(QUOTE)?;
    let key = SshKey::new(kind, encoded).ok_or("it does not hold principals, a type of key and a key")?;
    let Terms { authority, namespaces, valid_after, valid_before } = terms;
    let principals = principals.replace('"', "");
    Ok((!authority).then_some(Signer { principals, key, namespaces, valid_after, valid_before }))
}

fn read_terms(text: &str, zone: &TimeZone) -> Result<Terms, &'static str> {
    let mut terms = Terms::default();
    for option in options(text) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value.trim_matches('"');
        match name.to_ascii_lowercase().as_str() {
            "cert-authority" => terms.authority = true,
            "namespaces" => terms.namespaces = Some(value.to_owned()),
            "valid-after" => terms.valid_after = Some(time(value, zone).ok_or("`valid-after` is not a time")?),
            "valid-before" => terms.valid_before = Some(time(value, zone).ok_or("`valid-before` is not a time")?),
            _ => return Err("it has an option that is not known"),
        }
    }
    Ok(terms)
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

/// The first word, in which quotes keep spaces, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Some((&text[..at], &text[at..])),
            _ => {}
        }
    }
    (!quoted).then_some((text, ""))
}

/// Options are parted by commas outside of quotes.
fn options(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.collect()
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with a `Z` behind it for UTC.
fn time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (digits, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, &TimeZone::UTC),
        None => (text, zone),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<i8>().ok());
    let date = Date::new(digits[..4].parse().ok()?, part(4, 6)?, part(6, 8)?).ok()?;
    let time = Time::new(part(8, 10)?, part(10, 12)?, part(12, 14)?, 0).ok()?;
    Some(DateTime::from_parts(date, time).to_zoned(zone.clone()).ok()?.timestamp())
}

/// Whether a list of patterns names `text`: one must fit, and none that begins with `!`.
fn lists(patterns: &str, text: &str) -> bool {
    let mut listed = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => listed |= fits(pattern.as_bytes(), text.as_bytes()),
        }
    }
    listed
}

/// `*` stands for any bytes and `?` for one.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| fits(rest, &text[skipped..])),
        Some((b'?', rest)) => text.split_first().is_some_and(|(_, text)| fits(rest, text)),
        Some((byte, rest)) => text.split_first().is_some_and(|(first, text)| first == byte && fits(rest, text)),
    }
}
