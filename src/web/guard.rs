//! What every request has to pass.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::listen::Bound;

/// Bytes of a request that are read at all.
pub(super) const LONGEST_REQUEST: usize = 2 << 20;

/// Bytes of all headers of a request.
const LONGEST_HEADERS: usize = 16 << 10;

/// Whose request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Callers {
    /// Everybody who can open the socket: no browser can.
    OfSocket,
    /// Those who mean this machine, and this port of it.
    OfThisMachine(SocketAddr),
}

impl Callers {
    /// Who calls at this place.
    pub(super) const fn at(bound: &Bound) -> Self {
        match bound {
            Bound::Tcp(_, address) => Self::OfThisMachine(*address),
            Bound::Unix(..) => Self::OfSocket,
        }
    }

    /// Whether a request with this `Host` is meant for us.
    fn may(self, host: Option<&str>) -> bool {
        let Self::OfThisMachine(address) = self else { return true };
        let Some(host) = host else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse() == Ok(address.port()) => name,
            // A name without a port is one with port 80.
            Some(_) | None if address.port() == 80 => host,
            Some(_) | None => return false,
        };
        let own = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        name == own || name.eq_ignore_ascii_case("localhost")
    }
}

/// Refuses what is not meant for this machine.
pub(super) async fn meant_for_us(State(callers): State<Callers>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if callers.may(host) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "this is not the host that you asked for\n").into_response()
    }
}

/// Bounds the headers, and ends the connection after its one answer.
pub(super) async fn one_request(request: Request, next: Next) -> Response {
    let mut response = if size(request.headers()) > LONGEST_HEADERS {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_means_another_host_gets_no_answer() {
        let at = |address: &str| Callers::OfThisMachine(address.parse().unwrap());
        let four = at("127.0.0.1:9477");
        for host in ["127.0.0.1:9477", "localhost:9477", "LOCALHOST:9477"] {
            assert!(four.may(Some(host)), "{host}");
        }
        for host in [
            "evil.example.com:9477",
            "evil.example.com",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "127.0.0.1:9477:9477",
            "localhost.evil.example.com:9477",
            "127.0.0.1:9477@evil",
            "",
            ":9477",
        ] {
            assert!(!four.may(Some(host)), "{host}");
        }
        assert!(!four.may(None));
        assert!(at("[::1]:9477").may(Some("[::1]:9477")) && !at("[::1]:9477").may(Some("::1:9477")));
        assert!(at("127.0.0.1:80").may(Some("localhost")) && !at("127.0.0.1:80").may(Some("evil")));
        assert!(Callers::OfSocket.may(None) && Callers::OfSocket.may(Some("whatever")));
    }
}
