//! Letters and mail servers that follow a script, in clear text and behind TLS.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::super::Courier;
use super::super::tests::{courier, failure, nobody_else, sealed, send};
use super::*;
use crate::model::{AccountName, Alerts, Channel, MailServer, PublicKey, Sealed, SecretKind};

const CA: &[u8] = include_bytes!("../../../http/test_pki/ca.pem");

const PASSWORD: &str = "p4ss-S3CR3T";

/// How a server speaks.
#[derive(Clone, Copy)]
struct Script {
    /// TLS from the first byte.
    wrapped: bool,
    /// TLS when it is asked for.
    offers_tls: bool,
    /// The answer to a login; none is offered without.
    auth: Option<&'static str>,
    /// The answer to the mailbox of the night.
    night: &'static str,
    /// The answer to any other one.
    day: &'static str,
}

const CLEAR: Script =
    Script { wrapped: false, offers_tls: false, auth: Some("235 welcome"), night: "250 ok", day: "250 ok" };
const WRAPPED: Script = Script { wrapped: true, ..CLEAR };
const OFFERING: Script = Script { offers_tls: true, ..CLEAR };

/// What a server was told.
#[derive(Default)]
struct Heard {
    clear: String,
    secured: String,
}

impl Script {
    /// Takes one connection.
    fn serve(self) -> (u16, JoinHandle<Heard>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut heard = Heard::default();
            if self.wrapped {
                let _begins = self.speak(&mut tls(socket), Some("220 mail ready"), &mut heard.secured);
            } else if self.speak(&mut socket, Some("220 mail ready"), &mut heard.clear) {
                let _again = self.speak(&mut tls(socket), None, &mut heard.secured);
            }
            heard
        });
        (port, served)
    }

    /// Goes on until one of both has gone, or TLS is to begin, which it tells.
    fn speak(self, stream: &mut (impl Read + Write), greeting: Option<&str>, heard: &mut String) -> bool {
        let mut reader = BufReader::new(stream);
        if let Some(greeting) = greeting {
            say(reader.get_mut(), greeting);
        }
        let (mut in_data, mut ehlo) = (false, "250-mail".to_owned());
        if self.offers_tls && greeting.is_some() {
            ehlo.push_str("\r\n250-STARTTLS");
        }
        if self.auth.is_some() {
            ehlo.push_str("\r\n250-AUTH PLAIN LOGIN");
        }
        ehlo.push_str("\r\n250 SIZE");
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return false;
            }
            heard.push_str(&line);
            let answer = match line.split([' ', '\r']).next().unwrap() {
                "." => {
                    in_data = false;
                    "250 taken"
                }
                _ if in_data => continue,
                "EHLO" => &ehlo,
                "AUTH" => self.auth.unwrap(),
                "RCPT" if line.contains("night@") => self.night,
                "RCPT" => self.day,
                "DATA" => {
                    in_data = true;
                    "354 go on"
                }
                "QUIT" => "221 bye",
                "STARTTLS" => {
                    say(reader.get_mut(), "220 go on");
                    return true;
                }
                _ => "250 ok",
            };
            say(reader.get_mut(), answer);
        }
    }
}

fn say(stream: &mut impl Write, answer: &str) {
    // Whoever is not believed has gone.
    let _gone = stream.write_all(format!("{answer}\r\n").as_bytes()).and_then(|()| stream.flush());
}

fn tls(socket: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../../../http/test_pki/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../http/test_pki/server-key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket)
}

fn at(scheme: &str, port: u16) -> MailServer {
    MailServer::new(&format!("{scheme}://127.0.0.1:{port}")).unwrap()
}

fn email(server: MailServer, login: Option<(AccountName, Sealed)>) -> Email {
    let mailbox = |text: &str| MailAddress::new(text).unwrap();
    let to = BTreeSet::from([mailbox("ops@example.com"), mailbox("night@example.com")]);
    Email { to, from: mailbox("xopero@example.com"), server, login }
}

fn login(key: &PublicKey, server: &MailServer) -> (AccountName, Sealed) {
    let password = sealed(key, SecretKind::Password, &server.origin(), "xopero", PASSWORD);
    (AccountName::new("xopero").unwrap(), password)
}

/// Alerts by mail alone, with an account, that trust the CA of tests.
fn trusting(courier: &Courier, key: &PublicKey, server: MailServer) -> Alerts {
    std::fs::write(courier.base.join("ca.pem"), CA).unwrap();
    let login = login(key, &server);
    Alerts { email: Some(email(server, Some(login))), ca_file: Some("ca.pem".into()), ..nobody_else() }
}

