//! What must not be forgotten of a rotation, in a file beside the state: `rotation-ID.json`.
//!
//! It holds no secret in clear: the values in it are sealed like those of the declaration. A version that does not know
//! a journal's number leaves it alone and says so.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::RotateError;
use crate::bitbucket::{TokenId, TokenOwner, WantedToken};
use crate::model::{AccountName, Address, CredentialRole, ProjectSelector, Sealed, Uid, rotate_command, shell_word};
use crate::staged::Staged;

/// The newest version that this program knows.
const VERSION: u32 = 2;

/// The version in which accounts have tokens and nobody else.
const OF_ACCOUNTS: u32 = 1;

/// A journal is never longer.
const LIMIT: u64 = 1 << 20;

/// A rotation that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    version: u32,
    /// Its own id: the name of its file.
    pub id: Uid,
    /// The project of the credential.
    pub project: ProjectSelector,
    /// Which of its credentials.
    pub role: CredentialRole,
    /// The server, as [`crate::model::BaseUrl::origin`] writes it.
    pub origin: String,
    /// Who logs in with them.
    pub account: AccountName,
    /// Whose tokens, if that was asked when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<TokenOwner>,
    /// Whose password manages the tokens, if a password does: the next call needs it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manager: Option<AccountName>,
    /// The token that goes.
    pub old: Old,
    /// What the new one is asked for with. Its name tells it from all others.
    pub wanted: WantedToken,
    /// Since when.
    pub begun: Timestamp,
    /// The token that comes, once its secret is safe.
    pub made: Option<Made>,
}

/// The token that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// The server's number of it.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// Its value, as the declaration had it.
    pub sealed: Sealed,
}

/// The token that comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The server's number of it.
    pub id: TokenId,
    /// Its value, sealed for the recipients of the declaration.
    pub sealed: Sealed,
    /// Its last day.
    pub expires: Option<Date>,
}

impl Journal {
    /// The first page.
    pub(super) fn begin(
        id: Uid,
        (project, role): (ProjectSelector, CredentialRole),
        (origin, account, owner): (String, AccountName, TokenOwner),
        old: Old,
        wanted: WantedToken,
        begun: Timestamp,
    ) -> Self {
        let version = match owner {
            TokenOwner::User(_) => OF_ACCOUNTS,
            TokenOwner::Project(_) | TokenOwner::Repository(..) => VERSION,
        };
        let owner = Some(owner);
        Self { version, id, project, role, origin, account, owner, manager: None, old, wanted, begun, made: None }
    }

    /// Whose tokens.
    pub fn owner(&self) -> TokenOwner {
        self.owner.clone().unwrap_or_else(|| TokenOwner::guessed(&self.account))
    }

    /// The credential.
    pub fn address(&self) -> Address {
        Address::credential(&self.project, &self.role)
    }

    /// The command that goes on with it.
    pub fn command(&self) -> String {
        self.command_by(self.manager.as_ref())
    }

    /// The same, if this one's password manages the tokens.
    pub fn command_by(&self, manager: Option<&AccountName>) -> String {
        let Self { project, role, .. } = self;
        let by = match manager {
            None => String::new(),
            Some(account) if *account == self.account => " --with-password".to_owned(),
            Some(account) => format!(" --with-password --managed-by {}", shell_word(account.as_str())),
        };
        format!("{}{by}", rotate_command(project, role))
    }

    /// Writes it so that it survives whatever comes next.
    pub(super) fn save(&self, directory: &Path) -> Result<(), RotateError> {
        let path = self.path(directory);
        let failed = |source| RotateError::WriteJournal { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(self).expect("names and texts are JSON");
        Staged::write(&path, &text, None).and_then(Staged::put).map_err(failed)
    }

    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("rotation-{}.json", self.id))
    }
}

/// The rotations that are under way, the oldest first.
pub fn pending(directory: &Path) -> Result<Vec<Journal>, RotateError> {
    let failed = |source| RotateError::ReadJournal { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.strip_prefix("rotation-").is_some_and(|rest| rest.ends_with(".json")) {
            found.push(read(&path)?);
        }
    }
    found.sort_by_key(|journal| journal.id);
    Ok(found)
}

