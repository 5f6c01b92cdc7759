//! Secrets in clear text, found by their form. What is found is told by its place and kind, never repeated.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// What a found text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeakKind {
    /// An HTTP access token of Bitbucket Data Center, `BBDC-…`.
    BitbucketToken,
    /// An HTTP access token of an older Bitbucket: base64 of its number and random bytes.
    OlderBitbucketToken,
    /// Something that stands where a token would, and looks as random as one.
    LikelyToken,
    /// A private key of age, `AGE-SECRET-KEY-1…`.
    AgeIdentity,
    /// The id of an access key of AWS, `AKIA…` or `ASIA…`.
    CloudKeyId,
    /// The secret half of an access key of AWS or another S3 store.
    CloudSecretKey,
}

impl LeakKind {
    /// A word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BitbucketToken => "bitbucket-token",
            Self::OlderBitbucketToken => "older-bitbucket-token",
            Self::LikelyToken => "likely-token",
            Self::AgeIdentity => "age-identity",
            Self::CloudKeyId => "cloud-key-id",
            Self::CloudSecretKey => "cloud-secret-key",
        }
    }
}

impl fmt::Display for LeakKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BitbucketToken => "a Bitbucket access token",
            Self::OlderBitbucketToken => "a Bitbucket access token (older form)",
            Self::LikelyToken => "what looks like an access token",
            Self::AgeIdentity => "an age identity (private key)",
            Self::CloudKeyId => "the id of a cloud access key",
            Self::CloudSecretKey => "what looks like a cloud secret key",
        })
    }
}

/// A secret in clear text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// The line, from 1.
    pub line: usize,
    /// The column of its first character, from 1.
    pub column: usize,
    /// What it is.
    pub kind: LeakKind,
}

/// Finds secrets in the bytes of a file, in the order of the file.
pub fn scan(bytes: &[u8]) -> Vec<Leak> {
    let mut found = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        for (at, kind) in in_line(line) {
            let column = String::from_utf8_lossy(&line[..at]).chars().count() + 1;
            found.push(Leak { line: index + 1, column, kind });
        }
    }
    found
}

/// Where in the line each secret begins.
fn in_line(line: &[u8]) -> Vec<(usize, LeakKind)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < line.len() {
        if !in_run(line[at]) {
            at += 1;
            continue;
        }
        let end = line[at..].iter().position(|byte| !in_run(*byte)).map_or(line.len(), |length| at + length);
        let padded = line.get(end) == Some(&b'=') && line.get(end + 1).is_none_or(|next| !in_run(*next));
        if let Some((start, kind)) = in_run_of(&line[at..end], &line[..at], padded) {
            found.push((at + start, kind));
        }
        at = end;
    }
    found
}

/// Characters that keys, tokens and base64 in both alphabets consist of.
const fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

fn in_run_of(run: &[u8], before: &[u8], padded: bool) -> Option<(usize, LeakKind)> {
    let tokens = prefixed(run, b"BBDC-", 40).map(|at| (at, LeakKind::BitbucketToken));
    let identities = || prefixed(run, b"AGE-SECRET-KEY-1", 50).map(|at| (at, LeakKind::AgeIdentity));
    let whole = || {
        let is = |kind| Some((0, kind));
        match run.len() {
            20 if is_key_id(run) => is(LeakKind::CloudKeyId),
            44 if is_older_token(run) => is(LeakKind::OlderBitbucketToken),
            44 if !padded && is_value_of(before, &TOKEN_NAMES) && is_random(run) => is(LeakKind::LikelyToken),
            40 if !padded && is_value_of(before, &SECRET_KEY_NAMES) && is_random(run) => is(LeakKind::CloudSecretKey),
            _ => None,
        }
    };
    tokens.or_else(identities).or_else(whole)
}

/// Where `prefix` begins a text with at least `least` more characters, enough of them different: `BBDC-xxxx…` in a
/// manual is not a token.
fn prefixed(run: &[u8], prefix: &[u8], least: usize) -> Option<usize> {
    let at = run.windows(prefix.len()).position(|window| window.eq_ignore_ascii_case(prefix))?;
    let rest = &run[at + prefix.len()..];
    (rest.len() >= least && different(rest) >= 10).then_some(at)
}

/// The example of AWS's own manual ends with a word that no key has by chance.
fn is_key_id(run: &[u8]) -> bool {
    (run.starts_with(b"AKIA") || run.starts_with(b"ASIA"))
        && run.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && !run.ends_with(b"EXAMPLE")
        && different(run) >= 8
}

/// Base64 of the token's number, `:` and random bytes.
fn is_older_token(run: &[u8]) -> bool {
    let Ok(bytes) = BASE64_STANDARD.decode(run) else { return false };
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (8..=16).contains(&digits) && bytes.get(digits) == Some(&b':')
}

/// How a value is called that is a token.
const TOKEN_NAMES: [&str; 7] = ["token", "password", "passwd", "secret", "bearer", "apikey", "accesskey"];

/// How the secret half of a key is called.
const SECRET_KEY_NAMES: [&str; 2] = ["secretkey", "secretaccesskey"];