/// Hands a letter to a server that is no other machine as if it were one.
async fn send_by_starttls(script: Script, ca: Option<&[u8]>) -> (Result<Receipt, DeliveryError>, Heard) {
    let (_home, _courier, key) = courier();
    let (port, served) = script.serve();
    let server = at("smtp", port);
    let email = email(server.clone(), Some(login(&key, &server)));
    let (alerts, password) = ("ops".parse().unwrap(), SecretString::from(PASSWORD));
    let post = Post { alerts: &alerts, email: &email, password: Some(&password), ca };
    let sent = post.send_by(MailSecurity::StartTls, &failure(), "7f31").await;
    (sent, served.join().unwrap())
}

/// Everything that is shown of an error, without a secret in it.
fn shown(error: &DeliveryError) -> String {
    let shown = format!("{} | {}", error.line(), error.hint().unwrap());
    let debug = format!("{error:?}");
    for form in [PASSWORD.to_owned(), STANDARD.encode(PASSWORD), STANDARD.encode(format!("\0xopero\0{PASSWORD}"))] {
        assert!(!shown.contains(&form) && !debug.contains(&form), "{shown} {debug}");
    }
    shown
}

fn demand_letter(heard: &str) {
    for part in [
        &format!("AUTH PLAIN {}\r\n", STANDARD.encode(format!("\0xopero\0{PASSWORD}"))),
        "MAIL FROM:<xopero@example.com>",
        "RCPT TO:<ops@example.com>",
        "RCPT TO:<night@example.com>",
        "Subject: xopero: plan nightly was not backed up completely",
        "Message-ID: <7f31@xopero>",
        "What:  run of 2026-11-22 01:30",
        "QUIT",
    ] {
        assert!(heard.contains(part), "{part} is not in\n{heard}");
    }
}

/// That somebody was greeted, and told nothing else.
fn demand_silence(heard: &str) {
    let commands: Vec<&str> = heard.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(commands.iter().all(|command| ["EHLO", "STARTTLS", "QUIT"].contains(command)), "{heard}");
}

#[tokio::test]
async fn mail_goes_to_every_mailbox_with_the_account() {
    let (_home, courier, key) = courier();
    for (script, scheme) in [(CLEAR, "smtp"), (WRAPPED, "smtps")] {
        let (port, served) = script.serve();
        let alerts = trusting(&courier, &key, at(scheme, port));
        let receipt = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap();
        let place = format!("{scheme}://127.0.0.1:{port}");
        assert_eq!(receipt, Receipt { place, answer: "status 250".into(), left_out: None });
        let heard = served.join().unwrap();
        let (said, not_said) = if script.wrapped { (heard.secured, heard.clear) } else { (heard.clear, heard.secured) };
        demand_letter(&said);
        assert_eq!(not_said, "");
    }
}

#[tokio::test]
async fn starttls_comes_before_anything_else() {
    let (sent, heard) = send_by_starttls(OFFERING, Some(CA)).await;
    assert_eq!(sent.unwrap().answer, "status 250");
    demand_silence(&heard.clear);
    demand_letter(&heard.secured);
}

