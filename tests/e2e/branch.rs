//! `xopero watch --git`: the declaration in a branch, and what is not taken from it.

#![expect(clippy::unwrap_used, reason = "the folder is the one that was just made, or the test ends")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fake_bitbucket::{Repository, World};
use rustix::process::Signal;
use serde_json::Value;

use crate::file;
use crate::json_schema::demand_valid;
use crate::proof::stock;
use crate::scene::{PATIENCE, readers, tidy};
use crate::support::{Home, file_text, token_of};
use crate::watch::Watching;

/// Makes a commit of one file at the branch: repository, file, options of git, options of the commit, parents.
const COMMIT: &str = r#"
set -e
export GIT_DIR="$1" GIT_AUTHOR_NAME=Ada GIT_AUTHOR_EMAIL=ada@example.com
export GIT_COMMITTER_NAME=Ada GIT_COMMITTER_EMAIL=ada@example.com GNUPGHOME="$6"
tree=$(printf '100644 blob %s\txopero.kdl\n' "$(git hash-object -w "$2")" | git mktree)
parents=""
for parent in $4; do parents="$parents -p $parent"; done
commit=$(git $3 commit-tree $5 $parents -m 'a change' "$tree")
git update-ref refs/heads/main "$commit"
echo "$commit"
"#;

/// A home whose file is in a repository of the server, and what reads it.
pub struct Source {
    pub home: Home,
    served: Repository,
    /// What a machine has, and no backup: the token and keys.
    machine: tempfile::TempDir,
    /// The file as it is pushed first.
    pub text: String,
}

impl Source {
    pub fn new() -> Self {
        let world = World::new();
        world.project("PAY").repository("ledger", |recipe| recipe.commits(1));
        let served = world.project("OPS").repository("backup", |recipe| recipe.empty());
        let home = Home::new(world, readers(&["main", "watcher"]));
        home.write_file(&["nas"], &(file::project("PAY") + &file::plan("nightly", "PAY", "", &["nas"])));
        home.add_credential("PAY", None, "main");
        let text = file_text(&home);
        fs::remove_file(home.path().join("xopero.kdl")).unwrap();
        let source = Self { home, served, machine: tempfile::tempdir().unwrap(), text };
        source.keep("token", &token_of("watcher"), 0o600);
        source
    }

    /// Puts a file on the machine.
    pub fn keep(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.machine.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Commits a file with these parents, and gives the commit.
    pub fn push(&self, text: &str, parents: &[&str]) -> String {
        self.push_with("", "", text, parents)
    }

    /// The same, signed with the key of this name.
    pub fn push_signed(&self, key: &str, text: &str, parents: &[&str]) -> String {
        let options = format!("-c gpg.format=ssh -c user.signingkey={}", self.machine.path().join(key).display());
        self.push_with(&options, "-S", text, parents)
    }

    fn push_with(&self, git: &str, commit: &str, text: &str, parents: &[&str]) -> String {
        let file = self.keep("pushed.kdl", text, 0o600);
        let (repository, parents) = (self.served.path(), parents.join(" "));
        let keyring = self.keyring();
        let arguments = ["-c", COMMIT, "sh", repository.to_str().unwrap(), &file, git, &parents, commit, &keyring];
        stock(&self.home, "sh", &arguments).trim().to_owned()
    }

    /// Makes a key of SSH, and gives its line among the allowed signers.
    fn key(&self, name: &str) -> String {
        let path = self.machine.path().join(name);
        stock(&self.home, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path.to_str().unwrap()]);
        let public: PathBuf = path.with_extension("pub");
        format!("{name}@example.com {}", fs::read_to_string(public).unwrap())
    }

    fn keyring(&self) -> String {
        self.machine.path().join("gnupg").to_str().unwrap().to_owned()
    }

