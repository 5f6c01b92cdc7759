//! OpenPGP signatures, which `gpg` checks.
//!
//! It runs in a home of its own that holds the allowed keys and nothing else: no keyring of the user, no settings, no
//! agent, no network. What counts is what it writes for programs, read strictly: one good signature, valid, by a key that
//! the list of allowed signers has. A key that has expired or was revoked does not count, whenever it signed.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

use super::SignatureError;

/// Where `gpg` may be. The search path of whoever starts xopero does not matter.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than `gpg` has to say.
const LONGEST_ANSWER: u64 = 1 << 20;

/// A longer signature is none.
const LONGEST: usize = 64 << 10;

/// How a public key begins in a file.
pub(super) const BEGIN_KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// How it ends.
pub(super) const END_KEY: &str = "-----END PGP PUBLIC KEY BLOCK-----";
/// How a signature begins.
pub(super) const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// Algorithms of digests that can be forged: MD5, SHA-1 and RIPEMD-160, by their numbers in OpenPGP.
const BROKEN_DIGESTS: [&str; 3] = ["1", "2", "3"];

/// Keys that may sign.
#[derive(Debug, Clone)]
pub(super) struct OpenPgpKeys {
    home: Arc<TempDir>,
    /// Whose they are, by the fingerprints of their primary keys.
    owners: BTreeMap<String, String>,
}

impl OpenPgpKeys {
    /// Takes public keys in armor. Fails with what is wrong.
    pub(super) fn import(keys: &str) -> Result<Self, &'static str> {
        const NO_HOME: &str = "the OpenPGP key cannot be kept in a temporary directory";
        let home = tempfile::Builder::new().prefix("xopero-gpg-").tempdir().map_err(|_| NO_HOME)?;
        let mut file = NamedTempFile::new_in(home.path()).map_err(|_| NO_HOME)?;
        file.write_all(keys.as_bytes()).and_then(|()| file.flush()).map_err(|_| NO_HOME)?;
        let told = |answer: Result<Answer, &'static str>| match answer? {
            Answer { success: true, text } => Ok(text),
            Answer { success: false, .. } => Err("gpg does not take the OpenPGP key"),
        };
        told(gpg(home.path(), &["--import"], &[file.path()]))?;
        let listed = told(gpg(home.path(), &["--with-colons", "--list-keys"], &[]))?;
        let owners = owners(&listed);
        if owners.is_empty() {
            return Err("gpg finds no OpenPGP key in it");
        }
        Ok(Self { home: Arc::new(home), owners })
    }

    /// Whose key made the signature of these bytes.
    pub(super) fn check(&self, payload: &[u8], armored: &[u8]) -> Result<&str, SignatureError> {
        let failed = |what| SignatureError::Malformed { what };
        if armored.len() > LONGEST {
            return Err(failed("it is too long"));
        }
        let file = |bytes: &[u8]| {
            let mut file = NamedTempFile::new_in(self.home.path())?;
            file.write_all(bytes).and_then(|()| file.flush()).map(|()| file)
        };
        let (Ok(signature), Ok(signed)) = (file(armored), file(payload)) else {
            return Err(failed("it cannot be given to gpg: there is no room for temporary files"));
        };
        let arguments = ["--status-fd", "1", "--verify"];
        let answer = gpg(self.home.path(), &arguments, &[signature.path(), signed.path()]).map_err(failed)?;
        let primary = judge(&answer)?;
        self.owners.get(&primary).map(String::as_str).ok_or(SignatureError::UnknownKey { fingerprint: primary })
    }
}

/// What a call ended with.
struct Answer {
    success: bool,
    text: String,
}

