//! The tour: a Bitbucket server on loopback, a project of real repositories, and every step from an empty folder to a
//! proven restore. Run it with `cargo run --example quickstart`.
//!
//! Each line that begins with `$` is a command that you can type yourself: the folder and the server stay until you
//! press Enter (without a terminal the tour ends by itself). This program is also the `xopero` that it calls: under
//! that name it is the executable.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tour talks")]

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use fake_bitbucket::{Account, Allowance, FakeBitbucket, Options, Repository, Server, World, judge};

/// The account of the main credential, and two more to spread the load over.
const ACCOUNTS: [&str; 3] = ["svc-backup", "svc-backup-1", "svc-backup-2"];

fn main() -> ExitCode {
    let called_as = std::env::args_os().next().map(PathBuf::from);
    if called_as.as_deref().and_then(Path::file_name).is_some_and(|name| name == "xopero") {
        return xopero::cli::main();
    }
    match tour() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the tour ended early: {error}");
            ExitCode::FAILURE
        }
    }
}

fn tour() -> Result<(), Box<dyn Error>> {
    title("A Bitbucket server on loopback with a project of four repositories");
    let world = World::new();
    let project = world.project("PAY");
    let ledger = project.repository("ledger", |recipe| {
        recipe.commits(400).files(60).merges(12).branches(5).tag("v1.0").nested_tag("v1.0-signed").pull_request(7)
    });
    let web = project.repository("web", |recipe| recipe.seed(2).commits(150).files(30).binary_files().odd_names());
    let archive = project.repository("legacy", |recipe| recipe.seed(3).commits(40).archived());
    let blank = project.repository("blank", fake_bitbucket::Recipe::empty);
    let repositories = [&ledger, &web, &archive, &blank];
    let server = start(world);
    let folder = Folder::make()?;
    say(&format!("The server is at {}; every account may send 4 requests, then 2 a second.", server.url()));
    say(&format!("Everything else is in {}", folder.path.display()));

    title("Two identities: one opens the file's secrets, the other the backups");
    let secrets_key = folder.keygen("identity.txt")?;
    let backup_key = folder.keygen("backup-identity.txt")?;

    title("The file: what to protect, with which accounts, to where");
    let file = declare(&server, &secrets_key, &backup_key);
    fs::write(folder.path.join("xopero.kdl"), &file)?;
    say(&indented(&file));

    title("Tokens are sealed into it: safe to commit, bound to this server");
    folder.add_credential(None, ACCOUNTS[0])?;
    folder.add_credential(Some("extra-1"), ACCOUNTS[1])?;
    folder.add_credential(Some("extra-2"), ACCOUNTS[2])?;

    title("What would change, and making it so");
    folder.xopero(&["plan"])?;
    folder.xopero(&["apply", "--auto-approve"])?;

    title("The first backup. Accounts run dry and are exchanged; nothing fails");
    folder.xopero(&["run", "nightly"])?;

    title("Commits, a force-push and a deleted branch at the source; an increment");
    ledger.commit("main");
    ledger.commit("main");
    web.force_push("main", 3);
    ledger.delete_ref("refs/heads/topic/1");
    folder.xopero(&["run", "nightly"])?;

    title("What there is, and the proof that it is whole");
    folder.xopero(&["snapshots"])?;
    folder.xopero(&["--identity", "backup-identity.txt", "verify", "PAY/ledger"])?;

    title("Getting everything back");
    for repository in repositories {
        let (slug, to) = (repository.slug(), format!("restored/{}.git", repository.slug()));
        folder.xopero(&["--identity", "backup-identity.txt", "restore", &format!("PAY/{slug}"), "--to", &to])?;
    }
    folder.xopero(&["--identity", "backup-identity.txt", "export", "PAY/ledger", "--bundle", "ledger.bundle"])?;
    folder.git(&["--git-dir=restored/ledger.git", "bundle", "verify", "--quiet", "ledger.bundle"])?;

    title("Stock git judges: is every restored repository equal to its source?");
    for repository in repositories {
        prove(&folder, repository)?;
    }
    farewell(&folder)
}

fn start(world: World) -> Server {
    let allowance = Allowance::Bucket { capacity: 4, per_second: 2.0 };
    let accounts = ACCOUNTS.map(|name| Account::reader(name, &token(name)));
    let options = Options::new().context_path("bitbucket").allowance(allowance);
    FakeBitbucket::start_blocking(world, accounts.into_iter().fold(options, Options::account))
}

