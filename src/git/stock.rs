//! Stock git as the judge of our tests: small repositories, and what git itself says about them.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::model::{Head, ObjectFormat, ObjectId, RefName, RefTip, References};

/// A bare repository in a directory of its own.
pub(super) struct Stock {
    /// `None` for a repository inside the directory of another.
    _directory: Option<TempDir>,
    path: PathBuf,
}

impl Stock {
    pub(super) fn empty(format: ObjectFormat) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("stock.git");
        let stock = Self { path, _directory: Some(directory) };
        let path = stock.path.to_str().unwrap();
        run(
            stock.path.parent().unwrap(),
            &["init", "-q", "--bare", "-b", "main", &format!("--object-format={format}"), path],
            &[],
            b"",
        );
        stock
    }

    /// Two branches and a merge, files that become deltas, a submodule, an executable, tags of commits, tags, trees
    /// and blobs, and a reference outside the usual places.
    pub(super) fn with_history(format: ObjectFormat) -> Self {
        let stock = Self::empty(format);
        let gitlink = "1".repeat(2 * format.width());
        let mut stream = String::new();
        for number in 0..8 {
            let mut lines = String::new();
            for line in 0..200 {
                writeln!(lines, "line {line} {}", line * (number + 7) % 31).unwrap();
            }
            let (branch, mark, size) = (if number == 5 { "side" } else { "main" }, number + 1, lines.len());
            writeln!(stream, "commit refs/heads/{branch}\nmark :{mark}").unwrap();
            writeln!(stream, "committer A <a@example.com> 170000000{number} +0100\ndata 2\nm").unwrap();
            match number {
                5 => stream += "from :3\n",
                6 => stream += "from :5\nmerge :6\n",
                _ => {}
            }
            writeln!(stream, "M 100644 inline dir/sub/file\ndata {size}\n{lines}").unwrap();
            writeln!(stream, "M 100755 inline run-{number}\ndata 2\n#!").unwrap();
            if number == 2 {
                writeln!(stream, "M 160000 {gitlink} module\nM 120000 inline link\ndata 3\ndir").unwrap();
            }
        }
        stock.git(&["fast-import", "--quiet"], stream.as_bytes());
        for arguments in [
            &["tag", "light", "main~1"][..],
            &["tag", "-a", "-m", "x", "annotated", "main"],
            &["tag", "-a", "-m", "x", "nested", "annotated"],
            &["tag", "-a", "-m", "x", "of-tree", "main^{tree}"],
            &["tag", "-a", "-m", "x", "of-blob", "main:run-3"],
            &["update-ref", "refs/pull-requests/1/from", "side"],
            &["update-ref", "refs/odd/$(id);\u{202e}#", "main~3"],
        ] {
            stock.git(arguments, b"");
        }
        stock
    }

    pub(super) fn shallow_clone(&self) -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("shallow.git");
        let url = format!("file://{}", self.path.display());
        run(directory.path(), &["clone", "-q", "--bare", "--depth=1", &url, path.to_str().unwrap()], &[], b"");
        Self { _directory: Some(directory), path }
    }

    /// A repository inside this one's directory.
    pub(super) fn at(&self, name: &str) -> Self {
        Self { _directory: None, path: self.path.join(name) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn git(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        run(&self.path, arguments, &[], input)
    }

    pub(super) fn rev(&self, revision: &str) -> ObjectId {
        let text = self.git(&["rev-parse", "--verify", revision], b"");
        ObjectId::from_hex(text.trim_ascii()).unwrap()
    }

    /// The answer to `GET info/refs`.
    pub(super) fn advertise(&self, version: u8) -> Vec<u8> {
        let mut answer = b"001e# service=git-upload-pack\n0000".to_vec();
        let protocol = format!("version={version}");
        let arguments = ["upload-pack", "--http-backend-info-refs", "."];
        answer.extend(run(&self.path, &arguments, &[("GIT_PROTOCOL", &protocol)], b""));
        answer
    }

    /// The answer to `POST git-upload-pack`; empty if git refuses the request.
    pub(super) fn upload_pack(&self, version: u8, body: &[u8]) -> Vec<u8> {
        let protocol = format!("version={version}");
        let environment = [("GIT_PROTOCOL", protocol.as_str())];
        output(&self.path, &["upload-pack", "--stateless-rpc", "."], &environment, body).0
    }

    /// A self-contained pack of the given revisions.
    pub(super) fn pack(&self, revisions: &[&str]) -> Vec<u8> {
        let mut arguments = vec!["pack-objects", "--quiet", "--revs", "--stdout", "--delta-base-offset"];
        let (options, revisions): (Vec<&str>, Vec<&str>) = revisions.iter().partition(|word| word.starts_with("--"));
        arguments.extend(options);
        self.git(&arguments, (revisions.join("\n") + "\n").as_bytes())
    }

    /// A pack of everything in which deltas name their base by id.
    pub(super) fn ref_delta_pack(&self) -> Vec<u8> {
        self.git(&["pack-objects", "--quiet", "--revs", "--stdout", "--all"], b"")
    }

    /// A pack whose deltas have bases outside it.
    pub(super) fn thin_pack(&self) -> Vec<u8> {
        self.git(&["pack-objects", "--quiet", "--revs", "--stdout", "--thin"], b"main\n^main~1\n")
    }

    pub(super) fn index_pack(&self, pack: &[u8]) {
        self.git(&["index-pack", "--stdin"], pack);
    }

    /// The number of distinct objects.
    pub(super) fn count_objects(&self) -> usize {
        let list = self.git(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"], b"");
        list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()
    }

    /// What a listing has to tell.
    pub(super) fn references(&self) -> References {
        let list = self.git(&["for-each-ref", "--format=%(objectname) [%(*objectname)] %(refname)"], b"");
        let tip = |line: &[u8]| {
            let mut words = line.splitn(3, |byte| *byte == b' ');
            let mut word = || words.next().unwrap();
            let oid = ObjectId::from_hex(word()).unwrap();
            let peeled =
                ObjectId::from_hex(word().trim_ascii().strip_prefix(b"[").unwrap().strip_suffix(b"]").unwrap());
            RefTip { oid, peeled: peeled.ok(), name: RefName::new(word()).unwrap() }
        };
        let mut tips: Vec<_> = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(tip).collect();
        tips.sort_by(|a, b| a.name.cmp(&b.name));
        let target = self.git(&["symbolic-ref", "HEAD"], b"");
        References { head: Head::Symbolic { target: RefName::new(target.trim_ascii()).unwrap() }, tips }
    }
}

fn run(directory: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Vec<u8> {
    let (stdout, success) = output(directory, arguments, environment, input);
    assert!(success, "git {arguments:?} failed");
    stdout
}

fn output(directory: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> (Vec<u8>, bool) {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.com")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Git may stop reading early; that shows in its output.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.stdout, output.status.success())
}
