//! Who is told when backups do not come, and when they come again.

#![expect(clippy::unwrap_used, reason = "a receiver that breaks ends the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use fake_bitbucket::{Action, Kind, When, World};
use serde_json::Value;

use crate::json_schema::demand_valid;
use crate::proof::usual;
use crate::scene::{Nobody, PATIENCE, run, tidy};
use crate::support::Home;
use crate::watch::{Watching, miss};

/// Something that a receiver was sent.
pub struct Sent {
    path: String,
    head: String,
    body: String,
}

impl Sent {
    /// The identity by which a receiver knows a message that it got before.
    pub fn identity(&self) -> String {
        let document: Value = serde_json::from_str(&self.body).unwrap();
        document["idempotency_key"].as_str().unwrap().to_owned()
    }

    /// The phases of its events.
    pub fn phases(&self) -> Vec<String> {
        let document: Value = serde_json::from_str(&self.body).unwrap();
        let events = document["events"].as_array().unwrap().iter();
        events
            .map(|event| format!("{} {}", event["phase"].as_str().unwrap(), event["reason"].as_str().unwrap()))
            .collect()
    }
}

/// Takes whatever it is sent; what begins with `/gone` is not found there.
pub struct Inbox {
    pub address: String,
    sent: Receiver<Sent>,
}

impl Inbox {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (tell, sent) = channel();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                // Whoever listens has gone when the test is over.
                let Some((taken, socket)) = socket.ok().and_then(take) else { continue };
                let answer = answer(&taken.path);
                if tell.send(taken).is_err() {
                    return;
                }
                // Whoever has the answer may end, and then what it sent is looked for.
                let _gone = (&socket).write_all(answer.as_bytes());
            }
        });
        Self { address, sent }
    }

    /// What came, and is not looked at yet.
    pub fn came(&self) -> Vec<Sent> {
        self.sent.try_iter().collect()
    }

    /// The next one to a path.
    fn next(&self, path: &str) -> Sent {
        loop {
            let sent = self.sent.recv_timeout(PATIENCE).expect("something is sent");
            if sent.path == path {
                return sent;
            }
        }
    }
}

fn answer(path: &str) -> String {
    let status = if path.starts_with("/gone") { "404 Not Found" } else { "204 No Content" };
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// Reads a request, which waits for its answer.
fn take(socket: TcpStream) -> Option<(Sent, TcpStream)> {
    let mut reader = BufReader::new(socket);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        reader.read_line(&mut head).ok()?;
        let line = head[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = head.split([' ', '?']).nth(1)?.to_owned();
    Some((Sent { path, head, body: String::from_utf8(body).ok()? }, reader.into_inner()))
}

/// The usual home with these alerts in its file.
pub fn with(alerts: &str) -> Home {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe.commits(2));
    let home = usual(world);
    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}\n{alerts}")).unwrap();
    home
}

fn set(home: &Home, secret: &str, value: &str) {
    home.xopero_with_input(&["secrets", "set", secret], value).success();
}

#[test]
fn a_failed_run_is_told_once_and_a_good_one_after_it() {
    let inbox = Inbox::open();
    let address = &inbox.address;
    let home =
        with(&format!("alerts \"ops\" {{\n    webhook \"{address}/hook\"\n    healthchecks \"{address}/ping\"\n}}\n"));
    set(&home, "alerts/ops/webhook/signing-key", "k3y-of-the-hook");
    home.apply();
    let broken = home.server.fault(When::kind(Kind::LS_REFS), Action::status(404));
    run(&home, 1);
    let (hooks, pings): (Vec<Sent>, Vec<Sent>) = inbox.came().into_iter().partition(|sent| sent.path == "/hook");
    let [hook] = &hooks[..] else { panic!("{} messages", hooks.len()) };
    assert_eq!(hook.phases(), ["begins failed"]);
    assert!(hook.head.contains("x-xopero-signature: sha256="), "{}", hook.head);
    let document: Value = serde_json::from_str(&hook.body).unwrap();
    let text = document["text"].as_str().unwrap();
    assert!(text.starts_with("Plan nightly was not backed up.\n") && text.contains("xopero runs show "), "{text}");
    assert_eq!(pings.last().unwrap().path, "/ping/fail");

    run(&home, 1);
    let again: Vec<String> = inbox.came().into_iter().map(|sent| sent.path).collect();
    assert!(!again.contains(&"/hook".to_owned()) && again.last().unwrap() == "/ping/fail", "{again:?}");

    broken.remove();
    let ended = run(&home, 0);
    tidy(&home, &ended);
    let came = inbox.came();
    let hook = came.iter().find(|sent| sent.path == "/hook").expect("the end is told");
    assert_eq!(hook.phases(), ["over failed"]);
    assert!(came.iter().any(|sent| sent.path == "/ping"), "a success is a sign of life");
    let status = home.xopero(&["status", "--json"]).success().json();
    demand_valid("status-output.schema.json", &status);
    let ways: Vec<&Value> = status.iter().filter(|line| line["type"] == "alert").collect();
    assert_eq!(ways.len(), 2);
    assert!(ways.iter().all(|way| way["last_sent"].is_string() && way["waiting"] == 0 && way["problem"].is_null()));
}