    /// Makes a key of OpenPGP, and gives it as others have it.
    fn openpgp_key(&self, name: &str) -> String {
        let keyring = self.keyring();
        if !PathBuf::from(&keyring).exists() {
            fs::create_dir(&keyring).unwrap();
            fs::set_permissions(&keyring, fs::Permissions::from_mode(0o700)).unwrap();
            // gpg starts it by itself, and gives it seconds to come up; this returns when it is there.
            stock(&self.home, "gpg-agent", &["--homedir", &keyring, "--quiet", "--daemon"]);
        }
        let gpg = |arguments: &[&str]| {
            let usual =
                ["--homedir", &keyring, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"];
            stock(&self.home, "gpg", &[&usual[..], arguments].concat())
        };
        gpg(&["--quick-generate-key", name, "ed25519", "sign", "0"]);
        gpg(&["--armor", "--export", name])
    }

    /// Commits a file, signed with the OpenPGP key of this name.
    fn push_with_gpg(&self, name: &str, text: &str, parents: &[&str]) -> String {
        self.push_with(&format!("-c user.signingkey={name}"), "-S", text, parents)
    }

    /// The address of the repository.
    pub fn address(&self) -> String {
        self.home.server.clone_url(&self.served)
    }

    /// A watch that follows the branch, with further options.
    fn watch(&self, more: &[&str]) -> Watching {
        let (address, token) = (self.address(), self.machine.path().join("token"));
        let options = naming(&address, token.to_str().unwrap());
        Watching::start(&self.home, &[&options, more].concat())
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // gpg leaves an agent behind.
        let mut command = self.home.command("gpgconf");
        let _none_there = command.args(["--homedir", &self.keyring(), "--kill", "all"]).output();
    }
}

/// The options that name the branch.
fn naming<'a>(address: &'a str, token: &'a str) -> Vec<&'a str> {
    vec!["--git", address, "--git-account", "watcher", "--git-token-file", token]
}

/// Asks at once, and waits for what comes of it.
fn after_a_hint(watch: &mut Watching, kind: &str) -> Value {
    watch.signal(Signal::HUP);
    watch.line(kind)
}

#[test]
fn a_watch_follows_a_branch() {
    let source = Source::new();
    let first = source.push(&source.text, &[]);
    let mut watch = source.watch(&[]);
    let started = watch.line("watch_started");
    assert_eq!(started["source"], format!("{} refs/heads/main:xopero.kdl", source.address()));
    let applied = watch.line("activated");
    assert_eq!((&applied["result"], &applied["generation"]), (&"applied".into(), &1.into()), "{applied}");
    assert_eq!((&applied["commit"], &applied["author"]), (&first.clone().into(), &"Ada <ada@example.com>".into()));

    let second = source.push(&source.text.replace("keep last=100", "keep last=200"), &[&first]);
    assert_eq!(after_a_hint(&mut watch, "activated")["generation"], 2);
    let history = source.home.xopero(&["history", "--json"]).success().json();
    assert!(history.iter().any(|line| line["source"]["commit"] == *second), "{history:?}");

    let guarded = source.push(&source.text.replace("keep last=100", "keep last=5"), &[&second]);
    let pending = after_a_hint(&mut watch, "activated");
    assert_eq!((&pending["result"], &pending["generation"]), (&"pending-approval".into(), &2.into()), "{pending}");
    let tail = source.text.replace("keep last=100", "keep last=200") + "// a remark\n";
    let back = source.push(&tail, &[&guarded]);
    let in_sync = after_a_hint(&mut watch, "activated");
    assert_eq!((&in_sync["result"], &in_sync["commit"]), (&"in-sync".into(), &back.clone().into()), "{in_sync}");

    source.push(&source.text.replace("url \"", "ca-file \"pki/root.pem\"\n    url \""), &[&back]);
    let problem = after_a_hint(&mut watch, "diagnostic");
    assert_eq!(problem["code"], "xopero::relative-ca-file", "{problem}");
    assert_eq!(watch.line("activated")["result"], "invalid");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    tidy(&source.home, &source.home.xopero(&["history"]).success());
}

#[test]
fn a_branch_that_was_set_back_or_is_not_signed_changes_nothing() {
    let source = Source::new();
    let allowed = source.key("ada");
    source.key("eve");
    let list = source.keep("signers", &allowed, 0o644);
    let first = source.push_signed("ada", &source.text, &[]);
    let mut watch = source.watch(&["--require-signatures", &list]);
    let applied = watch.line("activated");
    assert_eq!((&applied["result"], &applied["signed_by"]), (&"applied".into(), &"ada@example.com".into()));

    let other = source.text.replace("keep last=100", "keep last=200");
    let foreign = source.push_signed("eve", &other, &[&first]);
    let tip = source.push_signed("ada", &other, &[&foreign]);
    let refused = after_a_hint(&mut watch, "source_unsigned");
    assert_eq!(refused["commit"], foreign, "not only the last commit counts: {tip}");
    let written_anew = source.push_signed("ada", &format!("{}// anew\n", source.text), &[]);
    let rewound = after_a_hint(&mut watch, "source_rewound");
    assert_eq!((&rewound["applied"], &rewound["tip"]), (&first.clone().into(), &written_anew.into()));
    source.push_signed("ada", &other, &[&first]);
    assert_eq!(after_a_hint(&mut watch, "activated")["generation"], 2);
}

#[test]
fn what_cannot_be_followed_is_told_before_anything_begins() {
    let source = Source::new();
    let home = &source.home;
    let (address, token) = (source.address(), source.keep("token", &token_of("watcher"), 0o600));
    let options = naming(&address, &token);
    let watch = |more: &[&str]| home.xopero(&[&["watch"], more].concat());
    let ssh = "ssh://git@bitbucket.example.com:7999/ops/backup.git";
    for address in [ssh, "git@bitbucket.example.com:ops/backup.git"] {
        watch(&["--git", address]).expect(64).says("over ssh").says("https address").says("token");
    }
    watch(&["--git", "http://bitbucket.example.com/scm/ops/backup.git"]).expect(64).says("https");
    watch(&[&options[..], &["-f", "other.kdl"]].concat()).expect(64).says("leave out -f");
    watch(&[&options[..], &["--path", "../xopero.kdl"]].concat()).expect(64).says("git ls-files");
    watch(&[&options[..], &["--interval", "5s"]].concat()).expect(64).says("between 30s and 24h");
    watch(&["--require-signatures", "signers"]).expect(64).says("--git");
    watch(&["--git", &address]).expect(64).says("--git-token-file");
    let list = source.keep("signers", "nobody\n", 0o644);
    watch(&[&options[..], &["--require-signatures", &list]].concat()).expect(1).says("line 1");
    source.keep("signers", "nobody\n", 0o664);
    watch(&[&options[..], &["--require-signatures", &list]].concat()).expect(1).says("chmod go-w");
    source.keep("token", &token_of("watcher"), 0o640);
    let open = watch(&options).expect(7).says("open to other users").says("chmod 600");
    tidy(home, &open);
    assert!(!home.path().join(".xopero").exists());
}

/// The commit is at the branch again, whatever came after it.
fn set_back(source: &Source, commit: &str) {
    let repository = source.served.path();
    stock(&source.home, "git", &["-C", repository.to_str().unwrap(), "update-ref", "refs/heads/main", commit]);
}

fn status(source: &Source) -> (String, Value) {
    let shown = source.home.xopero(&["status"]).success();
    tidy(&source.home, &shown);
    assert!(shown.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains("http")), "{}", shown.stdout);
    let lines = source.home.xopero(&["status", "--json"]).success().json();
    demand_valid("status-output.schema.json", &lines);
    (shown.stdout, lines[1].clone())
}

