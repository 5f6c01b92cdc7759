//! `xopero worker`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use clap::Args;

use super::interrupt::Interrupt;
use super::serving::{ServingArgs, Supervision};
use super::{CliError, Context, env, exit_code, hangup};
use crate::clock::{Clock, SystemClock};
use crate::daemon::{Everybody, Worker, WorkerEvent, WorkerSink};
use crate::http::Tally;
use crate::run::Turnstile;
use crate::web::{Counters, Metrics, Site};

/// The name of the usual socket.
const SOCKET: &str = "xopero-worker.sock";

/// Help with the runs that `xopero watch` and `xopero run` begin on the same state
///
/// It begins no run of its own: it takes a share in those under way, with its own identity, and its own way to the
/// servers and destinations; what it lacks it says, and leaves to others. SIGHUP lets it try at once what it could not
/// work on. SIGTERM and Ctrl-C begin nothing new, let what is under way go on as long as --drain says, interrupt it then,
/// and give back the rest. A second one ends at once, and what it had is done by others a minute later.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Repositories under way at once on each server, if less than its `concurrency` asks for
    #[arg(long, value_name = "N")]
    pub concurrency: Option<NonZeroUsize>,
    #[command(flatten)]
    pub serving: ServingArgs,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &WorkerArgs) -> Result<u8, CliError> {
    let state = Arc::new(context.existing_state().await?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Whoever hears that it listens may stop it at once.
    let interrupt = Interrupt::listen(|| {});
    let supervision = Supervision::begin(context, &clock);
    let counters = Arc::new(Counters::default());
    // Whoever is told looks at the figures next, and finds what was told there.
    let mut sinks: Vec<Arc<dyn WorkerSink>> = vec![Arc::<Counters>::clone(&counters)];
    sinks.extend(supervision.sinks().map(|sink| sink as Arc<dyn WorkerSink>));
    let sink: Arc<dyn WorkerSink> = Arc::new(Everybody(sinks));
    let (tally, turnstile) = (Tally::default(), Turnstile::new(Arc::clone(&clock)));
    // What the state says is told by whoever watches it.
    let metrics = Some(Metrics {
        counters,
        tally: tally.clone(),
        turnstile: turnstile.clone(),
        state: Arc::clone(&state),
        watch: None,
        clock: Arc::clone(&clock),
        version: super::version(),
    });
    let site = Site { pulse: Arc::clone(&supervision.pulse), metrics, hook: None };
    let reload = hangup::listen(interrupt.clone())?;
    let serving = arguments.serving.start(context, SOCKET, site, |address| {
        sink.tell(&WorkerEvent::Listening { address });
    })?;
    let worker = Worker {
        state,
        base: context.base(),
        who: env::who(),
        identities: context.identity_sources(),
        proxies: env::proxies(),
        tally,
        turnstile,
        most: arguments.concurrency,
        sink,
        clock,
        reload,
        stop: interrupt.token,
        drain: arguments.serving.drain,
    };
    let ended = worker.run().await;
    if let Some(serving) = serving {
        serving.end().await;
    }
    supervision.end().await;
    ended?;
    Ok(exit_code::DONE)
}
