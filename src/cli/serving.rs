//! What long-running commands serve while they go on.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::context::LogFormat;
use super::{CliError, Context, agree, env, log};
use crate::clock::Clock;
use crate::daemon::{AnySink, Pulse, ServiceManager};
use crate::ui::{Lines, Log, Talk};
use crate::web::{Listen, Listener, Site, serve};

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
        127.0.0.1:9477. Without ADDRESS at a unix socket in $RUNTIME_DIRECTORY, or else beside the state: xopero.sock of \
        a watch, xopero-worker.sock of a worker"
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
    /// Begins to serve, if that was asked for, and says where: usually at the socket of this name.
    pub fn start(
        &self,
        context: &Context,
        socket: &str,
        site: Site,
        tell: impl FnOnce(String),
    ) -> Result<Option<Serving>, CliError> {
        let Some(listen) = &self.listen else { return Ok(None) };
        let usual = match env::runtime_directory() {
            Some(directory) => directory.join(socket),
            None if *listen == Listen::Usual => context.location()?.make_directory()?.join(socket),
            None => context.location()?.directory().join(socket),
        };
        let listener = Listener::bind(listen, &usual)?;
        tell(listener.address());
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

/// Those who hear of everything: whoever tells the user, the pulse, and the service manager if one listens.
pub struct Supervision {
    /// Whether there is life.
    pub pulse: Arc<Pulse>,
    sinks: Vec<Arc<dyn AnySink>>,
    attending: Option<Serving>,
}

impl Supervision {
    /// Begins to give signs of life to the service manager, if one listens.
    pub fn begin(context: &Context, clock: &Arc<dyn Clock>) -> Self {
        let pulse = Arc::new(Pulse::new(Arc::clone(clock)));
        let mut sinks = vec![Arc::clone(&pulse) as Arc<dyn AnySink>];
        let attending = env::has_service_manager().then(|| {
            let manager = Arc::new(ServiceManager::new(Arc::clone(&pulse), Arc::clone(clock)));
            sinks.push(Arc::clone(&manager) as Arc<dyn AnySink>);
            let stop = CancellationToken::new();
            let task = tokio::spawn(manager.attend(stop.clone()));
            Serving { stop, task }
        });
        // Whoever was told asks how it stands next, and hears the same there.
        sinks.push(teller(context, clock));
        Self { pulse, sinks, attending }
    }

    /// All of them.
    pub fn sinks(&self) -> impl Iterator<Item = Arc<dyn AnySink>> {
        self.sinks.iter().map(Arc::clone)
    }

    /// Ends it.
    pub async fn end(self) {
        if let Some(attending) = self.attending {
            attending.end().await;
        }
    }
}

/// Whoever tells the user, in the form that was asked for.
fn teller(context: &Context, clock: &Arc<dyn Clock>) -> Arc<dyn AnySink> {
    if context.output.is_json() {
        Arc::new(Lines::begin(Arc::clone(clock)))
    } else if context.log_format == LogFormat::Json {
        Arc::new(Log::new(context.place_words(), Arc::clone(clock)))
    } else {
        let style = (context.output.talk_style(), context.output.width());
        let form = (context.output.draws_progress(), log::stamp());
        Arc::new(Talk::new(style, form, context.place_words(), Arc::clone(clock)))
    }
}
