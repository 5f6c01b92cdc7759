//! A loopback server with fixed answers, for the tests of this room.

use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Client;
use crate::http::{Authorization, HttpClient, Proxies};
use crate::model::{AccountName, BaseUrl};

/// One answer to one path, and perhaps others to others; any other path is answered with 400.
pub(super) struct Canned {
    method: &'static str,
    path: String,
    status: u16,
    headers: String,
    body: String,
    others: Vec<Canned>,
}

impl Canned {
    pub(super) fn answer(path: &str, body: &str) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            status: 200,
            headers: String::new(),
            body: body.into(),
            others: Vec::new(),
        }
    }

    /// Another answer to another path.
    pub(super) fn then(self, path: &str, body: &str) -> Self {
        self.and(Self::answer(path, body))
    }

    /// The same, with whatever was said of it.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.others.push(other);
        self
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

    /// The answer to a request, with its head.
    fn to(&self, request: &[u8]) -> String {
        let fits = |one: &&Self| {
            let expected = format!("{} {} HTTP/1.1\r\n", one.method, one.path);
            request.starts_with(expected.as_bytes())
        };
        let found = std::iter::once(self).chain(&self.others).find(fits);
        let (status, headers, body) =
            found.map_or((400, "", ""), |found| (found.status, found.headers.as_str(), found.body.as_str()));
        format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json;charset=UTF-8\r\nConnection: close\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// A client of a server that gives these answers.
    pub(super) async fn serve(self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = BaseUrl::new(&format!("http://{}/bb", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while !seen.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                    assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
                }
                socket.write_all(self.to(&seen).as_bytes()).await.unwrap();
                socket.shutdown().await.unwrap();
            }
        });
        Client::new(HttpClient::new(&base, None, &Proxies::default(), Duration::from_mins(2)).unwrap())
    }
}

pub(super) fn authorization() -> Authorization {
    Authorization::bearer(AccountName::new("svc-backup").unwrap(), &SecretString::from("token")).unwrap()
}
