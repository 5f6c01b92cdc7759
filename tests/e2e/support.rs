//! A home for one test: an empty folder, a fake server, a clean environment, and the executable.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use fake_bitbucket::{FakeBitbucket, Options, Server, World};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The declared name of an account's token: every account of a test has the token `token-of-<account>`.
pub fn token_of(account: &str) -> String {
    format!("token-of-{account}")
}

/// A folder with a file, identities and destinations, and the server that it points to.
pub struct Home {
    folder: tempfile::TempDir,
    pub server: Server,
    /// Variables of every command.
    variables: BTreeMap<String, String>,
}

/// What a finished command said.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn from(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| -signal));
        Self {
            code: code.expect("a process ends with a code or a signal"),
            stdout: String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8"),
        }
    }

    /// Demands an exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Demands success.
    pub fn success(self) -> Self {
        self.expect(0)
    }

    /// The lines of stdout as JSON.
    pub fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
    }

    /// The one JSON line of a type.
    pub fn line(&self, kind: &str) -> Value {
        let mut lines = self.json().into_iter().filter(|line| line["type"] == kind);
        let line = lines.next().unwrap_or_else(|| panic!("no {kind} line in\n{}", self.stdout));
        assert!(lines.next().is_none(), "several {kind} lines in\n{}", self.stdout);
        line
    }

    /// Demands that both streams together contain a text.
    pub fn says(self, text: &str) -> Self {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(all.contains(text), "{text:?} is not in\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl Home {
    /// Starts a server over `world`.
    pub fn new(world: World, options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("xopero-e2e-").tempdir().expect("a temporary folder");
        let server = FakeBitbucket::start_blocking(world, options);
        let home = Self { folder, server, variables: BTreeMap::new() };
        home.xopero(&["secrets", "keygen", "--output", "identity.txt"]).success();
        home.xopero(&["secrets", "keygen", "--output", "backup.txt"]).success();
        home
    }

    /// Sets a variable for the commands that follow, and gives what it was before.
    pub fn set(&mut self, name: &str, value: &str) -> Option<String> {
        self.variables.insert(name.to_owned(), value.to_owned())
    }

    /// A variable that was set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Takes a variable away again.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// The folder of the file.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The directory of the destination of that name.
    pub fn destination(&self, name: &str) -> PathBuf {
        self.path().join("destinations").join(name)
    }

    /// The public key of an identity file.
    pub fn public_key(&self, identity: &str) -> String {
        let text = std::fs::read_to_string(self.path().join(identity)).expect("the identity exists");
        let line = text.lines().find_map(|line| line.strip_prefix("# public key: "));
        line.expect("the file names its public key").to_owned()
    }

    /// A command in this home: the folder is the working directory and the home, the environment is empty.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_clear();
        command.env("PATH", path_variable()).env("HOME", self.path()).env("USER", "tester");
        command.envs(&self.variables);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        command.stdin(Stdio::null());
        command
    }

    /// `xopero`, not started yet.
    pub fn xopero_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xopero"));
        command.args(arguments);
        command
    }

    /// Runs `xopero` with the identity of the file's secrets.
    #[must_use = "demand an exit code"]
    pub fn xopero(&self, arguments: &[&str]) -> Ended {
        self.xopero_as("identity.txt", arguments)
    }

    /// Runs `xopero` with an identity.
    #[must_use = "demand an exit code"]
    pub fn xopero_as(&self, identity: &str, arguments: &[&str]) -> Ended {
        let mut command = self.xopero_command(arguments);
        command.env("XOPERO_IDENTITY_FILE", self.path().join(identity));
        Ended::from(&command.output().expect("the executable starts"))
    }

    /// Starts `xopero` with the identity of the file's secrets and does not wait for it.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.xopero_command(arguments);
        command.env("XOPERO_IDENTITY_FILE", self.path().join("identity.txt"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().expect("the executable starts")))
    }

    /// Runs `xopero` with text on standard input.
    #[must_use = "demand an exit code"]
    pub fn xopero_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        self.start_with_input(arguments, input).wait()
    }

    /// Starts `xopero` with text on standard input and does not wait for it.
    pub fn start_with_input(&self, arguments: &[&str], input: &str) -> Running {
        self.input(self.xopero_command(arguments), input)
    }

    /// The same for a command that was prepared.
    pub fn input(&self, mut command: Command, input: &str) -> Running {
        use std::io::Write;
        command.env("XOPERO_IDENTITY_FILE", self.path().join("identity.txt"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that refuses before it reads its input is judged by what it says.
        let _refused_early = stdin.write_all(input.as_bytes());
        drop(stdin);
        Running(Some(child))
    }

    /// Writes `xopero.kdl` with server, recipients and destinations, the given destinations by name, and `rest`.
    pub fn write_file(&self, destinations: &[&str], rest: &str) {
        let mut text = format!(
            "/- kdl-version 2\nxopero schema=1\nrecipients {{\n    recipient \"{}\" name=\"test\"\n}}\n\
             server \"bb\" {{\n    url \"{}\"\n    concurrency listing=4 packs=2\n}}\n",
            self.public_key("identity.txt"),
            self.server.url(),
        );
        for name in destinations {
            let key = self.public_key("backup.txt");
            writeln!(
                text,
                "destination \"{name}\" {{\n    local \"destinations/{name}\"\n    encrypt-to \"{key}\"\n}}"
            )
            .expect("strings take everything");
        }
        text.push_str("retention \"all\" {\n    keep last=100\n}\n");
        text.push_str(rest);
        std::fs::write(self.path().join("xopero.kdl"), text).expect("the file can be written");
    }

    /// Seals an account's token into the file: the main credential without a name.
    pub fn add_credential(&self, project: &str, name: Option<&str>, account: &str) {
        let mut arguments = vec!["credential", "add", project];
        arguments.extend(name);
        arguments.extend(["--account", account]);
        self.xopero_with_input(&arguments, &token_of(account)).success();
    }

    /// The usual file: project PAY with the main credential of account `main`, one destination `nas`, one plan
    /// `nightly` that runs by hand; applied.
    pub fn apply_usual(&self) {
        self.write_file(&["nas"], "project \"PAY\" server=\"bb\" {\n}\nplan \"nightly\" {\n    project \"PAY\"\n    parts \"git\"\n    destination \"nas\"\n    retention \"all\"\n}\n");
        self.add_credential("PAY", None, "main");
        self.apply();
    }

    /// Applies the file without a look at the server, which many tests count the requests of.
    pub fn apply(&self) {
        self.xopero(&["apply", "--auto-approve", "--offline"]).success();
    }

    /// Runs a plan with `--json`, demands success, and gives the summary line.
    pub fn run(&self, plan: &str) -> Value {
        let ended = self.xopero(&["run", plan, "--json"]).success();
        ended.line("run_finished")["summary"].clone()
    }

    /// Restores the newest snapshot of `PROJECT/SLUG` and gives the bare repository.
    pub fn restore(&self, repository: &str) -> PathBuf {
        let target = tempfile::Builder::new().prefix("restored-").tempdir_in(self.path()).expect("a folder").keep();
        let to = target.to_str().expect("the path is UTF-8");
        self.xopero_as("backup.txt", &["restore", repository, "--to", to]).success();
        target
    }
}

/// Sends a signal to a command that is under way.
pub fn send_signal(child: &Child, signal: Signal) {
    let process = Pid::from_raw(child.id().cast_signed()).expect("a process has a number");
    kill_process(process, signal).expect("it is under way");
}

/// A command that is under way. Killed when the test ends.
pub struct Running(Option<Child>);

impl Running {
    /// The process number.
    pub fn id(&self) -> u32 {
        self.0.as_ref().expect("it is under way").id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(self.0.as_ref().expect("it is under way"), signal);
    }

    /// Waits for the end.
    #[must_use = "demand an exit code"]
    pub fn wait(mut self) -> Ended {
        let child = self.0.take().expect("it is under way");
        Ended::from(&child.wait_with_output().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _already_over = child.kill();
            let _already_over = child.wait();
        }
    }
}

/// The text of the file.
pub fn file_text(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("xopero.kdl")).expect("the file exists")
}

/// Writes the file.
pub fn write_text(home: &Home, text: &str) {
    std::fs::write(home.path().join("xopero.kdl"), text).expect("the file can be written");
}

/// Puts `to` in the one place of `from`, without applying it.
pub fn edit(home: &Home, from: &str, to: &str) {
    let text = file_text(home);
    assert_eq!(text.matches(from).count(), 1, "{from:?} once in\n{text}");
    write_text(home, &text.replace(from, to));
}

#[expect(clippy::disallowed_methods, reason = "the programs of this machine are found through it")]
fn path_variable() -> std::ffi::OsString {
    std::env::var_os("PATH").expect("there is a PATH")
}