#[test]
fn what_waits_is_seen_and_approved_without_a_clone() {
    let source = Source::new();
    let first = source.push(&source.text, &[]);
    let mut watch = source.watch(&[]);
    watch.line("activated");
    source.push(&source.text.replace("keep last=100", "keep last=5"), &[&first]);
    let pending = after_a_hint(&mut watch, "activated");
    let approve = format!("xopero apply --approve {}", pending["plan_id"].as_str().unwrap());
    let (shown, line) = status(&source);
    assert!(shown.contains("Follows xopero.kdl in main of") && shown.contains("by Ada <ada@example.com>"), "{shown}");
    assert_eq!(
        (&line["file"]["sync"], &line["source"]["problems"]),
        (&"PendingApproval".into(), &Value::Array(vec![]))
    );
    assert!(shown.replace('\n', " ").contains(&approve), "{shown}");
    source.home.xopero(&["plan", "--offline"]).success().says("tightened-retention").says(&approve);
    source.home.xopero(&["validate"]).success().says("xopero.kdl is valid");
    let approve: Vec<&str> = approve.split(' ').skip(1).chain(["--offline"]).collect();
    source.home.xopero(&approve).success().says("Applied as generation 2");
    let (_, line) = status(&source);
    assert_eq!((&line["file"]["sync"], &line["in_force"]["generation"]), (&"InSync".into(), &2.into()));
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    // The next watch goes on from there.
    let mut watch = source.watch(&[]);
    assert_eq!(watch.line("activated")["result"], "in-sync");
}

