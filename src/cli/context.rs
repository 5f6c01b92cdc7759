//! What every command shares: the options before the verb, and how they are resolved.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use tempfile::TempDir;

use super::git::{self, GitArgs, GitBranch};
use super::state_location::StateOptions;
use super::{CliError, env, exit_code, log};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Decoded, Sources};
use crate::model::{Applied, Uid, command_with, shell_word};
use crate::reconcile::stays_in_force;
use crate::secret::{Identities, IdentitySources, find_identities};
use crate::source::branch::read_fetched;
use crate::source::{SourceTree, read_tree};
use crate::state::{Exclusive, LockBody, StateLocation, StateLock, StateStore};
use crate::ui::{ColorChoice, Output, STOPPING};

/// The file that is meant if none is named.
const USUAL_FILE: &str = "xopero.kdl";

/// Options of every command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// The file that declares the backups [default: xopero.kdl]
    #[arg(short, long, global = true, value_name = "PATH", env = env::FILE)]
    pub file: Option<PathBuf>,
    /// Where the applied state is: an SQLite file, or a database that several hosts share
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = env::STATE,
        hide_env_values = true,
        long_help = "Where the applied state is [default: sqlite:.xopero/state.db beside the file], or \
        postgres://USER@HOST/DATABASE for several hosts. Its password is taken from --state-password-file, \
        $CREDENTIALS_DIRECTORY/xopero-state-password, PGPASSWORD, PGPASSFILE or ~/.pgpass, or stands in XOPERO_STATE"
    )]
    pub state: Option<String>,
    /// The file with the password of the state's server
    #[arg(long, global = true, value_name = "FILE", env = env::STATE_PASSWORD_FILE, hide_env_values = true)]
    pub state_password_file: Option<PathBuf>,
    /// The age identity that opens sealed values and backups
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        long_help = "The age identity that opens sealed values and backups. \
        Otherwise the first of XOPERO_IDENTITY_FILE, $CREDENTIALS_DIRECTORY/xopero-identity, \
        ~/.config/xopero/identity.txt and /etc/xopero/identity.txt that exists"
    )]
    pub identity: Option<PathBuf>,
    /// Print data as JSON lines
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colour: auto (on a terminal, unless `NO_COLOR` is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub color: Color,
    /// The form of log lines: text for people or json for programs
    #[arg(long, global = true, value_name = "FORM", default_value = "text", hide_possible_values = true)]
    pub log_format: LogFormat,
    /// Which log lines are written: a level such as info, or one for each module
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = env::LOG,
        hide_env_values = true,
        default_value = log::USUAL,
        hide_default_value = true,
        value_parser = log::filter,
        long_help = "Which log lines are written: error, warn (as usual), info, debug or trace, or a level for each \
        module: warn,xopero::run=debug"
    )]
    pub log_level: String,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The form of log lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// The options, resolved.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where words go.
    pub output: Output,
    /// Time.
    pub clock: SystemClock,
    /// The form of log lines.
    pub log_format: LogFormat,
    file: Option<PathBuf>,
    state: StateOptions,
    identity: Option<PathBuf>,
    /// The branch that is read in place of the file.
    git: Option<GitArgs>,
    /// Holds what was fetched of it for as long as somebody asks for its history.
    fetched: Arc<OnceLock<TempDir>>,
}

impl Context {
    /// Resolves the options. `state_typed` is whether the address of the state stands in the arguments.
    pub fn new(arguments: &GlobalArgs, state_typed: bool) -> Self {
        let color = match arguments.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self {
            output: Output::new(arguments.json, color, env::no_color()),
            clock: SystemClock,
            log_format: arguments.log_format,
            file: arguments.file.clone(),
            state: StateOptions {
                address: arguments.state.clone().map(SecretString::from),
                typed: state_typed,
                password_file: arguments.state_password_file.clone(),
            },
            identity: arguments.identity.clone(),
            git: None,
            fetched: Arc::default(),
        }
    }

    /// The same for a command that can read a branch, if one is named.
    #[must_use]
    pub fn reading(&self, git: &GitArgs) -> Self {
        Self { git: git.git.is_some().then(|| git.clone()), ..self.clone() }
    }

