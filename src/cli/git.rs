//! The options that name a file in a branch at a git server: where it is, who may read it, who must have signed it.
//!
//! All of it is a setting of this machine. Nothing that the branch says can change it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::{CliError, Context, env, exit_code};
use crate::clock::Clock;
use crate::git::Remote;
use crate::http::{Authorization, HttpClient};
use crate::model::{AccountName, shell_word};
use crate::secret::read_secret_file;
use crate::source::branch::{
    AddressError, Branch, BranchSettings, BranchWatch, PollPace, ReadError, branch_of, read_branch, repository_address,
};
use crate::source::signature::AllowedSigners;
use crate::source::{Snapshot, read_file};
use crate::state::{StateError, StateStore};

/// The branch and the path that are meant if none is named.
const BRANCH: &str = "main";
const PATH: &str = "xopero.kdl";

/// The name of the token among systemd's credentials.
const CREDENTIAL: &str = "xopero-git-token";

/// Whose token it is, if nobody says: projects and repositories have tokens that are no account's.
const NOBODY: &str = "x-token-auth";

/// The directory beside the state that holds what was fetched last.
const OBJECTS: &str = "source.git";

/// A connection, and every byte of an answer, come in this time or not at all.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest list of allowed signers.
const LARGEST_LIST: u64 = 1 << 20;

/// Which branch is read, and by which rules.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options to read a branch")]
pub struct GitArgs {
    /// Read the file from this repository, by its https address, in place of a file of this machine
    #[arg(long, value_name = "URL", env = env::GIT)]
    pub git: Option<String>,
    /// The branch
    #[arg(long, value_name = "NAME", env = env::GIT_BRANCH, default_value = BRANCH, requires = "git")]
    pub branch: String,
    /// The path of the file in the repository
    #[arg(long, value_name = "PATH", env = env::GIT_PATH, default_value = PATH, requires = "git")]
    pub path: String,
    /// The account whose token it is; a project's or repository's token has none
    #[arg(long, value_name = "NAME", env = env::GIT_ACCOUNT, requires = "git")]
    pub git_account: Option<AccountName>,
    /// The file with the access token that reads the repository
    #[arg(
        long,
        value_name = "FILE",
        env = env::GIT_TOKEN_FILE,
        requires = "git",
        long_help = "The file with the access token that reads the repository; nobody else may read the file. \
        Otherwise the token is XOPERO_GIT_TOKEN, or systemd's credential xopero-git-token"
    )]
    pub git_token_file: Option<PathBuf>,
    /// Certificates in PEM that are trusted for the repository's server, besides the system's
    #[arg(long, value_name = "FILE", env = env::GIT_CA, requires = "git")]
    pub git_ca: Option<PathBuf>,
    /// Demand that a key in FILE signed every commit since the one in force
    #[arg(
        long,
        value_name = "FILE",
        env = env::REQUIRE_SIGNATURES,
        requires = "git",
        long_help = "Demand that a key in FILE signed every commit since the one in force, and the last one if \
        nothing is in force. The file is one of allowed signers, as `git config gpg.ssh.allowedSignersFile` takes it; public \
        keys of OpenPGP may stand in it as `gpg --armor --export` writes them"
    )]
    pub require_signatures: Option<PathBuf>,
}

/// A branch that can be read.
pub(super) struct GitBranch {
    /// The repository.
    pub(super) remote: Remote,
    /// Who reads it.
    pub(super) authorization: Authorization,
    /// The file.
    pub(super) branch: Branch,
    /// Who must have signed.
    pub(super) signers: Option<AllowedSigners>,
}

impl GitBranch {
    /// The repository, the branch and the file, for people.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.remote.url(), self.branch)
    }
}

impl GitBranch {
    /// Reads it once into a directory. What comes must come from `base`, or somebody is asked.
    pub(super) async fn read(self, place: &Path, base: Option<String>) -> Result<Snapshot, ReadError> {
        let Self { remote, authorization, branch, signers } = self;
        let settings = BranchSettings { branch, pace: PollPace::default(), signers };
        read_branch(remote, authorization, settings, place, base).await
    }

    /// Follows it from what is in force in a state. What is fetched is kept beside the state.
    pub(super) async fn follow(
        self,
        state: &StateStore,
        pace: PollPace,
        clock: &Arc<dyn Clock>,
    ) -> Result<BranchWatch, StateError> {
        let Self { remote, authorization, branch, signers } = self;
        let place = objects_of(state);
        let applied = match state.applied().await? {
            Some(applied) => state.source_base(&applied).await?,
            None => None,
        };
        let settings = BranchSettings { branch, pace, signers };
        Ok(BranchWatch::new(remote, authorization, settings, &place, applied, Arc::clone(clock)))
    }
}

