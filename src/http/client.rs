//! Sending one request.

use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder};
use serde::de::DeserializeOwned;
use url::Url;

use super::answer::{Answer, Json, request_id};
use super::authorization::Authorization;
use super::classify::classify;
use super::error::{HttpError, RequestPlace, TransportError};
use super::proxies::Proxies;
use super::tally::Tally;
use crate::model::BaseUrl;

/// How much of a refusal's body is read to learn its meaning.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// How long the body of a refusal is waited for: a request that is refused is to go on with another account.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(10);

/// A connection that takes longer will not come.
const LONGEST_CONNECT: Duration = Duration::from_secs(30);

/// How long an idle connection is kept: shorter than the minute after which proxies drop one without a word.
const IDLE: Duration = Duration::from_secs(50);

/// How much of one HTTP/2 stream may arrive before it is read: a pack flows at full speed over long distances.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection. More than all packs together can fill, so that one that waits for a slow
/// destination does not hold up the listings beside it.
const CONNECTION_WINDOW: u32 = 256 << 20;

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Send a body.
    Post,
    /// Put a body in a place.
    Put,
    /// Take away.
    Delete,
}

impl Method {
    /// Whether the request has a body.
    const fn has_body(self) -> bool {
        match self {
            Self::Post | Self::Put => true,
            Self::Get | Self::Delete => false,
        }
    }
}

/// One request to an address below the server's base.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: Url,
    /// Headers besides `Authorization`. Names are in lower case; values must be visible ASCII.
    pub headers: &'a [(&'static str, &'a str)],
    /// The body.
    pub body: Bytes,
}

/// A client for one server. Clones share the pool of connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    base: Arc<BaseUrl>,
    tally: Option<Tally>,
}

impl HttpClient {
    /// Makes a client that trusts the system's roots and the certificates of `extra_ca_pem`, and reaches the server
    /// through `proxies`, unless it is on this machine.
    ///
    /// `timeout` bounds the time to connect and the time without a byte, not the time of a whole answer.
    pub fn new(
        base: &BaseUrl,
        extra_ca_pem: Option<&[u8]>,
        proxies: &Proxies,
        timeout: Duration,
    ) -> Result<Self, HttpError> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // An error says that the process has a provider, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let builder = ClientBuilder::new()
            .user_agent(concat!("xopero/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(timeout.min(LONGEST_CONNECT))
            .read_timeout(timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .pool_idle_timeout(IDLE);
        let builder = match proxies.proxy()? {
            Some(proxy) => builder.proxy(proxy),
            None => builder,
        };
        let extra = extra_ca_pem.map(certificates).transpose()?;
        let builder = match extra {
            // A loopback server without TLS must not fail on a machine that has no certificates at all.
            None if base.origin().starts_with("http:") => builder.tls_certs_only([]),
            None => builder,
            Some(certificates) => builder.tls_certs_merge(certificates),
        };
        let client = builder.build().map_err(|error| HttpError::Setup { cause: TransportError::new(error) })?;
        Ok(Self { client, base: Arc::new(base.clone()), tally: None })
    }

    /// The same client, whose requests are counted.
    #[must_use]
    pub fn counted(self, tally: &Tally) -> Self {
        Self { tally: Some(tally.clone()), ..self }
    }

    /// The server's base.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Sends a request and waits for the head of its answer. Any status but success is an error.
    pub async fn send(&self, request: Request<'_>, authorization: &Authorization) -> Result<Answer, HttpError> {
        self.send_as(request, Some(authorization)).await
    }

    /// The same without a credential.
    pub async fn send_as_stranger(&self, request: Request<'_>) -> Result<Answer, HttpError> {
        self.send_as(request, None).await
    }

    async fn send_as(&self, request: Request<'_>, who: Option<&Authorization>) -> Result<Answer, HttpError> {
        let mut place = RequestPlace { address: address(&request.url), request_id: None };
        if !self.base.covers(&request.url) {
            return Err(HttpError::Foreign { place });
        }
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut outgoing = self.client.request(method, request.url);
        if let Some(authorization) = who {
            outgoing = outgoing.header(AUTHORIZATION, authorization.header());
        }
        for (name, value) in request.headers {
            let value = HeaderValue::from_str(value).expect("the caller writes visible ASCII");
            outgoing = outgoing.header(HeaderName::from_static(name), value);
        }
        if request.method.has_body() {
            outgoing = outgoing.body(request.body);
        }
        let sent = outgoing.send().await;
        if let Some(tally) = &self.tally {
            tally.note(sent.as_ref().ok().map(|response| response.status().as_u16()));
        }
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Err(HttpError::Timeout { place }),
            Err(error) => return Err(HttpError::Unreachable { place, cause: TransportError::new(error) }),
        };
        place.request_id = request_id(response.headers());
        if response.status().is_success() {
            return Ok(Answer::new(place, response));
        }
        Err(Self::refusal(place, response, REFUSAL_PATIENCE).await)
    }

    /// Gets a JSON document of at most `limit` bytes from the address `segments` below the base.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        authorization: &Authorization,
        limit: usize,
    ) -> Result<Json<T>, HttpError> {
        self.get_json_as(segments, query, Some(authorization), limit).await
    }