fn token(account: &str) -> String {
    format!("token-of-{account}")
}

fn declare(server: &Server, secrets_key: &str, backup_key: &str) -> String {
    format!(
        r#"/- kdl-version 2
xopero schema=1

// Who can open the sealed tokens of this file.
recipients {{
    recipient "{secrets_key}" name="quickstart"
}}

server "bb" {{
    url "{url}"
    concurrency listing=4 packs=2
}}

destination "nas" {{
    local "backups"
    encrypt-to "{backup_key}"
}}

project "PAY" server="bb" {{
}}

plan "nightly" {{
    project "PAY" {{
        enable-credentials "extra-1" "extra-2"
    }}
    parts "git"
    destination "nas"
    retention {{ keep last=7 daily=14; }}
    schedule "30 1 * * *" tz="Europe/Warsaw"
}}
"#,
        url = server.url(),
    )
}

/// Compares references, `HEAD` and every object with stock git.
fn prove(folder: &Folder, source: &Repository) -> Result<(), Box<dyn Error>> {
    let restored = folder.path.join(format!("restored/{}.git", source.slug()));
    judge::compare(&source.path(), &restored)?;
    judge::fsck(&restored)?;
    let (references, objects) = (source.refs().len(), judge::reachable_objects(&source.path()).len());
    say(&format!("  PAY/{:<8} equal: {references} references, {objects} objects", source.slug()));
    Ok(())
}

fn farewell(folder: &Folder) -> Result<(), Box<dyn Error>> {
    if !io::stdin().is_terminal() {
        return Ok(());
    }
    title("Your turn");
    say("The server is up. In another terminal:\n");
    say(&format!("  cd {}", folder.path.display()));
    say("  export XOPERO_IDENTITY_FILE=identity.txt");
    say("  ./xopero run nightly\n");
    say("Press Enter to end the tour and remove the folder.");
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

/// The folder of the tour, with `xopero` in it.
struct Folder {
    path: PathBuf,
    _removed_at_the_end: tempfile::TempDir,
}

impl Folder {
    fn make() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::Builder::new().prefix("xopero-quickstart-").tempdir()?;
        std::os::unix::fs::symlink(std::env::current_exe()?, folder.path().join("xopero"))?;
        Ok(Self { path: folder.path().to_owned(), _removed_at_the_end: folder })
    }

    fn keygen(&self, file: &str) -> Result<String, Box<dyn Error>> {
        let arguments = ["secrets", "keygen", "--output", file];
        show(&format!("xopero {}", arguments.join(" ")));
        let output = self.command(&arguments).stderr(Stdio::inherit()).output()?;
        let key = String::from_utf8(output.stdout)?.trim().to_owned();
        say(&key);
        if output.status.success() { Ok(key) } else { Err("no identity was made".into()) }
    }

    fn add_credential(&self, name: Option<&str>, account: &str) -> Result<(), Box<dyn Error>> {
        let mut arguments = vec!["credential", "add", "PAY"];
        arguments.extend(name);
        arguments.extend(["--account", account]);
        show(&format!("echo {} | xopero {}", token(account), arguments.join(" ")));
        let mut child = self.command(&arguments).stdin(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().ok_or("no standard input")?;
        stdin.write_all(token(account).as_bytes())?;
        drop(stdin);
        if child.wait()?.success() { Ok(()) } else { Err("the credential was not added".into()) }
    }

    fn xopero(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        show(&format!("xopero {}", arguments.join(" ")));
        let status = self.command(arguments).status()?;
        if status.success() { Ok(()) } else { Err(format!("xopero ended with {status}").into()) }
    }

    fn git(&self, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
        show(&format!("git {}", arguments.join(" ")));
        let status = Command::new("git").args(arguments).current_dir(&self.path).status()?;
        if status.success() { Ok(()) } else { Err(format!("git ended with {status}").into()) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path.join("xopero"));
        command.args(arguments).current_dir(&self.path).stdin(Stdio::null());
        command.env("XOPERO_IDENTITY_FILE", self.path.join("identity.txt"));
        command.env_remove("XOPERO_FILE").env_remove("XOPERO_STATE");
        command
    }
}

fn title(text: &str) {
    println!("\n── {text}");
}

fn show(command: &str) {
    println!("\n$ {command}");
}

fn say(text: &str) {
    println!("{text}");
}

fn indented(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("    {line}") };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
