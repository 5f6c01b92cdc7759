//! Every environment variable that is read, and the only place that reads them.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use clap::builder::Resettable;

use crate::http::Proxies;

/// The file, in place of `xopero.kdl`.
pub const FILE: &str = "XOPERO_FILE";
/// Where the state is, in place of `.xopero/state.db` beside the file.
pub const STATE: &str = "XOPERO_STATE";
/// The file with the password of the state's server.
pub const STATE_PASSWORD_FILE: &str = "XOPERO_STATE_PASSWORD_FILE";
/// The identity file.
pub const IDENTITY_FILE: &str = "XOPERO_IDENTITY_FILE";
/// How much `xopero watch` applies without a person.
pub const AUTO_APPLY: &str = "XOPERO_AUTO_APPLY";
/// Where a test lets the process die; no release build reads it. See [`crate::crash`].
#[cfg(debug_assertions)]
pub const CRASH_AT: &str = "XOPERO_CRASH_AT";
/// The repository whose branch is read, in place of a file.
pub const GIT: &str = "XOPERO_GIT";
/// The branch.
pub const GIT_BRANCH: &str = "XOPERO_GIT_BRANCH";
/// The path of the file in the repository.
pub const GIT_PATH: &str = "XOPERO_GIT_PATH";
/// The account whose token reads the repository.
pub const GIT_ACCOUNT: &str = "XOPERO_GIT_ACCOUNT";
/// The token that reads the repository.
pub const GIT_TOKEN: &str = "XOPERO_GIT_TOKEN";
/// The file with that token.
pub const GIT_TOKEN_FILE: &str = "XOPERO_GIT_TOKEN_FILE";
/// The certificates that are trusted for the repository's server.
pub const GIT_CA: &str = "XOPERO_GIT_CA";
/// The file with the keys that must have signed every commit.
pub const REQUIRE_SIGNATURES: &str = "XOPERO_REQUIRE_SIGNATURES";
/// The file with the secret of the webhook.
pub const WEBHOOK_SECRET_FILE: &str = "XOPERO_WEBHOOK_SECRET_FILE";
/// Which log lines are written, such as `info` or `xopero::run=debug`.
pub const LOG: &str = "XOPERO_LOG";

#[expect(clippy::disallowed_methods, reason = "this is the one reader")]
fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}

/// One that is set to nothing is not set.
fn read(name: &str) -> Option<OsString> {
    variable(name.as_ref()).filter(|value| !value.is_empty())
}

/// A command line whose options do not take variables that are set to nothing, either.
pub fn without_empty(command: clap::Command) -> clap::Command {
    without(command, |name| variable(name).is_some_and(|value| value.is_empty()))
}

/// A command line whose options do not take the variables that are `ignored`.
fn without(command: clap::Command, ignored: fn(&OsStr) -> bool) -> clap::Command {
    let command = command.mut_args(|option| match option.get_env() {
        Some(name) if ignored(name) => option.env(Resettable::Reset),
        Some(_) | None => option,
    });
    command.mut_subcommands(|command| without(command, ignored))
}

/// A variable as a path.
pub fn path(name: &str) -> Option<PathBuf> {
    read(name).map(PathBuf::from)
}

/// A variable as text.
pub fn text(name: &str) -> Option<String> {
    read(name)?.into_string().ok()
}

/// Whether the user wants no colour anywhere.
pub fn no_color() -> bool {
    read("NO_COLOR").is_some()
}

// The connection to a PostgreSQL server reads libpq's variables by itself: PGHOSTADDR, PGHOST, PGPORT, PGUSER,
// PGPASSWORD, PGPASSFILE, PGDATABASE, PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY and PGOPTIONS. Those below also
// decide how the server has to prove who it is.

/// The PostgreSQL server, if an address names none.
pub fn postgres_host() -> Option<String> {
    text("PGHOSTADDR").or_else(|| text("PGHOST"))
}

/// How a connection to a PostgreSQL server is protected, if an address does not say it.
pub fn postgres_ssl_mode() -> Option<String> {
    text("PGSSLMODE")
}

/// Whether the authority of PostgreSQL servers is named.
pub fn has_postgres_root_certificate() -> bool {
    read("PGSSLROOTCERT").is_some()
}

/// systemd's directory of credentials.
pub fn credentials_directory() -> Option<PathBuf> {
    path("CREDENTIALS_DIRECTORY")
}

/// systemd's directory for what lives as long as the process: the first, if there are several.
pub fn runtime_directory() -> Option<PathBuf> {
    text("RUNTIME_DIRECTORY")?.split(':').next().map(PathBuf::from)
}

/// The device and the inode of the journal of systemd, if stderr or stdout led there when the process began.
pub fn journal_stream() -> Option<(u64, u64)> {
    let text = text("JOURNAL_STREAM")?;
    let (device, inode) = text.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

/// Whether a service manager listens.
pub fn has_service_manager() -> bool {
    read("NOTIFY_SOCKET").is_some()
}

/// Whether a file is one of systemd's credentials, which it keeps others away from.
pub fn is_credential(path: &Path) -> bool {
    let climbs = path.components().any(|part| part == Component::ParentDir);
    !climbs && credentials_directory().is_some_and(|directory| path.starts_with(directory))
}

/// The user's directory of settings.
pub fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")))
}

/// The configuration files of git outside of a repository, the most important first.
pub fn git_configs() -> Vec<PathBuf> {
    let home = path("HOME").map(|home| home.join(".gitconfig"));
    let settings = config_home().map(|settings| settings.join("git").join("config"));
    let system = (text("GIT_CONFIG_NOSYSTEM").is_none()).then(|| PathBuf::from("/etc/gitconfig"));
    let user = path("GIT_CONFIG_GLOBAL").map_or_else(|| home.into_iter().chain(settings).collect(), |one| vec![one]);
    user.into_iter().chain(system).collect()
}

/// Where temporary files go: `TMPDIR`, or what is usual.
pub fn temporary() -> PathBuf {
    std::env::temp_dir()
}

/// The proxies on the way, under the names that other programs read, too.
pub fn proxies() -> Proxies {
    let first = |names: [&str; 4]| names.into_iter().find_map(text);
    let https = first(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
    Proxies::new(https, text("NO_PROXY").or_else(|| text("no_proxy")))
}

/// Who is at work: `user@host`.
pub fn who() -> String {
    let user = text("USER").or_else(|| text("LOGNAME"));
    let user = user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// The variables of the options of a command and of those below it.
    fn heeded(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|option| Some(option.get_env()?.to_string_lossy().into_owned()));
        own.chain(command.get_subcommands().flat_map(heeded)).collect()
    }

    #[test]
    fn options_of_every_command_ignore_what_is_set_to_nothing() {
        let command = super::super::Cli::command();
        let all = heeded(&command);
        assert!(all.iter().any(|name| name == STATE) && all.iter().any(|name| name == GIT));
        let others = |name: &str| all.iter().filter(|other| *other != name).cloned().collect::<Vec<_>>();
        assert_eq!(heeded(&without(command.clone(), |name| name == STATE)), others(STATE));
        assert_eq!(heeded(&without(command.clone(), |name| name == GIT)), others(GIT));
        assert_eq!(heeded(&without(command, |_| true)), [""; 0]);
    }
}