/// Whether what stands before a value says that it is one of `names`.
fn is_value_of(before: &[u8], names: &[&str]) -> bool {
    let start = before.len().saturating_sub(64);
    let text = String::from_utf8_lossy(&before[start..]).to_lowercase();
    let name = text.trim_end_matches([' ', '\t', '"', '\'', '`', ':', '=', '>', '(', '[', '{']);
    let word: String = name
        .chars()
        .rev()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let word: String = word.chars().rev().collect();
    name.len() < text.len() && names.iter().any(|name| word.ends_with(name))
}

/// Whether the characters are as mixed as those of a random value: no name, path or digest in hexadecimal is.
fn is_random(run: &[u8]) -> bool {
    let has = |kind: fn(&u8) -> bool| run.iter().any(kind);
    has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && different(run) * 2 >= run.len()
        && !run.ends_with(b"EXAMPLEKEY")
}

fn different(run: &[u8]) -> usize {
    let mut bytes = run.to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::identity::tests::pair;
    use super::super::{Envelope, seal};
    use super::*;
    use crate::model::{AccountName, SecretKind};
    use age::secrecy::{ExposeSecret, SecretString};

    /// No secret stands in this file as a whole: a scan of the sources finds none.
    fn planted() -> Vec<(String, LeakKind)> {
        let number = BASE64_STANDARD
            .encode(b"252973515069:\xf1\x02\xa7\x99\x10\x55\x01\xfe\x3c\x77\x80\x12\xaa\x5b\x6d\xe3\x0f\x91\xc4\xd8");
        let random = ["Zm9vYmFyYmF6", "cXV4MTIzNDU2", "Nzg5MEFCQ0RF", "RkdISktM"].concat();
        assert_eq!((number.len(), random.len()), (44, 44));
        let cloud = ["wJalrXUtnFEMI/K7MDENG", "/bPxRfiCYzzz9q8w7e4t"].concat();
        assert_eq!(cloud[..40].len(), 40);
        vec![
            (format!("token: {}{random}", "BBDC-"), LeakKind::BitbucketToken),
            (format!("curl -H 'Authorization: Bearer {}{random}' x", "bbdc-"), LeakKind::BitbucketToken),
            (format!("https://svc:{number}@bb.example.com/"), LeakKind::OlderBitbucketToken),
            (format!("anything {number}"), LeakKind::OlderBitbucketToken),
            (format!("    token \"{random}\""), LeakKind::LikelyToken),
            (format!("BITBUCKET_TOKEN={random}"), LeakKind::LikelyToken),
            (format!("{{\"apiKey\": \"{random}\"}}"), LeakKind::LikelyToken),
            (pair().0.expose_secret().lines().nth(2).unwrap().to_owned(), LeakKind::AgeIdentity),
            (format!("aws_access_key_id = {}{}", "AKIA", "Q3EGRWX7ZP4NVB2T"), LeakKind::CloudKeyId),
            (format!("secret-key \"{}\"", &cloud[..40]), LeakKind::CloudSecretKey),
            (format!("aws_secret_access_key={}", &cloud[..40]), LeakKind::CloudSecretKey),
        ]
    }

    #[test]
    fn every_kind_is_found_at_its_place() {
        for (line, kind) in planted() {
            let text = format!("first\n\u{fc} {line}\nlast\n");
            let found = scan(text.as_bytes());
            assert_eq!(found.iter().map(|leak| (leak.line, leak.kind)).collect::<Vec<_>>(), [(2, kind)], "{line}");
            let shown: String = text.lines().nth(1).unwrap().chars().skip(found[0].column - 1).take(4).collect();
            assert!(line.contains(&shown) && !shown.contains(['"', ' ', '=']), "{shown}");
            assert_eq!(scan(&line.as_bytes()[..line.len() - 20]), [], "half of it is not one: {line}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_passed_over() {
        for harmless in [
            "BBDC-your-token-here",
            &format!("BBDC-{}", "x".repeat(44)),
            "AGE-SECRET-KEY-1…",
            "AKIAIOSFODNN7EXAMPLE",
            "token 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
            "secret-key: 3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
            "integrity sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "token (age)\"YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==\"",
            "password in src/very/long/path/of/a/module/called/tok",
            "recipient \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"",
            "# public key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "tokenizer YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY3",
        ] {
            assert_eq!(scan(harmless.as_bytes()), [], "{harmless}");
        }
    }

    #[test]
    fn sealed_values_are_never_found() {
        let envelope = Envelope {
            kind: SecretKind::Token,
            origin: "https://bb.example.com".into(),
            account: AccountName::new("svc").unwrap(),
            secret: SecretString::from("s"),
        };
        for _ in 0..50 {
            let sealed = seal(&envelope, &[pair().1]).unwrap();
            let one_line: String = sealed.as_str().lines().filter(|line| !line.starts_with('-')).collect();
            let text = format!("token (age)#\"\"\"\n{}\n\"\"\"#\ntoken (age)\"{one_line}\"\n", sealed.as_str());
            assert_eq!(scan(text.as_bytes()), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            prop_assert!(scan(&bytes).iter().all(|leak| leak.line <= lines && leak.column <= 401));
        }
    }
}