/// The fingerprint of the primary key whose signature it is, if everything says that it counts.
fn judge(answer: &Answer) -> Result<String, SignatureError> {
    let malformed = SignatureError::Malformed { what: "gpg does not say that it is good" };
    let told = answer.text.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let told: Vec<Vec<&str>> = told.map(|line| line.split(' ').collect()).collect();
    let all = |keyword: &str| told.iter().filter(|words| words[0] == keyword).collect::<Vec<_>>();
    let owner = |words: &[&str]| words.get(2..).unwrap_or_default().join(" ");
    for (keyword, why) in
        [("REVKEYSIG", "was revoked"), ("EXPKEYSIG", "has expired"), ("EXPSIG", "made it for a time that is over")]
    {
        if let Some(words) = all(keyword).first() {
            return Err(SignatureError::NotValid { principals: owner(words), why });
        }
    }
    if !all("BADSIG").is_empty() {
        return Err(SignatureError::Forged);
    }
    if let Some(words) = all("ERRSIG").first() {
        // The ninth word is "9" if the key is missing.
        let key = words.get(1).copied().unwrap_or_default().to_owned();
        let is_unknown = words.get(6) == Some(&"9");
        return Err(if is_unknown { SignatureError::UnknownKey { fingerprint: key } } else { malformed });
    }
    let (good, valid) = (all("GOODSIG"), all("VALIDSIG"));
    let ([_], [valid], true) = (good.as_slice(), valid.as_slice(), answer.success) else { return Err(malformed) };
    if all("NEWSIG").len() > 1 {
        return Err(malformed);
    }
    // VALIDSIG fingerprint date timestamp expires version reserved algorithm digest class primary
    let &[_, _, _, _, _, _, _, _, digest, class, primary] = valid.as_slice() else { return Err(malformed) };
    if class != "00" || BROKEN_DIGESTS.contains(&digest) {
        return Err(SignatureError::Malformed { what: "it is made with a digest that can be forged, or for a text" });
    }
    Ok(primary.to_owned())
}

/// The owners of primary keys, as `gpg` lists them for programs.
fn owners(listed: &str) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let mut primary = None;
    let mut awaited = false;
    for line in listed.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        match (fields[0], fields.get(9)) {
            ("pub", _) => (primary, awaited) = (None, true),
            // The first one after a primary key is its own, and the others are of its subkeys.
            ("fpr", Some(fingerprint)) if awaited => {
                awaited = false;
                primary = Some((*fingerprint).to_owned());
                owners.insert((*fingerprint).to_owned(), (*fingerprint).to_owned());
            }
            ("uid", Some(name)) => {
                if let Some(fingerprint) = primary.take() {
                    owners.insert(fingerprint, (*name).to_owned());
                }
            }
            _ => {}
        }
    }
    owners
}

