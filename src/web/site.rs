//! What is served, put together.

use std::future::IntoFuture;
use std::sync::Arc;

use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

use super::connection::Door;
use super::guard::{Callers, meant_for_us, one_request};
use super::{Hook, Listener, Metrics, health, hook, metrics};
use crate::daemon::Pulse;

/// What is served.
pub struct Site {
    /// Whether the watch is alive and ready.
    pub pulse: Arc<Pulse>,
    /// Figures.
    pub metrics: Option<Metrics>,
    /// What others post to.
    pub hook: Option<Hook>,
}

impl Site {
    fn router(self, callers: Callers) -> Router {
        let own = health::pages(self.pulse);
        let own = match self.metrics {
            Some(metrics) => own.merge(metrics::page(metrics)),
            None => own,
        };
        let own = own.layer(middleware::from_fn_with_state(callers, meant_for_us));
        let all = match self.hook {
            Some(hook) => own.merge(hook::page(hook)),
            None => own,
        };
        all.layer(middleware::from_fn(one_request))
    }
}

/// Serves until it is stopped. Answers under way are given.
pub async fn serve(listener: Listener, site: Site, stop: CancellationToken) {
    let router = site.router(Callers::at(&listener.0));
    let served = axum::serve(Door::new(listener), router).with_graceful_shutdown(stop.cancelled_owned()).into_future();
    if let Err(error) = served.await {
        tracing::warn!(%error, "nothing is served any more");
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::web::{Listen, Received};

    struct Served {
        address: String,
        clock: Arc<ManualClock>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn start() -> Served {
        let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
        let pulse = Arc::new(Pulse::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let receiver = Arc::new(|delivery: &crate::web::Delivery<'_>| match delivery.header("x-signature") {
            Some("good") if delivery.body == b"push" => Received::Accepted,
            Some("good") => Received::Malformed,
            Some(_) | None => Received::NotGenuine,
        });
        let hook = Hook { path: "/hooks/bitbucket", longest: 1000, receiver };
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), "/".as_ref()).unwrap();
        let address = listener.address().strip_prefix("http://").unwrap().to_owned();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, Site { pulse, metrics: None, hook: Some(hook) }, stop.clone()));
        Served { address, clock, stop, task }
    }

    impl Served {
        /// Sends bytes and gives everything that comes back.
        async fn send(&self, request: &str) -> String {
            let mut stream = TcpStream::connect(&self.address).await.unwrap();
            // A server that refuses early does not read to the end.
            let _refused = stream.write_all(request.as_bytes()).await;
            let mut answer = Vec::new();
            let _reset = stream.read_to_end(&mut answer).await;
            String::from_utf8(answer).unwrap()
        }

        async fn status(&self, request: &str) -> u16 {
            let answer = self.send(&request.replace("HOST", &self.address)).await;
            answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
        }
    }

    #[tokio::test]
    async fn health_is_told_in_a_word_and_the_connection_ends() {
        let served = start();
        let answer = served.send(&format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.address)).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
        assert!(answer.contains("connection: close\r\n") && !answer.contains("access-control"), "{answer}");
        let answer = served.send(&format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", served.address)).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nstarting\n"), "{answer}");
        served.clock.advance(std::time::Duration::from_hours(1));
        let answer = served.send(&format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", served.address)).await;
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\nloop-stuck\n"), "{answer}");
        served.stop.cancel();
        served.task.await.unwrap();
    }

    #[tokio::test]
    async fn strangers_other_methods_and_oversized_requests_are_refused() {
        let served = start();
        assert_eq!(served.status("GET /healthz HTTP/1.1\r\nHost: evil.example.com\r\n\r\n").await, 421);
        assert_eq!(served.status("GET /healthz HTTP/1.0\r\n\r\n").await, 421);
        assert_eq!(served.status("POST /healthz HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n").await, 405);
        assert_eq!(served.status("OPTIONS /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n").await, 405);
        assert_eq!(served.status("GET /nothing HTTP/1.1\r\nHost: HOST\r\n\r\n").await, 404);
        assert_eq!(served.status("GET /../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n").await, 404);
        let long = format!("GET /healthz HTTP/1.1\r\nHost: HOST\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
        assert_eq!(served.status(&long).await, 431);
        let many = format!("GET /healthz HTTP/1.1\r\nHost: HOST\r\n{}\r\n", "A: b\r\n".repeat(200));
        assert_eq!(served.status(&many).await, 431);
        assert_eq!(served.status("nonsense\r\n\r\n").await, 400);
        let two = "GET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n".repeat(2).replace("HOST", &served.address);
        assert_eq!(served.send(&two).await.matches("HTTP/1.1 200").count(), 1, "one request for each connection");
        let smuggled = "POST /hooks/bitbucket HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\n\
            Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: HOST\r\n\r\n";
        let answer = served.send(&smuggled.replace("HOST", &served.address)).await;
        assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn a_hook_takes_posts_of_any_host_up_to_its_size() {
        let served = start();
        let post = |signature: &str, body: &str| {
            let length = body.len();
            format!(
                "POST /hooks/bitbucket HTTP/1.1\r\nHost: backup.example.com\r\nX-Signature: {signature}\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
        };
        assert_eq!(served.status(&post("good", "push")).await, 202);
        assert_eq!(served.status(&post("good", "pull")).await, 400);
        assert_eq!(served.status(&post("bad", "push")).await, 401);
        assert_eq!(served.status(&post("good\r\nX-Signature: good", "push")).await, 401, "which one counts?");
        assert_eq!(served.status(&post("good", &"x".repeat(1001))).await, 413);
        assert_eq!(served.status("GET /hooks/bitbucket HTTP/1.1\r\nHost: x\r\n\r\n").await, 405);
        let claim = "POST /hooks/bitbucket HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx";
        assert_eq!(served.status(claim).await, 413);
    }
}
