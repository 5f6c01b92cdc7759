//! Letters and their receivers: small servers on loopback.

use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::super::decide::tests::alerts as webhook_alerts;
use super::super::letter::Phase;
use super::super::letter::tests::{event, letter};
use super::super::ping::{Ping, PingKind};
use super::*;
use crate::model::{AccountName, PublicKey, RunId};
use crate::secret::{Envelope, keygen, seal};

/// A server that takes messages and answers with a status.
#[derive(Clone)]
pub(in crate::alert) struct Receiver {
    pub(in crate::alert) address: String,
    pub(in crate::alert) status: Arc<AtomicU16>,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Receiver {
    pub(in crate::alert) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let receiver = Self { address, status: Arc::new(AtomicU16::new(200)), seen: Arc::default() };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.answer(socket).await });
            }
        });
        receiver
    }

    async fn answer(&self, socket: tokio::net::TcpStream) {
        let mut reader = BufReader::new(socket);
        loop {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await.unwrap();
            self.seen.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
            let status = self.status.load(Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 9\r\n\r\n/S3CR3T/x");
            reader.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    }

    /// What came: heads and bodies.
    pub(in crate::alert) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

/// A courier with an identity, and the key to seal to.
pub(in crate::alert) fn courier() -> (tempfile::TempDir, Courier, PublicKey) {
    let home = tempfile::tempdir().unwrap();
    let (text, key) = keygen(jiff::Timestamp::UNIX_EPOCH);
    let path = home.path().join("identity.txt");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, text.expose_secret().as_bytes()).unwrap();
    let identities = IdentitySources {
        explicit: Some(path),
        environment: None,
        credentials_directory: None,
        home: None,
        system: home.path().join("none"),
    };
    let base = home.path().to_owned();
    let courier = Courier { base, proxies: Proxies::default(), identities, allow_exec: AllowExec::No };
    (home, courier, key)
}

pub(super) fn sealed(key: &PublicKey, kind: SecretKind, origin: &str, account: &str, secret: &str) -> Sealed {
    let account = AccountName::new(account).unwrap();
    let secret = SecretString::from(secret);
    seal(&Envelope { kind, origin: origin.to_owned(), account, secret }, std::slice::from_ref(key)).unwrap()
}

fn address(key: &PublicKey, channel: Channel, address: &str) -> Sealed {
    sealed(key, SecretKind::Address, BOUND_TO_ALERTS, channel.as_str(), address)
}

pub(super) fn nobody_else() -> Alerts {
    Alerts { webhook: None, ..webhook_alerts() }
}

fn clear(address: &str) -> AlertAddress {
    AlertAddress::Clear(AlertUrl::new(address).unwrap())
}

pub(super) async fn send(
    courier: &Courier,
    alerts: &Alerts,
    channel: Channel,
    letter: &Letter,
) -> Result<Receipt, DeliveryError> {
    courier.send(&"ops".parse().unwrap(), alerts, channel, letter, "7f31").await
}

pub(super) fn failure() -> Letter {
    letter(vec![event(Phase::Begins)])
}

#[tokio::test]
async fn a_webhook_gets_a_signed_document() {
    let (receiver, (_home, courier, key)) = (Receiver::start().await, courier());
    let url = format!("{}/hooks/xopero/", receiver.address);
    let signing_key = sealed(&key, SecretKind::SigningKey, &url, "webhook", "k3y");
    let webhook = Webhook { address: clear(&url), signing_key: Some(signing_key) };
    let alerts = Alerts { webhook: Some(webhook), ..nobody_else() };
    let receipt = send(&courier, &alerts, Channel::Webhook, &failure()).await.unwrap();
    assert_eq!(receipt, Receipt::whole(url, "status 200"));
    let [(head, body)] = &receiver.seen()[..] else { panic!() };
    assert!(head.starts_with("POST /hooks/xopero/ HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("x-xopero-signature: {}\r\n", signature::of(b"k3y", body.as_bytes()))), "{head}");
    assert!(head.contains("idempotency-key: 7f31\r\n"), "{head}");
    let document: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&document["idempotency_key"], &document["alerts"]), (&json!("7f31"), &json!("ops")));
}

#[tokio::test]
async fn a_key_does_not_follow_an_address_that_was_edited() {
    let (receiver, (_home, courier, key)) = (Receiver::start().await, courier());
    let url = format!("{}/evil", receiver.address);
    let elsewhere = sealed(&key, SecretKind::Token, "https://ntfy.example.com/backup", "ntfy", "tk_S3CR3T");
    let ntfy = Ntfy { address: clear(&url), token: Some(elsewhere) };
    let alerts = Alerts { ntfy: Some(ntfy), ..nobody_else() };
    let error = send(&courier, &alerts, Channel::Ntfy, &failure()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Secret { .. }), "{error:?}");
    assert!(!format!("{error:?} {}", error.line()).contains("S3CR3T"));
    // Nor is a token of a server taken for an address.
    let token = sealed(&key, SecretKind::Token, BOUND_TO_ALERTS, "slack", &url);
    let alerts = Alerts { slack: Some(token), ..nobody_else() };
    assert!(send(&courier, &alerts, Channel::Slack, &failure()).await.is_err());
    assert_eq!(receiver.seen(), []);
}