/// Calls `gpg` in a home, with nothing of whoever calls.
fn gpg(home: &Path, arguments: &[&str], files: &[&Path]) -> Result<Answer, &'static str> {
    let mut command = Command::new("gpg");
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C").env("GNUPGHOME", home).env("HOME", home);
    command.args(["--batch", "--no-tty", "--no-options", "--no-autostart", "--disable-dirmngr", "--lock-never"]);
    command.args(["--trust-model", "always", "--no-auto-check-trustdb", "--no-auto-key-retrieve"]);
    command.args(arguments).arg("--").args(files).current_dir(home);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|_| "it is of OpenPGP, which takes gpg, and gpg is not installed")?;
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, answer) = mpsc::channel();
    // It reads until gpg ends, or is ended.
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = stdout.take(LONGEST_ANSWER).read_to_end(&mut text);
        // Nobody waits any more after the time is over.
        let _late = sender.send(read.map(|_| text));
    });
    let text = if let Ok(Ok(text)) = answer.recv_timeout(PATIENCE) {
        Some(text)
    } else {
        let _already_over = child.kill();
        None
    };
    let status = child.wait().map_err(|_| "gpg does not end")?;
    let text = text.ok_or("gpg does not answer")?;
    Ok(Answer { success: status.success(), text: String::from_utf8_lossy(&text).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody with a keyring: the agent that it starts ends with it.
    struct Person(TempDir);

    impl Person {
        /// A key that signs, made at a time, that ends after so long.
        fn new(name: &str, made: &str, ends: &str) -> Self {
            let person = Self(tempfile::Builder::new().prefix("p").tempdir().unwrap());
            // gpg starts it by itself, and gives it seconds to come up; this returns when it is there.
            let mut agent = Command::new("gpg-agent");
            let started = agent.args(["--quiet", "--daemon"]).env("GNUPGHOME", person.0.path()).output().unwrap();
            assert!(started.status.success(), "gpg-agent: {}", String::from_utf8_lossy(&started.stderr));
            let made = format!("{made}!");
            person.gpg(&["--faked-system-time", &made, "--quick-generate-key", name, "ed25519", "sign", ends], "");
            person
        }

        fn gpg(&self, arguments: &[&str], input: &str) -> String {
            let mut command = Command::new("gpg");
            command.args(["--batch", "--quiet", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"]);
            command.args(arguments).env("GNUPGHOME", self.0.path());
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("gpg is installed, as the tests need it");
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "gpg {arguments:?}: {stderr}");
            String::from_utf8(output.stdout).unwrap()
        }

        fn public(&self) -> String {
            self.gpg(&["--armor", "--export"], "")
        }

        fn sign(&self, options: &[&str], payload: &str) -> String {
            self.gpg(&[options, &["--armor", "--detach-sign"]].concat(), payload)
        }
    }

    impl Drop for Person {
        fn drop(&mut self) {
            let mut command = Command::new("gpgconf");
            let _already_over = command.args(["--kill", "all"]).env("GNUPGHOME", self.0.path()).status();
        }
    }

    fn check<'a>(keys: &'a OpenPgpKeys, signature: &str) -> Result<&'a str, SignatureError> {
        keys.check(b"a commit", signature.as_bytes())
    }

    #[test]
    fn a_signature_counts_if_an_allowed_key_made_it_and_is_good() {
        let (ada, eve) = (
            Person::new("Ada <ada@example.com>", "20260101T000000", "0"),
            Person::new("Eve <eve@example.com>", "20260101T000000", "0"),
        );
        let keys = OpenPgpKeys::import(&ada.public()).unwrap();
        let signature = ada.sign(&[], "a commit");
        assert_eq!(check(&keys, &signature), Ok("Ada <ada@example.com>"));
        assert_eq!(check(&keys, &ada.sign(&[], "another")), Err(SignatureError::Forged));
        assert!(matches!(check(&keys, &eve.sign(&[], "a commit")), Err(SignatureError::UnknownKey { .. })));
        for wrong in ["", "-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n", &"x".repeat(70_000)] {
            assert!(matches!(check(&keys, wrong), Err(SignatureError::Malformed { .. })), "{wrong:.40}");
        }
        let weak = ada.sign(&["--digest-algo", "SHA1", "--allow-weak-digest-algos"], "a commit");
        assert!(matches!(check(&keys, &weak), Err(SignatureError::Malformed { .. })));
        let both = OpenPgpKeys::import(&(ada.public() + &eve.public())).unwrap();
        assert_eq!(check(&both, &eve.sign(&[], "a commit")), Ok("Eve <eve@example.com>"));
    }

    #[test]
    fn a_key_that_has_ended_counts_no_more() {
        let then = ["--faked-system-time", "20200101T120000!"];
        let ada = Person::new("Ada <ada@example.com>", "20200101T000000", "2d");
        let signature = ada.sign(&then, "a commit");
        let keys = OpenPgpKeys::import(&ada.public()).unwrap();
        let refused = |keys: &OpenPgpKeys, signature: &str| match check(keys, signature) {
            Err(SignatureError::NotValid { principals, why }) => (principals, why),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&keys, &signature), ("Ada <ada@example.com>".to_owned(), "has expired"));

        let bob = Person::new("Bob <bob@example.com>", "20260101T000000", "0");
        let signature = bob.sign(&[], "a commit");
        let folder = bob.0.path().join("openpgp-revocs.d");
        let revocation = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let text = std::fs::read_to_string(revocation).unwrap().replace(":-----BEGIN", "-----BEGIN");
        bob.gpg(&["--import"], &text);
        let keys = OpenPgpKeys::import(&bob.public()).unwrap();
        assert_eq!(refused(&keys, &signature).1, "was revoked");
    }

    #[test]
    fn what_gpg_says_is_read_strictly() {
        let valid = "[GNUPG:] VALIDSIG AA 2026-01-01 1 0 4 0 22 8 00 PRIMARY";
        let good = "[GNUPG:] GOODSIG AA Ada";
        let judged = |lines: &[&str], success| judge(&Answer { success, text: lines.join("\n") });
        assert_eq!(judged(&["[GNUPG:] NEWSIG", good, valid], true), Ok("PRIMARY".to_owned()));
        for wrong in [
            &[good][..],
            &[valid],
            &[good, valid, valid],
            &[good, good, valid],
            &["[GNUPG:] NEWSIG", "[GNUPG:] NEWSIG", good, valid],
            &[good, "[GNUPG:] VALIDSIG AA 2026-01-01 1 0 4 0 22 8 00"],
            &[good, "[GNUPG:] VALIDSIG AA 2026-01-01 1 0 4 0 22 2 00 PRIMARY"],
            &[good, "[GNUPG:] VALIDSIG AA 2026-01-01 1 0 4 0 22 8 01 PRIMARY"],
            &[" [GNUPG:] GOODSIG AA Ada", valid],
        ] {
            assert!(matches!(judged(wrong, true), Err(SignatureError::Malformed { .. })), "{wrong:?}");
        }
        assert!(judged(&[good, valid], false).is_err());
        assert_eq!(judged(&["[GNUPG:] BADSIG AA Ada", good, valid], true), Err(SignatureError::Forged));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for wrong in ["", "x", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"] {
            OpenPgpKeys::import(wrong).unwrap_err();
        }
    }
}