#[test]
fn a_commit_that_changes_nothing_cannot_be_taken_back_unseen() {
    let source = Source::new();
    let first = source.push(&source.text, &[]);
    let mut watch = source.watch(&[]);
    watch.line("activated");
    let remark = source.push(&format!("{}// a remark\n", source.text), &[&first]);
    assert_eq!(after_a_hint(&mut watch, "activated")["result"], "in-sync");
    set_back(&source, &first);
    assert_eq!(after_a_hint(&mut watch, "source_rewound")["applied"], remark);
    let (shown, line) = status(&source);
    let problem = line["source"]["problems"][0].as_str().unwrap();
    assert!(problem.contains("was set back") && shown.contains("! source: the branch was set back"), "{shown}");

    // Somebody looks, and means it.
    let (address, token) = (source.address(), source.keep("token", &token_of("watcher"), 0o600));
    let options = naming(&address, &token);
    let command = |command: &[&str]| source.home.xopero(&[command, &options[..], &["--offline"]].concat());
    command(&["plan", "--detailed-exitcode"]).success();
    command(&["apply"]).success().says(&format!("must come from commit {}", &first[..8]));
    assert_eq!(after_a_hint(&mut watch, "activated")["result"], "in-sync");
    assert_eq!(status(&source).1["source"]["problems"], Value::Array(vec![]));

    // Another history that says something else is guarded for everybody.
    source.push(&source.text.replace("keep last=100", "keep last=200"), &[]);
    after_a_hint(&mut watch, "source_rewound");
    let plan = command(&["plan"]).success().says("source-rewound");
    let apply = plan.stdout.lines().find_map(|line| line.strip_prefix("To apply:  xopero ")).unwrap();
    assert!(apply.contains("--git-account watcher --git-token-file "), "{apply}");
    let refused = command(&["apply", "--auto-approve"]).expect(4);
    tidy(&source.home, &refused);
    source.home.xopero(&[apply.split(' ').collect(), vec!["--offline"]].concat()).success();
    let activated = after_a_hint(&mut watch, "activated");
    assert_eq!((&activated["result"], &activated["generation"]), (&"in-sync".into(), &2.into()), "{activated}");
}