#[tokio::test]
async fn an_address_that_is_a_secret_is_never_told() {
    let (receiver, (_home, courier, key)) = (Receiver::start().await, courier());
    let url = format!("{}/services/S3CR3T?sig=S3CR3T", receiver.address);
    let alerts = Alerts { slack: Some(address(&key, Channel::Slack, &url)), ..nobody_else() };
    let receipt = send(&courier, &alerts, Channel::Slack, &failure()).await.unwrap();
    assert_eq!(receipt.place, format!("{}/…", receiver.address));
    let [(head, body)] = &receiver.seen()[..] else { panic!() };
    assert!(head.starts_with("POST /services/S3CR3T?sig=S3CR3T HTTP"), "{head}");
    let text: Value = serde_json::from_str(body).unwrap();
    assert!(text["text"].as_str().unwrap().starts_with("*xopero: plan nightly was not"), "{text}");
    for (status, said) in
        [(404, "status 404: not found"), (401, "status 401 or 403"), (500, "status 500"), (302, "it redirects to")]
    {
        receiver.status.store(status, Ordering::SeqCst);
        let error = send(&courier, &alerts, Channel::Slack, &failure()).await.unwrap_err();
        assert!(error.line().contains(said), "{}", error.line());
        let all = format!("{error} {} {:?}", error.line(), error.hint());
        assert!(!all.contains("S3CR3T"), "{all}");
    }
}

#[tokio::test]
async fn slack_shows_text_as_it_is() {
    assert_eq!(slack_text("<!channel> & ```"), "&lt;!channel&gt; &amp; '''");
}

#[tokio::test]
async fn signs_of_life_have_the_runs_number() {
    let (receiver, (_home, courier, key)) = (Receiver::start().await, courier());
    let url = format!("{}/ping/1234", receiver.address);
    let sealed = AlertAddress::Sealed(address(&key, Channel::Healthchecks, &url));
    let ping = |kind| Letter::Ping {
        ping: Ping { kind, plan: "nightly".parse().unwrap(), run: RunId::from_parts(1, 2), what: None, next: None },
        host: "ada@vault".into(),
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    let test = Letter::Test { host: "ada@vault".into(), at: jiff::Timestamp::UNIX_EPOCH };
    for healthchecks in [clear(&url), sealed] {
        let alerts = Alerts { healthchecks: Some(healthchecks), ..nobody_else() };
        for letter in [ping(PingKind::Start), ping(PingKind::Success), ping(PingKind::Fail), test.clone()] {
            send(&courier, &alerts, Channel::Healthchecks, &letter).await.unwrap();
        }
    }
    let paths: Vec<String> =
        receiver.seen().iter().map(|(head, _)| head.split(' ').nth(1).unwrap().to_owned()).collect();
    let rid = "rid=00000000-0001-0000-0000-000000000002";
    let expected = [
        format!("/ping/1234/start?{rid}"),
        format!("/ping/1234?{rid}"),
        format!("/ping/1234/fail?{rid}"),
        "/ping/1234/log".to_owned(),
    ];
    assert_eq!(paths, [expected.clone(), expected].concat());
}

#[tokio::test]
async fn ntfy_gets_headers_and_text() {
    let (receiver, (_home, courier, key)) = (Receiver::start().await, courier());
    let url = format!("{}/backup", receiver.address);
    let token = sealed(&key, SecretKind::Token, &url, "ntfy", "tk_1");
    let alerts = Alerts { ntfy: Some(Ntfy { address: clear(&url), token: Some(token) }), ..nobody_else() };
    send(&courier, &alerts, Channel::Ntfy, &failure()).await.unwrap();
    let [(head, body)] = &receiver.seen()[..] else { panic!() };
    assert!(head.contains("authorization: Bearer tk_1\r\n"), "{head}");
    assert!(head.contains("title: xopero: plan nightly was not backed up completely\r\n"), "{head}");
    assert!(head.contains("priority: high\r\n") && body.starts_with("Plan nightly was not"), "{head}{body}");
}

#[tokio::test]
async fn a_program_is_called_only_where_it_is_allowed() {
    let (_home, courier, _key) = courier();
    let with = |program: &str| Alerts { exec: Some(program.to_owned()), ..nobody_else() };
    let error = send(&courier, &with("/bin/cat"), Channel::Exec, &failure()).await.unwrap_err();
    assert!(
        matches!(error, DeliveryError::ExecNotAllowed { .. }) && error.line().contains("--allow-exec"),
        "{error:?}"
    );
    let trusting = Courier { allow_exec: AllowExec::Yes, ..courier };
    let receipt = send(&trusting, &with("/bin/cat"), Channel::Exec, &failure()).await.unwrap();
    assert_eq!(receipt, Receipt::whole("/bin/cat", "it ended with 0"));
    for (program, said) in [("/bin/false", "ended with 1"), ("/nowhere/page", "cannot be called")] {
        let error = send(&trusting, &with(program), Channel::Exec, &failure()).await.unwrap_err();
        assert!(error.line().contains(said), "{}", error.line());
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_named() {
    let (_home, courier, _key) = courier();
    let alerts = Alerts { ca_file: Some("pki/none.pem".into()), ..webhook_alerts() };
    let error = send(&courier, &alerts, Channel::Webhook, &failure()).await.unwrap_err();
    assert!(error.line().contains("pki/none.pem"), "{}", error.line());
    // A file without any certificate would be passed over in silence.
    std::fs::write(courier.base.join("empty.pem"), "# none\n").unwrap();
    let alerts = Alerts { ca_file: Some("empty.pem".into()), ..webhook_alerts() };
    let error = send(&courier, &alerts, Channel::Webhook, &failure()).await.unwrap_err();
    assert!(error.line().ends_with("empty.pem: it holds no certificate in PEM"), "{}", error.line());
}
