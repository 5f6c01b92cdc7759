//! Starts and stops the server, and the handle to it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::account::Account;
use crate::auth::Logins;
use crate::exchange;
use crate::fault::{Action, Fault, Faults, When};
use crate::health::{Health, Tickets};
use crate::limit::Buckets;
use crate::log::Log;
use crate::options::{Options, Protocol};
use crate::socket::{Line, Socket};
use crate::world::{Repository, World};

/// Starts servers.
#[derive(Clone, Copy, Debug)]
pub struct FakeBitbucket;

impl FakeBitbucket {
    /// Starts a server inside of the tokio runtime at hand, which needs its I/O and time drivers.
    ///
    /// # Panics
    /// When the port is not free.
    pub async fn start(world: World, options: Options) -> Server {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = TcpListener::bind(address).await;
        let listener = listener.unwrap_or_else(|error| panic!("{address} is not free: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let control = Control::new(world, options, address);
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(accept(control.clone(), listener, stopped));
        Server { control, stop: Some(stop), thread: None }
    }

    /// Starts a server on a thread of its own, for callers outside of any runtime.
    ///
    /// # Panics
    /// When the port is not free.
    #[must_use]
    pub fn start_blocking(world: World, options: Options) -> Server {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime can be made");
            runtime.block_on(async {
                let server = Self::start(world, options).await;
                // Nobody waits any more when the caller is gone; then stopping follows at once.
                let _ = ready.send(server.control.clone());
                let _ = stopped.await;
            });
        });
        let control = is_ready.recv().expect("the server starts");
        Server { control, stop: Some(stop), thread: Some(thread) }
    }
}

/// A running server. It stops when dropped, with everything it started.
#[derive(Debug)]
pub struct Server {
    control: Control,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A handle that can be cloned and does not keep the server running.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Deref for Server {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by itself.
            let _ = thread.join();
        }
    }
}

/// Controls a server while it runs; a cheap handle that can be cloned.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("url", &self.shared.url).finish_non_exhaustive()
    }
}

impl Control {
    fn new(world: World, options: Options, address: SocketAddr) -> Self {
        let live = Live {
            accounts: options.accounts.clone(),
            page_cap: options.page_cap,
            protocol: options.protocol,
            health: Health::default(),
        };
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let shared = Shared {
            world,
            url: format!("{scheme}://{address}{}", options.context_path),
            address,
            log: Log::new(options.listener.clone()),
            buckets: Buckets::new(options.allowance, options.refusal.clone()),
            faults: Faults::default(),
            logins: Logins::default(),
            tickets: Tickets::default(),
            connections: AtomicUsize::new(0),
            live: Mutex::new(live),
            options,
        };
        for account in shared.accounts() {
            shared.apply_allowance(&account);
        }
        Self { shared: Arc::new(shared) }
    }

    /// The base URL with the context path and without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The URL at which git finds a repository.
    #[must_use]
    pub fn clone_url(&self, repository: &Repository) -> String {
        format!("{}{}", self.shared.url, repository.clone_path())
    }

