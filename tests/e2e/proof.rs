//! What a backup is worth: restored, and judged by stock git.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fake_bitbucket::{Kind, Options, Repository, World, judge};
use serde_json::Value;

use crate::file;
use crate::scene::readers;
use crate::support::Home;

/// A server with the account `main` that reads everything.
pub fn options() -> Options {
    readers(&["main"])
}

/// A home over `world` with the usual file in force.
pub fn usual(world: World) -> Home {
    let home = Home::new(world, options());
    home.apply_usual();
    home
}

/// A home over `world` whose project and plan are declared in a file that the main one includes, which is returned too.
/// Its credential is not there yet.
pub fn in_two_files(world: World) -> (Home, PathBuf) {
    let home = Home::new(world, options());
    home.write_file(&["nas"], "include \"teams/pay.kdl\"\n");
    let included = home.path().join("teams/pay.kdl");
    let declared = file::project("PAY") + &file::plan("nightly", "PAY", "", &["nas"]);
    std::fs::create_dir(home.path().join("teams")).expect("the folder is new");
    std::fs::write(&included, declared).expect("the file can be written");
    (home, included)
}

/// `PROJECT/SLUG` of a repository.
pub fn name_of(repository: &Repository) -> String {
    format!("{}/{}", repository.project_key(), repository.slug())
}

/// Runs a program of this machine, which must succeed, and gives its standard output.
pub fn stock(home: &Home, program: &str, arguments: &[&str]) -> String {
    let output = home.command(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not start (is it installed?): {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} failed: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Demands that `copy` equals `source` in stock git's eyes, and that nothing in it is broken.
pub fn demand_equal(source: &Path, copy: &Path) {
    judge::compare(source, copy).unwrap_or_else(|differences| panic!("{} differs: {differences}", copy.display()));
    judge::fsck(copy).unwrap_or_else(|complaint| panic!("{} is broken: {complaint}", copy.display()));
}

/// A snapshot, and the source as it was when it was taken.
pub struct Moment {
    pub snapshot: String,
    source: PathBuf,
}

impl Home {
    /// Demands that the newest snapshot of a repository equals its source.
    pub fn prove(&self, repository: &Repository) {
        demand_equal(&repository.path(), &self.restore(&name_of(repository)));
    }

    /// Runs a plan and gives the report of every repository by `PROJECT/SLUG`.
    pub fn reports(&self, plan: &str) -> BTreeMap<String, Value> {
        let ended = self.xopero(&["run", plan, "--json"]).success();
        let finished = ended.json().into_iter().filter(|line| line["type"] == "task_finished");
        finished
            .map(|line| {
                let report = &line["report"];
                let text = |name: &str| report[name].as_str().expect("a report names its repository").to_owned();
                (format!("{}/{}", text("project"), text("slug")), report.clone())
            })
            .collect()
    }

    /// The lines of `xopero snapshots --json` with further arguments, newest first.
    pub fn snapshots(&self, arguments: &[&str]) -> Vec<Value> {
        let all = [&["snapshots", "--json"], arguments].concat();
        self.xopero_as("backup.txt", &all).success().json()
    }

    /// The id of the newest snapshot of a repository.
    pub fn newest(&self, repository: &Repository) -> String {
        let name = name_of(repository);
        let all = self.snapshots(&["--repository", &name]);
        let newest = all.first().unwrap_or_else(|| panic!("there is no snapshot of {name}"));
        newest["id"].as_str().expect("a snapshot has an id").to_owned()
    }

    /// Keeps a copy of a repository as it is, beside its newest snapshot.
    pub fn moment(&self, repository: &Repository) -> Moment {
        let source = tempfile::Builder::new().prefix("moment-").tempdir_in(self.path()).expect("a folder").keep();
        let from = format!("{}/.", repository.path().display());
        stock(self, "cp", &["-a", &from, source.to_str().expect("the path is UTF-8")]);
        Moment { snapshot: self.newest(repository), source }
    }

    /// Demands that a snapshot restores to what the source was at its time.
    pub fn prove_moment(&self, moment: &Moment) {
        demand_equal(&moment.source, &self.restore(&moment.snapshot));
    }

    /// The manifest of a snapshot in a destination, read with stock tools.
    pub fn manifest(&self, destination: &str, snapshot: &str) -> Value {
        let script = "age -d -i backup.txt \"$(find \"$1\" -name \"$2.json.zst.age\")\" | zstd -dcq";
        let folder = self.destination(destination);
        let text = stock(self, "sh", &["-c", script, "sh", folder.to_str().expect("UTF-8"), snapshot]);
        serde_json::from_str(&text).expect("a manifest is JSON")
    }

    /// How many requests of git's kind went to a repository since the log was cleared.
    pub fn git_requests(&self, repository: &Repository) -> usize {
        let path = format!("{}/", repository.clone_path());
        self.server.log().count(|entry| {
            let is_git = matches!(entry.kind, Kind::GitInfoRefs | Kind::GitUploadPack { .. } | Kind::GitReceivePack);
            is_git && entry.path.contains(&path)
        })
    }

    /// How many packs lie in a destination.
    pub fn stored_packs(&self, destination: &str) -> usize {
        let folder = self.destination(destination);
        let found = stock(self, "find", &[folder.to_str().expect("UTF-8"), "-name", "*.pack.age"]);
        found.lines().count()
    }
}