    /// The same without a credential, for what is open to everybody.
    pub async fn get_json_as_stranger<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        limit: usize,
    ) -> Result<Json<T>, HttpError> {
        self.get_json_as(segments, &[], None, limit).await
    }

    async fn get_json_as<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        who: Option<&Authorization>,
        limit: usize,
    ) -> Result<Json<T>, HttpError> {
        const JSON: &str = "application/json";
        let mut url = self.base.join(segments.iter().copied());
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let headers = [("accept", JSON)];
        let request = Request { method: Method::Get, url, headers: &headers, body: Bytes::new() };
        let mut answer = self.send_as(request, who).await?;
        answer.require_content_type(JSON)?;
        let body = answer.collect(limit).await?;
        let place = answer.place().clone();
        let value =
            serde_json::from_slice(&body).map_err(|cause| HttpError::InvalidJson { place: place.clone(), cause })?;
        Ok(Json { value, account: answer.account(), request_id: place.request_id, bytes: body.len() })
    }

    async fn refusal(place: RequestPlace, mut response: reqwest::Response, patience: Duration) -> HttpError {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = LONGEST_REFUSAL.saturating_sub(body.len());
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() >= LONGEST_REFUSAL {
                    break;
                }
            }
        };
        // The status decides; a body that breaks, or does not come, only leaves the message out.
        let _in_time = tokio::time::timeout(patience, reading).await;
        classify(place, status, &headers, &body)
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, HttpError> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(HttpError::CertificateFile),
    }
}