    /// What the server holds.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.shared.world
    }

    /// The request log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The rate limit.
    #[must_use]
    pub fn buckets(&self) -> &Buckets {
        &self.shared.buckets
    }

    /// Adds a fault rule. All rules that match a request act, the oldest first.
    pub fn fault(&self, when: When, action: Action) -> Fault {
        self.shared.faults.add(when, action)
    }

    /// Takes all fault rules away.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
    }

    /// Adds an account, or replaces the one with this name: other tokens, other permissions.
    pub fn set_account(&self, account: Account) {
        self.shared.apply_allowance(&account);
        let mut live = self.shared.live();
        live.accounts.retain(|other| other.name != account.name);
        live.accounts.push(account);
    }

    /// Removes an account.
    pub fn remove_account(&self, name: &str) {
        self.shared.live().accounts.retain(|other| other.name != name);
    }

    /// Lets an account with too many wrong passwords log in again.
    pub fn clear_captcha(&self, account: &str) {
        self.shared.logins.clear_captcha(account);
    }

    /// The names of the access tokens of an account, the oldest first.
    #[must_use]
    pub fn token_names(&self, account: &str) -> Vec<String> {
        let live = self.shared.live();
        let tokens = live.accounts.iter().filter(|found| found.name == account).flat_map(|found| &found.tokens);
        tokens.map(|token| token.name.clone()).collect()
    }

    /// The secret values of the access tokens of an account, the oldest first: what must be seen nowhere else.
    #[must_use]
    pub fn token_values(&self, account: &str) -> Vec<String> {
        let live = self.shared.live();
        let tokens = live.accounts.iter().filter(|found| found.name == account).flat_map(|found| &found.tokens);
        tokens.map(|token| token.value.clone()).collect()
    }

    /// Changes the protocol from the next request on.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.shared.live().protocol = protocol;
    }

    /// Changes how the server is, from the next request on.
    pub fn set_health(&self, health: Health) {
        self.shared.live().health = health;
    }

    /// Refuses git requests with 503 while so many are under way; `None` refuses none.
    pub fn set_tickets(&self, tickets: Option<usize>) {
        self.shared.tickets.set(tickets);
    }

    /// The most git requests that were under way at once, since this was asked for last.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.shared.tickets.peak()
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Changes the page cap from the next request on.
    pub fn set_page_cap(&self, cap: usize) {
        self.shared.live().page_cap = cap;
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) options: Options,
    pub(crate) log: Log,
    pub(crate) buckets: Buckets,
    pub(crate) faults: Faults,
    pub(crate) logins: Logins,
    pub(crate) tickets: Tickets,
    connections: AtomicUsize,
    url: String,
    address: SocketAddr,
    live: Mutex<Live>,
}

/// What can change while the server runs.
#[derive(Debug)]
struct Live {
    accounts: Vec<Account>,
    page_cap: usize,
    protocol: Protocol,
    health: Health,
}

impl Shared {
    pub(crate) fn accounts(&self) -> Vec<Account> {
        self.live().accounts.clone()
    }

    pub(crate) fn page_cap(&self) -> usize {
        self.live().page_cap
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.live().protocol
    }

    pub(crate) fn health(&self) -> Health {
        self.live().health
    }

    pub(crate) fn link_base(&self) -> &str {
        self.options.link_base.as_deref().unwrap_or(&self.url)
    }

    /// Looks at an account, and perhaps changes it.
    pub(crate) fn with_account<T>(&self, name: &str, act: impl FnOnce(&mut Account) -> T) -> Option<T> {
        self.live().accounts.iter_mut().find(|account| account.name == name).map(act)
    }

    fn apply_allowance(&self, account: &Account) {
        if let Some(allowance) = account.allowance {
            self.buckets.set_allowance(&account.name, allowance);
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts connections until the server is dropped; then all of them end.
async fn accept(control: Control, listener: TcpListener, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    let acceptor = control.shared.options.tls.as_ref().map(|tls| tls.acceptor());
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                // A connection that failed before it began concerns nobody.
                if let Ok((stream, _)) = accepted {
                    control.shared.connections.fetch_add(1, Ordering::SeqCst);
                    connections.spawn(serve(control.clone(), acceptor.clone(), stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(control: Control, acceptor: Option<TlsAcceptor>, stream: TcpStream) {
    // Without it every answer may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    let line = Line::default();
    let socket = Socket { stream, line: line.clone() };
    let service = service_fn(move |request| {
        let answer = exchange::answer(control.clone(), line.clone(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // Clients that leave and answers that are broken off on purpose end here.
    let _ = match acceptor {
        None => http1::Builder::new().serve_connection(TokioIo::new(socket), service).await,
        Some(acceptor) => match acceptor.accept(socket).await {
            Err(_) => return,
            Ok(secure) if secure.get_ref().1.alpn_protocol() == Some(b"h2") => {
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(secure), service).await
            }
            Ok(secure) => http1::Builder::new().serve_connection(TokioIo::new(secure), service).await,
        },
    };
}
