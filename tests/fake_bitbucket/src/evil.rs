//! Another host, which must never see a credential.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::signal::Signal;

/// A request that came to an [`EvilHost`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvilRequest {
    /// The method.
    pub method: String,
    /// The path with the query.
    pub target: String,
    /// Whether an `Authorization` header came.
    pub had_authorization: bool,
    /// Whether a `Cookie` header came.
    pub had_cookie: bool,
}

/// Listens on loopback, records every request, and answers 200 without a body. Stops when dropped.
///
/// It runs on a thread of its own and needs no runtime.
#[derive(Debug)]
pub struct EvilHost {
    address: SocketAddr,
    requests: Arc<Signal<Vec<EvilRequest>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EvilHost {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(Signal::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (requests, stop) = (Arc::clone(&requests), Arc::clone(&stop));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    // A client that leaves early has nothing to record.
                    let request = stream.ok().and_then(receive);
                    requests.update(|requests| requests.extend(request));
                }
            })
        };
        Self { address, requests, stop, thread: Some(thread) }
    }

    /// The URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<EvilRequest> {
        self.requests.read(Clone::clone)
    }

    /// Whether any request had an `Authorization` header.
    #[must_use]
    pub fn saw_authorization(&self) -> bool {
        self.requests().iter().any(|request| request.had_authorization)
    }
}

impl Drop for EvilHost {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread; when it cannot be woken it is not waited for.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn receive(stream: TcpStream) -> Option<EvilRequest> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let mut request = EvilRequest {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        had_authorization: false,
        had_cookie: false,
    };
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        let name = line.split(':').next().unwrap_or("").to_ascii_lowercase();
        request.had_authorization |= name == "authorization";
        request.had_cookie |= name == "cookie";
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // The record counts even when the answer does not arrive.
    let _ = reader.get_mut().write_all(answer);
    Some(request)
}
