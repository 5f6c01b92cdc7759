//! The private keys of this machine: making them, finding them, and refusing files that others can read.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use age::secrecy::{ExposeSecret, SecretString};
use age::x25519::Identity;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::error::SecretError;
use super::private::{self, PrivateFile, PrivateFileError, open};
use crate::model::PublicKey;

/// No honest identity file is longer.
const LARGEST_FILE: usize = 1024 * 1024;

/// Private keys. `Debug` shows how many; nothing shows more.
#[derive(Clone)]
pub struct Identities(Arc<[Identity]>);

impl Identities {
    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|identity| identity as &dyn age::Identity)
    }

    /// Their public halves, in the order of the file.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        self.0.iter().map(public_key).collect()
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

fn public_key(identity: &Identity) -> PublicKey {
    PublicKey::new(identity.to_public().to_string()).expect("age writes its keys in the form that PublicKey asks for")
}

/// A new identity: the text of its file, as `age-keygen` writes it, and its public key.
pub fn keygen(created: Timestamp) -> (SecretString, PublicKey) {
    let identity = Identity::generate();
    let key = public_key(&identity);
    let secret = identity.to_string();
    let text = Zeroizing::new(format!(
        "# created: {}\n# public key: {key}\n{}\n",
        created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        secret.expose_secret()
    ));
    (SecretString::from(text.as_str()), key)
}

/// Where to look for an identity file, most specific first.
#[derive(Debug, Clone)]
pub struct IdentitySources {
    /// The file named by `--identity`. It must exist.
    pub explicit: Option<PathBuf>,
    /// The file named by `XOPERO_IDENTITY_FILE`. It must exist.
    pub environment: Option<PathBuf>,
    /// systemd's `$CREDENTIALS_DIRECTORY`. Files in it are protected by systemd, whatever their mode.
    pub credentials_directory: Option<PathBuf>,
    /// The user's own: `~/.config/xopero/identity.txt`.
    pub home: Option<PathBuf>,
    /// The machine's: `/etc/xopero/identity.txt`.
    pub system: PathBuf,
}

impl IdentitySources {
    fn named(&self) -> Option<(&Path, &'static str)> {
        let explicit = self.explicit.as_deref().map(|path| (path, "--identity"));
        explicit.or_else(|| self.environment.as_deref().map(|path| (path, "XOPERO_IDENTITY_FILE")))
    }

    fn usual(&self) -> Vec<PathBuf> {
        let credential = self.credentials_directory.as_ref().map(|directory| directory.join("xopero-identity"));
        credential.into_iter().chain(self.home.clone()).chain([self.system.clone()]).collect()
    }

    fn is_credential(&self, path: &Path) -> bool {
        let climbs = path.components().any(|component| component == Component::ParentDir);
        !climbs && self.credentials_directory.as_ref().is_some_and(|directory| path.starts_with(directory))
    }
}

/// An identity file that is in use.
#[derive(Debug, Clone)]
pub struct FoundIdentities {
    /// The file.
    pub path: PathBuf,
    /// The option or variable that names it; nothing if it stands at one of the usual places.
    pub named_by: Option<&'static str>,
    /// Its permission bits.
    pub mode: u32,
    /// The keys in it.
    pub identities: Identities,
}

/// Reads the first identity file that exists.
///
/// It must be a regular file of the current user or root that nobody else can read.
pub fn find_identities(sources: &IdentitySources) -> Result<Identities, SecretError> {
    locate_identities(sources).map(|found| found.identities)
}

