//! A home of the executable: a folder with an applied file, sealed credentials and a local destination.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The executable with its folder.
pub struct XoperoHome {
    folder: tempfile::TempDir,
}

impl XoperoHome {
    /// Nothing is backed up yet. The first account is the main one, the others are enabled by the plan `bench`; each
    /// has the token that [`token`] gives it.
    pub fn new(url: &str, project: &str, concurrency: usize, accounts: &[&str]) -> Self {
        let mut enabled = String::new();
        for account in accounts.iter().skip(1) {
            write!(enabled, " \"{account}\"").expect("strings take everything");
        }
        let planned = if enabled.is_empty() {
            format!("project \"{project}\"")
        } else {
            format!("project \"{project}\" {{\n        enable-credentials{enabled}\n    }}")
        };
        let plan = format!(
            "plan \"bench\" {{\n    {planned}\n    parts \"git\"\n    destination \"disk\"\n    retention \"all\"\n}}\n"
        );
        Self::declaring(url, project, concurrency, accounts, &plan)
    }

    /// The same with other plans.
    pub fn declaring(url: &str, project: &str, concurrency: usize, accounts: &[&str], plans: &str) -> Self {
        let home = Self { folder: folder() };
        home.xopero(&["secrets", "keygen", "--output", "identity.txt"], "");
        let identity = std::fs::read_to_string(home.folder.path().join("identity.txt")).expect("it was just made");
        let key = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("it names its key");
        let text = format!(
            r#"/- kdl-version 2
xopero schema=1
recipients {{
    recipient "{key}" name="bench"
}}
server "bb" {{
    url "{url}"
    concurrency listing={concurrency} packs={concurrency}
}}
destination "disk" {{
    local "destination"
    encrypt-to "{key}"
}}
retention "all" {{
    keep last=100
}}
project "{project}" server="bb" {{
}}
{plans}"#
        );
        std::fs::write(home.folder.path().join("xopero.kdl"), text).expect("the folder is fresh");
        for (number, account) in accounts.iter().enumerate() {
            let mut words = vec!["credential", "add", project];
            words.extend((number > 0).then_some(*account));
            words.extend(["--account", account]);
            home.xopero(&words, &token(account));
        }
        home.xopero(&["apply", "--auto-approve"], "");
        home
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The whole environment of its commands.
    pub fn environment(&self) -> Vec<(String, String)> {
        let identity = self.folder.path().join("identity.txt");
        let mut environment = environment(self.folder.path());
        environment.push(("XOPERO_IDENTITY_FILE".into(), identity.display().to_string()));
        environment
    }

    /// Runs a command to its end, which must be a good one.
    pub fn xopero(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xopero"));
        command.args(arguments).current_dir(self.folder()).env_clear().envs(self.environment());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("xopero starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that reads no input may be gone already.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "xopero {} failed: {said}", arguments.join(" "));
        output
    }
}

/// The token of an account.
pub fn token(account: &str) -> String {
    format!("token-of-{account}")
}

/// A folder that goes when it is dropped.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("xopero-bench-").tempdir().expect("a temporary folder")
}

/// Nothing of the user's settings.
#[expect(clippy::disallowed_methods, reason = "git is found through it")]
pub fn environment(home: &Path) -> Vec<(String, String)> {
    let path = std::env::var("PATH").expect("there is a PATH");
    vec![("PATH".into(), path), ("HOME".into(), home.display().to_string()), ("LC_ALL".into(), "C".into())]
}