fn read(path: &Path) -> Result<Journal, RotateError> {
    use io::Read as _;
    let failed = |source| RotateError::ReadJournal { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(failed)?.take(LIMIT).read_to_end(&mut text).map_err(failed)?;
    let journal: Option<Journal> = serde_json::from_slice(&text).ok();
    journal
        .filter(|journal| (OF_ACCOUNTS..=VERSION).contains(&journal.version))
        .ok_or_else(|| RotateError::UnreadableJournal { path: path.to_owned() })
}

/// Removes the journal of a rotation that is over.
pub fn forget(journal: &Journal, directory: &Path) -> Result<(), RotateError> {
    let path = journal.path(directory);
    let failed = |source| RotateError::WriteJournal { path: path.clone(), source };
    match fs::remove_file(&path) {
        Ok(()) => sync(directory).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn journal(random: u128) -> Journal {
        let old = Old { id: "007".parse().unwrap(), name: "old".into(), sealed: Sealed::new("sealed") };
        let permissions = ["REPO_READ".to_owned()].into();
        let wanted = WantedToken { name: "xopero PAY main".into(), permissions, expiry_days: Some(90) };
        let account = "svc".parse().unwrap();
        let owner = TokenOwner::guessed(&account);
        let whose = ("https://bb.example.com".to_owned(), account, owner);
        let which = ("PAY".parse().unwrap(), CredentialRole::Main);
        Journal::begin(Uid::from_parts(7, random), which, whose, old, wanted, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_was_written_is_found_again_and_gone_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(pending(&folder.path().join("none")).unwrap(), []);
        let (first, mut second) = (journal(1), journal(2));
        second.save(folder.path()).unwrap();
        first.save(folder.path()).unwrap();
        let (id, sealed) = ("8".parse().unwrap(), Sealed::new("new"));
        second.made = Some(Made { id, sealed, expires: Some("2027-02-20".parse().unwrap()) });
        second.save(folder.path()).unwrap();
        assert_eq!(pending(folder.path()).unwrap(), [first.clone(), second.clone()]);
        assert_eq!(fs::metadata(first.path(folder.path())).unwrap().mode() & 0o777, 0o600);
        forget(&first, folder.path()).unwrap();
        forget(&first, folder.path()).unwrap();
        assert_eq!(pending(folder.path()).unwrap(), [second]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_journal_without_an_owner_is_of_its_account_and_one_of_a_project_is_of_a_newer_version() {
        let one = serde_json::to_value(journal(1)).unwrap();
        assert_eq!((&one["version"], &one["owner"]), (&1.into(), &serde_json::json!({"user": "svc"})));
        let mut older = one.clone();
        older.as_object_mut().unwrap().remove("owner");
        let older: Journal = serde_json::from_value(older).unwrap();
        assert_eq!(older.owner(), journal(1).owner());
        let of =
            ("https://bb.example.com".to_owned(), "x".parse().unwrap(), TokenOwner::Project("PAY".parse().unwrap()));
        let Journal { project, role, old, wanted, begun, .. } = journal(1);
        let project = Journal::begin(Uid::from_parts(7, 1), (project, role), of, old, wanted, begun);
        assert_eq!(serde_json::to_value(&project).unwrap()["version"], 2, "an older program leaves it alone");
    }

    #[test]
    fn the_command_that_goes_on_names_whose_password_it_needs() {
        let command = |manager: Option<&str>| {
            let manager = manager.map(|account| account.parse().unwrap());
            Journal { manager, ..journal(1) }.command()
        };
        assert_eq!(command(None), "xopero credential rotate PAY main");
        assert_eq!(command(Some("svc")), "xopero credential rotate PAY main --with-password");
        let by_another = "xopero credential rotate PAY main --with-password --managed-by boss";
        assert_eq!(command(Some("boss")), by_another);
    }

    #[test]
    fn a_journal_that_is_not_understood_stops_everything() {
        let folder = tempfile::tempdir().unwrap();
        let newer = serde_json::to_string(&journal(1)).unwrap().replace("\"version\":1", "\"version\":3");
        for text in ["{", newer.as_str()] {
            fs::write(folder.path().join("rotation-x.json"), text).unwrap();
            assert!(matches!(pending(folder.path()), Err(RotateError::UnreadableJournal { .. })));
        }
    }
}