/// An address as errors show it: without a user name and password, and of bounded length.
fn address(url: &Url) -> String {
    let mut text = url.origin().ascii_serialization();
    text.push_str(url.path());
    if let Some(query) = url.query() {
        text.push('?');
        text.push_str(query);
    }
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use secrecy::SecretString;
    use serde::Deserialize;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::http::Retry;
    use crate::model::AccountName;

    /// Answers one connection with fixed bytes and gives back what it was sent.
    async fn answering(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                assert_ne!(socket.read_buf(&mut seen).await.unwrap(), 0);
            }
            socket.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (address, task)
    }

    fn client(address: SocketAddr) -> HttpClient {
        let base = BaseUrl::new(&format!("http://{address}/bitbucket")).unwrap();
        HttpClient::new(&base, None, &Proxies::default(), Duration::from_mins(2)).unwrap()
    }

    fn authorization() -> Authorization {
        Authorization::bearer(AccountName::new("svc").unwrap(), &SecretString::from("s3cr3t")).unwrap()
    }

    #[derive(Debug, Deserialize)]
    struct Version {
        version: String,
    }

    async fn ask(answer: &'static str) -> (Result<Json<Version>, HttpError>, String) {
        let (address, task) = answering(answer).await;
        let result = client(address).get_json(&["rest", "a b"], &[("start", "0")], &authorization(), 1000).await;
        (result, task.await.unwrap())
    }

    #[tokio::test]
    async fn a_refusal_whose_body_does_not_come_is_a_refusal() {
        let (mut socket, listener) = (None, TcpListener::bind("127.0.0.1:0").await.unwrap());
        let at = listener.local_addr().unwrap();
        let url = format!("http://{at}/");
        let slow = async {
            let (mut accepted, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                assert_ne!(accepted.read_buf(&mut seen).await.unwrap(), 0);
            }
            let head = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 1000\r\n\r\nmo";
            socket.insert(accepted).write_all(head).await.unwrap();
        };
        let (response, ()) = tokio::join!(client(at).client.get(&url).send(), slow);
        let place = RequestPlace { address: url, request_id: None };
        let error = HttpClient::refusal(place, response.unwrap(), Duration::from_millis(20)).await;
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)), "{error}");
        drop(socket);
    }

    #[tokio::test]
    async fn json_with_the_account_that_the_server_saw() {
        let (result, seen) =
            ask("HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nX-AUSERNAME: svc%40corp\r\n\
             X-AREQUESTID: @1x2\r\nSet-Cookie: a=b\r\nContent-Length: 19\r\n\r\n{\"version\":\"9.4.1\"}")
            .await;
        let json = result.unwrap();
        assert_eq!(json.value.version, "9.4.1");
        assert_eq!((json.account.as_deref(), json.request_id.as_deref()), (Some("svc@corp"), Some("@1x2")));
        assert!(seen.starts_with("GET /bitbucket/rest/a%20b?start=0 HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("authorization: Bearer s3cr3t\r\n") && seen.contains("user-agent: xopero/"), "{seen}");
    }

    #[tokio::test]
    async fn quirk_30_a_login_page_is_not_an_answer() {
        let (result, _) = ask("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi").await;
        let error = result.unwrap_err();
        assert!(matches!(&error, HttpError::UnexpectedContent { content_type, .. } if content_type == "text/html"));
        assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    }

    #[tokio::test]
    async fn quirk_30_redirects_are_not_followed() {
        let head = "HTTP/1.1 302 Found\r\nLocation: https://evil.example.com/x\r\nContent-Length: 0\r\n\r\n";
        let (result, _) = ask(head).await;
        assert!(matches!(result, Err(HttpError::Redirected { to, .. }) if to == "https://evil.example.com"));
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_complete() {
        let (result, _) = ask("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{").await;
        assert!(matches!(result, Err(HttpError::Interrupted { .. })), "{result:?}");
        let (address, _task) = answering(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"version\":\"9.4.1\"}",
        )
        .await;
        let result = client(address).get_json::<Version>(&[], &[], &authorization(), 18).await;
        assert!(matches!(result, Err(HttpError::TooLarge { limit: 18, .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_foreign_address_gets_no_credential() {
        let client = client("127.0.0.1:1".parse().unwrap());
        for foreign in
            ["http://127.0.0.1:2/bitbucket/x", "http://127.0.0.1:1/other", "http://u:p@127.0.0.1:1/bitbucket"]
        {
            let url = Url::parse(foreign).unwrap();
            let request = Request { method: Method::Get, url, headers: &[], body: Bytes::new() };
            let error = client.send(request, &authorization()).await.unwrap_err();
            assert!(matches!(error, HttpError::Foreign { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("u:p"));
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable_with_its_cause() {
        // Nobody else can listen there.
        let bound = TcpSocket::new_v4().unwrap();
        bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = bound.local_addr().unwrap();
        let error = client(address).get_json::<Version>(&[], &[], &authorization(), 9).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Backoff);
        let HttpError::Unreachable { cause, .. } = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains("refused"), "{cause}");
    }

    #[test]
    fn a_ca_file_without_certificates_is_an_error() {
        let base = BaseUrl::new("https://bb.example.com").unwrap();
        let result = HttpClient::new(&base, Some(b"hello"), &Proxies::default(), Duration::from_secs(1));
        assert!(matches!(result, Err(HttpError::CertificateFile)), "{result:?}");
    }
}
