//! `xopero watch --listen`: health and figures for whoever supervises it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;

use crate::proof::usual;
use crate::scene::PATIENCE;
use crate::support::{edit, file_text, write_text};
use crate::watch::{Watching, miss, world};

/// Asks for a page, and gives the status and the body.
fn get(mut stream: impl Read + Write, page: &str, host: &str) -> (u16, String) {
    let mut request = String::new();
    write!(request, "GET {page} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("strings take everything");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in UTF-8");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("an answer has a status");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// Asks at a unix socket.
pub fn get_at(socket: &Path, page: &str) -> (u16, String) {
    let stream = UnixStream::connect(socket).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    get(stream, page, "xopero")
}

#[test]
fn health_is_served_at_a_socket_while_the_watch_goes_on() {
    let home = usual(world());
    let mut watch = Watching::start(&home, &["--listen"]);
    let socket = home.path().join(".xopero/xopero.sock");
    assert_eq!(watch.line("listening")["address"], "unix:./.xopero/xopero.sock");
    assert_eq!(socket.metadata().expect("it is there").permissions().mode() & 0o777, 0o660);
    watch.line("activated");
    assert_eq!(get_at(&socket, "/healthz"), (200, "ok\n".into()));
    assert_eq!(get_at(&socket, "/readyz"), (200, "ok\n".into()));
    home.xopero(&["watch", "--listen"]).expect(1).says("somebody else listens at");

    let good = file_text(&home);
    write_text(&home, "");
    watch.line("source_missing");
    assert_eq!(get_at(&socket, "/readyz"), (503, "source-missing\n".into()));
    assert_eq!(get_at(&socket, "/healthz"), (200, "ok\n".into()));
    write_text(&home, &good);
    watch.line("source_back");
    assert_eq!(get_at(&socket, "/readyz"), (200, "ok\n".into()));
    edit(&home, "keep last=100", "keep last=200");
    watch.line("activated");
    watch.signal(Signal::KILL);
    assert_eq!(watch.ended(), None);

    // What a kill leaves behind is in nobody's way.
    assert!(socket.exists());
    let mut watch = Watching::start(&home, &["--listen"]);
    watch.line("activated");
    assert_eq!(get_at(&socket, "/readyz").0, 200);
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn over_tcp_only_this_machine_is_answered() {
    let home = usual(world());
    for foreign in ["0.0.0.0:0", "192.0.2.7:9477", "[::]:9477"] {
        home.xopero(&["watch", "--listen", foreign]).expect(64).says("can be reached from other machines");
    }
    let mut watch = Watching::start(&home, &["--listen", "127.0.0.1:0"]);
    let address = watch.line("listening")["address"].as_str().expect("it is text").to_owned();
    let address = address.strip_prefix("http://").expect("it is TCP");
    let ask = |host: &str| get(TcpStream::connect(address).expect("it listens"), "/healthz", host).0;
    assert_eq!((ask(address), ask("evil.example.com"), ask("localhost")), (200, 421, 421));
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
}

#[test]
fn figures_tell_what_ran_and_what_it_cost() {
    let home = usual(world());
    let limit = "concurrency listing=4 packs=2\n    rate-limit burst=500 refill-per-second=400";
    edit(&home, "concurrency listing=4 packs=2", limit);
    miss(&home);
    let mut watch = Watching::start(&home, &["--listen"]);
    assert_eq!(watch.line("run_ended")["outcome"], "done");
    let socket = home.path().join(".xopero/xopero.sock");
    home.xopero_as("backup.txt", &["verify", "PAY/ledger"]).success().says("whole");
    let (status, text) = get_at(&socket, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "xopero_backup_runs_total{plan=\"nightly\",result=\"done\"} 1",
        "xopero_backup_last_attempt_status{plan=\"nightly\"} 1",
        "xopero_backup_duration_seconds_count{plan=\"nightly\"} 1",
        "xopero_repos{plan=\"nightly\",state=\"new\"} 2",
        "xopero_snapshots{plan=\"nightly\",destination=\"nas\"} 2",
        "xopero_credential_state{project=\"PAY\",credential=\"main\",account=\"main\",state=\"usable\"} 1",
        "xopero_verify_errors_total{plan=\"nightly\",destination=\"nas\"} 0",
        "xopero_repos_overdue{plan=\"nightly\"} 0",
        "xopero_queue_oldest_age_seconds 0",
        "xopero_leases_lost_total 0",
        "xopero_temp_bytes 0",
        "xopero_storage_capability{destination=\"nas\",cap=\"ours\"} 1",
        "xopero_storage_capability{destination=\"nas\",cap=\"writable\"} 1",
        "xopero_storage_errors_total{op=\"write\",class=\"full\"} 0",
        "xopero_storage_errors_total{op=\"open\",class=\"missing\"} 0",
        "xopero_config_drift 0",
        "xopero_config_apply_errors_total 0",
        "xopero_throttled_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for beginning in [
        "xopero_http_requests_total{code=\"200\"} ",
        "xopero_backup_bytes_total{direction=\"received\"} ",
        "xopero_credential_tokens_available{server=\"http://127.0.0.1:",
        "xopero_backup_last_success_timestamp_seconds{plan=\"nightly\"} 1",
        "xopero_verify_last_full_timestamp_seconds{plan=\"nightly\",destination=\"nas\"} 1",
        "xopero_storage_free_bytes{destination=\"nas\"} ",
        "xopero_build_info{version=",
    ] {
        let found =
            text.lines().find(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("{beginning}\n{text}"));
        assert!(!found.ends_with("} 0"), "{found}");
    }
    assert!(!text.contains("ledger") && !text.contains("token-of-"), "{text}");

    let mut promtool = home.command("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Ok(mut child) = promtool.spawn() {
        child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
}

#[test]
fn a_destination_that_is_gone_is_seen_before_and_after_a_run_needs_it() {
    let home = usual(world());
    miss(&home);
    let marker = home.destination("nas").join("xopero.json");
    std::fs::rename(&marker, home.path().join("unmounted.json")).expect("it is there");
    let mut watch = Watching::start(&home, &["--listen"]);
    watch.line("run_failed");
    let (status, text) = get_at(&home.path().join(".xopero/xopero.sock"), "/metrics");
    assert_eq!(status, 200);
    for line in [
        "xopero_storage_capability{destination=\"nas\",cap=\"ours\"} 0",
        "xopero_storage_capability{destination=\"nas\",cap=\"writable\"} 1",
        "xopero_storage_errors_total{op=\"read\",class=\"missing\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let counted = "xopero_storage_errors_total{op=\"open\",class=\"missing\"} ";
    let counted = text.lines().find_map(|line| line.strip_prefix(counted)).expect("it is told");
    assert_ne!(counted, "0");
    watch.signal(Signal::TERM);
    assert_eq!(watch.ended(), Some(0));
}