impl GitArgs {
    /// The options as they are typed again, all but the usual ones; nothing without `--git`.
    pub(super) fn words(&self) -> String {
        let Some(git) = &self.git else { return String::new() };
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let options = [
            ("--git", Some(git.clone())),
            ("--branch", Some(self.branch.clone()).filter(|name| name != BRANCH)),
            ("--path", Some(self.path.clone()).filter(|path| path != PATH)),
            ("--git-account", self.git_account.as_ref().map(ToString::to_string)),
            ("--git-token-file", file(&self.git_token_file)),
            ("--git-ca", file(&self.git_ca)),
            ("--require-signatures", file(&self.require_signatures)),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", shell_word(&value?))));
        given.collect::<Vec<_>>().join(" ")
    }

    /// The branch that is named, if one is.
    pub(super) fn branch(&self, context: &Context) -> Result<Option<GitBranch>, CliError> {
        let Some(address) = &self.git else { return Ok(None) };
        if context.is_file_named() {
            return Err(CliError::usage("both a file and a branch are named: only one can be read")
                .with_hint("leave out -f (and XOPERO_FILE), or --git (and XOPERO_GIT)"));
        }
        let refused = |error: AddressError| CliError::usage(error.to_string()).with_hint(error.hint());
        let base = repository_address(address).map_err(refused)?;
        let branch = branch_of(&self.branch, &self.path).map_err(refused)?;
        let signers = self.require_signatures.as_deref().map(allowed_signers).transpose()?;
        let unreadable = |path: &Path, error| {
            CliError::new(exit_code::FAILED, format!("cannot read the certificates in {}: {error}", path.display()))
        };
        let ca = self.git_ca.as_deref().map(|path| fs::read(path).map_err(|error| unreadable(path, error)));
        let account = self.git_account.clone();
        let account = account.unwrap_or_else(|| AccountName::new(NOBODY).expect("it has the form of a name"));
        let authorization = Authorization::bearer(account, &self.token()?)?;
        let client = HttpClient::new(&base, ca.transpose()?.as_deref(), &env::proxies(), TIMEOUT)?;
        Ok(Some(GitBranch { remote: Remote::at_base(client), authorization, branch, signers }))
    }

    /// The token, from the first place that is named.
    fn token(&self) -> Result<SecretString, CliError> {
        if let Some(path) = &self.git_token_file {
            return Ok(read_secret_file(path, env::is_credential(path))?);
        }
        if let Some(token) = env::text(env::GIT_TOKEN) {
            return Ok(SecretString::from(token.trim()));
        }
        match env::credentials_directory().map(|directory| directory.join(CREDENTIAL)) {
            Some(path) if path.exists() => Ok(read_secret_file(&path, true)?),
            Some(_) | None => Err(CliError::usage("there is no access token to read the repository with").with_hint(
                "put an HTTP access token that may read it into a file of mode 600, and name that with --git-token-file",
            )),
        }
    }
}

/// Where a watch on this state keeps what it fetched.
pub(super) fn objects_of(state: &StateStore) -> PathBuf {
    state.location().directory().join(OBJECTS)
}

/// Reads who may sign. A list that others can write would be no list.
fn allowed_signers(path: &Path) -> Result<AllowedSigners, CliError> {
    let failed = |why: String| {
        let message = format!("cannot use the allowed signers in {}: {why}", path.display());
        CliError::new(exit_code::FAILED, message)
    };
    let mode = fs::metadata(path).map_err(|error| failed(error.to_string()))?.permissions().mode();
    if mode & 0o022 != 0 {
        let why = format!("others can write it (mode {:04o})", mode & 0o7777);
        return Err(failed(why).with_hint(format!("chmod go-w {}", path.display())));
    }
    let text = read_file(path, LARGEST_LIST).map_err(|error| failed(error.to_string()))?.text;
    let hint = "each line holds names, a type of key and a key: `ada@example.com ssh-ed25519 AAAA…`";
    AllowedSigners::parse(&text, &TimeZone::system()).map_err(|error| failed(error.to_string()).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_typed_again_as_they_were() {
        let mut arguments = GitArgs {
            git: Some("https://bb.example.com/scm/ops/backup.git".into()),
            branch: BRANCH.into(),
            path: PATH.into(),
            git_account: None,
            git_token_file: Some("/etc/x opero/it's".into()),
            git_ca: None,
            require_signatures: None,
        };
        let usual = "--git https://bb.example.com/scm/ops/backup.git --git-token-file '/etc/x opero/it'\\''s'";
        assert_eq!(arguments.words(), usual);
        arguments.branch = "live;id".into();
        assert!(arguments.words().contains("--branch 'live;id'"));
        arguments.git = None;
        assert_eq!(arguments.words(), "");
    }
}
