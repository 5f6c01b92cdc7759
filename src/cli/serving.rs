//! What long-running commands serve while they go on.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{CliError, Context, agree, env};
use crate::clock::Clock;
use crate::daemon::{Pulse, ServiceManager, WatchEvent, WatchSink};
use crate::web::{Listen, Listener, Site, serve};

/// The name of the usual socket.
const SOCKET: &str = "xopero.sock";

/// Options of what is served.
#[derive(Debug, Args)]
pub struct ServingArgs {
    /// Serve /healthz, /readyz and /metrics at a unix socket, or at ADDRESS
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = Listen::USUAL,
        long_help = "Serve /healthz, /readyz and /metrics at ADDRESS: unix:PATH, or an address of this machine such as \
        127.0.0.1:9477. Without ADDRESS at the unix socket xopero.sock in $RUNTIME_DIRECTORY, or else beside the state"
    )]
    pub listen: Option<Listen>,
    /// When asked to stop, let what is under way go on for so long: 0s, 90s, 5m
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = agree::duration)]
    pub drain: Duration,
}

/// Something that is served.
pub struct Serving {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl ServingArgs {
    /// Begins to serve, if that was asked for, and tells where.
    pub fn start(&self, context: &Context, site: Site, sink: &Arc<dyn WatchSink>) -> Result<Option<Serving>, CliError> {
        let Some(listen) = &self.listen else { return Ok(None) };
        let usual = match env::runtime_directory() {
            Some(directory) => directory.join(SOCKET),
            None => context.location()?.directory().join(SOCKET),
        };
        let listener = Listener::bind(listen, &usual)?;
        sink.tell(&WatchEvent::Listening { address: listener.address() });
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, site, stop.clone()));
        Ok(Some(Serving { stop, task }))
    }
}

impl Serving {
    /// Ends it, once the answers under way are given.
    pub async fn end(self) {
        self.stop.cancel();
        // What it died of was told by then.
        let _died = self.task.await;
    }
}

/// Those who hear of everything besides the one who tells the user: the pulse, and the service manager if one listens.
pub struct Supervision {
    pulse: Arc<Pulse>,
    manager: Option<Arc<ServiceManager>>,
    attending: Option<Serving>,
}

impl Supervision {
    /// Begins to give signs of life to the service manager, if one listens.
    pub fn begin(pulse: &Arc<Pulse>, clock: &Arc<dyn Clock>) -> Self {
        let manager =
            env::has_service_manager().then(|| Arc::new(ServiceManager::new(Arc::clone(pulse), Arc::clone(clock))));
        let attending = manager.as_ref().map(|manager| {
            let stop = CancellationToken::new();
            let task = tokio::spawn(Arc::clone(manager).attend(stop.clone()));
            Serving { stop, task }
        });
        Self { pulse: Arc::clone(pulse), manager, attending }
    }

    /// All of them, with `teller`.
    pub fn sinks(&self, teller: Arc<dyn WatchSink>) -> Vec<Arc<dyn WatchSink>> {
        let manager = self.manager.iter().map(|manager| Arc::clone(manager) as Arc<dyn WatchSink>);
        [teller, Arc::clone(&self.pulse) as Arc<dyn WatchSink>].into_iter().chain(manager).collect()
    }

    /// Ends it.
    pub async fn end(self) {
        if let Some(attending) = self.attending {
            attending.end().await;
        }
    }
}