#[test]
fn what_is_not_signed_or_cannot_be_read_is_seen_until_it_is_over() {
    let source = Source::new();
    let list = source.keep("signers", &source.key("ada"), 0o644);
    let first = source.push_signed("ada", &source.text, &[]);
    let mut watch = source.watch(&["--require-signatures", &list]);
    watch.line("activated");
    let unsigned = source.push(&source.text, &[&first]);
    after_a_hint(&mut watch, "source_unsigned");
    let (shown, _) = status(&source);
    assert!(shown.contains("is not signed as demanded") && shown.contains("signed by ada@example.com"), "{shown}");
    let (address, token) = (source.address(), source.keep("token", &token_of("watcher"), 0o600));
    let options = [&naming(&address, &token)[..], &["--require-signatures", &list]].concat();
    for command in [&["plan", "--offline"][..], &["apply", "--auto-approve"], &["validate"]] {
        let refused = source.home.xopero(&[command, &options].concat()).expect(11);
        let refused = refused.says(&unsigned[..8]).says("it is not signed").says("gpg.format ssh");
        tidy(&source.home, &refused);
    }

    // The token is replaced at the server.
    source.home.server.set_account(fake_bitbucket::Account::reader("watcher", "another"));
    let asked = || source.home.server.log().len();
    for _ in 0..2 {
        let before = asked();
        after_a_hint(&mut watch, "reloading");
        assert!(source.home.server.log().wait_for_blocking(PATIENCE, |log| log.len() > before));
    }
    after_a_hint(&mut watch, "source_stale");
    let problems = status(&source).1["source"]["problems"].clone();
    let told: Vec<&str> = problems.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(told.len() == 2 && told[0].contains("could not be read since"), "{told:?}");
    source.home.server.set_account(fake_bitbucket::Account::reader("watcher", &token_of("watcher")));
    set_back(&source, &first);
    source.push_signed("ada", &source.text, &[&first]);
    assert_eq!(after_a_hint(&mut watch, "activated")["result"], "in-sync");
    assert_eq!(status(&source).1["source"]["problems"], Value::Array(vec![]));
}

#[test]
fn openpgp_signatures_count_by_keys_of_the_list() {
    let source = Source::new();
    let key = source.openpgp_key("ada@example.com");
    source.openpgp_key("eve@example.com");
    let list = source.keep("signers", &format!("# who may\n{}{key}", source.key("bob")), 0o644);
    let first = source.push_with_gpg("ada@example.com", &source.text, &[]);
    let mut watch = source.watch(&["--require-signatures", &list]);
    let applied = watch.line("activated");
    assert_eq!(
        (&applied["result"], &applied["signed_by"]),
        (&"applied".into(), &"ada@example.com".into()),
        "{applied}"
    );
    let foreign = source.push_with_gpg("eve@example.com", &source.text, &[&first]);
    let refused = after_a_hint(&mut watch, "source_unsigned");
    assert!(refused["commit"] == foreign && refused["reason"].as_str().unwrap().contains("not among"), "{refused}");
    // Both kinds may take turns.
    source.push_signed("bob", &source.text.replace("keep last=100", "keep last=200"), &[&first]);
    assert_eq!(after_a_hint(&mut watch, "activated")["signed_by"], "bob@example.com");
}

/// Posts a body to the hook, and gives the status.
fn post(address: &str, signature: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /hook HTTP/1.1\r\nHost: backup.example.com\r\nX-Hub-Signature: {signature}\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_webhook_wakes_a_watch_and_says_nothing_else() {
    let source = Source::new();
    let secret = "0123456789abcdef0123456789abcdef";
    let file = source.keep("hook", secret, 0o600);
    let first = source.push(&source.text, &[]);
    let mut watch = source.watch(&["--listen", "127.0.0.1:0", "--webhook-secret-file", &file]);
    let listening = watch.line("listening");
    let address = listening["address"].as_str().unwrap().trim_start_matches("http://").to_owned();
    watch.line("activated");
    source.push(&source.text.replace("keep last=100", "keep last=200"), &[&first]);
    let body = "{\"eventKey\":\"repo:refs_changed\"}";
    let sign = |secret: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let mac = ring::hmac::sign(&key, body.as_bytes());
        mac.as_ref().iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
    };
    assert_eq!(post(&address, &sign("another secret, and long"), body), 401);
    assert_eq!(post(&address, &sign(secret), "another body"), 401);
    assert_eq!(post(&address, &sign(secret), body), 202);
    assert_eq!(watch.line("activated")["generation"], 2);

    let weak = source.keep("hook", "short", 0o600);
    let (address, token) = (source.address(), source.keep("token", &token_of("watcher"), 0o600));
    let options =
        [&["watch", "--listen", "127.0.0.1:0", "--webhook-secret-file", &weak], &naming(&address, &token)[..]];
    source.home.xopero(&options.concat()).expect(64).says("shorter than 16");
}
