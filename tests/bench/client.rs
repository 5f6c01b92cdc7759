//! The two clients, each with a fresh home and nothing of the user's settings.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::CONCURRENCY;
use crate::figures::Cost;
use crate::measure::Work;
use crate::server::{ACCOUNT, Served, TOKEN};

/// Stock git with a folder for its clones.
pub struct GitHome {
    folder: tempfile::TempDir,
    urls: Vec<String>,
}

impl GitHome {
    /// Nothing is cloned yet.
    pub fn new(served: &Served, project: &str) -> Self {
        Self { folder: folder(), urls: served.clone_urls(project).map(str::to_owned).collect() }
    }

    /// Clones every repository of the project.
    pub fn clone_all(&self) -> Cost {
        self.measure(|number, url| vec!["clone".into(), "--mirror".into(), url.into(), format!("{number}.git")])
    }

    /// Fetches every clone.
    pub fn fetch_all(&self) -> Cost {
        self.measure(|number, _| vec![format!("--git-dir={number}.git"), "fetch".into(), "--prune".into()])
    }

    /// Repacking behind the scenes is switched off: it is git's own affair, and not what is compared.
    fn measure(&self, arguments: impl Fn(usize, &str) -> Vec<String>) -> Cost {
        let settings = [
            "protocol.version=2",
            &format!("http.extraHeader=Authorization: Bearer {TOKEN}"),
            "gc.auto=0",
            "maintenance.auto=false",
        ];
        let command = |(number, url): (usize, &String)| {
            let mut words = vec!["git".to_owned()];
            words.extend(settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
            words.extend(arguments(number, url));
            words
        };
        let mut environment = environment(self.folder.path());
        environment.push(("GIT_CONFIG_NOSYSTEM".into(), "1".into()));
        environment.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
        Work {
            concurrency: CONCURRENCY,
            folder: self.folder.path().to_owned(),
            environment,
            commands: self.urls.iter().enumerate().map(command).collect(),
        }
        .measure()
    }
}

/// The executable with an applied file, a sealed credential and a local destination.
pub struct XoperoHome {
    folder: tempfile::TempDir,
}

impl XoperoHome {
    /// Nothing is backed up yet.
    pub fn new(served: &Served, project: &str) -> Self {
        let home = Self { folder: folder() };
        home.xopero(&["secrets", "keygen", "--output", "identity.txt"], "");
        let identity = std::fs::read_to_string(home.folder.path().join("identity.txt")).expect("it was just made");
        let key = identity.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("it names its key");
        let url = &served.url;
        let text = format!(
            r#"/- kdl-version 2
xopero schema=1
recipients {{
    recipient "{key}" name="bench"
}}
server "bb" {{
    url "{url}"
    concurrency listing={CONCURRENCY} packs={CONCURRENCY}
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
plan "bench" {{
    project "{project}"
    parts "git"
    destination "disk"
    retention "all"
}}
"#
        );
        std::fs::write(home.folder.path().join("xopero.kdl"), text).expect("the folder is fresh");
        home.xopero(&["credential", "add", project, "--account", ACCOUNT], TOKEN);
        home.xopero(&["apply", "--auto-approve"], "");
        home
    }

    /// Runs the plan.
    pub fn run(&self) -> Cost {
        let words = [env!("CARGO_BIN_EXE_xopero"), "run", "bench", "--json"];
        Work {
            concurrency: 1,
            folder: self.folder.path().to_owned(),
            environment: self.environment(),
            commands: [words.map(str::to_owned).to_vec()].into(),
        }
        .measure()
    }

    /// A command that is not measured.
    fn xopero(&self, arguments: &[&str], input: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xopero"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(self.environment());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("xopero starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A command that reads no input may be gone already.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "xopero {} failed: {said}", arguments.join(" "));
    }

    fn environment(&self) -> Vec<(String, String)> {
        let identity = self.folder.path().join("identity.txt");
        let mut environment = environment(self.folder.path());
        environment.push(("XOPERO_IDENTITY_FILE".into(), identity.display().to_string()));
        environment
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("xopero-bench-").tempdir().expect("a temporary folder")
}

#[expect(clippy::disallowed_methods, reason = "git is found through it")]
fn environment(home: &Path) -> Vec<(String, String)> {
    let path = std::env::var("PATH").expect("there is a PATH");
    vec![("PATH".into(), path), ("HOME".into(), home.display().to_string()), ("LC_ALL".into(), "C".into())]
}
