//! `xopero watch`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::sync::mpsc::{Sender, channel};

use super::git::GitArgs;
use super::interrupt::Interrupt;
use super::serving::{ServingArgs, Supervision};
use super::{CliError, Context, agree, env, exit_code, hangup};
use crate::clock::{Clock, SystemClock};
use crate::daemon::{Activator, AutoApply, Everybody, Following, Overhearing, Watch, WatchEvent, WatchSink};
use crate::http::Tally;
use crate::run::Turnstile;
use crate::secret::read_secret_file;
use crate::source::branch::PollPace;
use crate::source::watch::{FileWatch, Notice, Pace};
use crate::source::webhook::{LONGEST_BODY, Webhook};
use crate::state::StateStore;
use crate::web::{Counters, Hook, Metrics, OfWatch, Received, Receiver, Site, WatchCounters};

/// The name of the usual socket.
const SOCKET: &str = "xopero.sock";

/// Follow the file, apply what is safe, and run the plans on their schedules
///
/// The file is applied when it changes, as far as --auto-apply lets it; an invalid or missing file changes nothing.
/// With --git it is a file in a branch, and the state is in the working directory unless --state says where.
/// Runs begin when they are due, and go on after a restart where they were cut off. SIGHUP reads everything again,
/// unless it tells that the terminal was closed, which stops it.
/// SIGTERM and Ctrl-C begin nothing new, let what is under way go on as long as --drain says, and interrupt it then: the
/// next watch goes on with it. A second one ends at once.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// How much is applied without you
    #[arg(long, value_name = "LEVEL", default_value = "safe", env = env::AUTO_APPLY)]
    pub auto_apply: Level,
    /// Look for changes, for file systems that tell of none (NFS)
    #[arg(long)]
    pub poll: bool,
    /// Runs of different plans side by side; they share accounts, servers and repositories
    #[arg(long, value_name = "N", default_value = "2")]
    pub max_runs: NonZeroUsize,
    #[command(flatten)]
    pub serving: ServingArgs,
    #[command(flatten)]
    pub trust: super::alert::TrustArgs,
    #[command(flatten)]
    pub git: GitArgs,
    /// Look at once when somebody who knows the secret in FILE posts to /hook; needs --listen
    #[arg(
        long,
        value_name = "FILE",
        env = env::WEBHOOK_SECRET_FILE,
        requires_all = ["git", "listen"],
        long_help = "Look at once when somebody who knows the secret in FILE posts to /hook of --listen. It takes what \
        a webhook of Bitbucket sends (the header X-Hub-Signature), and only wakes: nothing of what is posted is used"
    )]
    pub webhook_secret_file: Option<PathBuf>,
    /// How often to ask for the branch, at least 30s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = interval, requires = "git")]
    pub interval: Duration,
}

/// How much is applied without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing
    None,
    /// What needs no approval
    Safe,
    /// Guarded changes too
    Guarded,
}

/// A server is not asked more often.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);

/// Reads how often to ask.
fn interval(text: &str) -> Result<Duration, String> {
    let read = agree::duration(text)?;
    let bounds = SHORTEST_INTERVAL..=Duration::from_hours(24);
    if bounds.contains(&read) { Ok(read) } else { Err("it is between 30s and 24h".to_owned()) }
}

/// The state, and what is followed from what is in force in it, with its name.
async fn follow(
    context: &Context,
    arguments: &WatchArgs,
    clock: &Arc<dyn Clock>,
) -> Result<(Arc<StateStore>, Following, String), CliError> {
    // What cannot be followed makes no state.
    let branch = arguments.git.branch(context)?;
    let state = Arc::new(context.create_state().await?);
    Ok(if let Some(branch) = branch {
        let (name, pace) = (branch.name(), PollPace { interval: arguments.interval, ..PollPace::default() });
        let watch = branch.follow(&state, pace, clock).await?;
        (state, Following::Branch(Box::new(watch)), name)
    } else {
        let notice = if arguments.poll { Notice::Poll } else { Notice::Events };
        let file = FileWatch::new(context.file(), notice, Pace::default(), Arc::clone(clock));
        (state, Following::File(Box::new(file)), context.file().display().to_string())
    })
}

