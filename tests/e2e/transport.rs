//! The way to the server: TLS with a private CA, HTTP/2, connections that are kept, and proxies.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use fake_bitbucket::{Options, World};

use crate::scene::{edit, readers, summary, tidy};
use crate::support::{Ended, Home};

const CA: &[u8] = include_bytes!("../../src/http/test_pki/ca.pem");

/// `https`, as a private CA signed it.
fn secure() -> Options {
    let certificate = include_bytes!("../../src/http/test_pki/server.pem");
    readers(&["main"]).tls(certificate, include_bytes!("../../src/http/test_pki/server-key.pem"))
}

/// A home whose file names the CA.
fn trusting(world: World, options: Options) -> Home {
    let home = Home::new(world, options);
    std::fs::write(home.path().join("ca.pem"), CA).expect("the file can be written");
    home.apply_usual();
    edit(&home, "concurrency listing", "ca-file \"ca.pem\"\n    concurrency listing");
    home
}

fn run_with(home: &Home, environment: &[(&str, &str)], code: i32) -> Ended {
    let mut command = home.xopero_command(&["run", "nightly", "--json"]);
    command.env("XOPERO_IDENTITY_FILE", home.path().join("identity.txt")).envs(environment.iter().copied());
    let ended = Ended::from(&command.output().expect("the executable starts")).expect(code);
    tidy(home, &ended);
    ended
}

fn versions(home: &Home) -> Vec<String> {
    let mut versions: Vec<_> = home.server.log().snapshot().into_iter().map(|entry| entry.version).collect();
    versions.sort();
    versions.dedup();
    versions
}

/// Connections are kept. Those who begin at the same time have one each, and on a slow machine an answer whose end has
/// not come when nobody reads on takes its connection with it.
fn kept(home: &Home) {
    let (connections, requests) = (home.server.connections(), home.server.log().len());
    assert!(connections * 3 < requests * 2, "{connections} connections for {requests} requests");
}

#[test]
fn a_private_ca_is_trusted_and_http_2_is_spoken_where_it_is_offered() {
    for (options, version) in [(secure(), "HTTP/2.0"), (secure().without_http2(), "HTTP/1.1")] {
        let world = World::new();
        let ledger = world.project("PAY").repository("ledger", |recipe| recipe.bulk(40, 6_000_000));
        world.project("PAY").many("repo", 12);
        let home = trusting(world, options);
        let ended = run_with(&home, &[], 0);
        assert_eq!(summary(&ended)["totals"]["new"], 13, "{version}");
        assert_eq!(versions(&home), [version]);
        home.prove(&ledger);
        kept(&home);
    }
}

#[test]
fn an_unknown_ca_is_named_before_any_token_is_sent() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = Home::new(world, secure());
    home.apply_usual();
    // A machine without any certificate refuses earlier, with the same hint.
    let ended = home.xopero(&["run", "nightly"]).expect(1);
    tidy(&home, &ended);
    assert!(home.server.log().is_empty());
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("ca-file") || said.contains("cannot set up TLS"), "{said}");
}

/// A proxy that tunnels to where it is told, and remembers what it was asked.
struct Tunnel {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let remembered = Arc::clone(&heads);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let remembered = Arc::clone(&remembered);
                std::thread::spawn(move || tunnel(client, answer, &remembered));
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().expect("no holder panics"))
    }
}

fn tunnel(client: TcpStream, answer: &str, heads: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    }
    let target = head.split(' ').nth(1)?.to_owned();
    heads.lock().expect("no holder panics").push(head);
    let mut client = client;
    client.write_all(answer.as_bytes()).ok()?;
    if !answer.contains(" 200 ") {
        return None;
    }
    let server = TcpStream::connect(target).ok()?;
    let (mut up, mut back) = (server.try_clone().ok()?, client.try_clone().ok()?);
    std::thread::spawn(move || {
        let _left = std::io::copy(&mut reader, &mut up);
        up.shutdown(Shutdown::Write)
    });
    let _left = std::io::copy(&mut &server, &mut back);
    back.shutdown(Shutdown::Both).ok()
}

#[test]
fn a_proxy_of_the_environment_tunnels_and_sees_no_token() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = trusting(world, secure());
    let proxy = Tunnel::start("HTTP/1.1 200 Connection established\r\n\r\n");
    let address = format!("http://robot:s3cr3t@{}", proxy.address);
    let ended = run_with(&home, &[("HTTPS_PROXY", &address)], 0);
    assert_eq!(summary(&ended)["totals"]["new"], 1);
    assert_eq!(versions(&home), ["HTTP/2.0"], "also through a tunnel");
    let heads = proxy.heads();
    assert!(!heads.is_empty());
    for head in heads {
        assert!(head.starts_with(&format!("CONNECT {} ", home.server.address())), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: basic cm9ib3q6cznjcjn0"), "{head}");
        assert!(!head.contains("Bearer") && !head.contains("token"), "{head}");
    }
    assert!(!ended.stdout.contains("s3cr3t") && !ended.stderr.contains("s3cr3t"));
    for except in ["127.0.0.1", "10.0.0.0/8, 127.0.0.0/8", "*"] {
        run_with(&home, &[("https_proxy", &address), ("NO_PROXY", except)], 0);
        assert!(proxy.heads().is_empty(), "NO_PROXY={except}");
    }
}

#[test]
fn a_proxy_that_refuses_or_is_none_is_named_without_its_password() {
    let world = World::new();
    world.project("PAY").repository("ledger", |recipe| recipe);
    let home = trusting(world, secure());
    let proxy = Tunnel::start("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    for (address, words) in [
        (format!("http://robot:s3cr3t@{}", proxy.address), "proxy"),
        ("socks5://robot:s3cr3t@127.0.0.1:1".to_owned(), "HTTPS_PROXY"),
    ] {
        let ended = run_with(&home, &[("ALL_PROXY", &address)], 1);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains(words) && said.contains("HTTPS_PROXY"), "{said}");
        assert!(!said.contains("s3cr3t") && !said.contains("robot"), "{said}");
    }
    assert!(home.server.log().is_empty());
}

#[test]
fn a_server_on_this_machine_is_reached_without_the_proxy_and_its_connections_are_kept() {
    let world = World::new();
    world.project("PAY").many("repo", 30);
    let home = Home::new(world, readers(&["main"]));
    home.apply_usual();
    let nobody = "http://127.0.0.1:1";
    let ended = run_with(&home, &[("HTTP_PROXY", nobody), ("HTTPS_PROXY", nobody)], 0);
    assert_eq!(summary(&ended)["totals"]["new"], 30);
    assert!(home.server.log().len() > 60);
    kept(&home);
}