/// Like [`find_identities`], with the file and the reason why it is the one.
pub fn locate_identities(sources: &IdentitySources) -> Result<FoundIdentities, SecretError> {
    if let Some((path, by)) = sources.named() {
        let file = open(path).map_err(|source| SecretError::ReadIdentity {
            path: path.to_owned(),
            named_by: Some(by),
            source,
        })?;
        return read(path, Some(by), file, sources.is_credential(path));
    }
    let looked_at = sources.usual();
    for path in &looked_at {
        match open(path) {
            Ok(file) => return read(path, None, file, sources.is_credential(path)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => {
                return Err(SecretError::ReadIdentity { path: path.clone(), named_by: None, source });
            }
        }
    }
    Err(SecretError::NoIdentity { looked_at })
}

fn read(
    path: &Path,
    named_by: Option<&'static str>,
    file: File,
    any_mode: bool,
) -> Result<FoundIdentities, SecretError> {
    let path = path.to_owned();
    match private::read(file, any_mode, LARGEST_FILE) {
        Ok(PrivateFile { bytes, mode }) => {
            let identities = parse(&path, &bytes)?;
            Ok(FoundIdentities { path, named_by, mode, identities })
        }
        Err(PrivateFileError::Read(source)) => Err(SecretError::ReadIdentity { path, named_by: None, source }),
        Err(PrivateFileError::Owner(owner)) => Err(SecretError::Owner { path, owner }),
        Err(PrivateFileError::Permissions(mode)) => Err(SecretError::Permissions { path, mode }),
        Err(PrivateFileError::TooLarge(_)) => Err(SecretError::IdentityTooLarge { path }),
        Err(PrivateFileError::NotAFile | PrivateFileError::NotOneLine) => Err(SecretError::NotAFile { path }),
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Identities, SecretError> {
    let mut identities = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let malformed = |reason| SecretError::MalformedIdentity { path: path.to_owned(), line: index + 1, reason };
        let line = std::str::from_utf8(line).map_err(|_| malformed("it is not UTF-8 text"))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("AGE-PLUGIN-") {
            return Err(malformed("plugin identities are not supported"));
        }
        identities.push(line.parse().map_err(malformed)?);
    }
    if identities.is_empty() {
        return Err(SecretError::EmptyIdentityFile { path: path.to_owned() });
    }
    Ok(Identities(identities.into()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub(in crate::secret) fn pair() -> (SecretString, PublicKey) {
        keygen("2026-01-02T03:04:05Z".parse().unwrap())
    }

    pub(in crate::secret) fn identities(text: &SecretString) -> Identities {
        parse(Path::new("identity.txt"), text.expose_secret().as_bytes()).unwrap()
    }

    fn nowhere(folder: &Path) -> IdentitySources {
        IdentitySources {
            explicit: None,
            environment: None,
            credentials_directory: Some(folder.join("credentials")),
            home: Some(folder.join("home.txt")),
            system: folder.join("system.txt"),
        }
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_new_identity_reads_like_one_of_age_keygen() {
        let (text, key) = pair();
        let lines: Vec<&str> = text.expose_secret().lines().collect();
        assert_eq!(lines[0], "# created: 2026-01-02T03:04:05Z");
        assert_eq!(lines[1], format!("# public key: {key}"));
        assert!(lines[2].starts_with("AGE-SECRET-KEY-1"));
        assert_eq!(identities(&text).public_keys(), [key]);
        assert!(!format!("{text:?} {:?}", identities(&text)).contains("AGE-SECRET"));
    }

    #[test]
    fn the_first_place_that_exists_wins() {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = nowhere(folder.path());
        let Err(SecretError::NoIdentity { looked_at }) = find_identities(&sources) else { panic!("found one") };
        assert_eq!(looked_at.len(), 3);
        let paths =
            [sources.system.clone(), folder.path().join("home.txt"), folder.path().join("credentials/xopero-identity")];
        for path in paths {
            let (text, key) = pair();
            write(&path, text.expose_secret(), 0o600);
            assert_eq!(find_identities(&sources).unwrap().public_keys(), [key]);
        }
        sources.environment = Some(folder.path().join("absent"));
        let error = find_identities(&sources).unwrap_err();
        assert!(error.to_string().contains("XOPERO_IDENTITY_FILE"), "{error}");
        let (text, key) = pair();
        sources.explicit = Some(folder.path().join("explicit"));
        write(&folder.path().join("explicit"), text.expose_secret(), 0o400);
        let found = locate_identities(&sources).unwrap();
        assert_eq!((found.named_by, found.mode), (Some("--identity"), 0o400));
        assert_eq!(find_identities(&sources).unwrap().public_keys(), [key]);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_except_a_credential() {
        let folder = tempfile::tempdir().unwrap();
        let sources = nowhere(folder.path());
        let (text, _) = pair();
        write(&sources.system, text.expose_secret(), 0o640);
        let error = find_identities(&sources).unwrap_err();
        assert!(matches!(error, SecretError::Permissions { mode: 0o640, .. }));
        assert_eq!(error.hint(), Some(format!("chmod 600 {}", sources.system.display())));
        write(&folder.path().join("credentials/xopero-identity"), text.expose_secret(), 0o444);
        assert!(find_identities(&sources).is_ok());
        let climbing = IdentitySources {
            explicit: Some(folder.path().join("credentials/../system.txt")),
            ..nowhere(folder.path())
        };
        assert!(matches!(find_identities(&climbing), Err(SecretError::Permissions { .. })));
    }

    #[test]
    fn only_regular_files_with_identities_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let sources = |path: PathBuf| IdentitySources { explicit: Some(path), ..nowhere(folder.path()) };
        let directory = sources(folder.path().to_owned());
        assert!(matches!(find_identities(&directory), Err(SecretError::NotAFile { .. })));

        let path = folder.path().join("identity");
        let (one, first) = pair();
        let (two, second) = pair();
        write(&path, &format!("{}\r\n\n{}", one.expose_secret().trim_end(), two.expose_secret()), 0o600);
        assert_eq!(find_identities(&sources(path.clone())).unwrap().public_keys(), [first, second]);

        write(&path, "# nothing\n", 0o600);
        assert!(matches!(find_identities(&sources(path.clone())), Err(SecretError::EmptyIdentityFile { .. })));
        write(&path, "# key\nAGE-SECRET-KEY-1DAMAGED\n", 0o600);
        let error = find_identities(&sources(path.clone())).unwrap_err();
        assert!(matches!(error, SecretError::MalformedIdentity { line: 2, .. }));
        assert!(!format!("{error} {error:?}").contains("DAMAGED"));
        write(&path, &"#".repeat(LARGEST_FILE + 1), 0o600);
        assert!(matches!(find_identities(&sources(path)), Err(SecretError::IdentityTooLarge { .. })));
    }
}
