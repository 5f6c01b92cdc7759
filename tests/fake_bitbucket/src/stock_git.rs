//! Runs the installed git without any of the user's configuration.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// A `git` command with a clean environment. The caller adds the arguments.
pub(crate) fn git() -> Command {
    let mut command = Command::new("git");
    clean(&mut command);
    command
}

/// A `git` command inside a bare repository.
pub(crate) fn git_in(repository: &Path) -> Command {
    let mut command = git();
    command.arg("--git-dir").arg(repository);
    command
}

/// The environment every git process gets: the search path, and nothing of the user's.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".to_owned());
    let mut environment = vec![("PATH", path)];
    let fixed = [
        ("LC_ALL", "C"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Author"),
        ("GIT_AUTHOR_EMAIL", "author@example.com"),
        ("GIT_AUTHOR_DATE", "1700000000 +0000"),
        ("GIT_COMMITTER_NAME", "Committer"),
        ("GIT_COMMITTER_EMAIL", "committer@example.com"),
        ("GIT_COMMITTER_DATE", "1700000000 +0000"),
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "safe.directory"),
        ("GIT_CONFIG_VALUE_0", "*"),
        ("GIT_CONFIG_KEY_1", "gc.auto"),
        ("GIT_CONFIG_VALUE_1", "0"),
    ];
    environment.extend(fixed.map(|(name, value)| (name, value.to_owned())));
    environment
}

/// Runs a command to its end and gives its output, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?} did not start: {error}"))
}

/// Runs a command and gives its standard output; panics with its error text when it fails.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = output(command);
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a command and gives its output as one trimmed line.
pub(crate) fn line(command: &mut Command) -> String {
    String::from_utf8_lossy(&run(command)).trim().to_owned()
}

/// Runs a command that reads what `write` produces; it must print little.
pub(crate) fn feed(command: &mut Command, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} did not start: {error}"));
    let stdin = child.stdin.take().expect("the standard input is a pipe");
    let mut stdin = BufWriter::with_capacity(1 << 16, stdin);
    let written = write(&mut stdin).and_then(|()| stdin.flush());
    drop(stdin);
    let output = child.wait_with_output().expect("a started child ends");
    assert!(
        output.status.success() && written.is_ok(),
        "{command:?} failed: {written:?} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where `git http-backend` is.
pub(crate) fn http_backend() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        let path = PathBuf::from(line(git().arg("--exec-path"))).join("git-http-backend");
        assert!(path.is_file(), "there is no {}", path.display());
        path
    })
}

/// A byte string as an argument.
pub(crate) fn bytes_argument(bytes: &[u8]) -> &OsStr {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(bytes)
}

fn clean(command: &mut Command) {
    command.env_clear().envs(environment());
    command.env("HOME", "/nonexistent");
}
