//! A small HTTP client and a stock git for the tests.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use fake_bitbucket::{Account, Control, FakeBitbucket, Options, Server, World};
use serde_json::Value;

/// The token of the account `alice`, who may do everything.
pub const TOKEN: &str = "token-of-alice";

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Whether the body came to its proper end.
    pub complete: bool,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn exception(&self) -> String {
        self.json()["errors"][0]["exceptionName"].as_str().unwrap().to_owned()
    }
}

pub fn serve(world: &World, options: Options) -> Server {
    let options = options.account(Account::admin("alice", TOKEN));
    FakeBitbucket::start_blocking(world.clone(), options)
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

pub fn basic(pair: &str) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Authorization: Basic {encoded}")
}

/// A request as `alice`.
pub fn get(server: &Control, path: &str) -> Response {
    get_as(server, path, &[&bearer(TOKEN)])
}

pub fn get_as(server: &Control, path: &str, headers: &[&str]) -> Response {
    request(server, "GET", path, headers, b"")
}

pub fn request(server: &Control, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
    let mut stream = send(server, method, path, headers, body);
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).is_ok();
    parse(&bytes, ended)
}

/// Sends a request and leaves the answer to the caller.
pub fn send(server: &Control, method: &str, path: &str, headers: &[&str], body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let context = server.url().splitn(4, '/').nth(3).map(|path| format!("/{path}"));
    let mut head = format!("{method} {}{path} HTTP/1.1\r\n", context.unwrap_or_default());
    head += "Host: localhost\r\nConnection: close\r\n";
    head += &format!("Content-Length: {}\r\n", body.len());
    for header in headers {
        head += &format!("{header}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

fn parse(bytes: &[u8], ended: bool) -> Response {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer has a head");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let (body, complete) = if headers.contains_key("transfer-encoding") {
        dechunk(rest)
    } else {
        let length = if status == 204 { 0 } else { headers["content-length"].parse().unwrap() };
        (rest.to_vec(), ended && rest.len() == length)
    };
    Response { status, headers, body, complete }
}

fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let digits = std::str::from_utf8(&rest[..end]).unwrap();
        let length = usize::from_str_radix(digits, 16).unwrap();
        rest = &rest[end + 2..];
        if length == 0 {
            return (body, true);
        }
        let there = length.min(rest.len());
        body.extend_from_slice(&rest[..there]);
        rest = &rest[(length + 2).min(rest.len())..];
    }
    (body, false)
}

/// Stock git with alice's token and nothing of the user's configuration.
pub fn git(arguments: &[&str], folder: &Path) -> Output {
    let header = format!("http.extraHeader={}", bearer(TOKEN));
    Command::new("git")
        .args(["-c", &header])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .output()
        .unwrap()
}

#[track_caller]
pub fn git_ok(arguments: &[&str], folder: &Path) {
    let output = git(arguments, folder);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {text}");
}

/// The error text of a git that fails.
#[track_caller]
pub fn git_fails(arguments: &[&str], folder: &Path) -> String {
    let output = git(arguments, folder);
    assert!(!output.status.success(), "git {arguments:?} succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The body of a fetch of one commit with protocol v2.
pub fn fetch_body(oid: &str) -> Vec<u8> {
    let want = format!("want {oid}\n");
    let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let parts = ["command=fetch\n", "object-format=sha1\n"].map(packet).concat();
    let rest = [want.as_str(), "ofs-delta\n", "no-progress\n", "done\n"].map(packet).concat();
    format!("{parts}0001{rest}0000").into_bytes()
}

/// The headers of a fetch with protocol v2.
pub fn fetch_headers() -> Vec<String> {
    vec![
        bearer(TOKEN),
        "Content-Type: application/x-git-upload-pack-request".to_owned(),
        "Git-Protocol: version=2".to_owned(),
    ]
}

/// Fetches `main` of a repository by hand.
pub fn fetch(server: &Control, repository: &fake_bitbucket::Repository) -> Response {
    let headers = fetch_headers();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let path = format!("{}/git-upload-pack", repository.clone_path());
    request(server, "POST", &path, &headers, &fetch_body(&repository.oid("refs/heads/main")))
}