#[tokio::test]
async fn a_server_that_offers_no_starttls_is_told_nothing() {
    let (sent, heard) = send_by_starttls(CLEAR, Some(CA)).await;
    let error = sent.unwrap_err();
    assert!(matches!(error, DeliveryError::Mail { fault: MailFault::NoStartTls, .. }), "{error:?}");
    let shown = shown(&error);
    assert!(shown.contains("offers no STARTTLS: nothing was sent") && shown.contains("smtps://"), "{shown}");
    demand_silence(&heard.clear);
    assert_eq!(heard.secured, "");
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_named_and_told_nothing() {
    let demand = |error: &DeliveryError, heard: &Heard| {
        assert!(matches!(error, DeliveryError::Mail { fault: MailFault::Certificate, .. }), "{error:?}");
        let shown = shown(error);
        assert!(shown.starts_with("smtp") && shown.contains("certificate") && shown.contains("`ca-file`"), "{shown}");
        demand_silence(&heard.clear);
        assert_eq!(heard.secured, "");
    };
    // Also on a machine that trusts nobody at all.
    let (_home, courier, key) = courier();
    let (port, served) = WRAPPED.serve();
    let alerts = Alerts { ca_file: None, ..trusting(&courier, &key, at("smtps", port)) };
    let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
    drop(TcpStream::connect(("127.0.0.1", port)));
    demand(&error, &served.join().unwrap());
    // One for another name. Every name of this machine but those in it will do.
    let (port, served) = WRAPPED.serve();
    let elsewhere = MailServer::new(&format!("smtps://0.0.0.0:{port}")).unwrap();
    let alerts = trusting(&courier, &key, elsewhere);
    let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
    assert!(error.line().contains("not valid for"), "{}", error.line());
    demand(&error, &served.join().unwrap());
    let other = include_bytes!("../../../http/test_pki/server.pem");
    let (sent, heard) = send_by_starttls(OFFERING, Some(other)).await;
    demand(&sent.unwrap_err(), &heard);
}

#[tokio::test]
async fn a_port_that_begins_in_clear_text_is_told_from_one_of_tls() {
    let (_home, courier, key) = courier();
    let (port, _served) = OFFERING.serve();
    let alerts = trusting(&courier, &key, at("smtps", port));
    let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Mail { fault: MailFault::Tls, .. }), "{error:?}");
    assert!(shown(&error).contains("587"), "{}", shown(&error));
    let nobody = trusting(&courier, &key, at("smtps", 1));
    let error = send(&courier, &nobody, Channel::Email, &failure()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Mail { fault: MailFault::Unreachable, .. }), "{error:?}");
    assert!(shown(&error).starts_with("smtps://127.0.0.1:1: cannot be reached: "), "{}", shown(&error));
}

#[tokio::test]
async fn a_wrong_password_says_what_to_do_and_shows_no_secret() {
    let (_home, courier, key) = courier();
    let refused = [
        ("535 5.7.8 bad credentials", "does not let in account xopero: 535 5.7.8 bad credentials"),
        ("535 5.7.8 bad AHhvcGVybwBwNHNzLVMzQ1IzVA==", "535, in words that repeat the password"),
        ("535 p4ss-S3CR3T is wrong", "535, in words that repeat the password"),
    ];
    for (answer, said) in refused {
        let (port, served) = Script { auth: Some(answer), ..WRAPPED }.serve();
        let alerts = trusting(&courier, &key, at("smtps", port));
        let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
        let shown = shown(&error);
        assert!(shown.contains(said), "{shown}");
        assert!(shown.ends_with("xopero secrets set alerts/ops/email/password"), "{shown}");
        assert!(!served.join().unwrap().secured.contains("MAIL FROM"));
    }
    for (auth, said) in [(Some("454 try later"), "could not log in: 454 try later"), (None, "by PLAIN or LOGIN")] {
        let (port, served) = Script { auth, ..WRAPPED }.serve();
        let alerts = trusting(&courier, &key, at("smtps", port));
        let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
        assert!(shown(&error).contains(said), "{}", shown(&error));
        assert!(!served.join().unwrap().secured.contains("MAIL FROM"));
    }
    // A password that was sealed for another server is not sent, and nobody is asked.
    let elsewhere = login(&key, &MailServer::new("smtps://mail.example.com:465").unwrap());
    let alerts = Alerts { email: Some(email(at("smtps", 1), Some(elsewhere))), ..nobody_else() };
    let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Secret { .. }), "{error:?}");
}

#[tokio::test]
async fn a_mailbox_that_has_gone_does_not_keep_the_letter_from_the_others() {
    let (_home, courier, key) = courier();
    let (port, served) = Script { night: "550 no such user", ..WRAPPED }.serve();
    let alerts = trusting(&courier, &key, at("smtps", port));
    let receipt = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap();
    assert_eq!(receipt.answer, "status 250");
    assert_eq!(receipt.left_out.unwrap(), "night@example.com: 550 no such user");
    demand_letter(&served.join().unwrap().secured);
    // Nobody is left.
    for (answer, said) in [
        ("550 no such user", "night@example.com: 550 no such user; ops@example.com: 550 no such user"),
        ("530 authentication required", "xopero secrets set alerts/ops/email/password"),
    ] {
        let (port, served) = Script { night: answer, day: answer, ..WRAPPED }.serve();
        let server = at("smtps", port);
        let alerts = trusting(&courier, &key, server.clone());
        let alerts = Alerts { email: Some(email(server, None)), ..alerts };
        let error = send(&courier, &alerts, Channel::Email, &failure()).await.unwrap_err();
        assert!(shown(&error).contains(said), "{}", shown(&error));
        assert!(!served.join().unwrap().secured.contains("DATA"));
    }
}