    /// The file.
    pub fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(USUAL_FILE))
    }

    /// Whether somebody named the file, and not the usual one is meant.
    pub const fn is_file_named(&self) -> bool {
        self.file.is_some()
    }

    /// The options that say which file, branch and state are meant, as they are typed again: commands that are told to
    /// people are to be about the same. An address from the environment may hold a password, and is there anyway.
    pub fn words(&self) -> String {
        let git = self.git.as_ref().map(GitArgs::words).unwrap_or_default();
        [self.place_words(), git].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
    }

    /// The same without the branch.
    pub fn place_words(&self) -> String {
        let file = self.file.as_deref().filter(|file| *file != Path::new(USUAL_FILE));
        let file = file.map(|file| format!("-f {}", shell_word(&file.display().to_string())));
        let state = self.state.typed_words().map(|address| format!("--state {}", shell_word(&address)));
        file.into_iter().chain(state).collect::<Vec<_>>().join(" ")
    }

    /// The directory of the file: relative paths in it begin there.
    pub fn base(&self) -> PathBuf {
        match self.file().parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// Reads the file and those that it names.
    pub fn source(&self) -> Result<SourceTree, CliError> {
        Ok(read_tree(self.file())?)
    }

    /// Reads what is to be in force: the branch that is named; or the file; or, where nobody named one and there is none, what the branch says that
    /// the state follows, as it was fetched last.
    pub async fn proposed(&self) -> Result<SourceTree, CliError> {
        if let Some(branch) = self.git.as_ref().map(|git| git.branch(self)).transpose()?.flatten() {
            return self.at_server(branch).await;
        }
        if self.is_file_named() || self.file().exists() {
            return self.source();
        }
        match self.fetched().await {
            Some(fetched) => fetched,
            None => self.source(),
        }
    }

    /// Asks the server for a branch.
    async fn at_server(&self, branch: GitBranch) -> Result<SourceTree, CliError> {
        let state = self.state().await?;
        let applied = match &state {
            Some(state) => state.applied().await?,
            None => None,
        };
        let base = match (&state, &applied) {
            (Some(state), Some(applied)) => state.source_base(applied).await?,
            (_, _) => None,
        };
        let scratch = tempfile::Builder::new()
            .prefix("xopero-branch-")
            .tempdir()
            .map_err(|error| CliError::new(exit_code::FAILED, format!("cannot make a temporary directory: {error}")))?;
        let scratch = self.fetched.get_or_init(|| scratch);
        Ok(branch.read(&scratch.path().join("source.git"), base).await?.tree)
    }

    /// What was fetched of the branch that the state follows; nothing if it follows none, or has read nothing of it.
    async fn fetched(&self) -> Option<Result<SourceTree, CliError>> {
        let state = self.state().await.ok().flatten()?;
        let followed = state.followed().await.ok().flatten()?;
        let (tip, place) = (followed.tip?, git::objects_of(&state));
        // A state that several hosts share is not where one of them keeps what it fetched.
        place.exists().then(|| read_fetched(&place, &tip.commit, &followed.at.path).map_err(CliError::from))
    }

    /// Reads and decodes the file. Diagnostics are told; errors among them end the command.
    pub fn declaration(&self) -> Result<(SourceTree, Decoded), CliError> {
        self.decoded(self.source()?)
    }

    /// The same of what is to be in force.
    pub async fn proposal(&self) -> Result<(SourceTree, Decoded), CliError> {
        self.decoded(self.proposed().await?)
    }

    fn decoded(&self, tree: SourceTree) -> Result<(SourceTree, Decoded), CliError> {
        match tree.decode() {
            Ok(decoded) => {
                self.tell_diagnostics(tree.sources(), &decoded.warnings);
                Ok((tree, decoded))
            }
            Err(invalid) => Err(self.invalid(tree.sources(), &invalid.diagnostics)),
        }
    }

    /// The same for a command that is about what is in force: if the file cannot be used, it is said what stays.
    pub async fn declaration_to_apply(&self) -> Result<(SourceTree, Decoded), CliError> {
        let error = match self.proposal().await {
            Ok(declared) => return Ok(declared),
            Err(error) => error,
        };
        // A state that cannot be read is not what this failure is about.
        let Ok(Some(state)) = self.state().await else { return Err(error) };
        let Ok(Some(applied)) = state.applied().await else { return Err(error) };
        Err(self.stays(error, &applied))
    }

    /// A failure that leaves `applied` in force, which is told with it.
    pub fn stays(&self, error: CliError, applied: &Applied) -> CliError {
        if self.output.is_json() {
            self.output.json(&serde_json::json!({
                "type": "stays_in_force", "generation": applied.generation, "applied_at": applied.applied_at,
                "applied_by": applied.applied_by, "commit": applied.source.commit,
            }));
        }
        let stays = stays_in_force(applied);
        let plan = command_with("plan", &self.words());
        error.with_note(format!("{stays}, whatever the file says; set it right, then look with `{plan}`"))
    }

    /// Tells what is wrong with the files.
    pub fn invalid(&self, sources: &Sources, diagnostics: &[config::Diagnostic]) -> CliError {
        self.tell_diagnostics(sources, diagnostics);
        CliError::told(exit_code::INVALID_FILE)
    }

    /// Shows diagnostics with the lines they are about.
    pub fn tell_diagnostics(&self, sources: &Sources, diagnostics: &[config::Diagnostic]) {
        if diagnostics.is_empty() {
            return;
        }
        if self.output.is_json() {
            for diagnostic in diagnostics {
                self.output.json(&config::to_json(sources, diagnostic));
            }
        } else {
            let color = self.output.talk_style().color;
            self.output.talk(&config::render(sources, diagnostics, color, self.output.width()));
        }
    }

    /// Where the state is.
    pub fn location(&self) -> Result<StateLocation, CliError> {
        self.state.location(&self.base())
    }

    /// Opens the state, and creates it where there is none.
    pub async fn create_state(&self) -> Result<StateStore, CliError> {
        Ok(StateStore::open(&self.location()?, &self.clock).await?)
    }

    /// Opens the state if there is one.
    pub async fn state(&self) -> Result<Option<StateStore>, CliError> {
        Ok(StateStore::open_existing(&self.location()?, &self.clock).await?)
    }

    /// Opens the state, which must exist.
    pub async fn existing_state(&self) -> Result<StateStore, CliError> {
        let location = self.location()?;
        match StateStore::open_existing(&location, &self.clock).await? {
            Some(state) => Ok(state),
            None => Err(location.nothing_applied().into()),
        }
    }

    /// Takes a lock of the state for `operation`, and waits for it as long as `wait` says.
    pub async fn lock(&self, exclusive: Exclusive, operation: &str, wait: Duration) -> Result<StateLock, CliError> {
        self.lock_of(&self.location()?, exclusive, operation, wait).await
    }

    /// The same of another state.
    pub async fn lock_of(
        &self,
        location: &StateLocation,
        exclusive: Exclusive,
        operation: &str,
        wait: Duration,
    ) -> Result<StateLock, CliError> {
        let body = || LockBody {
            id: Uid::mint(&self.clock).to_string(),
            who: env::who(),
            pid: std::process::id(),
            operation: operation.to_owned(),
            since: self.clock.now(),
        };
        let waiting = |holder: Option<&LockBody>| {
            let holder = holder.map_or_else(|| "somebody".to_owned(), ToString::to_string);
            self.output.say(&format!("waiting for {holder} to be done with the state"));
        };
        Ok(StateLock::acquire_within(location, exclusive, body, wait, waiting).await?)
    }

    /// What to do when the user asks to stop: to say that it was heard.
    pub fn confirm_stop(&self) -> impl FnOnce() + Send + use<> {
        let output = self.output;
        move || output.say(STOPPING)
    }

    /// Finds the identities.
    pub fn identities(&self) -> Result<Identities, CliError> {
        Ok(find_identities(&self.identity_sources())?)
    }

    /// Where identities are looked for.
    pub fn identity_sources(&self) -> IdentitySources {
        IdentitySources {
            explicit: self.identity.clone(),
            environment: env::path(env::IDENTITY_FILE),
            credentials_directory: env::credentials_directory(),
            home: env::config_home().map(|home| home.join("xopero").join("identity.txt")),
            system: PathBuf::from("/etc/xopero/identity.txt"),
        }
    }
}
