//! A loopback server with one fixed answer, for the tests of this room.

use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Client;
use crate::http::{Authorization, HttpClient, Proxies};
use crate::model::{AccountName, BaseUrl};

/// One answer to one path; any other path is answered with 400.
pub(super) struct Canned {
    method: &'static str,
    path: String,
    status: u16,
    headers: String,
    body: String,
}

impl Canned {
    pub(super) fn answer(path: &str, body: &str) -> Self {
        Self { method: "GET", path: path.into(), status: 200, headers: String::new(), body: body.into() }
    }

    pub(super) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(super) fn header(mut self, line: &str) -> Self {
        self.headers = format!("{line}\r\n");
        self
    }

    /// A client of a server that gives the answer to the first request.
    pub(super) async fn serve(self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = BaseUrl::new(&format!("http://{}/bb", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
            }
            let expected = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
            let status = if seen.starts_with(expected.as_bytes()) { self.status } else { 400 };
            let (headers, body) = (self.headers, self.body);
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json;charset=UTF-8\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        Client::new(HttpClient::new(&base, None, &Proxies::default(), Duration::from_secs(5)).unwrap())
    }
}

pub(super) fn authorization() -> Authorization {
    Authorization::bearer(AccountName::new("svc-backup").unwrap(), &SecretString::from("token")).unwrap()
}
