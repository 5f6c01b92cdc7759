//! `xopero worker`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use clap::Args;

use super::interrupt::Interrupt;
use super::{CliError, Context, env, exit_code, log};
use crate::clock::{Clock, SystemClock};
use crate::daemon::{Worker, WorkerSink};
use crate::run::Turnstile;
use crate::ui::worker::{WorkerLines, WorkerTalk};

/// Help with the runs that `xopero watch` and `xopero run` begin on the same state
///
/// It begins no run of its own: it takes a share in those under way, with its own identity, and its own way to the
/// servers and destinations; what it lacks it says, and leaves to others. SIGTERM and Ctrl-C let it finish what is under
/// way and give back the rest; a second one ends at once, and what it had is done by others a minute later.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Repositories under way at once on each server, if less than its `concurrency` asks for
    #[arg(long, value_name = "N")]
    pub concurrency: Option<NonZeroUsize>,
}

/// Runs the command.
pub async fn run(context: &Context, arguments: &WorkerArgs) -> Result<u8, CliError> {
    let state = Arc::new(context.existing_state().await?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sink: Arc<dyn WorkerSink> = if context.output.is_json() {
        Arc::new(WorkerLines::begin(Arc::clone(&clock)))
    } else {
        let (style, terminal) = (context.output.talk_style(), context.output.draws_progress());
        Arc::new(WorkerTalk::new(style, terminal, log::stamp(), Arc::clone(&clock)))
    };
    let interrupt = Interrupt::listen(|| {});
    let worker = Worker {
        state,
        base: context.base(),
        who: env::who(),
        identities: context.identity_sources(),
        proxies: env::proxies(),
        turnstile: Turnstile::new(Arc::clone(&clock)),
        most: arguments.concurrency,
        sink,
        clock,
        stop: interrupt.token,
    };
    worker.run().await?;
    Ok(exit_code::DONE)
}