/// The place that a webhook posts to. What it asks for is a look.
fn webhook(file: &Path, ask: Sender<()>) -> Result<Hook, CliError> {
    let webhook = Webhook::new(&read_secret_file(file, env::is_credential(file))?).map_err(|error| {
        CliError::usage(error.to_string())
            .with_hint("make one with `openssl rand -hex 32`, and give it to Bitbucket, too")
    })?;
    let webhook = Arc::new(webhook);
    tokio::spawn(Arc::clone(&webhook).pass_on(move || {
        // One that waits already asks for the same.
        let _already_asked = ask.try_send(());
    }));
    let receiver: Receiver = Arc::new(move |delivery| {
        let genuine = webhook.receive(delivery.body, delivery.header("x-hub-signature"));
        if genuine { Received::Accepted } else { Received::NotGenuine }
    });
    Ok(Hook { path: "/hook", longest: LONGEST_BODY, receiver })
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &WatchArgs) -> Result<u8, CliError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (state, source, source_name) = follow(context, arguments, &clock).await?;
    // Whoever hears that it listens may stop it at once.
    let interrupt = Interrupt::listen(|| {});
    let supervision = Supervision::begin(context, &clock);
    let alerter = arguments.trust.alerter(context, &state, &clock);
    let overhearing =
        Overhearing { heard: Arc::clone(&alerter.heard), options: context.place_words(), clock: Arc::clone(&clock) };
    let (counters, of_watch) = (Arc::new(Counters::default()), Arc::new(WatchCounters::default()));
    let mut sinks: Vec<Arc<dyn WatchSink>> =
        vec![Arc::<Counters>::clone(&counters), Arc::<WatchCounters>::clone(&of_watch), Arc::new(overhearing)];
    // Whoever is told looks at the figures next, and finds what was told there.
    sinks.extend(supervision.sinks().map(|sink| sink as Arc<dyn WatchSink>));
    let sink: Arc<dyn WatchSink> = Arc::new(Everybody(sinks));
    let (tally, turnstile) = (Tally::default(), Turnstile::new(Arc::clone(&clock)));
    let metrics = Some(Metrics {
        counters,
        tally: tally.clone(),
        turnstile: turnstile.clone(),
        state: Arc::clone(&state),
        watch: Some(OfWatch { counters: of_watch, base: context.base() }),
        clock: Arc::clone(&clock),
        version: super::version(),
    });
    let reload = hangup::listen(interrupt.clone())?;
    let (ask, hints) = channel(1);
    let hook = arguments.webhook_secret_file.as_deref().map(|file| webhook(file, ask)).transpose()?;
    let site = Site { pulse: Arc::clone(&supervision.pulse), metrics, hook };
    let serving = arguments.serving.start(context, SOCKET, site, |address| {
        sink.tell(&WatchEvent::Listening { address });
    })?;
    let watch = Watch {
        activator: Activator {
            state,
            base: context.base(),
            who: env::who(),
            identities: context.identity_sources(),
            level: match arguments.auto_apply {
                Level::None => AutoApply::None,
                Level::Safe => AutoApply::Safe,
                Level::Guarded => AutoApply::Guarded,
            },
            clock: Arc::clone(&clock),
        },
        source,
        source_name,
        proxies: env::proxies(),
        tally,
        turnstile,
        max_runs: arguments.max_runs,
        sink,
        reload,
        hints,
        stop: interrupt.token,
        drain: arguments.serving.drain,
    };
    let ended = alerter.during(Box::pin(watch.run())).await;
    if let Some(serving) = serving {
        serving.end().await;
    }
    supervision.end().await;
    ended?;
    Ok(exit_code::DONE)
}