#[test]
fn what_cannot_be_sent_waits_and_is_told_by_status() {
    let nobody = Nobody::new();
    let address = nobody.address();
    let home = with(&format!("alerts \"ops\" {{\n    webhook \"http://{address}/hook\"\n    exec \"/bin/true\"\n}}\n"));
    home.apply();
    let _broken = home.server.fault(When::kind(Kind::LS_REFS), Action::status(404));
    run(&home, 1);
    let status = home.xopero(&["status"]).success().says("LAST SENT").says("1 message waits since");
    assert!(status.stdout.contains("--allow-exec"), "{}", status.stdout);
    assert!(status.stdout.lines().all(|line| line.chars().count() <= 80), "{}", status.stdout);
    tidy(&home, &status);
}

#[test]
fn every_way_can_be_tried_before_it_is_applied() {
    let inbox = Inbox::open();
    let address = &inbox.address;
    let home =
        with(&format!("alerts \"ops\" {{\n    webhook \"{address}/hook\"\n    slack\n    exec \"/bin/cat\"\n}}\n"));
    home.xopero(&["alert", "test", "ops"]).expect(3).says("no sealed address");
    set(&home, "alerts/ops/slack/address", &format!("{address}/gone/token-of-slack"));
    home.xopero(&["alert", "test", "oops"]).expect(64).says("declared: ops");
    let ended = home.xopero(&["alert", "test", "ops"]).expect(1).says("status 204").says("status 404: not found");
    let ended = ended.says("services answer so when a webhook was removed").says("add --allow-exec");
    tidy(&home, &ended);
    let paths: Vec<String> = inbox.came().into_iter().map(|sent| sent.path).collect();
    assert_eq!(paths, ["/hook", "/gone/token-of-slack"]);

    set(&home, "alerts/ops/slack/address", &format!("{address}/services/token-of-slack"));
    home.xopero(&["alert", "test", "ops", "--allow-exec"])
        .success()
        .says("it ended with 0")
        .says(&format!("{address}/…"));
    let lines = home.xopero(&["alert", "test", "ops", "--allow-exec", "--json"]).success().json();
    demand_valid("alert-test-output.schema.json", &lines);
    assert_eq!(lines.iter().filter(|line| line["taken"] == true).count(), 3);
    // Whoever edits the address does not get what was sealed for the other one.
    set(&home, "alerts/ops/webhook/signing-key", "k3y");
    let path = home.path().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("/hook\"", "/evil\"")).unwrap();
    inbox.came();
    home.xopero(&["alert", "test", "ops", "--allow-exec"])
        .expect(1)
        .says("the sealed webhook signing-key cannot be opened");
    assert!(inbox.came().iter().all(|sent| sent.path != "/evil"));
}

#[test]
fn a_watch_tells_of_the_runs_that_it_begins() {
    let inbox = Inbox::open();
    let home = with(&format!("alerts \"ops\" {{\n    webhook \"{}/hook\"\n}}\n", inbox.address));
    home.apply();
    let broken = home.server.fault(When::kind(Kind::LS_REFS), Action::status(404));
    miss(&home);
    let mut watch = Watching::start(&home, &[]);
    watch.line("run_ended");
    assert_eq!(inbox.next("/hook").phases(), ["begins failed"]);
    broken.remove();
}

#[test]
fn what_keeps_a_run_of_a_timer_from_beginning_is_told() {
    let inbox = Inbox::open();
    let home = with(&format!("alerts \"ops\" {{\n    webhook \"{}/hook\"\n}}\n", inbox.address));
    home.apply();
    home.xopero(&["run", "nightly", "--identity", "none.txt"]).expect(7);
    let [hook] = &inbox.came()[..] else { panic!("it is told once") };
    assert_eq!(hook.phases(), ["begins not-begun"]);
    run(&home, 0);
    let [hook] = &inbox.came()[..] else { panic!("the end is told once") };
    assert_eq!(hook.phases(), ["over not-begun"]);
}

#[test]
fn a_run_that_finds_its_destination_again_says_so() {
    let inbox = Inbox::open();
    let home = with(&format!("alerts \"ops\" {{\n    webhook \"{}/hook\"\n}}\n", inbox.address));
    let other = with("");
    home.apply();
    other.apply();
    let marker = home.destination("nas").join("xopero.json");
    let ours = std::fs::read(&marker).unwrap();
    std::fs::copy(other.destination("nas").join("xopero.json"), &marker).unwrap();
    run(&home, 1);
    // Of a run that takes its time, news is told as it comes: in one message or in two.
    let told = || {
        let mut phases: Vec<String> = inbox.came().iter().flat_map(Sent::phases).collect();
        phases.sort();
        phases
    };
    assert_eq!(told(), ["begins Foreign", "begins not-begun"], "it is told once");
    // The admin corrects it, and asks nobody to look.
    std::fs::write(&marker, ours).unwrap();
    run(&home, 0);
    assert_eq!(told(), ["over Foreign", "over not-begun"], "the end is told once");
}
